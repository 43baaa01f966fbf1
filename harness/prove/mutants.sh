#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh: breaks the series on purpose, and has the tests catch it.
#
# in:   harness/prove/mutants/*.patch, or MUTANTS="NAME NAME ..." of them; each names
#       what it breaks (Breaks:), the cell to boot (Cell:) and the test that has
#       to fail there (Killed-by: SUITE.CASE, or windows.TEST for one that windows.sh
#       runs with the windows stretched), and then comes the diff
# out:  build/mutants/NAME/ (logs, outcome.tsv, and result.tsv if the guest came to its
#       end), a table on stdout with what the test said, and a last line
#       "N killed, N survived"
# exit: 0 when each was killed by the test that it names; 1 otherwise
#
# A mutant is only killed by a failed expectation of that test: a crash or a time-out
# does not count. Nor does it matter what becomes of the guest once the test has said
# it: a lock that is left held stops it dead, and nobody waits for that.
#
# The tree of the mutants and their kernels are kept, so that each rebuilds what it
# changes. 5 minutes for the first of a cell, then 10 s each; a header costs minutes.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

MUTANTS_DIR=$HARNESS/prove/mutants
OUT=$BUILD/mutants
# How long a guest may take after its test has failed, in seconds
GRACE=5

# header NAME FIELD: what the head of a mutant says.
header()
{
	local value

	value=$(sed -n "/^---\$/q; s/^$2: //p" "$MUTANTS_DIR/$1.patch")
	[ -n "$value" ] || die "harness/prove/mutants/$1.patch: no line '$2: …' before ---"
	printf '%s\n' "$value"
}

is_selftest()
{
	[[ $1 = pgtable_* ]]
}

# in_order NAME...: the mutants of a cell one after the other, those with userspace
# tests last of them. All cells share the tree, so that a changed header would have
# each of them rebuild what includes it: those mutants come last of all.
in_order()
{
	local name header user

	for name in "$@"; do
		header=0 user=0
		! grep -q '^+++ .*\.h$' "$MUTANTS_DIR/$name.patch" || header=1
		! is_selftest "$(header "$name" Killed-by)" || user=1
		echo "$header $(header "$name" Cell) $user $name"
	done | sort -s -k1,3 | cut -d' ' -f4
}

# section TEST: that of cells.ini for a cell that a mutant is booted in.
section()
{
	if is_selftest "$1"; then
		echo mutant
	else
		echo mutant-kunit
	fi
}

# complaint TEST DIR: what the named test itself says of its failure in the logs there,
# in one line; nothing while it has not failed. A KUnit case says so on the console at
# once, and nothing more if it is then stuck; a selftest says so on the result port.
complaint()
{
	local name=${1#*.} log=console.log

	! is_selftest "$1" || log=port.log
	[ -f "$2/$log" ] || return 0
	tr -d '\r\0' <"$2/$log" | sed 's/^\[ *[0-9.]*\] \?//' |
		awk -v name="$name" -v test="${name##*.}" '
		over { next }
		said && /^ *# |^ *(not )?ok [0-9]|^(guest|BUG|WARNING|CPU|rcu): / { over = 1 }
		said { gsub(/^ +| +$/, ""); if (!over && $0) said = said " " $0; next }
		$0 ~ "^ *# " test ": (EXPECTATION|ASSERTION) FAILED at " {
			sub(/^.* FAILED at /, ""); said = $0; next
		}
		/^# +RUN / { mine = $3 == name }
		mine && $0 ~ "^# [^ ]+:[0-9]+:" test ":Expected " {
			said = substr($0, 3); over = 1
		}
		END { print substr(said, 1, 200) }'
}

# run_guest NAME CELL TEST: boots; a guest whose test has failed need not end by itself.
run_guest()
{
	local pid left=$GRACE

	rm -f "$KOUT.cell"/{console.log,port.log,result.tsv}
	"$HARNESS/guest/boot.sh" "$2" >"$OUT/$1/verdict.log" 2>&1 &
	pid=$!
	at_exit kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		[ -n "$(complaint "$3" "$KOUT.cell")" ] || continue
		((left--)) || kill "$pid" 2>/dev/null || true
	done
	wait "$pid" || true
	AT_EXIT=("${AT_EXIT[@]:1}")
}

# boot NAME CELL TEST: builds the broken kernel and boots it; keeps what came out.
boot()
{
	local file
	local -x AS

	walk_tree "$TIP" "$OUT/tree" >/dev/null
	pgit -C "$OUT/tree" apply "$MUTANTS_DIR/$1.patch" ||
		die "harness/prove/mutants/$1.patch does not apply to the series: make it again"
	AS=$(section "$3")
	export TREE=$OUT/tree KOUT=$OUT/kernel/$2
	"$HARNESS/guest/kernel.sh" "$2"
	"$HARNESS/guest/user.sh" "$2"
	rm -rf "${OUT:?}/$1"
	mkdir -p "$OUT/$1"
	run_guest "$@"
	for file in console.log port.log result.tsv; do
		[ ! -f "$KOUT.cell/$file" ] || cp -- "$KOUT.cell/$file" "$OUT/$1/"
	done
	[ -f "$OUT/$1/console.log" ] ||
		die "$1: the guest did not start: see $OUT/$1/verdict.log"
	unset TREE KOUT
}

# in_windows NAME TEST: the line of the table when the mutant, with the windows
# stretched, lost what the base does; nothing otherwise.
in_windows()
{
	rm -rf "${OUT:?}/$1"
	mkdir -p "$OUT/$1"
	! MUTANT=$MUTANTS_DIR/$1.patch TESTS=${2#windows.} "$HARNESS/prove/windows.sh" \
		>"$OUT/$1/table" 2>"$OUT/$1/verdict.log" || sed -n 2p "$OUT/$1/table"
}

# status NAME TEST: how a test ended that has not failed an expectation.
status()
{
	local result=

	[ ! -f "$OUT/$1/result.tsv" ] ||
		result=$(awk -F'\t' -v test="$2" '$1 ~ /^(kunit|selftest)$/ && $2 == test {
			print $3 }' "$OUT/$1/result.tsv")
	case $result in
	'') echo "did not run" ;;
	fail) echo "failed without an expectation" ;;
	*) echo "$result" ;;
	esac
}

mutant()
{
	local name=$1 cell test result said

	cell=$(header "$name" Cell)
	test=$(header "$name" Killed-by)
	if [[ $test = windows.* ]]; then
		said=$(in_windows "$name" "$test")
	else
		boot "$name" "$cell" "$test"
		said=$(complaint "$test" "$OUT/$name")
	fi
	if [ -n "$said" ]; then
		KILLED=$((KILLED + 1))
		result=killed
	else
		SURVIVED=$((SURVIVED + 1))
		result="SURVIVED ($(status "$name" "$test"), see build/mutants/$name/)"
	fi
	# For report.py
	printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$cell" "$test" "$result" "$said" |
		put "$OUT/$name/outcome.tsv"
	printf '%-22s %-18s %-32s %s\n' "$name" "$cell" "$test" "$result"
	[ -z "$said" ] || printf '    %s\n' "$said"
}

main()
{
	local all i name

	[ $# = 0 ] || die "mutants.sh takes no arguments, but MUTANTS=\"NAME …\""
	all=$(basename -s .patch -- "$MUTANTS_DIR"/*.patch | paste -sd' ')
	read -ra NAMES <<<"${MUTANTS:-$all}"
	for name in "${NAMES[@]}"; do
		[ -f "$MUTANTS_DIR/$name.patch" ] ||
			die "no mutant '$name': the known ones are $all"
		header "$name" Breaks >/dev/null
		header "$name" Cell >/dev/null
		header "$name" Killed-by >/dev/null
	done
	lock mutants
	mkdir -p "$OUT"
	"$HARNESS/source/tree.sh" >/dev/null
	TIP=$(pgit -C "$(tree_dir)" rev-parse HEAD)
	KILLED=0 SURVIVED=0
	mapfile -t NAMES < <(in_order "${NAMES[@]}")
	printf '%-22s %-18s %-32s %s\n' mutant cell "killed by" result
	for i in "${!NAMES[@]}"; do
		say mutants "$((i + 1))/${#NAMES[@]}: ${NAMES[i]}"
		mutant "${NAMES[i]}"
	done
	echo "$KILLED killed, $SURVIVED survived"
	[ "$SURVIVED" = 0 ]
}

# Its tests call the functions one by one.
[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
