# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Sourced by every script of harness/, never run. Gives ROOT (the repository), BUILD
# (everything generated), HARNESS, JOBS, the functions below and those of git.sh.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build HARNESS=$ROOT/harness
export JOBS=${JOBS:-$(nproc)}

# Scripts call each other: time counts from the first one.
export PTLOCK_START=${PTLOCK_START:-$EPOCHSECONDS}

# A caller's repository (a git hook, say) must not become ours, nor the flags of
# `make V=1` those of the kernel's make. mkfs.ext4 is where Debian's users do not look.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_PREFIX
unset GIT_EXTERNAL_DIFF GIT_DIFF_OPTS
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKEFILES
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8

# On a terminal, one line is rewritten for progress, and whatever comes next clears it.
CLEAR=
[ ! -t 2 ] || CLEAR=$'\r\033[K'

elapsed()
{
	local s=$((EPOCHSECONDS - PTLOCK_START))

	printf '%2d:%02d' $((s / 60)) $((s % 60))
}

# say PHASE MSG: progress, on a terminal without a line break where it ends.
say()
{
	local line

	line="[$(elapsed)] $1: ${*:2}"
	if [ -n "$CLEAR" ]; then
		printf '%s\033[?7l%s\033[?7h' "$CLEAR" "$line" >&2
	else
		printf '%s\n' "$line" >&2
	fi
}

# note MSG: a line that stays.
note()
{
	printf '%s%s\n' "$CLEAR" "$*" >&2
}

# die MSG: one line that says what is wrong and what to do; exit 1.
die()
{
	note "error: $*"
	exit 1
}

# no_arguments "$@": for scripts that take knobs only.
no_arguments()
{
	[ $# = 0 ] || die "${0##*/} takes no arguments: make help has its knobs"
}

# on NAME: is the knob NAME switched on?
on()
{
	case ${!1:-0} in
	1 | y | yes | on) ;;
	0 | n | no | off) return 1 ;;
	*) die "$1=${!1}: it is 1 or 0" ;;
	esac
}

# at_exit CMD ARG...: run at exit, last registered first, also after Ctrl-C.
AT_EXIT=()
at_exit()
{
	AT_EXIT=("$(printf '%q ' "$@")" "${AT_EXIT[@]}")
}

run_at_exit()
{
	local status=$? cmd

	trap '' INT TERM HUP
	for cmd in "${AT_EXIT[@]}"; do
		eval "$cmd" || true
	done
	printf '%s' "$CLEAR" >&2
	exit "$status"
}
trap run_at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# lock NAME: one run at a time of what NAME stands for; waits for the other.
lock()
{
	local fd

	mkdir -p "$BUILD" || die "cannot create $BUILD"
	exec {fd}>"$BUILD/.lock-$1" || die "cannot write $BUILD/.lock-$1"
	flock -n "$fd" && return
	say "$1" "waiting for another run to finish"
	flock "$fd"
}

# scratch DIR: a new empty directory that goes away at exit.
scratch()
{
	rm -rf "$1"
	mkdir -p "$1" || die "cannot create $1"
	at_exit rm -rf "$1"
}

# put FILE CMD ARG...: what CMD prints becomes FILE whole, or not at all when CMD fails.
# Without CMD it is stdin: for what cannot fail halfway, as a pipe does not tell.
put()
{
	local file=$1 status

	shift
	[ $# -gt 0 ] || set -- cat
	"$@" >"$file.new"
	status=$?	# other than 0 where errexit does not count
	[ "$status" = 0 ] || return "$status"
	mv -f "$file.new" "$file"
}

# pack FOLDER FILE: the folder, as root's, becomes an initramfs.
pack()
{
	(cd "$1" && find . | sort | cpio -o -H newc --quiet -R 0:0) >"$2"
}

# free_space: MiB on the disk of build/.
free_space()
{
	df -Pm "$BUILD" | awk 'NR == 2 { print $4 }'
}

# need_space MIB WHAT: fail early rather than with a full disk.
need_space()
{
	[ "$(free_space)" -ge "$1" ] ||
		die "$2 needs $1 MiB in $BUILD, $(free_space) MiB are free: make room and run again"
}

# reason LOG: why something failed: the disk, or the last line of its log that tells.
reason()
{
	if [ "$(free_space)" -lt 20 ]; then
		echo "the disk of $BUILD is full, make room and run again"
	else
		grep -aiE 'error|fatal|E:|no space|cannot|failed|denied' "$1" | tail -n 1 |
			sed -E 's/^(E|fatal|error): *//' | cut -c-300 | grep . || echo "see $1"
	fi
}

# failure LOG: the line that says why a cell failed.
failure()
{
	grep -m1 -e ^FAIL -e ^error: "$1" || tail -n1 "$1"
}

# need TOOL PACKAGE: instead of "command not found".
need()
{
	command -v "$1" >/dev/null || die "$1 is missing: on Debian it is in the package $2"
}

[[ $JOBS =~ ^[1-9][0-9]{0,3}$ ]] || die "JOBS=$JOBS: give a number of jobs, such as JOBS=4"
for knob in AGAIN ALL FORCE KEEP LINT_SLOW NOSIGN PARTIAL; do on "$knob" || :; done

. "$HARNESS/lib/git.sh"
