#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# windows.sh: hits the windows in which a page table goes away, on base and series.
#
# in:   harness/prove/windows/: widen.patch, windows.tsv (or TESTS="TEST TEST ..." of it), the
#       programs; DURATION=10, seconds until a test that does not fail ends;
#       MUTANT=FILE, a patch that breaks the series: then only that is booted, and has
#       to lose what the base does
# out:  build/windows/TEST/{base,series,mutant}/ (logs), a table on stdout, its last
#       line "N windows, N not hit, N wrong"
# exit: 0 when each window was hit on both sides, each test lost on the base what it
#       should, and nothing on the series; 1 otherwise
#
# A window is hit when what is in the page table, or in the pmd that refers to it, was
# seen to change while a thread was in it: see widen.patch. Each test has a guest of
# its own, since the base may not survive it.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

OUT=$BUILD/windows$(tree_branch | sed 's/^series//')
WINDOWS=$HARNESS/prove/windows
DURATION=${DURATION:-10}
SIDES=(base series)
[ -z "${MUTANT:-}" ] || SIDES=(mutant)

# lines: those of windows.tsv that are asked for.
lines()
{
	awk -F'\t' -v tests=" ${TESTS:-} " '/^#/ || $1 == "window" { next }
		tests ~ /^ *$/ || index(tests, " " $3 " ")' "$WINDOWS/windows.tsv"
}

check_arguments()
{
	local name program test cell lost

	[ $# = 0 ] || die "windows.sh takes no arguments, but TESTS=\"…\" and DURATION=SECONDS"
	[[ $DURATION =~ ^([1-9]|1[0-9]|20)$ ]] ||
		die "DURATION=$DURATION: it is a number of seconds, from 1 to 20"
	[ -z "${MUTANT:-}" ] || [ -f "$MUTANT" ] || die "MUTANT=$MUTANT: no such patch"
	for name in ${TESTS:-}; do
		cut -f3 "$WINDOWS/windows.tsv" | grep -qxF -- "$name" ||
			die "no test '$name' in harness/prove/windows/windows.tsv"
	done
	while IFS=$'\t' read -r _ program test cell _ lost; do
		[ -n "$lost" ] || die "harness/prove/windows/windows.tsv: $test: not 6 columns"
		[ -f "$WINDOWS/$program.c" ] ||
			die "harness/prove/windows/windows.tsv: $test: no harness/prove/windows/$program.c"
		load_cell "$cell"
	done < <(lines)
}

# widen [PATCH]: adds the hooks to an index, and that patch.
# shellcheck disable=SC2317 # variant calls it
widen()
{
	local file

	for file in "$WINDOWS/widen.patch" "$@"; do
		bgit apply --cached "$file" || die "$file does not apply: make it again"
	done
}

make_trees()
{
	local name rev

	"$HARNESS/source/tree.sh" >/dev/null
	composed
	for name in "${SIDES[@]}"; do
		rev=$(pgit -C "$(tree_dir)" rev-parse HEAD)
		[ "$name" != base ] || rev=$BASE_REV
		rev=$(variant "$rev" widen ${MUTANT:+"$MUTANT"})
		walk_tree "$rev" "$OUT/$name/tree" >/dev/null
	done
}

# side SIDE CELL: selects the tree and the folders of one of the kernels.
side()
{
	export TREE=$OUT/$1/tree KOUT=$OUT/$1/kernel/$2
	load_cell "$2"
}

# run CMD...: quietly, with everything in the log.
run()
{
	"$@" >>"$OUT/user.log" 2>&1 </dev/null ||
		die "$CELL_cell: ${*##*/} failed: see $OUT/user.log"
}

make_headers()
{
	run make -C "$TREE" O="$OUT/uapi-$CELL_arch" ARCH="$CELL_arch" -j"$JOBS" headers
}

# make_root PROGRAM: the guest, which runs one test.
make_root()
{
	local root=$OUT/root uapi=$OUT/uapi-$CELL_arch

	scratch "$root"
	mkdir "$root/bin"
	run "${CELL_cross}gcc" -static -O2 -o "$root/init" "$HARNESS/guest/init.c"
	run "${CELL_cross}gcc" -static -O2 -Wall -isystem "$uapi/usr/include" \
		-I "$TREE/tools/testing/selftests" -o "$root/bin/$1" "$WINDOWS/$1.c"
	: >"$root/suites"
	echo "$TEST 60 $1 -r $TEST.race" >"$root/selftests"
	pack "$root" "$OUT/initramfs.cpio"
}

# outcome SIDE WINDOW LOST: boots the test; sets HITS, and RESULT: held, lost, or
# what else there is to say.
outcome()
{
	local logs=$OUT/$TEST/$1 file

	side "$1" "$CELL"
	mkdir -p "$CELL_OUT" "$logs"
	cp "$OUT/initramfs.cpio" "$CELL_OUT/"
	RESULT="FAILED, see ${logs#"$ROOT/"}/"
	if "$HARNESS/guest/boot.sh" "$CELL" >"$logs/verdict.log" 2>&1; then
		RESULT=held
	fi
	for file in console port; do
		cp "$CELL_OUT/$file.log" "$logs/" ||
			die "$TEST: the guest left no $file.log: see $logs/verdict.log"
	done
	[ "$RESULT" = held ] || [ "$3" = - ] ||
		! grep -qE -- "$3" "$logs/port.log" "$logs/console.log" || RESULT=lost
	HITS=$(sed -nE "s/.*window $2: ([0-9]+) hits.*/\1/p" \
		"$logs/port.log" "$logs/console.log" | sort -n | tail -n1)
	HITS=${HITS:-0}
}

# window WINDOW PROGRAM TEST CELL PATCH LOST: one line of windows.tsv.
window()
{
	local name row expected hit=1 right=1

	TEST=$3
	CELL=$4
	side "${SIDES[0]}" "$4"
	make_root "$2"
	row=$(printf '%-15s %-23s %-15s %5s' "$1" "$3" "$4" "$5")
	for name in "${SIDES[@]}"; do
		say windows "$TEST, $name"
		outcome "$name" "$1" "$6"
		row+=$(printf '  %6s %-6s' "$HITS" "$RESULT")
		expected=lost
		[ "$name" != series ] && [ "$6" != - ] || expected=held
		[ "$HITS" -gt 0 ] || hit=
		[ "$RESULT" = "$expected" ] || right=
	done
	echo "$row"
	COUNT=$((COUNT + 1))
	[ -n "$hit" ] || NOT_HIT=$((NOT_HIT + 1))
	[ -n "$right" ] || WRONG=$((WRONG + 1))
}

check_arguments "$@"
lock windows
mkdir -p "$OUT"
mapfile -t LINES_OF < <(lines)
mapfile -t CELLS < <(lines | cut -f4 | sort -u)
"$HARNESS/gate/deps.sh" "${CELLS[@]}"
make_trees
: >"$OUT/user.log"
export AS=window DURATION TEST=
for cell in "${CELLS[@]}"; do
	for name in "${SIDES[@]}"; do
		side "$name" "$cell"
		"$HARNESS/guest/kernel.sh" "$cell"
	done
	make_headers
done
COUNT=0 NOT_HIT=0 WRONG=0
row=$(printf '%-15s %-23s %-15s %5s' window test cell patch)
for name in "${SIDES[@]}"; do
	row+=$(printf '  %6s %-6s' hits "$name")
done
echo "$row"
for line in "${LINES_OF[@]}"; do
	IFS=$'\t' read -r -a columns <<<"$line"
	window "${columns[@]}"
done
echo "$COUNT windows, $NOT_HIT not hit, $WRONG wrong"
[ "$NOT_HIT" = 0 ] && [ "$WRONG" = 0 ]
