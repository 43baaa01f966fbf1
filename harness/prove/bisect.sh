#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build every commit of the series alone, in several cells, and boot it in some.
#
# usage: harness/prove/bisect.sh
#
# in:   CELLS="x86_64 arm-lpae-highpte arm64" are the cells, ALL=1 takes one of each
#       build in cells.ini; BOOT="x86_64 arm-lpae-highpte" are those that are booted,
#       too (BOOT=none: none)
# out:  a table; logs in build/bisect/. What was good there once is not done again,
#       as long as the commit's tree and the cell are the same: AGAIN=1 does.
# exit: 0 only when everything built (and booted); one that fails does not stop the rest
#
# Each commit is checked out in build/bisect/tree, where only the files that differ
# are rewritten, and each cell has a build directory of its own under build/bisect/,
# so that a step rebuilds what the commit touches. Takes 10 minutes a cell the first
# time.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
. "$HARNESS/judge/record.sh"

BOOT=${BOOT:-x86_64 arm-lpae-highpte}
OUT=$BUILD/bisect
DONE=$OUT/done
BAD=0

# Cells that share a build are one and the same here, the first of them.
all_cells()
{
	local cell seen=' '

	for cell in $(cell_names); do
		load_cell "$cell"
		[[ $seen = *" $CELL_build "* ]] || echo "$cell"
		seen+="$CELL_build "
	done
}

# step N CELL COMMIT: prints ok, BUILD or BOOT (what failed).
step()
{
	local log=$OUT/$1-$2.log good=build

	export TREE=$OUT/tree KOUT=$OUT/kernel/$2 PARTIAL=1
	load_cell "$2"
	[[ " $BOOT " != *" $2 "* || -z $CELL_qemu ]] || good=boot
	# shellcheck disable=SC2034 # for inputs
	TREE_ID=$(bgit rev-parse "$3^{tree}")
	good="$(input_key) $2 $good"
	if grep -qxF -- "$good" "$DONE"; then
		echo ok
	elif ! "$HARNESS/guest/kernel.sh" "$2" >"$log" 2>&1; then
		echo BUILD
	elif [[ $good = *boot ]] && ! { "$HARNESS/guest/user.sh" "$2" >>"$log" 2>&1 &&
	     "$HARNESS/guest/boot.sh" "$2" >>"$log" 2>&1; }; then
		echo BOOT
	else
		echo "$good" >>"$DONE"
		echo ok
	fi
}

main()
{
	local commits cell i row result title table=

	[ $# -eq 0 ] || die "bisect.sh takes no arguments, but CELLS=\"…\", ALL=1, BOOT=\"…\" and AGAIN=1"
	! on ALL || CELLS=$(all_cells | paste -sd' ')
	CELLS=${CELLS:-x86_64 arm-lpae-highpte arm64}
	for cell in $CELLS; do
		load_cell "$cell"
	done
	lock bisect
	mkdir -p "$OUT"
	rm -f "$OUT"/*.log
	! on AGAIN || rm -f "$DONE"
	touch "$DONE"
	composed
	mapfile -t commits < <(bgit rev-list --reverse "$START_REV..$TIP_REV")
	for i in "${!commits[@]}"; do
		title=$(bgit log -1 --format=%s "${commits[i]}")
		walk_tree "${commits[i]}" "$OUT/tree" >/dev/null
		row=
		for cell in $CELLS; do
			say bisect "$((i + 1))/${#commits[@]} $cell: $title"
			result=$(step $((i + 1)) "$cell" "${commits[i]}")
			[ "$result" = ok ] || BAD=$((BAD + 1))
			[ "$result" = ok ] ||
				note "FAIL $cell: $title ($OUT/$((i + 1))-$cell.log)"
			row+=$(printf ' %-18s' "$result")
		done
		table+=$(printf '%3d%s %s' $((i + 1)) "$row" "${title:0:60}")$'\n'
	done
	printf '%s  #' "$CLEAR"
	# shellcheck disable=SC2086 # a list of words
	printf ' %-18s' $CELLS
	printf ' commit\n%s' "$table"
	echo "${#commits[@]} commits, $BAD failed"
	[ "$BAD" -eq 0 ]
}

main "$@"
