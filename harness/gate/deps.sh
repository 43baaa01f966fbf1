#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# deps.sh [--GATE...] [CELL...]: installs what is missing, with one call of apt-get.
#
# in:   deps.tsv: the lines for all, and those of each GATE; the packages of each CELL; root,
#       or sudo without a password; DEPS=skip: does nothing
# exit: 0 all there; 1 with one line that names what is missing

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

TABLE=$HARNESS/gate/deps.tsv
MISSING=() WHY='' ABSENT=
SUDO=(sudo -n)
[ "$(id -u)" != 0 ] || SUDO=()

# wanted PACKAGE COMMAND REASON: remember it if it is not there.
wanted()
{
	[[ " ${MISSING[*]} " != *" $1 "* ]] || return 0
	if [ "$2" != - ]; then
		! command -v "$2" >/dev/null || return 0
	else
		[[ -n $INSTALLED && $INSTALLED != *" $1 "* ]] || return 0
	fi
	MISSING+=("$1")
	WHY+="$1 ($3), "
	ABSENT+="$2 ($1), "
}

gates=' all '
while [[ ${1:-} = --* ]]; do
	cut -f2 "$TABLE" | grep -qx -- "${1#--}" || die "deps.sh $1: deps.tsv has no such gate"
	gates+="${1#--} "
	shift
done
[[ ${DEPS:-skip} = skip ]] || die "DEPS=$DEPS: it is skip, or nothing"
[ -z "${DEPS:-}" ] || exit 0
# Empty where there is no dpkg.
INSTALLED=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null |
	sed -n 's/^installed/ /p' | tr '\n' ' ') || true
while IFS=$'\t' read -r package gate command reason; do
	[[ $gates != *" $gate "* ]] || wanted "$package" "$command" "$reason"
done < <(grep -v '^#' "$TABLE")
for cell; do
	load_cell "$cell"
	for package in $CELL_packages; do
		command=-
		[[ $package != gcc* ]] || command=${CELL_cross}gcc
		[[ $package != qemu* || -z $CELL_qemu ]] || command=${CELL_qemu%% *}
		wanted "$package" "$command" "cell $cell"
	done
done
[ ${#MISSING[@]} -gt 0 ] || exit 0
by_hand="apt-get install ${MISSING[*]}"
command -v apt-get >/dev/null || die "missing: ${ABSENT%, }: not Debian here, install them" \
	"by other means, or DEPS=skip"
"${SUDO[@]}" true 2>/dev/null || die "missing: ${MISSING[*]}: neither root nor sudo without" \
	"a password; run as root: $by_hand"
mkdir -p "$BUILD"
note "installing: ${WHY%, }"
get=("${SUDO[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
install=("${get[@]}" install -y --no-install-recommends "${MISSING[@]}")
# Without package indexes, or with old ones, it takes an update first.
{ "${install[@]}" || { "${get[@]}" update && "${install[@]}"; }; } \
	>"$BUILD/deps.log" 2>&1 </dev/null ||
	die "apt-get install failed: see $BUILD/deps.log; by hand: $by_hand"
