#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# clean.sh [all]: removes what was generated.
#
# in:   nothing: everything but the base and the trees to work in; all: those as well
# out:  less of build/; on stdout what went, and how much it was
# exit: 0; 1 when something runs there, or a tree has work that patches/ does not have
#
# FORCE=1 removes the trees whatever there is in them.

. "$(dirname "$0")/../lib/lib.sh"

KEEP=(! -name base.git ! -name apt ! -name tree ! -name 'tree-*'
	! -name 'compose-*.stamp' ! -name '.lock-*')

# Who works there has a lock.
nobody_works()
{
	local file

	for file in .lock-*; do
		[ ! -f "$file" ] || flock -n "$file" true ||
			die "something is running in build/ (${file#.lock-}): stop it, or wait for its end"
	done
}

# Commits may be on any branch, in any tree of base.git.
no_work()
{
	local dir branch

	for dir in tree tree-*; do
		[ -z "$(pgit -C "$dir" status --porcelain 2>/dev/null | head -n 1)" ] ||
			die "build/$dir has uncommitted changes: commit and make refresh, or FORCE=1"
	done
	[ -d base.git ] || return 0
	branch=$(bgit log -1 --source --format=%S --branches --not \
		--glob='refs/checkedout/*' --glob='refs/composed/*' --tags)
	[ -z "$branch" ] ||
		die "the branch ${branch#refs/heads/} of build/base.git has commits that patches/ does not have: make refresh first, or FORCE=1"
}

# drop FILE...: the large ones by name.
drop()
{
	du -ksc -- "$@" | sort -rn | awk -F'\t' '
		NR == 1 { total = $1; next }
		$1 >= 1024 { printf "%7d MiB  %s\n", $1 / 1024, $2 }
		END { printf "%7d MiB  dropped in all\n", total / 1024 }'
	rm -rf -- "$@"
}

[ $# = 0 ] || [ "$*" = all ] || die "usage: clean.sh [all]"
cd "$BUILD" 2>/dev/null || exit 0
nobody_works
if [ "${1:-}" = all ]; then
	[ "${FORCE:-}" = 1 ] || no_work
	KEEP=()
fi
mapfile -t files < <(find . -mindepth 1 -maxdepth 1 "${KEEP[@]}" -printf '%P\n')
[ ${#files[@]} = 0 ] || drop "${files[@]}"
if [ "${1:-}" = all ]; then
	cd "$ROOT"
	rm -rf "$BUILD"
elif [ -d base.git ]; then
	bgit worktree prune
fi
