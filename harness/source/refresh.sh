#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# refresh.sh: the way back, from the commits of build/tree to the series and the added files.
#
# in:   the commits, of the series that their line "Series: NAME" says, or, without one, of
#       that of their neighbours; patches/stack and the cover letters, the author's; FORCE=1:
#       write over what was edited in the repository since the tree was composed
# out:  patches/SERIES/NNNN-slug.patch: subject, body, "---" and the edits; the files that a
#       commit adds, at their path here and named in patches/SERIES/series. What no commit has
#       any more goes away
# exit: 0, or 1 with one line on stderr and nothing changed

. "$(dirname "$0")/../lib/lib.sh"

TREE=$TREE_DIR
OUT=$BUILD/refresh.tmp
NEWROOT=$OUT/root
declare -A COUNT=() ADDED_BY=()

# refuse COMMIT MSG
refuse()
{
	die "$(tgit log -1 --format='%h (%s)' "$1"): ${*:2}"
}

# sort_commits: sets OF[i], the series of each, and COUNT[series]; in the stack's order.
sort_commits()
{
	local i j before after name at=0 how="(git -C $TREE rebase -i)"

	for i in "${!COMMIT[@]}"; do
		OF[i]=$(tgit log -1 --format=%b "${COMMIT[i]}" | sed -n 's/^Series: *//p' | sort -u)
		[[ ${OF[i]} != *$'\n'* ]] ||
			refuse "${COMMIT[i]}" "names several series: leave one line 'Series: …'"
		[ -z "${OF[i]}" ] || [ -n "${LIST[${OF[i]}]:-}" ] ||
			refuse "${COMMIT[i]}" "its series ${OF[i]} is in no line of patches/stack"
	done
	for i in "${!COMMIT[@]}"; do
		before=${name:-}
		name=${OF[i]}
		for ((j = i + 1; j < ${#COMMIT[@]}; j++)); do
			[ -z "${OF[j]}" ] || break
		done
		after=${OF[j]:-${before:-${STACK[0]}}}
		[ -n "$name" ] || [ "${before:=$after}" = "$after" ] ||
			refuse "${COMMIT[i]}" "is it of $before or of $after? Add a last line" \
				"'Series: $before' or 'Series: $after' to its message $how"
		OF[i]=${name:=$after}
		until [ "${STACK[at]}" = "$name" ]; do
			at=$((at + 1))
			[ $at -lt ${#STACK[@]} ] ||
				refuse "${COMMIT[i]}" "is of $name, but comes after one of $before:" \
					"move it, or correct its line 'Series: …' $how"
		done
		COUNT[$name]=$((${COUNT[$name]:-0} + 1))
	done
	for name in "${STACK[@]}"; do
		[ -n "${COUNT[$name]:-}" ] ||
			die "no commit is of series $name: remove its line from patches/stack"
	done
}

# body COMMIT: of its message, without the line that names the series.
body()
{
	tgit log -1 --format=%b "$1" | awk '
		BEGIN { blank = 1 }
		/^Series:/ { gone = 1; next }
		gone && !NF && blank { next }
		{ gone = 0; blank = !NF; print }'
}

# check_message COMMIT BODY: it must survive being a mail, and carry no tag of anyone's.
check_message()
{
	local tag

	tag=$(grep -m 1 -oiE '^(Signed-off|Reviewed|Acked|Tested|Co-developed)-by:' <<<"$2") || tag=
	[ -z "$tag" ] ||
		refuse "$1" "has a $tag line: stored patches carry nobody's, take it out"
	! grep -qE '^(---|diff -.*|Index: .*)$' <<<"$2" ||
		refuse "$1" "its message has a line that git am takes for the start of the diff"
}

# split COMMIT: sets NEW (files that it adds) and OLD (those it edits, which the base or an
# earlier commit has), and refuses what the repository cannot store.
split()
{
	local mode path

	NEW=() OLD=()
	while read -r -d '' _ mode _ && IFS= read -r -d '' path; do
		if [ -n "${ADDED_BY[$path]:-}" ] || bgit cat-file -e "$BASE_REV:$path" 2>/dev/null; then
			OLD+=("$path")
			continue
		fi
		[[ $mode == 100644 || $mode == 100755 ]] ||
			refuse "$1" "adds $path, which is no regular file"
		[[ $path =~ ^[^[:space:]#]+$ ]] ||
			refuse "$1" "adds '$path': no blanks or # in names"
		[[ $path == */* && ! $path =~ ^(patches|harness|tests|build|\..*)/ ]] ||
			refuse "$1" "adds $path: a file cannot be stored there"
		ADDED_BY[$path]=1
		NEW+=("$path")
	done < <(tgit diff-tree -r -z --no-renames --no-commit-id "$1")
}

# patch COMMIT BODY: as it is stored.
patch()
{
	printf 'Subject: %s\n\n' "$(tgit log -1 --format=%s "$1")"
	[ -z "$2" ] || printf '%s\n\n' "$2"
	echo ---
	[ ${#OLD[@]} -eq 0 ] ||
		tgit --literal-pathspecs diff-tree -p --no-commit-id \
			--no-renames --abbrev=12 -U3 --diff-algorithm=myers \
			--no-color --no-ext-diff --no-textconv --binary \
			--src-prefix=a/ --dst-prefix=b/ "$1" -- "${OLD[@]}"
}

# write_series NAME FIRST: its patches, its series file and its added files.
write_series()
{
	local i folder=$NEWROOT/patches/$1 file text

	mkdir -p "$folder"
	# The comment at the head of the series file is the author's.
	[ ! -f "$PATCHES/$1/series" ] ||
		sed -n '/^[^#]/q; p' "$PATCHES/$1/series" >"$folder/series"
	for ((i = $2; i < $2 + ${COUNT[$1]}; i++)); do
		# As git format-patch names it.
		file=$(printf '%04d-' $((i - $2 + 1)); tgit log -1 --format=%f "${COMMIT[i]}")
		file=${file:0:57}.patch
		say refresh "$((i + 1))/${#COMMIT[@]} $1/$file"
		text=$(body "${COMMIT[i]}")
		check_message "${COMMIT[i]}" "$text"
		split "${COMMIT[i]}"
		put "$folder/$file" patch "${COMMIT[i]}" "$text"
		[ ${#NEW[@]} -eq 0 ] ||
			tgit -c tar.umask=user --literal-pathspecs archive "${COMMIT[i]}" -- \
				"${NEW[@]}" | tar -xmC "$NEWROOT" || die "cannot write in $OUT"
		echo "$file${NEW[*]:+ # + ${NEW[*]}}" >>"$folder/series"
	done
}

# sums: "SUM PATH" lines of what compose.sh read.
sums()
{
	sed -nE 's/^([0-9a-f]{64})  /\1 /p'
}

# What is stored now must be what the tree was composed from, or what is to be stored
# (as after a run that was cut short).
check_stored()
{
	local changed

	{ bgit cat-file blob "refs/sums/$TREE_BRANCH" 2>/dev/null || true; } |
		sums >"$OUT/sums.old"
	# Below patches/SERIES/ are backports.
	{
		cut -d' ' -f2 "$OUT/sums.old" "$OUT/sums.new"
		find patches -maxdepth 2 -name '*.patch' -o -maxdepth 2 -name series
	} | sort -u | { xargs -rd '\n' sha256sum 2>/dev/null || true; } | sums >"$OUT/sums.now"
	changed=$(awk '
		{ sum[FILENAME, $2] = $1; all[$2] }
		END { for (path in all) {
			now = sum[ARGV[2], path]
			if (now != sum[ARGV[1], path] && now != sum[ARGV[3], path]) print path } }' \
		"$OUT/sums.old" "$OUT/sums.now" "$OUT/sums.new" | sort | xargs)
	[ -z "$changed" ] || on FORCE ||
		die "changed in the repository since $TREE was composed: $changed: make tree takes" \
			"it up (keep commits of yours on a branch); FORCE=1 writes over it"
}

# swap: every file by one rename; a series file last, as it names the others.
swap()
{
	local path

	cut -d' ' -f2 "$OUT/sums.new" | sort >"$OUT/paths"
	while IFS= read -r path; do
		mkdir -p "$(dirname "$path")"
		cp -p "$NEWROOT/$path" "$path.new"
		mv "$path.new" "$path"
	done < <(grep -v '/series$' "$OUT/paths"; grep '/series$' "$OUT/paths")
	cut -d' ' -f2 "$OUT/sums.now" | sort | comm -23 - "$OUT/paths" | while IFS= read -r path; do
		rm -f "$path"
		rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")"
	done
}

no_arguments "$@"
lock tree
[ -z "$SUFFIX" ] ||
	die "patches/ are stored against $DEFAULT_BASE: run refresh without BASE and LINUX"
need_tree
[ "$(tgit symbolic-ref -q --short HEAD)" = "$TREE_BRANCH" ] ||
	die "$TREE is not on branch $TREE_BRANCH (a rebase under way?): finish that first"
[ -z "$(tgit status --porcelain | head -n 1)" ] ||
	die "$TREE has uncommitted changes: commit or stash them first"
BASE_REV=$(bgit rev-parse -q --verify "refs/tags/base/$DEFAULT_BASE^{commit}") ||
	die "build/base.git has no base $DEFAULT_BASE: make tree fetches it"
tgit merge-base --is-ancestor "$BASE_REV" HEAD ||
	die "$TREE is not on the base: rebase it on the tag base/$DEFAULT_BASE"
merge=$(tgit rev-list --merges --max-count=1 "$BASE_REV..HEAD")
[ -z "$merge" ] || refuse "$merge" "is a merge: make the series linear (git rebase)"
mapfile -t COMMIT < <(tgit rev-list --reverse --topo-order "$BASE_REV..HEAD")
read_stack
sort_commits
scratch "$OUT"
first=0
for name in "${STACK[@]}"; do
	write_series "$name" "$first"
	first=$((first + ${COUNT[$name]}))
done
# Composing what was written must give the tree's content.
cp "$PATCHES/stack" "$NEWROOT/patches/"
COMPOSE_FROM=$NEWROOT composed ""
[ "$(bgit rev-parse "$TIP_REV^{tree}")" = "$(tgit rev-parse 'HEAD^{tree}')" ] ||
	die "the stored patches would not give the tree again: nothing was changed"
bgit cat-file blob "$SUMS" | sums >"$OUT/sums.new"
cd "$ROOT"
check_stored
swap
# The tree goes to the composed commits: same content, no file touched.
tgit reset -q --soft "$TIP_REV"
checked_out
note "stored ${#COMMIT[@]} patches in ${#STACK[@]} series"
