#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# clean.sh [all]: removes what was generated.
#
# in:   all: the base and the trees to work in as well; FORCE=1: whatever there is in them
# out:  on stdout what went, and how much it was
# exit: 0; 1 when something runs there, or a tree has work that patches/ does not have,
#       or git cannot tell

. "$(dirname "$0")/../lib/lib.sh"

KEEP=(! -name base.git ! -name apt ! -name tree ! -name 'tree-*'
	! -name 'compose-*.stamp' ! -name '.lock-*')
# What was composed is no work, nor is a base.
STORED=(--not --glob='refs/checkedout/*' --glob='refs/composed/*' --glob='refs/tags/base/*')

# keep WHAT ADVICE
keep()
{
	die "$1 that patches/ does not have: $2, or FORCE=1"
}

# no_work_in DIR: also in a rebase, which keeps some of it in files.
no_work_in()
{
	local TREE=$1 work

	need_tree
	work=$(tgit status --porcelain) || die "git cannot tell what was changed in $1"
	[ -z "$work" ] || keep "$1 has uncommitted changes" "commit and make refresh"
	! rebasing || keep "$1 is in the middle of a rebase, with commits" "finish it"
	work=$(tgit log -1 --format=%h HEAD "${STORED[@]}" --branches) ||
		die "git cannot read the commits of $1"
	[ -z "$work" ] || keep "HEAD of $1 has commits ($work)" \
		"cherry-pick them to the branch series and make refresh"
}

# The trees, and what else of the user's is on base.git; scripts make theirs below other
# folders of build/. Commits may be on any branch.
no_work()
{
	local dir others='' branch

	[ ! -d base.git ] || others=$(bgit worktree list --porcelain) ||
		die "git cannot tell about build/base.git"
	while IFS= read -r dir; do
		case $dir in
		"$BUILD"/tree | "$BUILD"/tree-*) ;;
		"$BUILD"/*) continue ;;
		esac
		[ ! -e "$dir" ] || no_work_in "$dir"
	done < <(printf '%s\n' "$BUILD"/tree "$BUILD"/tree-*; sed -n 's/^worktree //p' <<<"$others")
	[ -d base.git ] || return 0
	branch=$(bgit log -1 --source --format=%S --branches --tags "${STORED[@]}") ||
		die "git cannot tell about build/base.git"
	[ -z "$branch" ] || keep "the branch ${branch#refs/heads/} of build/base.git has commits" \
		"make refresh stores those of series, cherry-pick others to it or delete their branch"
	! bgit rev-parse -q --verify refs/stash >/dev/null ||
		keep "build/tree has a stash (git -C build/tree stash list)" "git stash pop"
}

[ $# = 0 ] || [ "$*" = all ] || die "usage: clean.sh [all]"
cd "$BUILD" 2>/dev/null || exit 0
# Who works there has a lock.
for lock in .lock-*; do
	[ ! -f "$lock" ] || flock -n "$lock" true ||
		die "something is running in build/ (${lock#.lock-}): stop it, or wait for its end"
done
rm -rf .gone.*
if [ "${1:-}" = all ]; then
	on FORCE || no_work
	KEEP=()
fi
mapfile -t files < <(find . -mindepth 1 -maxdepth 1 "${KEEP[@]}" -printf '%P\n')
if [ ${#files[@]} -gt 0 ]; then
	# The large ones by name.
	du -ksc -- "${files[@]}" | sort -rn | awk -F'\t' '
		NR == 1 { total = $1; next }
		$1 >= 1024 { printf "%7d MiB  %s\n", $1 / 1024, $2 }
		END { printf "%7d MiB  dropped in all\n", total / 1024 }'
	# Moved aside first: cut short, nothing is left that is half there.
	mkdir ".gone.$$"
	mv -- "${files[@]}" ".gone.$$/"
	rm -rf ".gone.$$"
fi
if [ "${1:-}" = all ]; then
	cd "$ROOT"
	rm -rf "$BUILD"
elif [ -d base.git ]; then
	bgit worktree prune
fi
