#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# cell.sh CELL: one cell from nothing to its verdict.
#
# in:   the knobs of the scripts that it calls: BASE, LINUX, TREE, KOUT, ACCEL,
#       JOBS
# out:  build/cells/CELL/, the verdict on stdout
# exit: 0 everything ran and passed; 1 it did not, or something before failed
#
# With TREE=DIR the tree is taken as it is. A cell without a machine (qemu is -) is
# only built.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/lib.sh"
. "$HARNESS/cells.sh"

[ $# = 1 ] || die "usage: cell.sh CELL"
load_cell "$1"
# Should this end early, nobody is to read the results of another day.
rm -f "$CELL_OUT/result.tsv"
mkdir -p "$CELL_OUT"

say 1/5 "$1: what has to be installed"
"$HARNESS/deps.sh" "$1"
if [ -z "${TREE:-}" ]; then
	say 2/5 "$1: the tree"
	"$HARNESS/tree.sh" >/dev/null
fi
say 3/5 "$1: the kernel"
"$HARNESS/kernel.sh" "$1"
if [ -z "$CELL_qemu" ]; then
	printf '%s\t%s\t%s\t%s\n' check name result detail \
		build "$1" pass "$CELL_shows" | put "$CELL_OUT/result.tsv"
	echo "PASS $1: built, not booted: $CELL_shows"
	exit 0
fi
say 4/5 "$1: userspace"
"$HARNESS/user.sh" "$1"
say 5/5 "$1: the guest"
"$HARNESS/boot.sh" "$1"
note "all of it took $(elapsed | tr -d ' ')"
