#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compose the tree: base + one commit a patch, checked out in build/tree.
#
# usage: harness/source/tree.sh [-f]     prints the tree's directory on stdout
#
# build/tree (build/tree-7.2 with BASE=7.2, build/tree-linux with LINUX=DIR) is
# an ordinary git work tree on branch `series`, for working in. When patches/
# changed, only the files that differ are rewritten, so that a build after it is
# as small as can be. When nothing changed, the tree is left as it is, with all
# work in it. Work that is in the tree only is never dropped: commits or edits
# that `make refresh` did not store yet stop a change of the tree, unless -f or
# FORCE=1. Exit code: 0, or 1 with one line on stderr and the tree as it was.

. "$(dirname "$0")/../lib/lib.sh"

TREE=$(tree_dir)
BRANCH=$(tree_branch)
DONE=refs/checkedout/$BRANCH

# tgit: git in the work tree, without the user's configuration.
tgit()
{
	pgit -C "$TREE" "$@"
}

# The first checkout writes every file; made beside its place, then moved.
first_checkout()
{
	local new=$TREE.new

	need_space 2500 "checking out the kernel tree"
	say tree "checking out the kernel tree"
	rm -rf "$new"
	bgit worktree prune
	at_exit rm -rf "$new"
	bgit -c checkout.workers="$JOBS" worktree add -q -f -B "$BRANCH" \
		"$new" "$TIP" >&2 || die "cannot check out the tree (disk full?): make room and run again"
	bgit update-ref "$DONE" "$TIP"
	bgit worktree move "$new" "$TREE"
}

# Does the tree hold work that is nowhere else? Says which.
local_work()
{
	local head composed

	composed=$(bgit rev-parse -q --verify "$DONE") || composed=
	head=$(tgit rev-parse HEAD)
	# At the new tip: a run before this one was cut short.
	if [ "$head" != "$composed" ] && [ "$head" != "$TIP" ]; then
		echo "has commits that patches/ does not have"
	elif [ -n "$(tgit status --porcelain | head -n 1)" ]; then
		echo "has uncommitted changes"
	fi
}

update()
{
	local work

	work=$(local_work)
	if [ -n "$work" ]; then
		[ "${FORCE:-0}" = 1 ] ||
			die "patches/ changed, and $TREE $work: make refresh stores them, FORCE=1 drops them"
		note "note: dropped work in $TREE, its last commit was $(tgit rev-parse --short=12 HEAD)"
	fi
	say tree "updating the files that differ"
	tgit checkout -q -f -B "$BRANCH" "$TIP" ||
		die "cannot update $TREE: see git -C $TREE status"
	bgit update-ref "$DONE" "$TIP"
}

main()
{
	local rev work

	if [ "${1:-}" = -f ]; then
		FORCE=1
		shift
	fi
	[ $# -eq 0 ] || die "usage: tree.sh [-f], with BASE=VERSION or LINUX=DIR"
	rev=$("$HARNESS/source/compose.sh")
	TIP=${rev#* }
	lock tree
	if ! tgit rev-parse -q --verify HEAD >/dev/null 2>&1; then
		[ ! -e "$TREE" ] || die "$TREE is no git tree (base.git was removed?): remove it and run again"
		first_checkout
	elif [ "$(bgit rev-parse -q --verify "$DONE")" != "$TIP" ] ||
	     [ "${FORCE:-0}" = 1 ]; then
		update
	else
		work=$(local_work)
		[ -z "$work" ] || note "note: $TREE $work: used as it is"
	fi
	echo "$TREE"
}

main "$@"
