#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The way back: write patches/ and the added files from the commits of build/tree.
#
# usage: harness/source/refresh.sh
#
# A commit becomes patches/NNNN-slug.patch: subject, body, "---" and the edits
# to files that the base has. Files that it adds are copied to their path in
# this repository and named in patches/series. Patches and added files that no
# commit has any more go away. The result is composed again and compared before
# anything is stored. The user's git settings do not count.
#
# Exit code: 0, or 1 with one line on stderr and nothing changed.

. "$(dirname "$0")/../lib/lib.sh"

TREE=$BUILD/tree
BRANCH=series
OUT=$BUILD/refresh.tmp
NEWROOT=$OUT/new

tgit()
{
	pgit -C "$TREE" "$@"
}

# refuse COMMIT MSG: die naming the commit.
refuse()
{
	die "$(tgit log -1 --format='%h (%s)' "$1"): $2"
}

check_tree()
{
	local merge

	[ "$(base_name)" = "$DEFAULT_BASE" ] ||
		die "patches/ are stored against $DEFAULT_BASE: run refresh without BASE and LINUX"
	tgit rev-parse -q --verify HEAD >/dev/null 2>&1 ||
		die "$TREE is not there: make tree composes it"
	[ "$(tgit symbolic-ref -q --short HEAD)" = "$BRANCH" ] ||
		die "$TREE is not on branch $BRANCH (a rebase under way?): finish that first"
	[ -z "$(tgit status --porcelain | head -n 1)" ] ||
		die "$TREE has uncommitted changes: commit or stash them first (git -C $TREE status)"
	BASE_REV=$(bgit rev-parse -q --verify "refs/tags/base/$DEFAULT_BASE^{commit}") ||
		die "build/base.git has no base $DEFAULT_BASE: make tree fetches it"
	tgit merge-base --is-ancestor "$BASE_REV" HEAD ||
		die "$TREE is not on the base $DEFAULT_BASE: rebase it on the tag base/$DEFAULT_BASE"
	merge=$(tgit rev-list --merges --max-count=1 "$BASE_REV..HEAD")
	[ -z "$merge" ] || refuse "$merge" "is a merge: make the series linear (git rebase)"
	mapfile -t COMMIT < <(tgit rev-list --reverse --topo-order "$BASE_REV..HEAD")
	[ ${#COMMIT[@]} -gt 0 ] || die "$TREE has no commit on top of the base"
}

# check_message COMMIT: it must survive being a mail, and carry no tag of anyone's.
check_message()
{
	local body tag

	[ -n "$(tgit log -1 --format=%s "$1")" ] || refuse "$1" "has no subject"
	body=$(tgit log -1 --format=%b "$1")
	tag=$(grep -m 1 -oiE '^(Signed-off|Reviewed|Acked|Tested|Co-developed)-by:' <<<"$body") || tag=
	[ -z "$tag" ] ||
		refuse "$1" "has a $tag line: stored patches carry nobody's, take it out"
	! grep -qE '^(---|diff -.*|Index: .*)$' <<<"$body" ||
		refuse "$1" "its message has a line that git am takes for the start of the diff"
}

# split COMMIT: sets NEW (files that it adds) and OLD (files of the base it
# edits), and refuses what the repository cannot store.
split()
{
	local mode status path

	NEW=() OLD=()
	while read -r -d '' _ mode _ _ status && IFS= read -r -d '' path; do
		if bgit cat-file -e "$BASE_REV:$path" 2>/dev/null; then
			OLD+=("$path")
			continue
		fi
		[ -z "${ADDED_BY[$path]:-}" ] ||
			refuse "$1" "edits $path, which $(tgit log -1 --format='%h' "${ADDED_BY[$path]}") of the series adds: squash the edit into it"
		[ "$status" = A ] || refuse "$1" "$path: status $status"
		[[ $mode == 100644 || $mode == 100755 ]] ||
			refuse "$1" "adds $path, which is no regular file"
		[[ $path =~ ^[^[:space:]#]+$ ]] ||
			refuse "$1" "adds '$path': no blanks or # in names"
		[[ $path == */* && ! $path =~ ^(patches|harness|tests|build|\..*)/ ]] ||
			refuse "$1" "adds $path: a file cannot be stored there"
		ADDED_BY[$path]=$1
		NEW+=("$path")
	done < <(tgit diff-tree -r -z --no-renames --no-commit-id "$1")
}

# write_patch COMMIT NAME
write_patch()
{
	local body

	body=$(tgit log -1 --format=%b "$1")
	{
		printf 'Subject: %s\n\n' "$(tgit log -1 --format=%s "$1")"
		[ -z "$body" ] || printf '%s\n\n' "$body"
		echo ---
		[ ${#OLD[@]} -eq 0 ] ||
			tgit --literal-pathspecs diff-tree -p --no-commit-id \
				--no-renames --abbrev=12 -U3 --diff-algorithm=myers \
				--no-color --no-ext-diff --no-textconv --binary \
				--src-prefix=a/ --dst-prefix=b/ "$1" -- "${OLD[@]}"
	} >"$NEWROOT/patches/$2" || die "cannot write $OUT: is the disk full?"
}

write_added()
{
	local path

	for path in "${NEW[@]}"; do
		mkdir -p "$NEWROOT/$(dirname "$path")"
		tgit cat-file blob "$1:$path" >"$NEWROOT/$path" ||
			die "cannot write $OUT: is the disk full?"
		[[ $(tgit ls-tree "$1" -- "$path") != 100755* ]] ||
			chmod +x "$NEWROOT/$path"
	done
}

# The whole of patches/ and of the added files, under NEWROOT.
write_all()
{
	local i name names

	declare -gA ADDED_BY=()
	mkdir -p "$NEWROOT/patches" "$OUT/names"
	# format-patch knows how it names files.
	mapfile -t names < <(tgit format-patch -q --always --no-signature \
		-o "$OUT/names" "$BASE_REV..HEAD" && ls "$OUT/names")
	{
		# The comment at the head of the series file is the author's.
		sed -n '/^[^#]/q; p' "$PATCHES/series" 2>/dev/null || true
		for i in "${!COMMIT[@]}"; do
			name=${names[i]}
			say refresh "$((i + 1))/${#COMMIT[@]} $name"
			check_message "${COMMIT[i]}"
			split "${COMMIT[i]}"
			write_patch "${COMMIT[i]}" "$name"
			write_added "${COMMIT[i]}"
			echo "$name${NEW[*]:+ # + ${NEW[*]}}"
		done
	} >"$NEWROOT/patches/series"
}

# Added files that patches/series names now.
stored_added()
{
	[ -f "$1/series" ] || return 0
	sed -nE 's/^[^ #]+\.patch # \+ //p' "$1/series" | tr ' ' '\n'
}

# Composing what was written must give the tree's content.
verify()
{
	local rev

	rev=$(COMPOSE_FROM=$NEWROOT "$HARNESS/source/compose.sh") || exit 1
	[ "$(bgit rev-parse "${rev#* }^{tree}")" = "$(tgit rev-parse 'HEAD^{tree}')" ] ||
		die "the stored patches would not give the tree again: nothing was changed"
	TIP=${rev#* }
}

# same A B: same content and mode.
same()
{
	cmp -s "$1" "$2" && [ "$(stat -c %A "$1" | cut -c4)" = "$(stat -c %A "$2" | cut -c4)" ]
}

# swap: every file by one rename; patches/series last, as it names the others.
swap()
{
	local path gone file

	gone=$(comm -23 <(stored_added "$PATCHES" | sort) <(stored_added "$NEWROOT/patches" | sort))
	while IFS= read -r path; do
		same "$NEWROOT/$path" "$ROOT/$path" && continue
		mkdir -p "$ROOT/$(dirname "$path")"
		cp -p "$NEWROOT/$path" "$ROOT/$path.new"
		mv "$ROOT/$path.new" "$ROOT/$path"
	done < <(stored_added "$NEWROOT/patches")
	mkdir -p "$PATCHES"
	for file in "$NEWROOT"/patches/*.patch "$NEWROOT/patches/series"; do
		same "$file" "$PATCHES/${file##*/}" || mv "$file" "$PATCHES/"
	done
	for file in "$PATCHES"/*.patch; do
		grep -qE "^${file##*/}( |\$)" "$PATCHES/series" || rm -f "$file"
	done
	while IFS= read -r path; do
		[ -n "$path" ] || continue
		rm -f "${ROOT:?}/$path"
		(cd "$ROOT" && rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")")
	done <<<"$gone"
}

main()
{
	[ $# -eq 0 ] || die "refresh.sh takes no arguments"
	lock tree
	check_tree
	scratch "$OUT"
	write_all
	verify
	swap
	# The tree goes to the composed commits: same content, no file touched.
	tgit reset -q --soft "$TIP"
	bgit update-ref "refs/checkedout/$BRANCH" "$TIP"
	note "stored ${#COMMIT[@]} patches"
}

main "$@"
