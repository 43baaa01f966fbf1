#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# base.sh: the kernel source that the stack goes on, as one commit in build/base.git.
#
# in:   BASE, LINUX (the HEAD of a git tree, or a copy of a directory), BASE_FILE, SUITE
# out:  the tag base/7.3, base/linux …; the commit id on stdout
# exit: 0, or 1 with one line on stderr; the next run goes on from what is whole
#
# Debian's is not fetched again, whatever newer version there is: remove build/base.git for that.

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/lib/apt.sh"

TAG=refs/tags/base/$BASE_NAME
LOG=$BUILD/base.log
GIT_NEEDED=2.34		# for am --empty

base_rev()
{
	bgit rev-parse -q --verify "$TAG^{commit}" 2>/dev/null
}

# import WHAT ORIGIN VERSION COMMAND...: the tar that the command prints becomes the base, once
# the whole pipe is known to have succeeded.
import()
{
	need_space 2500 "importing the kernel source"
	say base "importing $1 (a minute)"
	# What a killed import left behind.
	rm -f "$BASE_GIT"/objects/pack/tmp_* "$BASE_GIT"/fast_import_crash_*
	{ "${@:4}" | python3 "$HARNESS/source/tar2git.py" refs/import/new "$2" "$3" |
		bgit -c fastimport.unpackLimit=0 fast-import --quiet --force --depth=0 >/dev/null
	} 2>"$LOG" ||
		die "cannot import $1: $(sed -n 's/^tar2git: //p' "$LOG" | grep -m1 . ||
			reason "$LOG") (if it is a file that is damaged, remove it)"
	bgit update-ref "$TAG" refs/import/new
	bgit update-ref -d refs/import/new
}

# Sets BASE_FILE to the package's file, fetched and verified by apt.
download()
{
	local known package=linux-source-$BASE apt=$BUILD/apt suite=trixie-backports

	mkdir -p "$apt"
	# An earlier run got it, and the import was cut short.
	BASE_FILE=$(base_deb)
	[ -z "$BASE_FILE" ] || return 0
	[ "$BASE" != 6.12 ] || suite=trixie
	suite=${SUITE:-$suite}
	say base "reading the package list of $suite"
	own_apt "$apt" "$suite"
	known=$(apt-cache "${APT_OPTIONS[@]}" search --names-only \
		'^linux-source-[0-9.]+$' 2>>"$apt/log" |
		sed 's/^linux-source-\([0-9.]*\) .*/\1/' | sort -V | xargs)
	[[ " $known " = *" $BASE "* ]] ||
		die "Debian's $suite has no $package: BASE can be ${known:-nothing there}"
	need_space 400 "downloading $package"
	say base "downloading $package (about 160 MiB)"
	own_download "$apt" "$package"
	mv "$apt/get/$package"_*.deb "$apt/"
	BASE_FILE=$(base_deb)
}

# unpack FILE: the tar in it, plain; that of a package is inside.
unpack()
{
	case $1 in
	*.deb)
		dpkg-deb --fsys-tarfile "$1" |
			tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc -T2 ;;
	*.xz) xz -dc -T2 "$1" ;;
	*.gz) gzip -dc "$1" ;;
	*) cat "$1" ;;
	esac
}

fetch_linux_git()
{
	local head

	head=$(linux_git rev-parse -q --verify 'HEAD^{commit}') ||
		die "LINUX=$LINUX: its git repository has no commit"
	linux_git cat-file -e HEAD:mm/Makefile 2>/dev/null ||
		die "LINUX=$LINUX: not a Linux source tree"
	[ -z "$(linux_git status --porcelain -uno | head -n 1)" ] ||
		note "note: $LINUX has uncommitted changes, they are not included"
	[ "$(base_rev)" != "$head" ] || return 0
	need_space 2500 "fetching the kernel source"
	say base "fetching $(linux_git log -1 --format='%h (%s)') of $LINUX"
	# A path, not a URL, in which git decodes %41. A blobless clone is to get the rest.
	bgit fetch -q --depth=1 --no-tags \
		--upload-pack="env GIT_NO_LAZY_FETCH=0 git -c safe.directory=* upload-pack" \
		"$LINUX" "+HEAD:$TAG" >"$LOG" 2>&1 ||
		die "cannot fetch from LINUX=$LINUX: $(reason "$LOG")"
}

import_linux_dir()
{
	local origin

	[ -f "$LINUX/mm/Makefile" ] || die "LINUX=$LINUX: not a Linux source tree"
	if [ -e "$LINUX/.config" ] || [ -e "$LINUX/include/generated" ]; then
		die "LINUX=$LINUX was built in: give a clean copy (make mrproper) or a git tree"
	fi
	# Names, sizes and times: a directory has no commit id.
	origin="copy $(find "$LINUX" -name .git -prune -o ! -type d -printf '%P %s %T@\n' |
		sort | sha256sum | cut -c-16)"
	[[ "$(bgit log -1 --format=%s "$TAG" 2>/dev/null)" != *"($origin)"* ]] || return 0
	import "a copy of $LINUX" "$origin" "" tar -C "$LINUX" --exclude=./.git -cf - .
}

no_arguments "$@"
[ -n "${LINUX:-}" ] || [[ $BASE =~ ^[0-9]+\.[0-9]+$ ]] ||
	die "BASE=$BASE: give a version such as $DEFAULT_BASE"
need git git
version=$(git version | cut -d' ' -f3)
printf '%s\n' "$GIT_NEEDED" "$version" | sort -V -C ||
	die "git $version is too old: $GIT_NEEDED is the first that can do all of this"
need python3 python3
need xz xz-utils
[ -z "${BASE_FILE:-}" ] || [ -f "$BASE_FILE" ] || die "BASE_FILE=$BASE_FILE: no such file"
lock base
if [ ! -d "$BASE_GIT" ]; then
	# Nothing is compressed: the import is four times faster. The user's settings do not count.
	scratch "$BASE_GIT.new"
	pgit init -q --bare "$BASE_GIT.new"
	printf '\t%s\n' 'compression = 0' 'autocrlf = false' 'logAllRefUpdates = true' \
		'[gc] auto = 0' '[advice] detachedHead = false' >>"$BASE_GIT.new/config"
	mv "$BASE_GIT.new" "$BASE_GIT"
fi
if [ -z "${LINUX:-}" ]; then
	if ! base_rev >/dev/null; then
		[ -n "${BASE_FILE:-}" ] || download
		origin=${BASE_FILE##*/}
		if [[ $origin = *.deb ]]; then
			version=$(dpkg-deb -f "$BASE_FILE" Version 2>"$LOG") ||
				die "$BASE_FILE is not a Debian package, remove it: $(reason "$LOG")"
			origin="Debian linux-source-$BASE $version"
		fi
		import "$BASE_FILE" "$origin" "$BASE" unpack "$BASE_FILE"
	fi
elif [[ $LINUX/ = "$BUILD"/* ]]; then
	die "LINUX=$LINUX: is a tree of this build directory, give another"
elif [ "$(linux_git rev-parse --show-toplevel 2>/dev/null)" = "$LINUX" ]; then
	fetch_linux_git
else
	import_linux_dir
fi
base_rev
