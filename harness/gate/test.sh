#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# test.sh: the tests of harness/, lint, cells of the stack, mutants, written and generated.
#
# in:   CELLS, and only their mutants; LINT_SLOW
# out:  build/unit/, build/lint/; the last line is "N passed, N failed"
# exit: 0 nothing failed and something passed; 1 otherwise, when the rest has run as well

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

# Wrong lookup, wrong value handed out, a table freed too early.
MUTANTS="july-2024 lookup-past-end wrong-pmdval free-at-once"
# Generated ones that have to be killed, and the functions of which each commit gets eight
# others: what survives of those is said, and is no failure.
GENERATED=(remove_pte_table_if_empty-drop-8756b6 remove_pte_table_if_empty-false-d5126f
	retract_page_table-drop-7cb6c1 retract_page_table-twice-354816
	retract_page_tables-not-d33d8a retract_page_tables-true-be0aff
	try_collapse_pte_mapped_thp-drop-f5d8eb try_collapse_pte_mapped_thp-twice-bab595)
FUNCTIONS="retract_page_tables retract_page_table pte_table_is_empty remove_pte_table_if_empty
	try_collapse_pte_mapped_thp"
UNIT=$BUILD/unit
PASSED=0 FAILED=0

# add WHAT STATUS [PASSED FAILED]: what did not end well has failed once at least.
add()
{
	local passed=${3:-0} failed=${4:-0}

	[ "$2" = 0 ] || [ "$failed" -gt 0 ] || failed=1
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
	echo "$1: $passed passed, $failed failed"
}

# generated: in one run, as a kernel is prepared for each function; "always" have to be killed.
generated()
{
	local status=0 said killed always

	always=$(IFS='|' && echo "${GENERATED[*]}")
	said=$(CELLS=x86_64 MUTANTS="${GENERATED[*]} $FUNCTIONS" SAMPLE=8 \
		SEED=$(git -C "$ROOT" rev-parse HEAD) "$HARNESS/prove/mutants.sh") || status=1
	[ -z "$said" ] || echo "$said"
	killed=$(sed -n 's/^\([0-9]*\) of [0-9]* killed .*/\1/p' <<<"$said")
	[ -z "$killed" ] || status=0
	! grep -E "^($always) SURVIVED" <<<"$said" >/dev/null || status=1
	add "generated mutants" "$status" "${killed:-0}"
}

read -ra cells <<<"${CELLS:-x86_64 arm64 arm-lpae-highpte}"
load_cells "${cells[@]}"
"$HARNESS/gate/deps.sh" --test --lint --matrix --mutants --model --bench "${cells[@]}"
"$HARNESS/source/tree.sh" >/dev/null

# The largest begin first. A file of tests that is dead before its end has failed.
rm -rf "$UNIT"
mkdir -p "$UNIT"
say test "the tests of harness/"
# shellcheck disable=SC2016 # expanded by the inner shell
find "$ROOT/tests" -name 'test_*.py' -printf '%s\t%p\0' | sort -zrn | cut -zf2 |
	xargs -0r -n 1 -P "$JOBS" sh -c 'out=$0/${2##*/}
		python3 -B "$1" "$2" >"$out.counts" 2>"$out.log"
		[ -s "$out.counts" ] || echo 0 1 >"$out.counts"' "$UNIT" "$ROOT/tests/run.py"
awk '$2 { sub(/counts$/, "log", FILENAME); print FILENAME }' "$UNIT"/*.counts |
	xargs -rd '\n' cat
read -r passed failed < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$UNIT"/*.counts)
add "tests of harness/" $((passed == 0)) "$passed" "$failed"

rm -f "$BUILD/lint/results.tsv"
status=0
"$HARNESS/gate/lint.sh" || status=$?
read -ra counts < <(awk -F'\t' '{ of[$2]++ } END { print of["pass"] + 0, of["fail"] + 0 }' \
	"$BUILD/lint/results.tsv" 2>/dev/null) || true
add lint "$status" "${counts[@]}"
# Every test of the guest counts, and what failed beside them.
for name in "${cells[@]}"; do
	status=0
	load_cell "$name"
	"$HARNESS/run/cell.sh" "$name" || status=$?
	read -ra counts < <(awk -F'\t' '$3 == "fail" { failed++ }
		$3 == "pass" && $1 ~ /^(kunit|selftest)$/ { passed++ }
		END { print passed + 0, failed + 0 }' "$CELL_OUT/result.tsv" 2>/dev/null) || true
	add "cell $name" "$status" "${counts[@]}"
done
for name in $MUTANTS; do
	cell=$(sed -n 's/^Cell: //p' "$HARNESS/prove/mutants/$name.patch")
	[[ " ${cells[*]} " = *" $cell "* ]] || continue
	status=0
	MUTANTS=$name "$HARNESS/prove/mutants.sh" || status=1
	add "mutant $name" "$status" $((!status))
done
if [[ " ${cells[*]} " = *" x86_64 "* ]]; then
	generated
fi
note "all of it took $(elapsed | tr -d ' ')"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
