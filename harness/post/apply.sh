#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# apply.sh: a series and what it needs, or the stack, on a new branch in a git tree.
#
# in:   LINUX=DIR, the tree; SERIES (all: the stack); BRANCH, or it is called as the series
# out:  the branch, from DIR's HEAD; files, index and current branch stay as they are
# exit: 0, or 1 with one line (patch, file, hunk) and no branch made

. "$(dirname "$0")/../lib/lib.sh"

SERIES=${SERIES:-all}
[ "$SERIES" != all ] || BRANCH=${BRANCH:-ptlock-stack}
BRANCH=${BRANCH:-$SERIES}

no_arguments "$@"
read_stack
[ "$SERIES" = all ] || with_needs "$SERIES" >/dev/null
[ -n "${LINUX:-}" ] || die "say where: LINUX=DIR, a git tree of Linux"
[ "$(linux_git rev-parse --show-toplevel 2>/dev/null)" = "$LINUX" ] ||
	die "LINUX=$LINUX: not the top of a git tree (for a directory use quilt)"
linux_git check-ref-format --branch "$BRANCH" >/dev/null 2>&1 ||
	die "BRANCH=$BRANCH: not a name for a branch"
! linux_git rev-parse -q --verify "refs/heads/$BRANCH" >/dev/null ||
	die "$LINUX has a branch $BRANCH already: delete it or give BRANCH=NAME"
identity "$LINUX" || identity "$ROOT" ||
	die "no identity to commit with: git config user.name and user.email first"
export GIT_AUTHOR_NAME=$IDENT_NAME GIT_AUTHOR_EMAIL=$IDENT_EMAIL
the_tree patches
composed "$SERIES"
[ "$(linux_git rev-parse HEAD)" = "$BASE_REV" ] ||
	die "HEAD of $LINUX moved while the series was composed: run again"
{
	printf '%s\n^%s\n' "$TIP_REV" "$BASE_REV" |
		bgit pack-objects -q --revs --stdout |
		linux_git unpack-objects -q &&
		linux_git update-ref "refs/heads/$BRANCH" "$TIP_REV" ""
} >"$BUILD/apply.log" 2>&1 ||
	die "cannot put branch $BRANCH into $LINUX: $(reason "$BUILD/apply.log")"
note "branch $BRANCH in $LINUX has $(linux_git rev-list --count "$BASE_REV..$TIP_REV")" \
	"patches on $(linux_git log -1 --format='%h (%s)' "$BASE_REV")"
note "to work on it: git -C $LINUX checkout $BRANCH"
