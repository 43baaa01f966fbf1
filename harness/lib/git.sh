# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Bases, the stack, trees and git; sourced by lib.sh. The knobs BASE (default 7.3) and LINUX
# (a kernel tree of the user's) select what the stack is put on.

PATCHES=$ROOT/patches
BASE_GIT=$BUILD/base.git
DEFAULT_BASE=7.3

# owner PATH: the advice when PATH is another user's.
owner()
{
	stat -c "%n belongs to %U, and you are $(id -un): run as %U, or make it yours \
(sudo chown -R $(id -un) $BUILD)" "$1"
}

[[ $ROOT != *[[:space:]:]* ]] || die "the kernel cannot be built in $ROOT:" \
	"move the repository to a path without spaces and colons"
FOREIGN=$(find "$BUILD" -maxdepth 1 ! -type l ! -writable -print -quit 2>/dev/null) || true
[ -z "$FOREIGN" ] || die "cannot write there: $(owner "$FOREIGN")"
# A tree in build/ that lost its .git must not be taken for this repository.
export GIT_CEILING_DIRECTORIES=$BUILD${GIT_CEILING_DIRECTORIES:+:$GIT_CEILING_DIRECTORIES}

if [ -n "${LINUX:-}" ]; then
	[ -z "${BASE:-}" ] ||
		die "LINUX=$LINUX and BASE=$BASE: the stack goes on one of them, give only one"
	[ -d "$LINUX" ] || die "LINUX=$LINUX: no such directory"
	LINUX=$(cd "$LINUX" && pwd -P)
else
	BASE=${BASE:-$DEFAULT_BASE}
fi
export LINUX BASE=${BASE:-}
# What is selected: 7.3, 7.2, linux (the user's own); SUFFIX is at the end of the names of what
# is made from another base than the default one.
BASE_NAME=${BASE:-linux} SUFFIX=
[ "$BASE_NAME" = "$DEFAULT_BASE" ] || SUFFIX=-$BASE_NAME

# Where tree.sh puts the tree, which TREE overrides for those that only read one; its branch
# in base.git.
TREE_DIR=$BUILD/tree$SUFFIX
TREE_BRANCH=series$SUFFIX

# Backports: with patches/SERIES/6.12 there, BASE=6.12 has only series with such a FOLDER, and
# none of the tests that the rest brings.
BACKPORTS='' FOLDER=
if [ -n "$BASE" ] && compgen -G "$PATCHES/*/$BASE" >/dev/null; then
	BACKPORTS=$BASE FOLDER=/$BASE
	export PARTIAL=${PARTIAL-1}
fi

# read_stack: patches/stack becomes STACK (names in order) and, by name, LIST and NEEDS: it and
# all that it needs, blanks around each.
read_stack()
{
	local name needs list tree stable number=0 word where

	STACK=()
	declare -gA NEEDS=() LIST=()
	[ -f "$PATCHES/stack" ] || die "patches/stack: no such file"
	while IFS=$'\t' read -r name needs list tree stable || [ -n "$name" ]; do
		number=$((number + 1))
		where=patches/stack:$number
		[[ -n $name && $name != '#'* ]] || continue
		[[ $name =~ ^[a-z0-9][a-z0-9-]*$ && $name != all && $name != stack &&
		   -n $needs && -n $list && -n $tree && $stable =~ ^(stable|-)$ ]] ||
			die "$where: not 'name needs list tree stable|-' with tabs between: $name"
		[ -z "${LIST[$name]:-}" ] || die "$where: $name is listed twice"
		NEEDS[$name]=" $name "
		for word in ${needs//,/ }; do
			[ "$word" = - ] || [ -n "${LIST[$word]:-}" ] ||
				die "$where: $name needs $word, which is in no line above"
			NEEDS[$name]+=${NEEDS[$word]:-}
		done
		[ -n "$BACKPORTS" ] && [ ! -d "$PATCHES/$name/$BACKPORTS" ] || STACK+=("$name")
		LIST[$name]=${BACKPORTS:+stable@vger.kernel.org,}$list
	done <"$PATCHES/stack"
	[ ${#STACK[@]} -gt 0 ] || die "patches/stack: lists no series"
}

# with_needs NAME: it and what it needs, in the order of the stack.
with_needs()
{
	local name

	[ -n "${LIST[$1]:-}" ] || die "SERIES=$1: not in patches/stack, which has ${STACK[*]}"
	[[ " ${STACK[*]} " == *" $1 "* ]] ||
		die "SERIES=$1: no patches/$1$FOLDER, not for BASE=$BASE: give one of ${STACK[*]}"
	for name in "${STACK[@]}"; do
		[[ ${NEEDS[$1]} != *" $name "* ]] || echo "$name"
	done
}

# pgit ARG...: git as if there were no configuration of the user's.
pgit()
{
	GIT_CONFIG_COUNT=0 GIT_CONFIG_PARAMETERS='' GIT_CONFIG_GLOBAL=/dev/null \
		GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat git "$@"
}

# The same, on base.git; in the tree.
bgit()
{
	pgit --git-dir="$BASE_GIT" "$@"
}

tgit()
{
	pgit -C "${TREE:-$TREE_DIR}" "$@"
}

# linux_git ARG...: git on the user's tree LINUX: does not even refresh its index.
linux_git()
{
	GIT_OPTIONAL_LOCKS=0 git -C "$LINUX" -c safe.directory='*' "$@"
}

# base_deb: the newest package of the base that was downloaded, if there is one.
base_deb()
{
	find "$BUILD/apt" -maxdepth 1 -name "linux-source-${BASE}_*.deb" 2>/dev/null |
		sort -V | tail -n 1
}

# need_tree: the tree is one that git can tell about, or why not.
need_tree()
{
	local dir=${TREE:-$TREE_DIR} why

	[ -e "$dir" ] || die "$dir is not there: make tree composes it"
	why=$(tgit rev-parse --verify HEAD 2>&1 >/dev/null) && return
	[[ $why != *'dubious ownership'* ]] || die "git refuses it: $(owner "$dir")"
	die "$dir is no git tree: git --git-dir=$BASE_GIT worktree repair $dir may help;" \
		"else move it away, there may be work in it"
}

# rebasing: the tree is in the middle of a rebase, which keeps some work in files.
rebasing()
{
	compgen -G "$(tgit rev-parse --absolute-git-dir)/rebase-*" >/dev/null
}

# left_at: the commit that tree.sh or refresh.sh left the tree at.
left_at()
{
	bgit rev-parse -q --verify "refs/checkedout/$TREE_BRANCH"
}

# checked_out: the tree is at TIP_REV, as composed gave it.
checked_out()
{
	bgit update-ref "refs/sums/$TREE_BRANCH" "$SUMS"
	bgit update-ref "refs/checkedout/$TREE_BRANCH" "$TIP_REV"
}

# tree_work [TIP]: what the tree has that patches/ do not; nothing when there is none.
# At TIP, a run before this one was cut short.
tree_work()
{
	local head status

	head=$(tgit rev-parse HEAD)
	status=$(tgit status --porcelain) ||
		die "git cannot tell what was changed in ${TREE:-$TREE_DIR}"
	if [ "$head" != "$(left_at)" ] && [ "$head" != "${1:-}" ]; then
		echo "has commits that patches/ does not have"
	elif [ -n "$status" ]; then
		echo "has uncommitted changes"
	fi
}

# composed SERIES: sets BASE_REV, START_REV and TIP_REV: the base, where the series
# begins, its tip; SUMS: what of. When SERIES is empty, the whole stack, as it is in the tree.
composed()
{
	local revs

	revs=$(SERIES=$1 "$HARNESS/source/compose.sh") || exit 1
	read -r BASE_REV START_REV TIP_REV SUMS <<<"$revs"
}

# the_tree work|head|patches: says which tree the command is about, and sets TREE_REV: the tree
# as it is, with what is not committed; its last commit (TREE_ID is the content of that); what
# patches/ give.
the_tree()
{
	local dir=${TREE:-$TREE_DIR} text edits

	if [ "$1" = patches ]; then
		composed ""
		TREE_REV=$TIP_REV
		text="what patches/ give on $(bgit log -1 --format=%s "$BASE_REV")"
		edits=$([ ! -d "$dir" ] || tree_work "$TIP_REV")
		text+=${edits:+ ($dir $edits, left out)}
	else
		[ -n "${TREE:-}" ] || "$HARNESS/source/tree.sh" -q >/dev/null || exit 1
		need_tree
		TREE_REV=$(tgit rev-parse HEAD)
		edits=$(tgit status --porcelain | sed 's/^...//' | xargs)
		text="$dir at $(tgit log -1 --format='%h (%s)')"
		if [ "$1" = head ]; then
			text+=${edits:+, without the uncommitted $edits}
			TREE_ID=$(tgit rev-parse 'HEAD^{tree}')
		elif [ -n "$edits" ]; then
			text+=", with the uncommitted $edits"
			TREE_REV=$(variant "$TREE_REV" work_tree "$dir")
		fi
	fi
	note "tree: $text"
}

# work_tree DIR: for variant: the index gets the files as they are there.
work_tree()
{
	cp "$(pgit -C "$1" rev-parse --absolute-git-dir)/index" "$GIT_INDEX_FILE"
	pgit -C "$1" add -A
}

# walk_tree REV [DIR]: a work tree for walking over commits, put on REV with only the files
# that differ rewritten; prints its directory.
walk_tree()
{
	local dir=${2:-$BUILD/walk-tree} log=$BUILD/base.log

	if pgit -C "$dir" rev-parse -q --verify HEAD >/dev/null 2>&1; then
		pgit -C "$dir" checkout -q -f --detach "$1" 2>"$log"
	else
		rm -rf "$dir"
		bgit worktree prune
		need_space 2500 "checking out a kernel tree"
		bgit -c checkout.workers="$JOBS" worktree add -q -f --detach "$dir" "$1" >"$log" 2>&1
	fi || die "cannot check out $1 in $dir: $(reason "$log")"
	echo "$dir"
}

# variant REV EDIT [ARG...]: REV with what the function EDIT makes of its index, as a commit,
# always the same one; prints it.
variant()
{
	local -x GIT_INDEX_FILE=$BUILD/.variant-index.$$ \
		GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
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
		var GIT_AUTHOR_IDENT 2>/dev/null) || return
	[[ $ident =~ ^(.*)\ \<(.*)\>\  ]]
	IDENT_NAME=${BASH_REMATCH[1]} IDENT_EMAIL=${BASH_REMATCH[2]}
}
