# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Packages of Debian's that are not to be installed; sourced after lib.sh.
#
#   own_apt DIR SUITE [ARCH]   sets APT_OPTIONS for an apt whose list, state and cache are in
#                              DIR, and reads its list: what it downloads has a signature of
#                              Debian's. What apt says goes to DIR/log

own_apt()
{
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror

	need apt-get apt
	mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/get"
	# The mirror that this machine's apt gets Debian from. An empty origin: its lists
	# were never fetched, or were removed to save space.
	# shellcheck disable=SC2016 # apt expands these
	mirror=$(apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)' \
		'Identifier: Packages' 2>/dev/null |
		awk -F'|' '$1 == "Debian" && $2 !~ /security/ || $1 == "" && $3 ~ /\/debian\/?$/ {
			print $3; exit }')
	[ -n "$mirror" ] ||
		die "apt on this machine has no Debian main source to take the mirror from:" \
			"add one (for the base, BASE_FILE=linux-source.deb or LINUX=DIR do as well)"
	[ -e "$keyring" ] ||
		die "$keyring is missing: install the package debian-archive-keyring"
	put "$1/sources.list" echo "deb [signed-by=$keyring] $mirror $2 main"
	APT_OPTIONS=(
		-o Dir::Etc::sourcelist="$1/sources.list" -o Dir::Etc::sourceparts=-
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=-
		-o Dir::State::lists="$1/lists" -o Dir::Cache="$1/cache"
		-o Acquire::Languages=none -o Acquire::Retries=2
		-o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -q
	)
	# What is installed here is of no other architecture.
	[ -z "${3:-}" ] || APT_OPTIONS+=(-o APT::Architecture="$3" -o APT::Architectures::="$3"
		-o Dir::State::status=/dev/null)
	# The unprivileged user that apt downloads as may not enter build/.
	[ "$(id -u)" -ne 0 ] || APT_OPTIONS+=(-o APT::Sandbox::User=root)
	apt-get "${APT_OPTIONS[@]}" update --error-on=any >"$1/log" 2>&1 </dev/null ||
		die "cannot read Debian's package list of $2 (no network?): $(reason "$1/log")"
}

# own_download DIR PACKAGE: its .deb, to the folder DIR/get, which apt goes on in if it was cut
# short there.
own_download()
{
	(cd "$1/get" && apt-get "${APT_OPTIONS[@]}" download "$2") >>"$1/log" 2>&1 </dev/null ||
		die "cannot download $2: $(reason "$1/log")"
}
