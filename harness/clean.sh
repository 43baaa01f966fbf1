#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# clean.sh [all]: removes what was generated.
#
# in:   nothing: everything but the base and the tree; all: those as well
# out:  less of build/
# exit: 0; 1 when there is work in build/tree that patches/ does not have
#
# FORCE=1 removes the tree whatever there is in it.

. "$(dirname "$0")/lib.sh"

[ $# = 0 ] || [ "$*" = all ] || die "usage: clean.sh [all]"
cd "$BUILD" 2>/dev/null || exit 0

if [ "${1:-}" = all ]; then
	if [ -e tree ] && [ "${FORCE:-}" != 1 ]; then
		"$HARNESS/tree.sh" >/dev/null ||
			die "build/tree may have work in it: make refresh first, or FORCE=1"
		[ -z "$(git -C tree status --porcelain)" ] ||
			die "build/tree has uncommitted changes: commit and make refresh, or FORCE=1"
	fi
	cd "$ROOT"
	rm -rf "$BUILD"
	exit
fi
rm -rf kernel cells uapi series matrix.tsv matrix.jobs matrix.joblog hosts \
	report.md report.html kvm-probe
