#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# test.sh: the tests of harness/, the checks of lint.sh, the cells of the series, and
# a handful of mutants.
#
# in:   CELLS="A B" for other cells than x86_64, arm64 and arm-lpae-highpte; of the
#       mutants, only those of these cells are run
# out:  what went on; the last line is "N passed, N failed"
# exit: 0 nothing failed and something passed; 1 otherwise
#
# One that fails does not keep the others from running.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

# Wrong lookup, wrong value handed out, a table freed too early: the rest of them is
# for make mutants.
MUTANTS="july-2024 lookup-past-end wrong-pmdval free-at-once"
PASSED=0
FAILED=0

add()
{
	PASSED=$((PASSED + $1))
	FAILED=$((FAILED + $2))
}

# A unittest that could not even be loaded counts as one error, as it should.
unit_tests()
{
	local log=$BUILD/unittest.log ran bad

	say test "the tests of harness/"
	(cd "$ROOT" && python3 -B -m unittest discover -s tests) >"$log" 2>&1 || true
	ran=$(sed -n 's/^Ran \([0-9]*\) tests\?.*/\1/p' "$log")
	bad=$(grep -cE '^(FAIL|ERROR): ' "$log" || true)
	# Dead before the end, or nothing found, is a failure too.
	grep -qE '^(OK|FAILED)' "$log" && [ "${ran:-0}" -gt 0 ] || bad=$((bad + 1))
	[ "$bad" = 0 ] || cat "$log"
	# Subtests can fail more than once in a test.
	((bad <= ${ran:-0})) || ran=$bad
	add $((ran - bad)) "$bad"
	echo "tests of harness/: $((ran - bad)) passed, $bad failed"
}

lint()
{
	local log=$BUILD/lint.log last

	say test lint
	"$HARNESS/gate/lint.sh" >"$log" || true
	last=$(tail -n1 "$log")
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		add "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	else
		add 0 1
	fi
	sed '$s/^/lint: /' "$log"
}

# Every test of the guest counts, and what failed beside them.
cell()
{
	local bad=0

	"$HARNESS/run/cell.sh" "$1" || bad=1
	load_cell "$1"
	results "$CELL_OUT/result.tsv" pass
	add "$N" 0
	results "$CELL_OUT/result.tsv" fail
	((N >= bad)) || N=$bad
	add 0 "$N"
}

# results FILE RESULT: how many, into N. No file: the guest was never reached.
results()
{
	N=0
	[ ! -f "$1" ] || N=$(awk -F'\t' -v want="$2" '$3 == want &&
		($1 ~ /^(kunit|selftest)$/ || want == "fail") { n++ }
		END { print n + 0 }' "$1")
}

# A mutant that survived has failed.
mutants()
{
	local name names=() log=$BUILD/mutants.log last

	for name in $MUTANTS; do
		[[ " ${cells[*]} " != *" $(sed -n 's/^Cell: //p' \
			"$HARNESS/prove/mutants/$name.patch") "* ]] || names+=("$name")
	done
	[ ${#names[@]} -gt 0 ] || return 0
	say test "mutants: ${names[*]}"
	MUTANTS="${names[*]}" "$HARNESS/prove/mutants.sh" >"$log" || true
	last=$(tail -n1 "$log")
	if [[ $last =~ ^([0-9]+)\ killed,\ ([0-9]+)\ survived$ ]]; then
		add "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	else
		add 0 "${#names[@]}"
	fi
	cat "$log"
}

read -ra cells <<<"${CELLS:-x86_64 arm64 arm-lpae-highpte}"
for name in "${cells[@]}"; do
	load_cell "$name"
done
"$HARNESS/gate/deps.sh" --lint "${cells[@]}"
"$HARNESS/source/tree.sh" >/dev/null
unit_tests
lint
for name in "${cells[@]}"; do
	cell "$name"
done
mutants
note "all of it took $(elapsed | tr -d ' ')"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
