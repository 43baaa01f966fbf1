#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# compose.sh [SERIES]: the stack, or one series of it, on the base, one commit a patch.
#
# in:   patches/, the added files, the base; SERIES=NAME: that series and what it needs;
#       SERIES=all: the whole stack as it is mailed; without it, each message has a last line
#       "Series: NAME", for build/tree
# out:  "BASE START TIP SUMS" of build/base.git: three commits, the series begins at START, and
#       the list of what they were made of. The same input gives the same commits; when
#       nothing changed, a stamp has the answer
# exit: 0, or 1 with one line that names the patch, file and hunk

. "$(dirname "$0")/../lib/lib.sh"

# Where patches/ and the added files are; refresh.sh checks a copy before it stores it.
SOURCE=${COMPOSE_FROM:-$ROOT}
PATCHES=$SOURCE/patches
SERIES=${1:-${SERIES:-}}
STAMP=$BUILD/compose-$BASE_NAME${SERIES:+-$SERIES}.stamp
WORK=$BUILD/compose.tmp
# By number of the patch: FOLDER/FILE, and the files that it adds; all of those.
PATCH=() ADDED=() FILES=()
declare -A FIRST=()	# the number of the first patch of a series

# parse_series NAME: adds what its series file lists.
parse_series()
{
	local line number=0 where folder=$1$FOLDER file path paths

	[ -f "$PATCHES/$folder/series" ] || die "patches/$folder/series: no such file" \
		"(make refresh writes it from the commits with 'Series: $1')"
	FIRST[$1]=${#PATCH[@]}
	while IFS= read -r line || [ -n "$line" ]; do
		number=$((number + 1))
		where=patches/$folder/series:$number
		[[ -n $line && $line != '#'* ]] || continue
		[[ $line =~ ^([^ #/]+\.patch)(\ #\ \+((\ [^ ]+)+))?$ ]] ||
			die "$where: not 'NAME.patch' or 'NAME.patch # + path path …': $line"
		file=$folder/${BASH_REMATCH[1]}
		read -ra paths <<<"${BASH_REMATCH[3]}"
		[ -f "$PATCHES/$file" ] || die "$where: patches/$file: no such file"
		[[ " ${PATCH[*]} " != *" $file "* ]] || die "$where: $file is listed twice"
		[[ $(head -n 1 "$PATCHES/$file") == 'Subject: '?* ]] ||
			die "patches/$file:1: the first line is not 'Subject: …'"
		grep -qx -e --- "$PATCHES/$file" ||
			die "patches/$file: no line '---' between message and diff"
		for path in "${paths[@]}"; do
			case /$path/ in
			*/../* | */./* | *//* | /patches/* | /harness/* | /tests/* | /build/* | /.*)
				die "$where: $path: a commit cannot add files there" ;;
			esac
			[ -f "$SOURCE/$path" ] ||
				die "$where: $path: no such file (the series says that it adds it)"
		done
		PATCH+=("$file") ADDED+=("${paths[*]}") FILES+=("${paths[@]}")
	done <"$PATCHES/$folder/series"
	[ ${#PATCH[@]} -gt "${FIRST[$1]}" ] || die "patches/$folder/series: lists no patch"
	for file in "$PATCHES/$folder"/*.patch; do
		[[ " ${PATCH[*]} " = *" $folder/${file##*/} "* ]] || die \
			"patches/$folder/${file##*/}: not listed in patches/$folder/series"
	done
}

# Everything that the commits depend on; refresh.sh reads the sums.
inputs()
{
	local series=("${NAMES[@]/%/$FOLDER/series}")

	echo "3 $BASE_REV $IDENT_NAME $IDENT_EMAIL ${SERIES:-stack}"
	cd "$SOURCE"
	sha256sum "${series[@]/#/patches/}" "${PATCH[@]/#/patches/}" "${FILES[@]}"
	[ ${#FILES[@]} = 0 ] || find "${FILES[@]}" -perm -u+x -printf 'x  %p\n'
}

# touched FILE...: the paths in the diffs of these patches.
touched()
{
	sed -nE 's|^diff --git a/(.*) b/\1$|\1|p; t; s|^diff --git a/(.*) b/(.*)|\1\n\2|p' "$@"
}

# base_files: of the base, those that the patches touch, in $WORK/files. An index of the whole
# kernel would take half a second for each patch.
base_files()
{
	local paths path

	mkdir "$WORK/files"
	mapfile -t paths < <(touched "${PATCH[@]/#/$PATCHES/}")
	mapfile -t paths < <(bgit ls-tree -r --name-only "$BASE_REV" -- "${paths[@]}" "${FILES[@]}")
	[ ${#paths[@]} = 0 ] ||
		bgit archive "$BASE_REV" -- "${paths[@]}" | tar -C "$WORK/files" -xf -
	path=$(for path in "${FILES[@]}"; do
		while [[ $path = */* ]]; do
			path=${path%/*}
			echo "$BASE_REV:$path $path"
		done
	done | bgit cat-file --batch-check='%(objecttype) %(rest)' | grep -m1 ^blob) || return 0
	die "${path#* } is a file in $BASE_TITLE: nothing can be added below it"
}

# apply_patch PATCH: to the files. An empty diff (only added files) is fine.
apply_patch()
{
	local file line text

	sed '1,/^---$/d' "$PATCHES/$1" >"$WORK/diff"
	[ -s "$WORK/diff" ] || return 0
	pgit -C "$WORK/files" apply --whitespace=nowarn "$WORK/diff" 2>"$WORK/log" >&2 && return
	text="$1 does not apply to $BASE_TITLE"
	[ -z "$SERIES" ] || [ "$SERIES" = all ] ||
		text+=" with only what patches/stack says that $SERIES needs"
	IFS=: read -r file line < <(sed -n 's/^error: patch failed: //p' "$WORK/log") ||
		die "$text: $(sed 's/^error: //' "$WORK/log" | head -n 1)"
	die "$text: $file, hunk $(sed -n \
		"\|^--- a/$file\$|,/^diff /{/^@@ -${line}[, ]/p}" "$WORK/diff")"
}

# add_files I: those that the commit carries whole.
add_files()
{
	local path paths

	read -ra paths <<<"${ADDED[$1]}"
	for path in "${paths[@]}"; do
		[ ! -e "$WORK/files/$path" ] ||
			die "patches/${PATCH[$1]}: $path: is already in $BASE_TITLE"
		(cd "$SOURCE" && cp --parents "$path" "$WORK/files")
	done
}

# commit I: for git fast-import. A backport says of which commit it is one. In the tree, the
# series is a trailer, which joins a last paragraph that is one of trailers.
commit()
{
	local date="$((BASE_DATE + 60 * ($1 + 1))) +0000" text gap=$'\n\n' i mode path
	local ident="$IDENT_NAME <$IDENT_EMAIL> $date" paths added there=() blobs
	local LC_ALL=C	# a length in bytes

	text=$(sed -e '/^---$/,$d' -e '1s/^Subject: //' "$PATCHES/${PATCH[$1]}")
	[ -z "$BACKPORTS" ] || text=${text/$'\n\n'/$'\n\n[ Upstream commit XXXXXXXXXXXX ]\n\n'}
	[[ ${text##*$'\n\n'} == "$text" ]] ||
		grep -qvE '^[A-Za-z][A-Za-z-]*: .' <<<"${text##*$'\n\n'}" || gap=$'\n'
	[ -n "$SERIES" ] || text+="${gap}Series: ${PATCH[$1]%%/*}"
	printf 'commit %s\nmark :%d\nauthor %s\ncommitter %s\ndata %d\n%s\n' "$REF" $(($1 + 1)) \
		"$ident" "$ident" $((${#text} + 1)) "$text"
	[ "$1" != 0 ] || echo "from $BASE_REV"
	cd "$WORK/files"
	mapfile -t paths < <(touched "$WORK/diff")
	read -ra added <<<"${ADDED[$1]}"
	for path in "${paths[@]}" "${added[@]}"; do
		[ -e "$path" ] && there+=("$path") || echo "D $path"
	done
	[ ${#there[@]} -gt 0 ] || return 0
	mapfile -t blobs < <(printf '%s\n' "${there[@]}" |
		bgit hash-object -w --no-filters --stdin-paths)
	for i in "${!there[@]}"; do
		mode=100644
		[ ! -x "${there[i]}" ] || mode=100755
		echo "M $mode ${blobs[i]} ${there[i]}"
	done
}

[ $# -le 1 ] || die "usage: compose.sh [SERIES], with BASE=VERSION or LINUX=DIR"
read_stack
NAMES=("${STACK[@]}")
if [ -n "$SERIES" ] && [ "$SERIES" != all ]; then
	needed=$(with_needs "$SERIES")
	mapfile -t NAMES <<<"$needed"
fi
for name in "${NAMES[@]}"; do
	parse_series "$name"
done
for name in "$PATCHES"/*/series; do
	name=$(basename "${name%/series}")
	[ -n "${LIST[$name]:-}" ] ||
		die "patches/$name: in no line of patches/stack: add one, or remove the folder"
done
BASE_REV=$("$HARNESS/source/base.sh")
# A machine of its own may have no identity; only posting needs one.
identity "$ROOT" || { IDENT_NAME=ptlock; IDENT_EMAIL=ptlock@localhost.invalid; }
lock compose
sums=$(inputs | bgit hash-object -w --stdin)
old=
[ ! -f "$STAMP" ] || read -r old START TIP <"$STAMP"
if [ "$old" != "$sums" ] || ! bgit cat-file -e "$TIP" 2>/dev/null; then
	scratch "$WORK"
	REF=refs/composed/${SERIES:-stack}/$TREE_BRANCH
	read -r BASE_DATE BASE_TITLE < <(bgit log -1 --format='%ct %s' "$BASE_REV")
	base_files
	for i in "${!PATCH[@]}"; do
		say tree "patch $((i + 1))/${#PATCH[@]} ${PATCH[i]}"
		apply_patch "${PATCH[i]}"
		add_files "$i"
		(commit "$i") >>"$WORK/commits"
	done
	# Loose objects, as many packs are slow.
	bgit -c fastimport.unpackLimit=1000000 fast-import --quiet --force \
		--export-marks="$WORK/marks" <"$WORK/commits" >"$WORK/log" 2>&1 ||
		die "the commits cannot be made: $(reason "$WORK/log")"
	i=${FIRST[${SERIES:-stack}]:-0}
	START=$(sed -n "s/^:$i //p" "$WORK/marks") TIP=$(sed -n "s/^:${#PATCH[@]} //p" "$WORK/marks")
	START=${START:-$BASE_REV}
	put "$STAMP" echo "$sums $START $TIP"
fi
echo "$BASE_REV $START $TIP $sums"
