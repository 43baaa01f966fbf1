# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Sourced by every script of harness/, never run.
#
# Gives: ROOT (the repository), BUILD (everything generated), JOBS, and the
# functions below. Reads the knobs BASE (default 7.3) and LINUX (a kernel tree
# of the user's) that select what the series is put on.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build
HARNESS=$ROOT/harness
PATCHES=$ROOT/patches
BASE_GIT=$BUILD/base.git
DEFAULT_BASE=7.3
BASE=${BASE:-$DEFAULT_BASE}
JOBS=${JOBS:-$(nproc)}
export BASE JOBS

# Scripts call each other: the elapsed time counts from the first one.
export PTLOCK_START=${PTLOCK_START:-$(date +%s)}

# A caller's repository (a git hook, say) must not become ours.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_PREFIX

export LC_ALL=C.UTF-8

# On a terminal, one line is rewritten for progress; whatever is printed next
# starts by clearing it. Elsewhere this is empty and lines are plain.
CLEAR=
[ -t 2 ] && CLEAR=$'\r\033[K'

elapsed()
{
	local s=$(($(date +%s) - PTLOCK_START))

	printf '%2d:%02d' $((s / 60)) $((s % 60))
}

# say PHASE MSG: progress. MSG may start with DONE/TOTAL.
say()
{
	local line cols

	line="[$(elapsed)] $1: ${*:2}"
	if [ -n "$CLEAR" ]; then
		cols=$(stty size <&2 2>/dev/null | cut -d' ' -f2) || cols=
		[ "${cols:-0}" -gt 1 ] || cols=80
		printf '%s%s' "$CLEAR" "${line:0:cols-1}" >&2
	else
		printf '%s\n' "$line" >&2
	fi
}

# note MSG: a line that stays, on stderr.
note()
{
	printf '%s%s\n' "$CLEAR" "$*" >&2
}

# die MSG: one line that says what is wrong and what to do; exit 1.
die()
{
	note "error: $*"
	exit 1
}

# at_exit CMD ARG...: run at exit, last registered first, also after Ctrl-C.
AT_EXIT=()
at_exit()
{
	AT_EXIT=("$(printf '%q ' "$@")" "${AT_EXIT[@]}")
}

run_at_exit()
{
	local status=$? cmd

	trap '' INT TERM HUP
	for cmd in "${AT_EXIT[@]}"; do
		eval "$cmd" || true
	done
	printf '%s' "$CLEAR" >&2
	exit "$status"
}
trap run_at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# lock NAME: one run at a time of what NAME stands for; waits for the other.
lock()
{
	local fd

	mkdir -p "$BUILD" || die "cannot create $BUILD"
	exec {fd}>"$BUILD/.lock-$1"
	flock -n "$fd" && return
	say "$1" "waiting for another run to finish"
	flock "$fd"
}

# scratch DIR: a new empty directory that goes away at exit.
scratch()
{
	rm -rf "$1"
	mkdir -p "$1" || die "cannot create $1"
	at_exit rm -rf "$1"
}

# put FILE: stdin becomes FILE whole, or not at all.
put()
{
	cat >"$1.new" || die "cannot write $1: is the disk full?"
	mv -f "$1.new" "$1"
}

# pack FOLDER FILE: the folder, as root's, becomes an initramfs.
pack()
{
	(cd "$1" && find . | sort | cpio -o -H newc --quiet -R 0:0) | put "$2"
}

# need_space MIB WHAT: fail early rather than with a full disk.
need_space()
{
	local free

	free=$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$1" ] ||
		die "$2 needs $1 MiB in $BUILD, $free MiB are free: make room and run again"
}

# need TOOL PACKAGE: name the package instead of "command not found".
need()
{
	command -v "$1" >/dev/null ||
		die "$1 is missing: install the package $2 (harness/gate/deps.sh does)"
}

# base_name: what BASE and LINUX select: 7.3, 7.2, linux (the user's own).
base_name()
{
	if [ -n "${LINUX:-}" ]; then
		echo linux
	else
		echo "$BASE"
	fi
}

# tree_dir: where tree.sh puts the tree for BASE and LINUX. TREE overrides it
# for those that only read a tree.
tree_dir()
{
	local name

	name=$(base_name)
	if [ "$name" = "$DEFAULT_BASE" ]; then
		echo "$BUILD/tree"
	else
		echo "$BUILD/tree-$name"
	fi
}

# The branch of that tree in base.git.
tree_branch()
{
	local dir

	dir=$(tree_dir)
	echo "series${dir#"$BUILD/tree"}"
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
