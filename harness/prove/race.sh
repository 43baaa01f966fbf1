#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# race.sh: has everything that changes page tables race with their retraction.
#
# in:   CELLS="A B ..." of cells.tsv (x86_64); DURATION=10, seconds for each of the
#       four kinds of mapping
# out:  build/cells/CELL-race/, the verdicts on stdout
# exit: 0 nothing was lost, leaked or left behind; 1 something was
#
# The series' selftest pgtable_race, alone and for longer than in the cells that have
# it among others, with the kernel and the machine of the cell.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

CELLS=${CELLS:-x86_64}
DURATION=${DURATION:-10}

# The cells, with another test: what is no option of the kernel's on its command line
# becomes a variable of init's environment.
# shellcheck disable=SC2034,SC2317 # derive_cells calls it, and reads what it sets
race_line()
{
	[ -n "$CELL_qemu" ] || die "$CELL_cell: is only built: $CELL_shows"
	CELL_cell+=-race
	CELL_append+=" PGTABLE_RACE_SECONDS=$DURATION"
	CELL_suites='' CELL_proof=''
	CELL_user=pgtable_race
	CELL_timeout=$((CELL_timeout + 4 * DURATION + 600))
}

[ $# = 0 ] || die "race.sh takes no arguments, but CELLS=\"NAME …\" and DURATION=SECONDS"
[[ $DURATION =~ ^[1-9][0-9]*$ ]] || die "DURATION=$DURATION: not a number of seconds"
mkdir -p "$BUILD"
# shellcheck disable=SC2086 # a list of words
derive_cells "$BUILD/race.tsv" race_line $CELLS
bad=0
for cell in $CELLS; do
	"$HARNESS/run/cell.sh" "$cell-race" || bad=1
done
exit "$bad"
