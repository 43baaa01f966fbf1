#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# race.sh: has everything that changes page tables race with their retraction.
#
# in:   CELLS="A B ..." of cells.tsv (x86_64); DURATION=10, seconds for each of the
#       four kinds of mapping
# out:  build/cells/CELL-race/, the verdicts on stdout
# exit: 0 nothing was lost, leaked or left behind; 1 something was
#
# user/pgtable_race.c in the guest, with the kernel and the machine of the cell.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/lib.sh"
. "$HARNESS/cells.sh"

CELLS=${CELLS:-x86_64}
DURATION=${DURATION:-10}

# The cells, with another test: what is no option of the kernel's on its command line
# becomes a variable of init's environment.
make_cells()
{
	awk -F'\t' -v OFS='\t' -v seconds="$DURATION" '
	/^#/ || NF < 2 || $1 == "cell" { print; next }
	{
		$1 = $1 "-race"
		$7 = $7 " PGTABLE_RACE_SECONDS=" seconds
		$10 = $14 = "-"
		$11 = "pgtable_race"
		$12 += 4 * seconds + 600
		print
	}' "$HARNESS/cells.tsv" | put "$BUILD/race.tsv"
	export CELLS_TSV=$BUILD/race.tsv
}

[ $# = 0 ] || die "race.sh takes no arguments, but CELLS=\"NAME …\" and DURATION=SECONDS"
[[ $DURATION =~ ^[1-9][0-9]*$ ]] || die "DURATION=$DURATION: not a number of seconds"
for cell in $CELLS; do
	load_cell "$cell"
done
mkdir -p "$BUILD"
make_cells
bad=0
for cell in $CELLS; do
	"$HARNESS/cell.sh" "$cell-race" || bad=1
done
exit "$bad"
