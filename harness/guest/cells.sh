# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # load_cell sets CELL_*
# The cells; sourced after lib.sh.
#
#   load_cell NAME   sets CELL_<key> for each key of cells.ini (CELL_arch, CELL_qemu ...),
#                    empty where the cell has none, and the folders CELL_SRC (kernel
#                    source), CELL_KOUT (kernel build) and CELL_OUT (everything else).
#                    Dies on an unknown cell or a mistake in the file.
#   cell_names       all names, in the order of the file
#   lock_kernel      nobody else builds, or drops, the kernel of the cell loaded
#   changed STAMP DIR... [-FIND-TEST...]   is anything there younger than STAMP?
#
# Knobs:
#   CELLS_INI   another file
#   AS=NAME     the section [as NAME] on top: the cell is then CELL-NAME, with a kernel
#               of its own if its fragments are others
#   TREE        another source
#   KOUT        another build folder; the rest then goes to a folder beside it,
#               KOUT.cell, so that the results of the real cell stay
#   PARTIAL=1   the tree may have only a part of the series: the suites and
#               selftests that it does not have yet are not expected

# All cells are read at once: who goes through them has Python started once.
declare -A CELLS_READ=()

# Without site-packages, which it does not use, Python starts in half the time.
cells_py()
{
	AS=${AS:-} python3 -S -B "$HARNESS/guest/cells.py" "$@"
}

cell_names()
{
	cells_py names
}

load_cell()
{
	local lines line

	if [ ${#CELLS_READ[@]} = 0 ] && [ -z "${AS:-}" ]; then
		lines=$(cells_py get) || exit 1
		while IFS= read -r line; do
			eval "$line"
			CELLS_READ[$CELL_cell]=$line
		done <<<"$lines"
	fi
	line=
	[ -n "${AS:-}" ] || [ -z "$1" ] || line=${CELLS_READ[$1]:-}
	[ -n "$line" ] || line=$(cells_py get "$1") || exit 1
	eval "$line"
	cell_folders
}

lock_kernel()
{
	local name=${CELL_KOUT#"$BUILD/"}

	lock "${name//\//-}"
}

# A kernel of another base must not be built over one of the default base.
# shellcheck disable=SC2034 # for those who source this
cell_folders()
{
	local dir suffix

	# They are used from more than one folder.
	[ -z "${TREE:-}" ] || TREE=$(realpath -m "$TREE")
	[ -z "${KOUT:-}" ] || KOUT=$(realpath -m "$KOUT")
	dir=$(tree_dir)
	suffix=${dir#"$BUILD/tree"}
	CELL_SRC=${TREE:-$dir}
	CELL_KOUT=${KOUT:-$BUILD/kernel/$CELL_build$suffix}
	CELL_OUT=${KOUT:+$KOUT.cell}
	CELL_OUT=${CELL_OUT:-$BUILD/cells/$CELL_cell$suffix}
	[ -z "${PARTIAL:-}" ] || only_what_is_there
}

only_what_is_there()
{
	local name suites=() user=()

	for name in $CELL_suites; do
		! grep -qsr --include='*.c' "\.name = \"$name\"" \
			"$CELL_SRC/mm" "$CELL_SRC/lib" || suites+=("$name")
	done
	for name in $CELL_user; do
		[ ! -f "$CELL_SRC/tools/testing/selftests/mm/$name.c" ] ||
			user+=("$name")
	done
	CELL_suites=${suites[*]}
	CELL_user=${user[*]}
}

# ctime: it cannot be set back, and renames and deletions show in the folder's.
changed()
{
	local stamp=$1 dirs=()

	shift
	while [ $# -gt 0 ] && [ "${1:0:1}" != - ]; do
		dirs+=("$1")
		shift
	done
	[ -n "$(find "${dirs[@]}" -name .git -prune -o \
		-newercm "$stamp" "$@" -print -quit)" ]
}
