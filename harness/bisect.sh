#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build every commit of the series alone, in several cells; BOOT=1 boots it too.
#
# usage: harness/bisect.sh
#
# CELLS="x86_64 arm64 arm-lpae-highpte" are the cells. Each commit is checked out
# in build/bisect-tree, where only the files that differ are rewritten, and each
# cell has a build directory of its own under build/bisect/, so that a step
# rebuilds what the commit touches. A failure does not stop the rest; a table
# comes at the end, logs are in build/bisect/. Takes 10 minutes a cell the first
# time. Exit code: 0 only when everything built (and booted).

. "$(dirname "$0")/lib.sh"

CELLS=${CELLS:-x86_64 arm64 arm-lpae-highpte}
OUT=$BUILD/bisect
BAD=0

# step N CELL: prints ok, BUILD or BOOT (what failed).
step()
{
	local log=$OUT/$1-$2.log

	export TREE=$OUT-tree KOUT=$OUT/$2 PARTIAL=1
	if ! "$HARNESS/kernel.sh" "$2" >"$log" 2>&1; then
		echo BUILD
	elif [ -z "${BOOT:-}" ]; then
		echo ok
	elif "$HARNESS/user.sh" "$2" >>"$log" 2>&1 &&
	     "$HARNESS/boot.sh" "$2" >>"$log" 2>&1; then
		echo ok
	else
		echo BOOT
	fi
}

main()
{
	local rev commits cell i row result title table=

	[ $# -eq 0 ] || die "bisect.sh takes no arguments, but CELLS=\"…\" and BOOT=1"
	for cell in $CELLS; do
		grep -q "^${cell}[[:space:]]" "$HARNESS/cells.tsv" ||
			die "no cell $cell in harness/cells.tsv"
	done
	lock bisect
	mkdir -p "$OUT"
	rm -f "$OUT"/*.log
	rev=$("$HARNESS/compose.sh")
	mapfile -t commits < <(bgit rev-list --reverse "${rev% *}..${rev#* }")
	for i in "${!commits[@]}"; do
		title=$(bgit log -1 --format=%s "${commits[i]}")
		walk_tree "${commits[i]}" "$OUT-tree" >/dev/null
		row=
		for cell in $CELLS; do
			say bisect "$((i + 1))/${#commits[@]} $cell: $title"
			result=$(step $((i + 1)) "$cell")
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
