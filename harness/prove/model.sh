#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# model.sh: has spin check the model of page table retraction, and its variants.
#
# in:   model/checks.tsv; MODELS, AGAIN
# out:  a line a check: what it must give, what it gave, states and transitions searched,
#       seconds; a record of each; build/model/NAME.trace, the counterexample; a last
#       line "N checked, N wrong"
# exit: 0 when each gave what it must; 1 otherwise, also when a search did not get to its end

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/judge/record.sh"

MODEL=$HARNESS/prove/model
OUT=$BUILD/model
MEMORY=3500	# MiB
SECONDS_EACH=120	# of CPU time
DEPTH=10000	# a search that gets there is truncated
TREE_ID=none	# the model is of no tree

# search MUST MACRO...: runs spin in the current directory; pan.out is what it said. Where
# there has to be a counterexample, the search is breadth first, which finds the shortest; else
# depth first, which has to store less. Without -O, which would take longer than the search.
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

# readable: what each function did, in turn, from spin's replay of the trail. The text comes
# before the statement that printed it, which names the process. A deadlock ends with where
# everybody waits.
readable()
{
	awk '
	function found(regex, skip)
	{
		match($0, regex)
		return substr($0, RSTART + skip, RLENGTH - 2 * skip)
	}
	/^ *[0-9]+:\tproc .*\[printf\(/ {
		printf "%3d  %-28s %s\n", ++step, found("\\([a-z_]+:", 1), text
		next
	}
	/^#processes/ { at_end = 1 }
	at_end && /^ *[0-9]+:\tproc/ && !/valid end state|:init:/ {
		where[found("\\([a-z_]+:", 1)] = found("[a-z]+\\.pml:[0-9]+", 0)
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

# verdict LOG: what the search of the current directory found.
verdict()
{
	local errors

	errors=$(sed -nE 's/.*errors: ([0-9]+).*/\1/p' pan.out)
	if grep -qE 'max search depth too small|out of memory|MEMLIM|truncated' pan.out ||
	   { [ "$errors" = 0 ] && grep -q 'Search not completed' pan.out; }; then
		echo "search truncated, see $1"
	elif [ -z "$errors" ]; then
		echo "search stopped before its end, see $1"
	elif [ "$errors" = 0 ]; then
		echo holds
	elif grep -q '^pan.*: invalid end state' pan.out; then
		echo deadlock
	else
		sed -n 's/^VIOLATED: //p' trail.out | grep -m1 . ||
			echo "an error without a trace, see $1"
	fi
}

row()
{
	printf '%-22s %-32s %-44s %9s %11s %4s\n' "$@"
}

no_arguments "$@"
declare -A MUST=() MACROS=()
while IFS=$'\t' read -r name must macros _; do
	KNOWN+=("$name") MUST[$name]=$must MACROS[$name]=$macros
done < <(grep -v -e '^#' -e $'^check\t' -e '^$' "$MODEL/checks.tsv")
read -ra NAMES <<<"${MODELS:-${KNOWN[*]}}"
for name in "${NAMES[@]}"; do
	[ -n "${MUST[$name]:-}" ] ||
		die "no check '$name' in harness/prove/model/checks.tsv: there are ${KNOWN[*]}"
done
need spin spin
lock model
mkdir -p "$OUT"
WRONG=0
row check must found states transitions s
for i in "${!NAMES[@]}"; do
	name=${NAMES[i]}
	must=${MUST[$name]} detail=${MUST[$name]} result=pass steps=
	say model "$((i + 1))/${#NAMES[@]}: $name"
	read -ra macros <<<"${MACROS[$name]}"
	# What the search is told, and by whom it is done.
	echo "$must: ${macros[*]}; $MEMORY $DEPTH $(spin -V 2>&1)" >"$OUT/$name.in"
	begin_record "$OUT/$name.in" "$MODEL"/*.pml
	if still_good model "$name"; then
		row "$name" "$must" "the same, by its record" - - -
		continue
	fi
	rm -f "$OUT/$name".{trace,log}
	scratch "$OUT/$name"
	cp "$MODEL"/*.pml "$OUT/$name/"
	cd "$OUT/$name" || exit
	search "$must" "${macros[@]}"
	found=$(verdict "build/model/$name.log")
	if [ -e trail.out ]; then
		readable >"$OUT/$name.trace"
		steps=$(grep -c '^ *[0-9]' "$OUT/$name.trace" || true)
	fi
	states=$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' pan.out)
	transitions=$(sed -nE 's/^ *([0-9]+) transitions.*/\1/p' pan.out)
	if [ "$found" != "$must" ]; then
		WRONG=$((WRONG + 1))
		result=fail found="WRONG: $found" detail="$found, must: $must"
		cp pan.out "$OUT/$name.log"
	fi
	printf '%s\t%s\t%s\n' states transitions steps "$states" "$transitions" "$steps" >figures
	record model "$name" "$result" "$detail" --figures figures
	row "$name" "$must" "$found${steps:+ ($steps steps)}" "${states:--}" \
		"${transitions:--}" $((SECONDS - RECORD_BEGIN))
done
echo "${#NAMES[@]} checked, $WRONG wrong"
[ "$WRONG" = 0 ]
