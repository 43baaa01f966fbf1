# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by who sources this
# The cells, and record.sh with them; sourced after lib.sh.
#
#   load_cell NAME   sets CELL_<key> for each key of cells.ini, empty where the cell has
#                    none, and the folders CELL_SRC (the tree), CELL_KOUT (kernel build)
#                    and CELL_OUT (everything else)
#   load_cells NAME...   all of them, before an hour has been spent on the first
#   deb_arch         what Debian calls the architecture of the cell loaded; dies where it has
#                    no programs for the guest
#   cell_names       all names, in the order of the file
#   lock_kernel      no other script builds, or drops, the kernel of the cell loaded
#   drop_kernel      removes its build folder
#   changed STAMP DIR... [-FIND-TEST...]   is anything there younger than STAMP?
#
# Knobs: CELLS_INI=FILE another file; AS=NAME the section [as NAME] on top; TREE=DIR another
# tree; KOUT=DIR another build folder, and KOUT.cell for the rest; PARTIAL=1 the tree has
# only a part of the stack: suites and selftests that it has not are not expected.

. "$HARNESS/judge/record.sh"

CELL_cell='' CELL_arch='' CELL_build='' CELL_cross='' CELL_fragments='' CELL_qemu=''
CELL_append='' CELL_image='' CELL_virtio='' CELL_suites='' CELL_user='' CELL_timeout=''
CELL_debs='' CELL_packages='' CELL_proof='' CELL_shows=''
declare -A CELLS_READ=()	# all of them at once: Python is started once

# read_cells [NAME...]: of cells.py, for which Python may have to be installed.
read_cells()
{
	command -v python3 >/dev/null || "$HARNESS/gate/deps.sh" || return
	AS=${AS:-} python3 -S -B "$HARNESS/guest/cells.py" "$@"
}

# It is in the name of the cell's libc.
deb_arch()
{
	local arch=amd64

	[[ ! $CELL_packages =~ libc6-dev-([a-z0-9]+)-cross ]] || arch=${BASH_REMATCH[1]}
	[[ $arch =~ ^(amd64|arm64|armhf|i386|ppc64el|riscv64|s390x)$ ]] ||
		die "$CELL_cell: Debian has no programs of $arch for the guest"
	echo "$arch"
}

cell_names()
{
	AS='' read_cells | sed 's/^CELL_cell=\([^ ]*\) .*/\1/'
}

load_cell()
{
	local lines line

	# Before anything is built for it.
	[[ ${ACCEL:-auto} =~ ^(auto|tcg|kvm)$ ]] || die "ACCEL=$ACCEL: it is auto, tcg or kvm"
	if [ -z "${AS:-}${CELLS_READ[*]}" ]; then
		lines=$(read_cells) || exit 1
		while IFS= read -r line; do
			eval "$line"
			CELLS_READ[as/$CELL_cell]=$line
		done <<<"$lines"
	fi
	line=${CELLS_READ[as${AS:-}/$1]:-}
	[ -n "$line" ] || line=$(read_cells "$1") || exit 1
	eval "$line"
	cell_folders
}

load_cells()
{
	local name

	for name; do
		load_cell "$name"
	done
}

lock_kernel()
{
	local name=${CELL_KOUT#"$BUILD/"}

	lock "${name//\//-}"
}

# Not under the feet of one who builds in it.
drop_kernel()
{
	[[ -d $CELL_KOUT && $CELL_KOUT = "$BUILD"/kernel/?* ]] || return 0
	(
		lock_kernel
		rm -rf "$CELL_KOUT"
	)
}

# They are used from more than one folder. A kernel of another base must not be built
# over one of the default base.
cell_folders()
{
	local name

	[ -z "${TREE:-}" ] || TREE=$(realpath -m "$TREE")
	[ -z "${KOUT:-}" ] || KOUT=$(realpath -m "$KOUT")
	CELL_SRC=${TREE:-$TREE_DIR}
	CELL_KOUT=${KOUT:-$BUILD/kernel/$CELL_build$SUFFIX}
	CELL_OUT=${KOUT:+$KOUT.cell}
	CELL_OUT=${CELL_OUT:-$BUILD/cells/$CELL_cell$SUFFIX}
	on PARTIAL || return 0
	CELL_suites=$(for name in $CELL_suites; do
		! grep -qsr --include='*.c' "\.name = \"$name\"" "$CELL_SRC"/{mm,lib} || echo "$name"
	done | paste -sd' ')
	CELL_user=$(for name in $CELL_user; do
		[ ! -f "$CELL_SRC/tools/testing/selftests/mm/$name.c" ] || echo "$name"
	done | paste -sd' ')
}

# ctime: it cannot be set back, and renames and deletions show in the folder's.
changed()
{
	[ -n "$(find "${@:2}" ! -name .git -newercm "$1" -print -quit -o -name .git -prune)" ]
}
