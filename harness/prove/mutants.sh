#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh: breaks the stack on purpose, and has the tests catch it.
#
# in:   mutants/*.patch, or MUTANTS="NAME NAME ..." of them; each names what it breaks
#       (Breaks:), the cell to boot (Cell:) and the test that has to fail there (Killed-by:):
#       SUITE.CASE of KUnit, PROGRAM.FIXTURE.TEST of a selftest, or windows.TEST for one of
#       windows.sh; then comes the diff. AGAIN=1: also those that were killed before
# out:  build/mutants/NAME/ (logs), the records; a table on stdout with what the test
#       said, and a last line "N killed, N survived"
# exit: 0 when each was killed by the test that it names; 1 otherwise
#
# A mutant is only killed by a failed expectation of that test: a crash or a time-out does not
# count. Nor does it matter what becomes of the guest once the test has said it: a lock that is
# left held stops it dead, and nobody waits for that. All share a tree, and those of a cell a
# kernel: 5 minutes for the first of a cell, then 10 s each; a header costs minutes.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "${BASH_SOURCE[0]}")/../lib/lib.sh"
SIDES=$BUILD/mutants$(tree_suffix)
. "$HARNESS/prove/pair.sh"

MUTANTS_DIR=$HARNESS/prove/mutants
WINDOWS=$HARNESS/prove/windows
OUT=$SIDES
GRACE=5	# seconds that a guest may take after its test has failed

# header NAME FIELD: what the head of a mutant says.
header()
{
	local value

	value=$(sed -n "/^---\$/q; s/^$2: //p" "$MUTANTS_DIR/$1.patch")
	[ -n "$value" ] || die "harness/prove/mutants/$1.patch: no line '$2: …' before ---"
	printf '%s\n' "$value"
}

# A KUnit case has two parts, windows.TEST may have three.
is_selftest()
{
	[[ $1 = *.*.* && $1 != windows.* ]]
}

# in_order NAME...: by cell, those with userspace tests last. A changed header has every
# cell rebuild what includes it, as they share the tree: those mutants come last of all.
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
	if is_selftest "$1"; then echo mutant; else echo mutant-kunit; fi
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
			sub(/^.* FAILED at ([.][.]\/)*(tree\/)?/, ""); said = $0; next
		}
		/^# +RUN / { mine = $3 == name }
		mine && $0 ~ "^# [^ ]+:[0-9]+:" test ":Expected " {
			said = substr($0, 3); over = 1
		}
		END { print substr(said, 1, 200) }'
}

# boot NAME CELL TEST: builds the broken kernel and boots it. Sets SAID, and STATE: how
# the test ended, if the guest came to its end. It need not once the test has failed.
boot()
{
	local pid left=$GRACE

	walk_tree "$TREE_REV" "$TREE" >/dev/null
	pgit -C "$TREE" apply "$MUTANTS_DIR/$1.patch" ||
		die "harness/prove/mutants/$1.patch does not apply to the stack: make it again"
	"$HARNESS/guest/kernel.sh" "$2"
	"$HARNESS/guest/user.sh" "$2"
	rm -f "$CELL_OUT"/{console.log,port.log,result.tsv}
	"$HARNESS/guest/boot.sh" "$2" >"$OUT/$1/verdict.log" 2>&1 &
	pid=$!
	at_exit kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		[ -n "$(complaint "$3" "$CELL_OUT")" ] || continue
		((left--)) || kill "$pid" 2>/dev/null || true
	done
	wait "$pid" || true
	AT_EXIT=("${AT_EXIT[@]:1}")
	cp "$CELL_OUT"/{console,port}.log "$OUT/$1/" ||
		die "$1: the guest did not start: see $OUT/$1/verdict.log"
	SAID=$(complaint "$3" "$OUT/$1")
	STATE=$(awk -F'\t' -v test="$3" '$1 ~ /^(kunit|selftest)$/ && $2 == test { print $3 }' \
		"$CELL_OUT/result.tsv" 2>/dev/null) || true
}

# in_windows NAME TEST: the same, of one that windows.sh runs.
in_windows()
{
	local said to=SAID

	said=$BUILD/windows$(tree_suffix)/$2/mutant/said
	rm -f "$said"
	env -u TREE -u KOUT -u AS MUTANT="$MUTANTS_DIR/$1.patch" TESTS="$2" \
		"$WINDOWS.sh" >"$OUT/$1/verdict.log" 2>&1 || to=STATE
	[ -f "$said" ] || die "$1: $(tail -n1 "$OUT/$1/verdict.log")"
	printf -v "$to" %s "$(<"$said")"
}

# mutant NAME: its line of the table, and its record.
mutant()
{
	local name=$1 cell test result inputs=("$MUTANTS_DIR/$1.patch")

	cell=$(header "$name" Cell)
	test=$(header "$name" Killed-by)
	[[ $test != windows.* ]] || inputs+=("$WINDOWS"/* "$WINDOWS/../repro/repro.h")
	AS=$(section "$test")
	side mutant "$cell"
	begin_record "${inputs[@]}"
	SAID='' STATE=''
	if still_good mutant "$name"; then
		SAID=$(recorded detail mutant "$name")
	else
		rm -rf "${OUT:?}/$name"
		mkdir -p "$OUT/$name"
		case $test in
		windows.*) in_windows "$name" "${test#windows.}" ;;
		*) boot "$name" "$cell" "$test" ;;
		esac
		record mutant "$name" "$([ -n "$SAID" ] && echo pass || echo fail)" \
			"${SAID:-$test: ${STATE:-did not run}}"
	fi
	result="SURVIVED (${STATE:-did not run}, see ${OUT#"$ROOT/"}/$name/)"
	if [ -n "$SAID" ]; then
		KILLED=$((KILLED + 1))
		result=killed$'\n'"    $SAID"
	fi
	printf '%-22s %-18s %-32s %s\n' "$name" "$cell" "$test" "$result"
}

main()
{
	local all i name

	[ $# = 0 ] || die "mutants.sh takes no arguments, but MUTANTS=\"NAME …\" and AGAIN=1"
	all=$(basename -s .patch -- "$MUTANTS_DIR"/*.patch | paste -sd' ')
	read -ra NAMES <<<"${MUTANTS:-$all}"
	for name in "${NAMES[@]}"; do
		[ -f "$MUTANTS_DIR/$name.patch" ] ||
			die "no mutant '$name': the known ones are $all"
		for i in Breaks Cell Killed-by; do
			header "$name" "$i" >/dev/null
		done
	done
	lock mutants
	the_tree head
	TREE_ID=$(bgit rev-parse "$TREE_REV^{tree}")
	export AS
	KILLED=0
	mapfile -t NAMES < <(in_order "${NAMES[@]}")
	printf '%-22s %-18s %-32s %s\n' mutant cell "killed by" result
	for i in "${!NAMES[@]}"; do
		say mutants "$((i + 1))/${#NAMES[@]}: ${NAMES[i]}"
		mutant "${NAMES[i]}"
	done
	echo "$KILLED killed, $((${#NAMES[@]} - KILLED)) survived"
	[ "$KILLED" = ${#NAMES[@]} ]
}

# Its tests call the functions one by one.
[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
