#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# tree.sh [-q]: the base and one commit a patch, checked out in build/tree to work in.
#
# in:   FORCE=1: drop work that is only in the tree; -q: do not mention it where it is in
#       nobody's way
# out:  build/tree, build/tree-7.2 (BASE=7.2), build/tree-linux (LINUX=DIR): of an ordinary git
#       work tree, only the files that differ are rewritten; its name on stdout
# exit: 0, or 1 with one line on stderr and the tree as it was

. "$(dirname "$0")/../lib/lib.sh"

TREE=$TREE_DIR
LOG=$BUILD/base.log

[ $# = 0 ] || [ "$*" = -q ] || die "usage: tree.sh [-q], with BASE=VERSION or LINUX=DIR"
[ ! -e "$TREE" ] || need_tree
composed ""
lock tree
if [ ! -e "$TREE" ]; then
	say tree "checking out the kernel tree"
	# Every file is written: made beside its place, then moved.
	rm -rf "$TREE.new"
	at_exit rm -rf "$TREE.new"
	walk_tree "$TIP_REV" "$TREE.new" >/dev/null
	pgit -C "$TREE.new" checkout -q -B "$TREE_BRANCH" 2>"$LOG" ||
		die "cannot check out the tree: $(reason "$LOG")"
	bgit worktree move "$TREE.new" "$TREE"
elif on FORCE || [ "$TIP_REV" != "$(left_at)" ]; then
	work=$(tree_work "$TIP_REV")
	! rebasing || work="is in the middle of a rebase"
	if [ -n "$work" ]; then
		case $work in
		*commits*) way="with patches/ as they were (git stash), make refresh stores them" ;;
		*changes) way="git -C $TREE stash, make tree, git -C $TREE stash pop keep them" ;;
		*) way="finish it first" ;;
		esac
		on FORCE || die "patches/ changed, and $TREE $work: $way; FORCE=1 drops that"
		! rebasing || tgit rebase --quit
		note "note: dropped work in $TREE, its last commit was $(tgit rev-parse --short=12 HEAD)"
	fi
	say tree "updating the files that differ"
	tgit checkout -q -f -B "$TREE_BRANCH" "$TIP_REV" 2>"$LOG" ||
		die "cannot update $TREE: $(reason "$LOG")"
fi
checked_out
work=$(tree_work)
[ -z "$work" ] || [ "$*" = -q ] || note "note: $TREE $work: used as it is"
echo "$TREE"
