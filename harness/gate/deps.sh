#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# deps.sh [--lint] [CELL...]: installs what is missing, with one call of apt-get.
#
# in:   the lists below, packages of the cells named; --lint: what
#       the checks need as well
# out:  installed packages; on stderr which and what for, when there are any
# exit: 0 all there; 1 with one line that names what is missing
#
# Asks nothing: root, or sudo that needs no password. Where neither apt-get nor
# root is to be had, it names what is missing.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

# For every cell: package=what it is for
COMMON=(
	git="composing the tree"
	python3="reading results"
	make="building the kernel"
	gcc="building the kernel's own tools"
	libc6-dev="building the kernel's own tools"
	flex="the kernel's Kconfig"
	bison="the kernel's Kconfig"
	bc="the kernel's time constants"
	libelf-dev="the kernel's objtool"
	xz-utils="unpacking the kernel source"
	debian-archive-keyring="checking the kernel source's signature"
	perl="the kernel's scripts"
	cpio="the initramfs"
	e2fsprogs="the disk with the file system under test"
	ccache="building again"
	parallel="running the matrix"
	rsync="spreading the matrix over hosts"
	openssh-client="spreading the matrix over hosts"
)
LINT=(
	shellcheck="checking the scripts"
	sparse="checking the series"
	coccinelle="checking the series"
	quilt="checking that patches/ is a quilt series"
	git-email="checking that the series can be mailed"
	libmailtools-perl="git send-email"
	spin="checking the model"
)

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# wanted PACKAGE REASON: remember it if it is not there. A tool that came
# without a package does as well.
wanted()
{
	installed "$1" || command -v "$1" >/dev/null && return
	[[ " ${MISSING[*]} " != *" $1 "* ]] || return 0
	MISSING+=("$1")
	WHY+=("$1 ($2)")
}

# run_root CMD...: as root, or through a sudo that asks nothing.
run_root()
{
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

install_missing()
{
	local log=$BUILD/deps.log by_hand="apt-get install ${MISSING[*]}"

	command -v apt-get >/dev/null ||
		die "missing: ${MISSING[*]}: no apt-get here, install them by other means"
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
		die "missing: ${MISSING[*]}: neither root nor sudo without a password; run as root: $by_hand"
	: >"$log"
	note "installing: $(printf '%s, ' "${WHY[@]}" | sed 's/, $//')"
	# Without package indexes, or with old ones, it takes an update first.
	apt_install || {
		run_root apt-get update >>"$log" 2>&1 && apt_install
	} || die "apt-get install failed: see $log; by hand: $by_hand"
}

apt_install()
{
	run_root apt-get install -y --no-install-recommends "${MISSING[@]}" \
		>>"$log" 2>&1 </dev/null
}

MISSING=()
WHY=()
if [ "${1:-}" = --lint ]; then
	COMMON+=("${LINT[@]}")
	shift
fi
for item in "${COMMON[@]}"; do
	wanted "${item%%=*}" "${item#*=}"
done
for cell; do
	load_cell "$cell"
	for package in $CELL_packages; do
		wanted "$package" "cell $cell"
	done
done
mkdir -p "$BUILD" || die "cannot create $BUILD"
[ ${#MISSING[@]} = 0 ] || install_missing
