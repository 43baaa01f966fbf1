#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Write the mail-ready series to build/series/: cover letter and patches.
#
# usage: harness/post/series.sh [V=N]     prints the directory on stdout
#
# Takes patches/ as composed by compose.sh, patches/0000-cover-letter.txt
# (subject, blank line, body) and the identity from git's configuration, which
# becomes From and Signed-off-by: the stored patches carry nobody's. Cc: comes
# from the kernel's get_maintainer.pl. V=2 makes it [PATCH v2 …].
# NOSIGN=1 leaves the sign-off and Cc: out, for checking only (lint.sh).
# OUT=DIR writes there. The result is applied again with git am and compared.
#
# Exit code: 0, or 1 with one line on stderr and build/series as it was.

. "$(dirname "$0")/../lib/lib.sh"

TREE=$(tree_dir)
OUT=${OUT:-$BUILD/series}
WORK=$BUILD/series.tmp
COVER=$PATCHES/0000-cover-letter.txt

tgit()
{
	pgit -C "$TREE" "$@"
}

check_input()
{
	[[ ${V:-1} =~ ^[1-9][0-9]*$ ]] || die "V=$V: give the number of the version, such as V=2"
	[ -s "$COVER" ] || die "patches/0000-cover-letter.txt is missing: subject, blank line, body"
	awk 'NR == 1 && !NF || NR == 2 && NF { exit 1 }' "$COVER" ||
		die "patches/0000-cover-letter.txt: must be a subject, a blank line, the body"
	if [ -n "${NOSIGN:-}" ]; then
		IDENT_NAME=nobody IDENT_EMAIL=nobody@localhost.invalid
		return
	fi
	identity "$ROOT" ||
		die "no identity to sign off with: git config user.name and user.email first"
	[[ $IDENT_EMAIL == *@* ]] || die "user.email '$IDENT_EMAIL' is no address"
	[ "$(tgit rev-parse HEAD)$(tgit status --porcelain -uno)" = "$TIP" ] ||
		die "$TREE has work that patches/ does not have: make refresh first"
}

# The commits again, with the sign-off, beside the branch.
sign()
{
	local commit tip=$BASE_REV n=0 date

	while read -r commit; do
		n=$((n + 1))
		date=$(tgit log -1 --format=%cd --date=raw "$commit")
		tip=$(tgit log -1 --format=%B "$commit" |
			pgit interpret-trailers --if-exists addIfDifferent \
				--trailer "Signed-off-by: $IDENT_NAME <$IDENT_EMAIL>" |
			GIT_AUTHOR_NAME=$IDENT_NAME GIT_AUTHOR_EMAIL=$IDENT_EMAIL \
			GIT_COMMITTER_NAME=$IDENT_NAME GIT_COMMITTER_EMAIL=$IDENT_EMAIL \
			GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date \
			bgit commit-tree -p "$tip" "$commit^{tree}")
	done < <(tgit rev-list --reverse "$BASE_REV..$TIP")
	SIGNED=$tip
}

format()
{
	local file version=()

	[ "${V:-1}" = 1 ] || version=(-v "$V")
	GIT_COMMITTER_NAME=$IDENT_NAME GIT_COMMITTER_EMAIL=$IDENT_EMAIL \
	GIT_AUTHOR_NAME=$IDENT_NAME GIT_AUTHOR_EMAIL=$IDENT_EMAIL \
	tgit format-patch -q -o "$WORK/series" --cover-letter --base="$BASE_REV" \
		--numbered --thread=shallow --no-renames --abbrev=12 \
		--diff-algorithm=myers "${version[@]}" "$BASE_REV..$SIGNED"
	# With -v the names start with vN-; the order by name stays.
	if [ ${#version[@]} -gt 0 ]; then
		for file in "$WORK/series/v$V"-*; do
			mv "$file" "$WORK/series/${file##*/"v$V-"}"
		done
	fi
}

# The blurb of format-patch's cover letter gives way to ours. The base is an
# import of a package: its commit id means nothing to others, its name does.
cover()
{
	local file=$WORK/series/0000-cover-letter.patch

	python3 - "$file" "$COVER" "$(bgit log -1 --format=%s "$BASE_REV")" <<'PY'
import pathlib
import sys
from email.header import Header

path, cover, base = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
subject, _, body = cover.read_text().partition("\n")
if not subject.isascii():
    subject = Header(subject, "utf-8").encode()
text = path.read_text()
text = text.replace("*** SUBJECT HERE ***", subject, 1)
text = text.replace("*** BLURB HERE ***", f"{body.strip()}\n\nBased on: {base}", 1)
if not text.isascii() and "\nContent-Type:" not in text:
    head, _, rest = text.partition("\n\n")
    text = (head + "\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8"
            "\nContent-Transfer-Encoding: 8bit\n\n" + rest)
path.write_text(text)
PY
}

# Whom the kernel's own script names for a patch.
maintainers()
{
	(cd "$TREE" && ./scripts/get_maintainer.pl --no-git --no-git-fallback \
		--no-rolestats --no-roles "$1") 2>"$WORK/log" ||
		die "get_maintainer.pl fails on ${1##*/}: $(head -n 1 "$WORK/log")"
}

# add_cc FILE: the addresses of $WORK/cc, at the end of the mail header. A From
# that format-patch folded goes back to one line: b4 stumbles over it.
add_cc()
{
	awk -v list="$WORK/cc" '
		!done && /^From: / { getline more
			if (sub(/^ /, "", more)) print $0 " " more
			else print $0 "\n" more
			next }
		BEGIN { while ((getline line < list) > 0) cc = cc "Cc: " line "\n" }
		!done && /^$/ { printf "%s", cc; done = 1 }
		{ print }' "$1" >"$1.new"
	mv "$1.new" "$1"
}

address_all()
{
	local file n=0

	[ -x "$TREE/scripts/get_maintainer.pl" ] ||
		die "$TREE has no scripts/get_maintainer.pl"
	: >"$WORK/all"
	for file in "$WORK"/series/*.patch; do
		[[ ${file##*/} != 0000-* ]] || continue
		n=$((n + 1))
		say series "$n/$COUNT Cc: of ${file##*/}"
		maintainers "$file" | grep -vF "<$IDENT_EMAIL>" >"$WORK/cc" || true
		[ -s "$WORK/cc" ] || die "get_maintainer.pl names nobody for ${file##*/}"
		cat "$WORK/cc" >>"$WORK/all"
		add_cc "$file"
	done
	sort -u "$WORK/all" >"$WORK/cc"
	add_cc "$WORK/series/0000-cover-letter.patch"
}

# git am on the base gives the composed tree; in a work tree without files.
verify()
{
	local dir=$WORK/am patches

	mapfile -t patches < <(find "$WORK/series" -name '*.patch' \
		! -name '0000-*' | sort)
	say series "applying it again with git am"
	bgit worktree add -q --detach --no-checkout "$dir" "$BASE_REV"
	at_exit bgit worktree remove --force "$dir"
	pgit -C "$dir" sparse-checkout set --no-cone /none >/dev/null
	pgit -C "$dir" read-tree -m -u HEAD
	GIT_COMMITTER_NAME=$IDENT_NAME GIT_COMMITTER_EMAIL=$IDENT_EMAIL \
	pgit -C "$dir" am -q --whitespace=nowarn --empty=keep \
		"${patches[@]}" >"$WORK/log" 2>&1 || die "git am refuses the series: $(head -n 1 "$WORK/log")"
	[ "$(pgit -C "$dir" rev-parse 'HEAD^{tree}')" = "$(tgit rev-parse "$TIP^{tree}")" ] ||
		die "git am of the series gives another tree than patches/"
}

main()
{
	local rev arg

	for arg; do
		[[ $arg == V=* ]] || die "usage: series.sh [V=N]"
		V=${arg#V=}
	done
	[ -d "$TREE" ] || "$HARNESS/source/tree.sh" >/dev/null
	rev=$("$HARNESS/source/compose.sh")
	BASE_REV=${rev% *} TIP=${rev#* }
	check_input
	lock series
	scratch "$WORK"
	COUNT=$(tgit rev-list --count "$BASE_REV..$TIP")
	SIGNED=$TIP
	[ -n "${NOSIGN:-}" ] || sign
	say series "formatting $COUNT patches"
	format
	cover
	[ -n "${NOSIGN:-}" ] || address_all
	verify
	rm -rf "$OUT"
	mv "$WORK/series" "$OUT"
	echo "$OUT"
}

main "$@"
