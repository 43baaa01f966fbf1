#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# series.sh: a series as mails, cover letter and patches.
#
# in:   SERIES=NAME, composed; patches/SERIES/0000-cover-letter.txt (subject, blank line, body);
#       git's identity, which becomes From and Signed-off-by; V=2 makes it [PATCH v2 …].
#       NOSIGN=1, for lint.sh: without sign-off and addresses
# out:  build/post/SERIES/ (OUT=DIR: DIR/SERIES), its name on stdout; what was there before is
#       in SERIES.old. git am of it was seen to give the tree of patches/
# exit: 0, or 1 with one line on stderr and the directory as it was

. "$(dirname "$0")/../lib/lib.sh"

TREE=$TREE_DIR
MAILS=${OUT:-$BUILD/post${BACKPORTS:+-$BACKPORTS}}/${SERIES:-}
WORK=$BUILD/post.tmp

# describe: a branch for format-patch, with the cover letter as its description. The
# base is an import of a package: its commit id means nothing to others, its name does.
describe()
{
	local cover=patches/$SERIES$FOLDER/0000-cover-letter.txt text

	COVER=$ROOT/$cover
	[ -s "$COVER" ] || die "$cover is missing: subject, blank line, body"
	awk 'NR == 1 && !NF || NR == 2 && NF { exit 1 }' "$COVER" ||
		die "$cover: must be a subject, a blank line, the body"
	at_exit bgit branch -q -D "post/$SERIES"
	bgit branch -q -f "post/$SERIES" "$TIP_REV"
	text=$(<"$COVER")$'\n\n'"Based on: $(bgit log -1 --format=%s "$BASE_REV")"
	bgit config "branch.post/$SERIES.description" "$text"
}

# format DIR ARG...
format()
{
	local args=(-o "$1" --cover-letter --cover-from-description=subject --base="$BASE_REV"
		--numbered --thread=shallow --no-renames --abbrev=12 --diff-algorithm=myers "${@:2}")

	[ "${V:-1}" = 1 ] || args+=(-v "$V")
	[ -z "$BACKPORTS" ] || args+=(--subject-prefix="PATCH $BACKPORTS.y")
	on NOSIGN || args+=(-s)
	# git looks only into the commits for what the cover letter is encoded in.
	bgit log --format=%B "$START_REV..$TIP_REV" | LC_ALL=C grep -q '[^ -~	]' ||
		! LC_ALL=C grep -q '[^ -~	]' "$COVER" ||
		args+=(--add-header='Content-Type: text/plain; charset=UTF-8')
	bgit format-patch -q "${args[@]}" "$START_REV..post/$SERIES"
}

# addresses: sets ADDRESSES; Cc: are those whom the kernel's own script names.
addresses()
{
	local all files

	ADDRESSES=()
	! on NOSIGN || return 0
	format "$WORK/bare"
	mapfile -t files < <(find "$WORK/bare" -name '*.patch' ! -name '*0000-*')
	all=$(cd "$TREE" && ./scripts/get_maintainer.pl --no-git --no-git-fallback \
		--no-rolestats --no-roles "${files[@]}" 2>"$WORK/log" | grep -vF "<$IDENT_EMAIL>") ||
		die "get_maintainer.pl names nobody: $(reason "$WORK/log")"
	mapfile -t ADDRESSES < <(tr , '\n' <<<"${LIST[$SERIES]}" | sed 's/^/--to=/'
		grep -vxF "${LIST[$SERIES]//,/$'\n'}" <<<"$all" | sed 's/^/--cc=/')
}

# verify: git am gives what patches/ gives; in a repository of the files that the series changes,
# as an index of all files takes a second for each patch.
verify()
{
	local am=$WORK/am files there patches

	mapfile -t files < <(bgit diff --name-only --no-renames "$START_REV" "$TIP_REV")
	mapfile -t there < <(bgit ls-tree -r --name-only "$START_REV" -- "${files[@]}")
	pgit init -q "$am"
	[ ${#there[@]} = 0 ] || bgit archive "$START_REV" -- "${there[@]}" | tar -C "$am" -xf -
	pgit -C "$am" add -f .
	GIT_AUTHOR_NAME=$IDENT_NAME GIT_AUTHOR_EMAIL=$IDENT_EMAIL \
		pgit -C "$am" commit -q --allow-empty -m base
	mapfile -t patches < <(find "$WORK/mails" -name '*.patch' ! -name '*0000-*' | sort)
	pgit -C "$am" am -q --whitespace=nowarn --empty=keep "${patches[@]}" >"$WORK/log" 2>&1 ||
		die "git am refuses the series: $(head -n 1 "$WORK/log")"
	[ "$(pgit -C "$am" ls-tree -r HEAD)" = "$(bgit ls-tree -r "$TIP_REV" -- "${files[@]}")" ] ||
		die "git am of the series gives another tree than patches/"
}

no_arguments "$@"
[[ ${V:-1} =~ ^[1-9][0-9]*$ ]] || die "V=$V: give the number of the version, such as V=2"
read_stack
[ -n "${SERIES:-}" ] || die "say which: SERIES=NAME, one of ${STACK[*]}"
with_needs "$SERIES" >/dev/null
if on NOSIGN; then
	IDENT_NAME=nobody IDENT_EMAIL=nobody@localhost.invalid
else
	identity "$ROOT" ||
		die "no identity to sign off with: git config user.name and user.email first"
	"$HARNESS/source/tree.sh" -q >/dev/null
	composed ""
	[ "$(tgit rev-parse HEAD)$(tgit status --porcelain -uno)" = "$TIP_REV" ] ||
		die "$TREE has work that patches/ does not have: make refresh first"
fi
export GIT_COMMITTER_NAME=$IDENT_NAME GIT_COMMITTER_EMAIL=$IDENT_EMAIL
lock series
scratch "$WORK"
composed "$SERIES"
say series "$SERIES: formatting $(bgit rev-list --count "$START_REV..$TIP_REV") patches"
describe
addresses
format "$WORK/mails" "${ADDRESSES[@]}"
say series "$SERIES: applying it again with git am"
verify
mkdir -p "$(dirname "$MAILS")"
rm -rf "$MAILS.old"
[ ! -e "$MAILS" ] || mv "$MAILS" "$MAILS.old"
mv "$WORK/mails" "$MAILS"
on NOSIGN || [ -z "$BACKPORTS" ] ||
	note "fill in the commits: grep -n XXXXXXXXXXXX $MAILS/*"
on NOSIGN || note "to mail it: git send-email $MAILS"
echo "$MAILS"
