#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh: breaks the series on purpose, and has the tests catch it.
#
# in:   harness/mutants/*.patch, or MUTANTS="NAME NAME ..." of them; each names
#       what it breaks (Breaks:), the cell to boot (Cell:) and the test that has
#       to fail there (Killed-by: SUITE.CASE), and then comes the diff
# out:  build/mutants/NAME/ (logs, result.tsv), a table on stdout, and a last line
#       "N killed, N survived"
# exit: 0 when each was killed by the test that it names; 1 otherwise
#
# A mutant is only killed by the failure of that test: a crash or a time-out does
# not count. The tree of the mutants and their kernels are kept, so that each
# rebuilds what it changes. 10 minutes for the first of a cell, then 1 to 3 each.

. "$(dirname "$0")/lib.sh"

MUTANTS_DIR=$HARNESS/mutants
OUT=$BUILD/mutants

# header NAME FIELD: what the head of a mutant says.
header()
{
	local value

	value=$(sed -n "/^---\$/q; s/^$2: //p" "$MUTANTS_DIR/$1.patch")
	[ -n "$value" ] || die "harness/mutants/$1.patch: no line '$2: …' before ---"
	printf '%s\n' "$value"
}

# cells_for TEST: the cells, without userspace tests if a KUnit case is to fail.
cells_for()
{
	if [[ $1 = pgtable_retract.* ]]; then
		cat "$HARNESS/cells.tsv"
	else
		awk -F'\t' -v OFS='\t' '!/^#/ && $1 != "cell" && NF { $11 = "-" } 1' \
			"$HARNESS/cells.tsv"
	fi
}

# boot NAME CELL TEST: builds the broken kernel and boots it; keeps what came out.
boot()
{
	local file

	walk_tree "$TIP" "$OUT/tree" >/dev/null
	pgit -C "$OUT/tree" apply "$MUTANTS_DIR/$1.patch" ||
		die "harness/mutants/$1.patch does not apply to the series: make it again"
	cells_for "$3" >"$OUT/cells.tsv"
	export TREE=$OUT/tree KOUT=$OUT/$2 CELLS_TSV=$OUT/cells.tsv
	"$HARNESS/kernel.sh" "$2"
	"$HARNESS/user.sh" "$2"
	mkdir -p "$OUT/$1"
	"$HARNESS/boot.sh" "$2" >"$OUT/$1/verdict.log" 2>&1 || true
	for file in result.tsv console.log port.log; do
		cp -- "$KOUT.cell/$file" "$OUT/$1/" ||
			die "$1: the guest left no $file: see $OUT/$1/verdict.log"
	done
	unset TREE KOUT CELLS_TSV
}

# outcome NAME TEST: how the named test ended. Where a broken kernel did not live to
# hand out its results, a failed KUnit case has still said so on the console.
outcome()
{
	local result

	if grep -q " not ok [0-9]* ${2#*.}[[:space:]]*\$" "$OUT/$1/console.log"; then
		echo fail
		return
	fi
	result=$(awk -F'\t' -v test="$2" '$1 ~ /^(kunit|selftest)$/ && $2 == test {
		print $3 }' "$OUT/$1/result.tsv")
	echo "${result:-did not run}"
}

mutant()
{
	local name=$1 cell test result

	cell=$(header "$name" Cell)
	test=$(header "$name" Killed-by)
	boot "$name" "$cell" "$test"
	result=$(outcome "$name" "$test")
	if [ "$result" = fail ]; then
		KILLED=$((KILLED + 1))
		result=killed
	else
		SURVIVED=$((SURVIVED + 1))
		result="SURVIVED ($result, see build/mutants/$name/)"
	fi
	printf '%-20s %-18s %-32s %s\n' "$name" "$cell" "$test" "$result"
}

[ $# = 0 ] || die "mutants.sh takes no arguments, but MUTANTS=\"NAME …\""
read -ra NAMES <<<"${MUTANTS:-$(basename -s .patch -- "$MUTANTS_DIR"/*.patch | paste -sd' ')}"
for name in "${NAMES[@]}"; do
	[ -f "$MUTANTS_DIR/$name.patch" ] ||
		die "no mutant '$name': the known ones are $(basename -s .patch -- "$MUTANTS_DIR"/*.patch | paste -sd' ')"
	header "$name" Breaks >/dev/null
	header "$name" Cell >/dev/null
	header "$name" Killed-by >/dev/null
done
lock mutants
mkdir -p "$OUT"
"$HARNESS/tree.sh" >/dev/null
TIP=$(pgit -C "$(tree_dir)" rev-parse HEAD)
KILLED=0 SURVIVED=0
printf '%-20s %-18s %-32s %s\n' mutant cell "killed by" result
for i in "${!NAMES[@]}"; do
	say mutants "$((i + 1))/${#NAMES[@]}: ${NAMES[i]}"
	mutant "${NAMES[i]}"
done
echo "$KILLED killed, $SURVIVED survived"
[ "$SURVIVED" = 0 ]
