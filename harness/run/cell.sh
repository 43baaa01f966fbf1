#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# cell.sh CELL: one cell from nothing to its verdict.
#
# in:   RUN=ID the run of matrix.sh that it is part of
# out:  build/cells/CELL/, the verdict on stdout; the record, unless it did not come to that
# exit: 0 everything ran and passed; 1 it did not, or something before failed

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

keep_record()
{
	record "${AS:-cell}" "$CELL_cell" "$@" --checks "$CELL_OUT/result.tsv"
}

# step N/M WORDS COMMAND...: a failure, once the tree is known, is one of the cell.
# What a signal ended is not recorded.
step()
{
	local status=0

	say "$1" "$CELL_cell: $2"
	"${@:3}" || status=$?
	[ "$status" != 0 ] || return 0
	[ -z "$INPUT_KEY" ] || ((status >= 128)) || keep_record fail "$2 failed"
	exit "$status"
}

[ $# = 1 ] || die "usage: cell.sh CELL (make matrix CELLS= has several), or make cell" \
	"CELL=NAME: the cells are $(cell_names | paste -sd' ')"
[ -z "${KOUT:-}" ] || [ -d "$(dirname "$KOUT")" ] ||
	die "KOUT=$KOUT: the folder that it is in does not exist"
load_cell "$1"
[ -z "$CELL_debs" ] || deb_arch >/dev/null
# Should this end early, no results of another day are left to read.
rm -f "$CELL_OUT"/{result.tsv,accel,seconds} "$(record_file "${AS:-cell}" "$CELL_cell")"
mkdir -p "$CELL_OUT"

step 1/5 "what has to be installed" "$HARNESS/gate/deps.sh" "$1"
step 2/5 "the tree" the_tree work
# shellcheck disable=SC2119
begin_record
step 3/5 "the kernel" "$HARNESS/guest/kernel.sh" "$1"
if [ -z "$CELL_qemu" ]; then
	printf '%s\t%s\t%s\t%s\n' check name result detail \
		build "$CELL_cell" pass "$CELL_shows" | put "$CELL_OUT/result.tsv"
	keep_record pass "built, not booted: $CELL_shows"
	echo "PASS $CELL_cell: built, not booted: $CELL_shows"
	exit 0
fi
step 4/5 "userspace" "$HARNESS/guest/user.sh" "$1"
step 5/5 "the guest" "$HARNESS/guest/boot.sh" "$1"
keep_record pass ""
note "all of it took $(elapsed | tr -d ' ')"
