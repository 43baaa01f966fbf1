#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# windows.sh: hits the windows in which a page table goes away, on base and series.
#
# in:   windows/: widen.patch, windows.tsv, the programs (see README.md there); TESTS, DURATION,
#       AGAIN; MUTANT=FILE, a patch that breaks the stack: then only that is booted, and has to
#       lose what the base does
# out:  build/windows/TEST/{base,series,mutant}/ (logs), a record of each but mutants; a
#       table on stdout, its last line "N windows, N not hit, N wrong"
# exit: 0 when each window was hit on both sides, or only stretched where windows.tsv says
#       that no other task gets in, each test lost on the base what it should, and nothing on the
#       series; 1 otherwise

. "$(dirname "$0")/../lib/lib.sh"
SIDES=$BUILD/windows$SUFFIX
. "$HARNESS/prove/pair.sh"

WINDOWS=$HARNESS/prove/windows
TABLE=harness/prove/windows/windows.tsv
export DURATION=${DURATION:-10} AS=window TEST=
NAMES=(base series)
[ -z "${MUTANT:-}" ] || NAMES=(mutant)

# lines: those of windows.tsv that are asked for.
lines()
{
	awk -F'\t' -v tests=" ${TESTS:-} " '/^#/ || $1 == "window" { next }
		tests ~ /^ *$/ || index(tests, " " $3 " ")' "$ROOT/$TABLE"
}

# widen SIDE: adds the hooks to an index, and the mutant's patch to that of a mutant.
# shellcheck disable=SC2317 # make_sides calls it
widen()
{
	local file

	for file in "$WINDOWS/widen.patch" ${MUTANT:+"$MUTANT"}; do
		bgit apply --cached "$file" || die "$file does not apply: make it again"
	done
}

# make_guest PROGRAM CELL: the kernel and the initramfs of the side, which runs one test.
make_guest()
{
	local uapi=$SIDES/uapi-$CELL_arch root=$SIDES/root

	"$HARNESS/guest/kernel.sh" "$2"
	: >"$LOG"
	[[ $HEADERS = *" $CELL_arch "* ]] || make_headers "$uapi"
	HEADERS+=" $CELL_arch "
	scratch "$root"
	mkdir "$root/bin"
	run "${CELL_cross}gcc" -static -O2 -Wall -ffile-prefix-map="$WINDOWS/=" \
		-isystem "$uapi/usr/include" -I "$TREE/tools/testing/selftests" \
		-o "$root/bin/$1" "$WINDOWS/$1.c"
	echo "$TEST 60 $1 -r $TEST.race" >"$root/selftests"
	guest_root "$root"
}

# outcome WINDOW CELL LOST: boots the test; sets HITS, STRETCHED, RESULT (held, lost, or what
# else there is to say), and SAID, all of it in a line.
outcome()
{
	local said=

	RESULT="FAILED, see ${LOGS#"$ROOT/"}/"
	! boot_to "$LOGS" "$2" || RESULT=held
	[ "$RESULT" = held ] || [ "$3" = - ] ||
		! said=$(grep -ahm1 -E -- "$3" "$LOGS"/{port,console}.log) || RESULT=lost
	HITS=$(sed -nE "s/.*window $1: ([0-9]+) hits.*/\1/p" "$LOGS"/{port,console}.log |
		sort -n | tail -n1)
	HITS=${HITS:-0}
	STRETCHED=$(sed -nE "s/.*window $1: .* stretched ([0-9]+) .*/\1/p" "$LOGS/port.log" |
		tail -n1)
	said=${said%%$'\n'*} said=${said#"# "}
	SAID="$RESULT, $HITS hits${said:+: ${said//[$'\t\r']/ }}"
	printf '%s\n' "$SAID" >"$LOGS/said"
	printf 'window\thits\n%s\t%s\n' "$1" "$HITS" >"$LOGS/figures.tsv"
}

# one_side SIDE WINDOW PROGRAM TEST CELL SERIES LOST [SHUT]: sets SAID, how it went there,
# and clears HIT and RIGHT when it should not have.
one_side()
{
	local expected=lost good=pass shut=

	[[ ,${8:-}, != *",$1,"* ]] || shut=1

	LOGS=$SIDES/$4/$1 LOG=$SIDES/$4/$1/user.log
	mkdir -p "$LOGS"
	side "$1" "$5"
	echo "$*" >"$LOGS/line"
	begin_record "$LOGS/line" "$WINDOWS/$3.c" "$WINDOWS"/{race.h,../repro/repro.h,widen.patch}
	if still_good window "$4" "$1"; then
		SAID=$(recorded window "$4" "$1")
		return
	fi
	say windows "$4, $1"
	make_guest "$3" "$5"
	outcome "$2" "$5" "$7"
	[ -z "$shut" ] && [ "$1" != series ] && [ "$7" != - ] || expected=held
	if [ -n "$shut" ]; then
		[ "${STRETCHED:-0}" -gt 0 ] && [ "$HITS" = 0 ]
	else
		[ "$HITS" -gt 0 ]
	fi || HIT='' good=fail
	[ "$RESULT" = "$expected" ] || RIGHT='' good=fail
	[ "$1" = mutant ] ||
		record window "$4" "$good" "$SAID" --side "$1" --figures "$LOGS/figures.tsv"
}

no_arguments "$@"
[[ $DURATION =~ ^([1-9]|1[0-9]|20)$ ]] ||
	die "DURATION=$DURATION: it is a number of seconds, from 1 to 20"
[ -z "${MUTANT:-}" ] || [ -f "$MUTANT" ] || die "MUTANT=$MUTANT: no such patch"
for name in ${TESTS:-}; do
	cut -f3 "$ROOT/$TABLE" | grep -qxF -- "$name" || die "no test '$name' in $TABLE"
done
while IFS=$'\t' read -r _ program name _ _ lost _; do
	[ -n "$lost" ] || die "$TABLE: $name: fewer than 6 columns"
	[ -f "$WINDOWS/$program.c" ] || die "$TABLE: $name: no harness/prove/windows/$program.c"
done < <(lines)
mapfile -t CELLS < <(lines | cut -f4 | sort -u)
load_cells "${CELLS[@]}"
lock windows
"$HARNESS/gate/deps.sh" "${CELLS[@]}"
the_tree head
make_sides widen "${NAMES[@]}"
HEADERS='' COUNT=0 NOT_HIT=0 WRONG=0
printf '%-15s %-23s %-15s %-18s' window test cell "closed by"
printf '  %-18s' "${NAMES[@]}"
while IFS=$'\t' read -ru 3 -a line; do
	HIT=1 RIGHT=1 TEST=${line[2]} ROW=
	for name in "${NAMES[@]}"; do
		one_side "$name" "${line[@]}"
		ROW+=$(printf '  %-18s' "${SAID%%:*}")
	done
	printf '\n%-15s %-23s %-15s %-18s%s' "${line[@]:0:1}" "${line[@]:2:3}" "$ROW"
	COUNT=$((COUNT + 1)) NOT_HIT=$((NOT_HIT + !${HIT:-0})) WRONG=$((WRONG + !${RIGHT:-0}))
done 3< <(lines)
printf '\n%s windows, %s not hit, %s wrong\n' "$COUNT" "$NOT_HIT" "$WRONG"
[ "$NOT_HIT$WRONG" = 00 ]
