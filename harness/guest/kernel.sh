#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kernel.sh CELL: configures and builds the kernel of one cell.
#
# in:   the tree (TREE=DIR for another), harness/guest/config/*.config
# out:  build/kernel/BUILD/ (KOUT=DIR for another), the log in build.log there, and
#       in .cold-seconds how long it took when there was nothing built before
# exit: 0 built or already up to date; 1 with one line that says why not
#
# With nothing changed, make is not called: the stamp file is as old as the beginning of the
# last good build, and no file that a kernel is built from may be younger.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

[ $# = 1 ] || die "usage: kernel.sh CELL"
load_cell "$1"
[ -f "$CELL_SRC/Makefile" ] || die "no kernel tree in $CELL_SRC: run make tree"
need "${CELL_cross}gcc" "${CELL_packages%% *}"

# Nothing may be written into the source, and a build is to be the same every time, so that
# ccache can answer: also for the same kernel elsewhere, provided that source and build folder
# are to each other as tree is to kernel/BUILD.
export PYTHONDONTWRITEBYTECODE=1 CCACHE_SLOPPINESS=time_macros
export CCACHE_BASEDIR=$BUILD CCACHE_NOHASHDIR=1
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
export KBUILD_BUILD_USER=ptlock KBUILD_BUILD_HOST=ptlock

KMAKE=(make -C "$CELL_SRC" O="$CELL_KOUT" ARCH="$CELL_arch" CROSS_COMPILE="$CELL_cross")
! command -v ccache >/dev/null || KMAKE+=(CC="ccache ${CELL_cross}gcc")
LOG=$CELL_KOUT/build.log

FRAGMENTS=()
HEADERS=()	# what the base lacks to be compiled at all
for name in $CELL_fragments; do
	FRAGMENTS+=("$HARNESS/guest/config/$name.config")
	[ -r "${FRAGMENTS[-1]}" ] ||
		die "cells.ini: [cell $CELL_cell]: no fragment harness/guest/config/$name.config"
	[ ! -f "$HARNESS/guest/config/$name.h" ] || HEADERS+=("$HARNESS/guest/config/$name.h")
done
[ ${#HEADERS[@]} = 0 ] || KMAKE+=(KCFLAGS="${HEADERS[*]/#/-include }")

# What the build depends on, apart from the files of the tree.
inputs()
{
	echo "$CELL_SRC" "${KMAKE[@]}"
	"${CELL_cross}gcc" --version | head -n1
	cat "${FRAGMENTS[@]}" "${HEADERS[@]}"
}

# Keeps make's output in the log and says how far it has come.
follow()
{
	local line n=0

	while IFS= read -r line; do
		printf '%s\n' "$line"
		[[ $line = '  CC '* ]] || continue
		((++n % 100)) || say kernel "$CELL_cell: $n objects compiled"
	done >>"$LOG"
}

# run_make TARGET...: quietly; the errors, should there be any, and the log.
run_make()
{
	"${KMAKE[@]}" -j"$JOBS" "$@" 2>&1 </dev/null | follow && return
	note "$(grep -m5 -E 'error:|\*\*\*' "$LOG" || tail -n5 "$LOG")"
	die "$CELL_cell: make $* failed: see $LOG"
}

# What the fragments ask for, one line an option: the last of them has its way.
wanted()
{
	awk '{ name = "" }
	/^CONFIG_/ { name = substr($1, 1, index($1, "=") - 1) }
	/^# CONFIG_.* is not set$/ { name = $2 }
	name { line[name] = $0; file[name] = FILENAME }
	END { for (name in line) print file[name] "\t" name "\t" line[name] }' \
		"${FRAGMENTS[@]}" | sort
}

# Every option must have come out as asked: a typo or a missing dependency would
# otherwise silently test something else.
check_config()
{
	local file line name

	while IFS=$'\t' read -r file name line; do
		grep -qx -- "$line" "$CELL_KOUT/.config" && continue
		# An option that no Kconfig of the tree's mm has is one of a patch to come.
		! on PARTIAL ||
			grep -qsx "config ${name#CONFIG_}" "$CELL_SRC"/mm/Kconfig* || continue
		[ "${line:0:1}" != '#' ] || grep -q "^$name=" "$CELL_KOUT/.config" || continue
		die "$CELL_cell: wanted '$line' (harness/guest/config/${file##*/}), got '$(
			grep -E "^(# )?${name}[= ]" "$CELL_KOUT/.config" ||
				echo "no $name at all")'"
	done < <(wanted)
}

configure()
{
	say kernel "$CELL_cell: configuring"
	: >"$CELL_KOUT/.config-stamp.new"
	run_make tinyconfig
	(cd "$CELL_KOUT" && KCONFIG_CONFIG=.config \
		"$CELL_SRC/scripts/kconfig/merge_config.sh" -m -O . .config \
		"${FRAGMENTS[@]}") >>"$LOG" 2>&1 ||
		die "$CELL_cell: merging the fragments failed: see $LOG"
	run_make olddefconfig
	check_config
	mv "$CELL_KOUT/.config-stamp.new" "$CELL_KOUT/.config-stamp"
}

# Nothing of these goes into the kernel, and the top folder only tells of MAINTAINERS.
IN_KERNEL=(-not -path "$CELL_SRC" -not -name MAINTAINERS
	-not -path "$CELL_SRC/Documentation*" -not -path "$CELL_SRC/tools/testing*")

lock_kernel
mkdir -p "$CELL_KOUT" || die "cannot create $CELL_KOUT"
STAMP=$CELL_KOUT/.stamp
inputs >"$CELL_KOUT/.inputs.new"
same=1
cmp -s "$CELL_KOUT/.inputs.new" "$CELL_KOUT/.inputs" || same=
if [ -n "$same" ] && [ -f "$STAMP" ] && ! changed "$STAMP" "$CELL_SRC" "${IN_KERNEL[@]}"; then
	say kernel "$CELL_cell: up to date"
	exit 0
fi
rm -f "$STAMP"
cold=1
[ ! -f "$CELL_KOUT/.config-stamp" ] || cold=
begin=$SECONDS
: >"$STAMP.new"
: >"$LOG"
if [ -z "$same" ] || [ ! -f "$CELL_KOUT/.config-stamp" ] ||
	changed "$CELL_KOUT/.config-stamp" "$CELL_SRC" -name 'Kconfig*'; then
	configure
fi
mv "$CELL_KOUT/.inputs.new" "$CELL_KOUT/.inputs"
say kernel "$CELL_cell: building"
run_make "$(basename "$CELL_image")"
[ -s "$CELL_KOUT/$CELL_image" ] || die "$CELL_cell: make built no $CELL_image: see $LOG"
mv "$STAMP.new" "$STAMP"
[ -z "$cold" ] || echo $((SECONDS - begin)) >"$CELL_KOUT/.cold-seconds"
say kernel "$CELL_cell: built"
