#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# matrix.sh [CELL...]: several cells one after the other, and a table of them.
#
# in:   cells, CELLS="A B", or else all of cells.tsv; one that fails does not keep
#       the others from running
# out:  the verdict of each cell, a table at the end, build/matrix.tsv
# exit: 0 every cell passed; 1 one did not
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/lib.sh"
. "$HARNESS/cells.sh"

if [ $# = 0 ]; then
	read -ra names <<<"${CELLS:-$(cell_names | paste -sd' ')}"
	set -- "${names[@]}"
fi

# All of them, before an hour has been spent on the first.
for cell; do
	load_cell "$cell"
done

# count RESULT: of the tests of the cell loaded.
count()
{
	awk -F'\t' -v want="$1" '$3 == want && $1 ~ /^(kunit|selftest)$/ { n++ }
		END { print n + 0 }' "$CELL_OUT/result.tsv" 2>/dev/null || echo 0
}

row()
{
	load_cell "$1"
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$(count pass)" \
		"$(count fail)" "$(count skip)" \
		"$(cat "$CELL_OUT/seconds" 2>/dev/null || echo -)" "$CELL_shows"
}

"$HARNESS/deps.sh" "$@"
bad=0
rows=$'cell\tresult\tpassed\tfailed\tskipped\tseconds\tshows\n'
for cell; do
	if "$HARNESS/cell.sh" "$cell"; then
		rows+=$(row "$cell" pass)$'\n'
	else
		bad=$((bad + 1))
		rows+=$(row "$cell" FAIL)$'\n'
	fi
done
printf %s "$rows" | put "$BUILD/matrix.tsv"
column -t -s $'\t' "$BUILD/matrix.tsv"
[ "$bad" = 0 ] || die "$bad of $# cells failed"
