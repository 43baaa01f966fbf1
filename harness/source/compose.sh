#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Put the series on the base: one commit a patch, in build/base.git.
#
# usage: harness/source/compose.sh     prints "BASE TIP", two commit ids
#
# Takes patches/series, the patches, the added files, and the base that BASE or
# LINUX selects. No work tree is touched; tree.sh does that. Dates are fixed, so
# that the same input gives the same commits. Nothing changed: answers from a
# stamp. Exit code: 0, or 1 with one line that names the patch, file and hunk.

. "$(dirname "$0")/../lib/lib.sh"

# Where patches/ and the added files are; refresh.sh checks a copy before it stores it.
SOURCE=${COMPOSE_FROM:-$ROOT}
PATCHES=$SOURCE/patches
STAMP=$BUILD/compose-$(base_name).stamp
REF=refs/composed/$(tree_branch)

# parse_series: sets PATCH[i] and ADDED[i] (one path a line), in order.
parse_series()
{
	local line number=0 where name

	PATCH=() ADDED=()
	[ -f "$PATCHES/series" ] || die "patches/series: no such file"
	while IFS= read -r line || [ -n "$line" ]; do
		number=$((number + 1))
		where=patches/series:$number
		[[ -n $line && $line != '#'* ]] || continue
		[[ $line =~ ^([^ #]+\.patch)(\ #\ \+((\ [^ ]+)+))?$ ]] ||
			die "$where: not 'NAME.patch' or 'NAME.patch # + path path …': $line"
		name=${BASH_REMATCH[1]}
		check_patch "$where" "$name"
		PATCH+=("$name")
		ADDED+=("$(tr ' ' '\n' <<<"${BASH_REMATCH[3]# }")")
		check_added "$where"
	done <"$PATCHES/series"
	[ ${#PATCH[@]} -gt 0 ] || die "patches/series: lists no patch"
	check_unlisted
}

check_patch()
{
	local listed

	[ -f "$PATCHES/$2" ] || die "$1: patches/$2: no such file"
	for listed in "${PATCH[@]}"; do
		[ "$listed" != "$2" ] || die "$1: $2 is listed twice"
	done
	[[ $(head -n 1 "$PATCHES/$2") == 'Subject: '?* ]] ||
		die "patches/$2:1: the first line is not 'Subject: …'"
	grep -qx -e --- "$PATCHES/$2" ||
		die "patches/$2: no line '---' between message and diff"
}

# The files that the last line read adds.
check_added()
{
	local path all

	all=$(printf '%s\n' "${ADDED[@]::${#ADDED[@]}-1}")
	while IFS= read -r path; do
		[ -n "$path" ] || continue
		case /$path/ in
		*/../* | */./* | *//*) die "$1: $path: not a path in the kernel tree" ;;
		/patches/* | /harness/* | /tests/* | /build/* | /.*)
			die "$1: $path: a commit cannot add files there" ;;
		esac
		[ -f "$SOURCE/$path" ] || die "$1: $path: no such file (the series says that it adds it)"
		! grep -qxF -- "$path" <<<"$all" || die "$1: $path: added twice"
		all+=$'\n'$path
	done <<<"${ADDED[-1]}"
}

check_unlisted()
{
	local file

	for file in "$PATCHES"/*.patch; do
		[ -e "$file" ] || continue
		grep -qxF -- "${file##*/}" < <(printf '%s\n' "${PATCH[@]}") ||
			die "patches/${file##*/}: not listed in patches/series"
	done
}

# Everything that the commits depend on.
fingerprint()
{
	local path files

	mapfile -t files < <(printf '%s\n' "${ADDED[@]}" | sed '/^$/d')
	{
		echo "2 $BASE_REV $IDENT_NAME $IDENT_EMAIL"
		(cd "$SOURCE" && sha256sum patches/series "${PATCH[@]/#/patches/}" \
			"${files[@]}")
		for path in "${files[@]}"; do
			[ ! -x "$SOURCE/$path" ] || echo "x $path"
		done
	} | sha256sum | cut -d' ' -f1
}

# explain PATCH LOG: one line from what git apply says.
explain()
{
	local file line hunk

	if IFS=: read -r file line < <(sed -n 's/^error: patch failed: //p' "$2" | head -n 1) &&
	   [ -n "$file" ]; then
		hunk=$(awk -v file="$file" -v line="$line" '
			/^--- / { here = ($2 == "a/" file) }
			here && /^@@ / && index($2, "-" line) == 1 &&
			    substr($2, length(line) + 2) ~ /^(,|$)/ { print; exit }' \
			"$PATCHES/$1")
		die "$1 does not apply to $(base_title): $file, hunk ${hunk:-at line $line}"
	fi
	die "$1 does not apply to $(base_title): $(sed 's/^error: //' "$2" | head -n 1)"
}

base_title()
{
	bgit log -1 --format=%s "$BASE_REV"
}

# apply_patch I: to the index. An empty diff (only added files) is fine.
apply_patch()
{
	local log=$WORK/log

	sed '1,/^---$/d' "$PATCHES/${PATCH[$1]}" >"$WORK/diff"
	[ -s "$WORK/diff" ] || return 0
	bgit apply --cached --whitespace=nowarn "$WORK/diff" 2>"$log" >&2 ||
		explain "${PATCH[$1]}" "$log"
}

# add_files I: those that the commit carries whole.
add_files()
{
	local path mode blob

	while IFS= read -r path; do
		[ -n "$path" ] || continue
		! bgit cat-file -e "$BASE_REV:$path" 2>/dev/null ||
			die "patches/series: ${PATCH[$1]}: $path: is already in $(base_title)"
		mode=100644
		[ ! -x "$SOURCE/$path" ] || mode=100755
		blob=$(bgit hash-object -w --no-filters "$SOURCE/$path")
		bgit update-index --add --cacheinfo "$mode,$blob,$path" 2>"$WORK/log" ||
			die "${PATCH[$1]}: $path: $(head -n 1 "$WORK/log")"
	done <<<"${ADDED[$1]}"
}

# commit I PARENT: prints the commit. The message: the subject, the body.
commit()
{
	local date message

	message=$(sed -e '/^---$/,$d' -e '1s/^Subject: //' "$PATCHES/${PATCH[$1]}")
	date="@$((BASE_DATE + 60 * ($1 + 1))) +0000"
	printf '%s\n' "$message" |
		GIT_AUTHOR_NAME=$IDENT_NAME GIT_AUTHOR_EMAIL=$IDENT_EMAIL \
		GIT_COMMITTER_NAME=$IDENT_NAME GIT_COMMITTER_EMAIL=$IDENT_EMAIL \
		GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date \
		bgit commit-tree -p "$2" "$(bgit write-tree)"
}

compose()
{
	local i tip=$BASE_REV

	WORK=$BUILD/compose.tmp
	scratch "$WORK"
	export GIT_INDEX_FILE=$WORK/index
	bgit read-tree "$BASE_REV"
	BASE_DATE=$(bgit log -1 --format=%ct "$BASE_REV")
	for i in "${!PATCH[@]}"; do
		say tree "patch $((i + 1))/${#PATCH[@]} ${PATCH[i]}"
		apply_patch "$i"
		add_files "$i"
		tip=$(commit "$i" "$tip")
	done
	unset GIT_INDEX_FILE
	bgit update-ref "$REF" "$tip"
	TIP=$tip
}

main()
{
	local print old

	[ $# -eq 0 ] || die "compose.sh takes no arguments, but BASE=VERSION or LINUX=DIR"
	BASE_REV=$("$HARNESS/source/base.sh")
	parse_series
	# A machine of its own may have no identity; only posting needs one.
	identity "$ROOT" || { IDENT_NAME=ptlock; IDENT_EMAIL=ptlock@localhost.invalid; }
	lock compose
	print=$(fingerprint)
	TIP=
	old=
	[ ! -f "$STAMP" ] || read -r old TIP <"$STAMP"
	if [ "$old" != "$print" ] || ! bgit cat-file -e "$TIP" 2>/dev/null; then
		compose
		echo "$print $TIP" | put "$STAMP"
	fi
	echo "$BASE_REV $TIP"
}

main "$@"
