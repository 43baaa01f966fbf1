#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# regress.sh: the kernel's own tests of mm, on base and series, those of the base on both.
#
# in:   regress.tsv; TESTS, CELLS, AGAIN; RETRIES=3: how often what seems worse is run again
# out:  a record of each test and cell; build/regress/CELL/{base,series}.logs/; a table
#       on stdout, its last line "N compared, N worse"
# exit: 0 when nothing is worse; 1 when something is, or was not run at all

. "$(dirname "$0")/../lib/lib.sh"

SIDES=$BUILD/regress$SUFFIX
. "$HARNESS/prove/pair.sh"

LIST=$HARNESS/prove/regress.tsv
read -ra CELLS <<<"${CELLS:-x86_64-debug arm64}"
RETRIES=${RETRIES:-3}
SUITES=(usercopy slub_test damon damon-operations damon-sysfs kasan kfence lazy_mmu_mode)
export AS=regress

# What the programs depend on; make sees only the .c files.
built_from()
{
	tgit rev-parse HEAD
	"${CELL_cross}gcc" --version | head -n1
	cat "$HARNESS"/prove/regress/*.h "$HARNESS"/prove/regress/sys/*.h
}

# The selftests of the base.
build_tests()
{
	local bin=$OUT/bin UAPI=$OUT/uapi

	say regress "$CELL_cell: building the selftests"
	built_from | cmp -s - "$bin/.from" || rm -rf "$bin"
	mkdir -p "$bin"
	: >"$LOG"
	make_headers "$UAPI"
	make_selftests "$bin" -C mm OUTPUT="$bin"
	built_from >"$bin/.from"
}

# tests: the lines that init runs: test, seconds, command. What every boot has is none of
# them: a blank one if it is to be done again.
tests()
{
	local name seconds command

	grep -v -e '^#' -e $'^test\t' "$LIST" | while IFS=$'\t' read -r name seconds command; do
		[ -z "${TESTS:-}" ] || [[ " $TESTS " = *" $name "* ]] || continue
		[ "$command" != - ] || command=$name
		if [ ! -x "$OUT/bin/${command%% *}" ]; then
			note "left out: $CELL_cell $name: no ${command%% *} was built (see $LOG)"
			record regress "$name" skip "no ${command%% *} was built"
		elif ! still_good regress "$name"; then
			echo "$name $seconds $command"
		fi
	done
	for name in "(boot)" "${SUITES[@]/#/kunit }"; do
		still_good regress "$name" || { echo ' ' && break; }
	done
}

# boot CELL SIDE ROUND LINES: until each line was begun once.
boot()
{
	local lines=$4 n=0 begun=first logs=$OUT/$2.logs root=$OUT/root program

	side "$2" "$1"
	mkdir -p "$CELL_OUT"
	[ -f "$CELL_OUT/swap.img" ] || make_disks 512
	while [ -n "$begun" ]; do
		n=$((n + 1))
		say regress "$1 $2, round $3: $(grep -c '[^ ]' <<<"$lines") tests"
		scratch "$root"
		mkdir "$root/bin"
		printf '%s\n' "$lines" >"$root/selftests"
		printf '%s\n' "${SUITES[@]}" >"$root/suites"
		while read -r _ _ program _; do
			[ -z "$program" ] || cp -u "$OUT/bin/$program" "$root/bin/"
		done <<<"$lines"
		guest_root "$root"
		boot_to "$logs" "$1" || true
		mv "$logs/console.log" "$logs/$3-$n.console"
		mv "$logs/port.log" "$logs/$3-$n.port"
		begun=$(sed -n 's/^guest: selftest //p' "$logs/$3-$n.port")
		lines=$(awk 'NR == FNR { begun[$1]; next } NF && !($1 in begun)' \
			<(echo "$begun") <(echo "$lines"))
		[ -n "$lines" ] || break
	done
}

no_arguments "$@"
[[ $RETRIES =~ ^[0-9]$ ]] || die "RETRIES=$RETRIES: it is a number from 0 to 9"
for name in ${TESTS:-}; do
	grep -q "^$name"$'\t' "$LIST" || die "no test '$name' in harness/prove/regress.tsv"
done
load_cells "${CELLS[@]}"
for name in "${CELLS[@]}"; do
	[ -f "$HARNESS/guest/config/regress-$name.config" ] ||
		die "no harness/guest/config/regress-$name.config: there is x86_64-debug, and arm64"
done
lock regress
"$HARNESS/gate/deps.sh" "${CELLS[@]}"
the_tree head
make_sides
for cell in "${CELLS[@]}"; do
	OUT=$SIDES/$cell
	LOG=$OUT/user.log
	mkdir -p "$OUT"
	side base "$cell"
	build_tests
	begin_record "$LIST" "$HARNESS/prove/regress.py"
	lines=$(tests)
	[ -n "$lines" ] || continue
	for name in base series; do
		side "$name" "$cell"
		"$HARNESS/guest/kernel.sh" "$cell"
		rm -rf "$OUT/$name.logs"
	done
	# What seems worse is run again, on both sides, to tell it from what is not the same every
	# time. Complaints from the boot are looked at again with it.
	for ((round = 1; round <= RETRIES + 1; round++)); do
		boot "$cell" base "$round" "$lines"
		boot "$cell" series "$round" "$lines"
		"$HARNESS/prove/regress.py" judge "$OUT" "$SIDES/base/tree/tools/testing/kunit" \
			>"$OUT/judged"
		grep -q $'^[^\t]*\tfail\t' "$OUT/judged" || break
		lines=$(awk -F'\t' 'NR == FNR { fails[$1] = $2 == "fail"; next }
			{ split($0, word, " ") } fails[word[1]]' "$OUT/judged" - <<<"$lines")
	done
	while IFS=$'\t' read -r name result seconds detail; do
		RECORD_BEGIN=$((SECONDS - seconds))
		record regress "$name" "$result" "$detail" --figures "$OUT/figures/$name.tsv"
	done <"$OUT/judged"
done
note "all of it took $(elapsed | tr -d ' ')"
"$HARNESS/prove/regress.py" table "$RECORDS" "$TREE_ID" "${CELLS[@]}"
