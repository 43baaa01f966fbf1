#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# job.sh CELL,CELL...: the cells of one build, one after the other.
#
# in:   from matrix.sh, here or on a host: RUN=ID its run, STEP=N/M how far that has come,
#       KEEP, RETURN=DIR gets a copy of the results in DIR/cells and DIR/records
# out:  build/cells/CELL/: what cell.sh leaves, job.log
# exit: 0 each cell has its verdict, pass or fail; other than 0: one has none, which
#       says nothing of the cell: it should be run elsewhere, or again

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

[ $# = 1 ] || die "usage: job.sh CELL,CELL..."
read -ra cells <<<"${1//,/ }"
# A job whose caller was cut off may still be ending.
lock job
need_space 400 "a kernel"
BAD='' KEEP=${KEEP:-1}
for cell in "${cells[@]}"; do
	say matrix "${STEP:-1/1}: $cell"
	load_cell "$cell"
	mkdir -p "$CELL_OUT"
	status=0
	PTLOCK_START=$EPOCHSECONDS "$HARNESS/run/cell.sh" "$cell" 2>&1 |
		tee "$CELL_OUT/job.log" || status=$?
	((status < 128)) || die "$cell: stopped by a signal ($status), it has no verdict"
	[ -f "$(record_file cell "$cell")" ] ||
		die "$cell: it has no verdict, see $CELL_OUT/job.log"
	[ "$status" = 0 ] || BAD=1
	[ -n "${RETURN:-}" ] || continue
	# What goes home: all that a person or report.py reads.
	mkdir -p "$RETURN/cells/${CELL_OUT##*/}" "$RETURN/${RECORDS##*/}/cell"
	cp -p "$(record_file cell "$cell")" "$RETURN/${RECORDS##*/}/cell/"
	find "$CELL_OUT" -maxdepth 1 \( -name '*.log' -o -name seconds -o -name result.tsv \) \
		-exec cp -p -t "$RETURN/cells/${CELL_OUT##*/}" {} +
done
on KEEP || [ -n "$BAD" ] || drop_kernel
