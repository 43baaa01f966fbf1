# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Bases, trees and git; sourced by lib.sh.
#
# The knobs BASE (default 7.3) and LINUX (a kernel tree of the user's) select what
# the stack is put on.

PATCHES=$ROOT/patches
BASE_GIT=$BUILD/base.git
DEFAULT_BASE=7.3
export BASE=${BASE:-$DEFAULT_BASE}

# base_name: what BASE and LINUX select: 7.3, 7.2, linux (the user's own).
base_name()
{
	if [ -n "${LINUX:-}" ]; then
		echo linux
	else
		echo "$BASE"
	fi
}

# tree_suffix: nothing for the default base, else -7.2, -linux: at the end of the names
# of what is made from another base.
tree_suffix()
{
	local name

	name=$(base_name)
	[ "$name" = "$DEFAULT_BASE" ] || echo "-$name"
}

# tree_dir: where tree.sh puts the tree for BASE and LINUX. TREE overrides it
# for those that only read a tree.
tree_dir()
{
	echo "$BUILD/tree$(tree_suffix)"
}

# The branch of that tree in base.git.
tree_branch()
{
	echo "series$(tree_suffix)"
}

# pgit ARG...: git as if there were no configuration of the user's, so that
# what it writes does not depend on whose machine it runs on.
pgit()
{
	env -u GIT_CONFIG_COUNT -u GIT_CONFIG_PARAMETERS \
		-u GIT_EXTERNAL_DIFF -u GIT_DIFF_OPTS \
		GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
		GIT_PAGER=cat git "$@"
}

# bgit ARG...: pgit on base.git.
bgit()
{
	pgit --git-dir="$BASE_GIT" "$@"
}

# walk_tree REV [DIR]: a work tree for walking over commits, put on REV with only
# the files that differ rewritten; prints its directory.
walk_tree()
{
	local dir=${2:-$BUILD/walk-tree}

	if pgit -C "$dir" rev-parse -q --verify HEAD >/dev/null 2>&1; then
		pgit -C "$dir" checkout -q -f --detach "$1"
	else
		rm -rf "$dir"
		bgit worktree prune
		need_space 2500 "checking out a second kernel tree"
		bgit -c checkout.workers="$JOBS" worktree add -q -f --detach "$dir" "$1" >&2
	fi || die "cannot check out $1 in $dir (disk full?)"
	echo "$dir"
}

# variant REV EDIT [ARG...]: REV with what the function EDIT makes of its index, as a
# commit; prints it. It is always the same one, so that nothing is written and built
# again when it is checked out.
variant()
{
	local -x GIT_INDEX_FILE=$BUILD/.variant-index.$$ GIT_AUTHOR_DATE='@0 +0000' \
		GIT_COMMITTER_DATE='@0 +0000' \
		GIT_AUTHOR_NAME=ptlock GIT_AUTHOR_EMAIL=ptlock@localhost.invalid \
		GIT_COMMITTER_NAME=ptlock GIT_COMMITTER_EMAIL=ptlock@localhost.invalid
	local tree

	bgit read-tree "$1"
	"${@:2}"
	tree=$(bgit write-tree)
	rm -f "$GIT_INDEX_FILE"
	bgit commit-tree -p "$1" -m variant "$tree"
}

# identity DIR: sets IDENT_NAME and IDENT_EMAIL from git's configuration (as of
# DIR) or GIT_AUTHOR_*; false when there is none. git must not guess one.
identity()
{
	local ident

	ident=$(git -C "$1" -c user.useConfigOnly=true \
		var GIT_AUTHOR_IDENT 2>/dev/null) || return 1
	ident=${ident% * *}
	IDENT_NAME=${ident% <*}
	IDENT_EMAIL=${ident##*<}
	IDENT_EMAIL=${IDENT_EMAIL%>}
}
