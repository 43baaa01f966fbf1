#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bisect.sh: builds every patch alone, in several cells, and boots it in some.
#
# in:   SERIES=NAME, or each in turn, on the base with only what it needs; CELLS, or ALL=1, one
#       of each build; BOOT, those of them that are booted (none: none), with the tests that
#       exist by then; AGAIN
# out:  a table; logs in build/bisect/, the records
# exit: 0 only when everything built (and booted); one that fails does not stop the rest
#
# They share a work tree, and a cell has one build folder: a step rebuilds what it touches.

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

BOOT=${BOOT:-x86_64 arm-lpae-highpte}
OUT=$BUILD/bisect$SUFFIX
COUNT=0 BAD=0

# step NAME COMMIT CELL LOG: prints ok, BUILD or BOOT (what failed).
step()
{
	export TREE=$OUT/tree KOUT=$OUT/kernel/$3 PARTIAL=1
	load_cell "$3"
	# The record of a cell without a machine: it is only built.
	[[ " $BOOT " = *" $3 "* ]] || CELL_qemu=
	TREE_ID=$(bgit rev-parse "$2^{tree}")
	begin_record
	if still_good bisect "$1"; then
		echo ok
	elif ! "$HARNESS/guest/kernel.sh" "$3" >"$4" 2>&1; then
		record bisect "$1" fail "it does not build"
		echo BUILD
	elif [ -n "$CELL_qemu" ] && ! { "$HARNESS/guest/user.sh" "$3" >>"$4" 2>&1 &&
	     "$HARNESS/guest/boot.sh" "$3" >>"$4" 2>&1; }; then
		record bisect "$1" fail "$(failure "$4")"
		echo BOOT
	else
		record bisect "$1" pass "$([ -n "$CELL_qemu" ] && echo booted || echo built)"
		echo ok
	fi
}

no_arguments "$@"
if on ALL; then
	# Cells that share a build are one and the same here, the first of them.
	CELLS=$(for name in $(cell_names); do
		load_cell "$name"
		echo "$CELL_build $name"
	done | awk '!seen[$1]++ { print $2 }' | paste -sd' ')
fi
CELLS=${CELLS:-x86_64 arm-lpae-highpte arm64}
[ "$BOOT" != none ] || BOOT=
# shellcheck disable=SC2086 # lists of words
load_cells $CELLS $BOOT
read_stack
[ -z "${SERIES:-}" ] || with_needs "$SERIES" >/dev/null
lock bisect
mkdir -p "$OUT"
the_tree patches
# shellcheck disable=SC2086 # a list of words
printf '%-18s' $CELLS
echo " patch"
for series in ${SERIES:-"${STACK[@]}"}; do
	composed "$series"
	mapfile -t commits < <(bgit rev-list --reverse "$START_REV..$TIP_REV")
	for i in "${!commits[@]}"; do
		name=$series/$(printf %04d $((i + 1)))-$(bgit log -1 --format=%f "${commits[i]}")
		walk_tree "${commits[i]}" "$OUT/tree" >/dev/null
		row=
		for cell in $CELLS; do
			say bisect "$series $((i + 1))/${#commits[@]} $cell: ${name#*/*-}"
			log=$OUT/${name//\//-}-$cell.log
			result=$(step "$name" "${commits[i]}" "$cell" "$log")
			row+=$(printf '%-18s' "$result")
			[ "$result" != ok ] || continue
			BAD=$((BAD + 1))
			note "FAIL $cell: $name ($log)"
		done
		echo "$row $name"
		COUNT=$((COUNT + 1))
	done
done
echo "$COUNT commits, $BAD failed"
[ "$BAD" -eq 0 ]
