#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# model.sh: has spin check the model of page table retraction, and its variants.
#
# in:   harness/prove/model/checks.tsv, or MODELS="NAME NAME ..." of it
# out:  a line a check: what it must give, what it gave, states and transitions
#       searched, seconds, the same in build/model/NAME.tsv; build/model/NAME.trace for
#       each counterexample; a last line "N checked, N wrong"
# exit: 0 when each gave what it must; 1 otherwise
#
# A variant that must fail and holds is wrong, as is one that fails otherwise than
# it must, and a search that did not get to its end. One core, 6 minutes.

. "$(dirname "$0")/../lib/lib.sh"

MODEL=$HARNESS/prove/model
CHECKS=$MODEL/checks.tsv
OUT=$BUILD/model
MEMORY=3500	# MiB
SECONDS_EACH=120	# of CPU time
DEPTH=10000	# a search that gets there is truncated

names()
{
	awk -F'\t' '!/^#/ && NF && $1 != "check" { print $1 }' "$CHECKS"
}

# column NAME N
column()
{
	awk -F'\t' -v name="$1" -v n="$2" '$1 == name { print $n }' "$CHECKS"
}

# search MUST MACRO...: runs spin in the current directory; pan.out is what it
# said. Where there has to be a counterexample, the search is breadth first, which
# finds the shortest; else depth first, which has to store less. Without -O, as the
# compiler would take longer than the search.
search()
{
	local options=()

	[ "$1" = holds ] || options=(-DBFS)
	shift
	spin -a "${@/#/-D}" model.pml >spin.out 2>&1 ||
		die "spin does not take the model: see $PWD/spin.out"
	gcc -w -O0 "${options[@]}" -DSAFETY -DMEMLIM="$MEMORY" -DVECTORSZ=512 \
		-o pan pan.c >gcc.out 2>&1 ||
		die "the checker does not compile: see $PWD/gcc.out"
	(ulimit -t "$SECONDS_EACH" && exec ./pan -m"$DEPTH") >pan.out 2>&1 || true
	[ ! -e model.pml.trail ] ||
		spin -t -p -T -k model.pml.trail "${@/#/-D}" model.pml >trail.out 2>&1
}

# readable: what each function did, in turn, from spin's replay of the trail. The
# text comes before the statement that printed it, which names the process. A
# deadlock ends with where everybody waits.
readable()
{
	awk '
	/^ *[0-9]+:\tproc .*\[printf\(/ {
		match($0, /\([a-z_]+:/)
		name = substr($0, RSTART + 1, RLENGTH - 2)
		printf "%3d  %-28s %s\n", ++step, name, text
		next
	}
	/^#processes/ { at_end = 1 }
	at_end && /^ *[0-9]+:\tproc/ && !/valid end state|:init:/ {
		match($0, /\([a-z_]+:/)
		name = substr($0, RSTART + 1, RLENGTH - 2)
		match($0, /[a-z]+\.pml:[0-9]+/)
		where[name] = substr($0, RSTART, RLENGTH)
	}
	{ text = $0 }
	/^VIOLATED/ { violated = 1 }
	END {
		if (violated)
			exit
		print "VIOLATED: deadlock"
		for (name in where)
			printf "     %-28s waits at %s\n", name, where[name]
	}' trail.out
}

# verdict: what the search of the current directory found.
verdict()
{
	local what

	if grep -qE 'max search depth too small|out of memory|MEMLIM|truncated' pan.out; then
		echo "search truncated, see $PWD/pan.out"
	elif ! grep -q 'errors: [0-9]' pan.out; then
		echo "search stopped before its end, see $PWD/pan.out"
	elif grep -q 'errors: 0$' pan.out; then
		if grep -q 'Search not completed' pan.out; then
			echo "search truncated, see $PWD/pan.out"
		else
			echo holds
		fi
	elif grep -q '^pan.*: invalid end state' pan.out; then
		echo deadlock
	else
		what=$(sed -n 's/^VIOLATED: //p' trail.out | head -n 1)
		echo "${what:-an error without a trace, see $PWD/pan.out}"
	fi
}

# number WORD: the count that pan prints before it.
number()
{
	sed -nE "s/^ *([0-9]+) $1.*/\\1/p" pan.out | head -n 1
}

check()
{
	local name=$1 must found macros start=$SECONDS states transitions steps=

	must=$(column "$name" 2)
	read -ra macros <<<"$(column "$name" 3)"
	rm -f "$OUT/$name".{trace,log,tsv}
	scratch "$OUT/$name"
	cp "$MODEL"/*.pml "$OUT/$name/"
	cd "$OUT/$name" || exit
	search "$must" "${macros[@]}"
	found=$(verdict)
	if [ -e trail.out ]; then
		put "$OUT/$name.trace" readable
		steps=" ($(grep -c '^ *[0-9]' "$OUT/$name.trace" || true) steps)"
	fi
	states=$(number 'states, stored') transitions=$(number transitions)
	CHECKED=$((CHECKED + 1))
	if [ "$found" != "$must" ]; then
		WRONG=$((WRONG + 1))
		cp pan.out "$OUT/$name.log"
		found="WRONG: ${found//"$PWD/pan.out"/"build/model/$name.log"}"
	fi
	# For report.py
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$must" "$found" "${states:--}" \
		"${transitions:--}" $((SECONDS - start)) | put "$OUT/$name.tsv"
	printf '%-22s %-32s %-44s %9s %11s %4d\n' "$name" "$must" "$found$steps" \
		"${states:--}" "${transitions:--}" $((SECONDS - start))
}

[ $# = 0 ] || die "model.sh takes no arguments, but MODELS=\"NAME …\""
read -ra NAMES <<<"${MODELS:-$(names | paste -sd' ')}"
for name in "${NAMES[@]}"; do
	grep -qxF -- "$name" < <(names) ||
		die "no check '$name' in harness/prove/model/checks.tsv: there are $(names | paste -sd' ')"
done
need spin spin
need gcc gcc
lock model
mkdir -p "$OUT"
CHECKED=0 WRONG=0
printf '%-22s %-32s %-44s %9s %11s %4s\n' check must found states transitions s
for i in "${!NAMES[@]}"; do
	say model "$((i + 1))/${#NAMES[@]}: ${NAMES[i]}"
	check "${NAMES[i]}"
done
echo "$CHECKED checked, $WRONG wrong"
[ "$WRONG" = 0 ]
