#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh: breaks the stack on purpose, and has the tests catch it.
#
# in:   mutants/*.patch, the written ones: each names the test that has to fail, SUITE.CASE of
#       KUnit, PROGRAM.FIXTURE.TEST of a selftest, windows.TEST, or pgtable_fuzz;
#       mutants/functions.tsv, what mutate.py breaks at every place; MUTANTS, names, functions,
#       or patterns of both; SAMPLE, so many of the generated ones, beside those that MUTANTS
#       names one by one; SEED, CELLS, of the generated ones; CELLS="CELL+fuzz …":
#       the written ones of CELL as well, but in [as mutation+fuzz]: does pgtable_fuzz find
#       them?; DURATION, its seconds: 20, and 5 for generated ones; AGAIN
# out:  build/mutants/NAME/ (logs), the records; a table on stdout with what the test said; of
#       the generated ones, build/mutants/made/: the diffs, and FUNCTION.tsv (name, cell, inputs,
#       code, state, what was said); a line for each survivor, and the score
# exit: 0 when each was killed, a written one by the test that it names; 1 otherwise
#
# A written mutant is only killed by a failed expectation of its test, whatever becomes of the
# guest then: a lock that is left held stops it dead, and nobody waits for that. A generated one
# is killed when a test fails, when the kernel itself complains, or when the guest takes more
# than twice as long as the unbroken one; what cannot be compiled, or compiles to the code of
# the function or of another mutant, is set aside. All share a tree, and those of a cell a kernel.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/lib.sh"
SIDES=$BUILD/mutants$SUFFIX
. "$HARNESS/prove/pair.sh"

MUTANTS_DIR=$HARNESS/prove/mutants
MUTATE=$HARNESS/prove/mutate.py
WINDOWS=$HARNESS/prove/windows
MADE=$SIDES/made
GRACE=5	# seconds that a test has to fail after the kernel has complained
declare -A LIMITS=()	# seconds that a guest may take, by cell

# header FILE FIELD: what the head of a mutant says.
header()
{
	local value

	value=$(sed -n "/^---\$/q; s/^$2: //p" "$1")
	[ -n "$value" ] || die "${1#"$ROOT/"}: no line '$2: …' before ---"
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
	local name file header user

	for name; do
		file=$MUTANTS_DIR/$name.patch header=0 user=0
		! grep -q '^+++ .*\.h$' "$file" || header=1
		! is_selftest "$(header "$file" Killed-by)" || user=1
		echo "$header $(header "$file" Cell) $user $name"
	done | sort -s -k1,3 | cut -d' ' -f4
}

# section TEST: that of cells.ini for a cell that a mutant is booted in; any: with pgtable_fuzz.
section()
{
	if [ "$1" = any ]; then
		echo mutation+fuzz
	elif is_selftest "$1"; then
		echo mutant
	else
		echo mutant-kunit
	fi
}

# boot NAME CELL TEST: boots the kernel as it is built; TEST may be any. Sets SAID, and STATE:
# how the test ended, if the guest came to its end. It need not once the test has failed.
# WRONG is what is wrong with all that was to be seen, or empty.
boot()
{
	local pid left=$GRACE

	mkdir -p "$SIDES/$1"
	rm -f "$CELL_OUT"/{console.log,port.log,result.tsv}
	"$HARNESS/guest/boot.sh" "$2" >"$SIDES/$1/verdict.log" 2>&1 &
	pid=$!
	at_exit kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		SAID=$("$MUTATE" said "$CELL_OUT" "$3")
		[ -n "$SAID" ] || continue
		[[ $SAID = kernel\ * ]] && ((left--)) || kill "$pid" 2>/dev/null || true
	done
	WRONG=
	wait "$pid" || WRONG=$(sed -n 's/^FAIL [^:]*: //p' "$SIDES/$1/verdict.log")
	AT_EXIT=("${AT_EXIT[@]:1}")
	cp "$CELL_OUT"/{console,port}.log "$SIDES/$1/" ||
		die "$1: the guest did not start: see $SIDES/$1/verdict.log"
	SAID=$("$MUTATE" said "$SIDES/$1" "$3")
	STATE=$(awk -F'\t' -v test="$3." '
		$1 ~ /^(kunit|selftest)$/ && index($2 ".", test) == 1 { print $3; exit }' \
		"$CELL_OUT/result.tsv" 2>/dev/null) || true
}

# in_windows NAME TEST: the same, of one that windows.sh runs.
in_windows()
{
	local said=$BUILD/windows$SUFFIX/$2/mutant/said to=SAID

	rm -f "$said"
	env -u TREE -u KOUT -u AS MUTANT="$MUTANTS_DIR/$1.patch" TESTS="$2" \
		"$WINDOWS.sh" >"$SIDES/$1/verdict.log" 2>&1 || to=STATE
	[ -f "$said" ] || die "$1: $(tail -n1 "$SIDES/$1/verdict.log")"
	printf -v "$to" %s "$(<"$said")"
}

# mutant NAME: its line of the table, and its record.
mutant()
{
	local name=$1 file=$MUTANTS_DIR/$1.patch cell test result inputs=("$MUTANTS_DIR/$1.patch")
	local experiment=mutant by

	cell=$(header "$file" Cell)
	test=$(header "$file" Killed-by)
	by=$test
	[[ " ${CELLS:-} " != *" $cell+fuzz "* ]] || experiment=fuzzed by=pgtable_fuzz
	[ "$by" != pgtable_fuzz ] || test=any
	[[ $test != windows.* ]] || inputs+=("$WINDOWS"/* "$WINDOWS/../repro/repro.h")
	AS=$(section "$test")
	side mutant "$cell"
	begin_record "${inputs[@]}"
	SAID='' STATE=''
	if still_good "$experiment" "$name"; then
		SAID=$(recorded "$experiment" "$name")
	else
		rm -rf "${SIDES:?}/$name"
		mkdir -p "$SIDES/$name"
		if [[ $test = windows.* ]]; then
			in_windows "$name" "${test#windows.}"
		else
			walk_tree "$TREE_REV" "$TREE" >/dev/null
			pgit -C "$TREE" apply "$file" || die \
				"${file#"$ROOT/"} does not apply to the stack: make it again"
			"$HARNESS/guest/kernel.sh" "$cell"
			"$HARNESS/guest/user.sh" "$cell"
			boot "$name" "$cell" "$test"
			[ "$test" != any ] || ! grep -qx exit "$CELL_OUT/ended" ||
				STATE="did not find it"
		fi
		record "$experiment" "$name" "$([ -n "$SAID" ] && echo pass || echo fail)" \
			"${SAID:-$by: ${STATE:-did not run}}"
	fi
	if [ -n "$SAID" ]; then
		KILLED=$((KILLED + 1))
		result=killed$'\n'"    $SAID"
	else
		result="SURVIVED (${STATE:-did not run}, see ${SIDES#"$ROOT/"}/$name/)"
	fi
	printf '%-22s %-18s %-32s %s\n' "$name" "$cell" "$by" "$result"
}

# known NAME CELL [FIELD]: the state that came out of these inputs, if they were tried; or 6,
# what was said.
known()
{
	grep "^$1"$'\t'"$2"$'\t'"$KEY"$'\t' "$TABLE" | tail -n1 | cut -f"${3:-5}"
}

# disassembly OBJECT...: what they do. Symbols are numbered where there is no name.
disassembly()
{
	(cd "$CELL_KOUT" && "${CELL_cross}objdump" -dr --no-show-raw-insn "$@")
}

# code OBJECT...: one word for that.
code()
{
	disassembly "$@" | sha256sum | cut -c-16
}

# compile OBJECT...: as the kernel's make does it, without asking it what else is to be done,
# and with the environment of kernel.sh: the same code is to give the same object.
compile()
{
	local -x CCACHE_SLOPPINESS=time_macros CCACHE_BASEDIR=$BUILD CCACHE_NOHASHDIR=1
	local object

	for object; do
		(cd "$CELL_KOUT" && sh -ec "$(sed -n '1s/^savedcmd_[^ ]* := //p' \
			"${object%/*}/.${object##*/}.cmd" | sed 's/\$\$/$/g; s/\\#/#/g')" \
			) >>"$MADE/compile.log" 2>&1 </dev/null || return
	done
}

# keep_time FILE COMMAND...: COMMAND changes FILE, but not its time, so that make takes nothing
# for outdated but the link of what compile() made.
keep_time()
{
	local time

	time=$(stat -c %y "$TREE/$1")
	"${@:2}" || return
	touch -d "$time" "$TREE/$1"
}

# exchange FILE PATCH [-R]
exchange()
{
	keep_time "$1" pgit -C "$TREE" apply "${@:3}" "$2" ||
		die "$2 does not apply: remove ${MADE#"$ROOT/"}"
}

# prepare CELL OBJECT...: its kernel, unbroken, must pass, once a run; LIMIT is twice its time.
prepare()
{
	local begin

	walk_tree "$TREE_REV" "$TREE" >/dev/null
	rm -f "$CELL_KOUT"/.stamp	# an object may be that of a mutant
	(cd "$CELL_KOUT" 2>/dev/null && rm -f "${@:2}") || true
	"$HARNESS/guest/kernel.sh" "$CELL_cell"
	"$HARNESS/guest/user.sh" "$CELL_cell"
	CODE=$(code "${@:2}")
	(cd "$CELL_KOUT" && rm -rf .unbroken && mkdir .unbroken && cp -p --parents "${@:2}" .unbroken)
	if [ -z "${LIMITS[$1]:-}" ]; then
		begin=$SECONDS
		LIMIT=900 boot unbroken "$CELL_cell" any
		grep -qx exit "$CELL_OUT/ended" || SAID=${SAID:-$(<"$CELL_OUT/ended")}
		SAID=${SAID:-$WRONG}
		[ -z "$SAID" ] || die "$1: the stack itself does not pass: $SAID: see $SIDES/unbroken/"
		LIMITS[$1]=$(((SECONDS - begin) * 2 + 10))
	fi
	LIMIT=${LIMITS[$1]}
}

# outcome NAME: boots it; sets state and said. A guest may also go away without a word.
outcome()
{
	LIMIT=$LIMIT boot "$1" "$CELL_cell" any
	state=${SAID%% *} said=${SAID#* }
	if [ -z "$state" ]; then
		state=timeout said=$WRONG
		! grep -qx exit "$CELL_OUT/ended" || state=${WRONG:+kernel}
		state=${state:-survived}
	fi
}

# came_out NAME CELL CODE STATE SAID
came_out()
{
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$KEY" "${@:3}" >>"$TABLE"
}

# join_mutants FUNCTION CELL FILE NAME...: a kernel that has all of them, each a copy of the
# function, which is booted once for each: several times as fast as a kernel for each.
join_mutants()
{
	local file=$3 object=${3%.c}.o n bad names=("${@:4}")

	[ ${#names[@]} -gt 1 ] || return 0
	say mutants "$2: a kernel with ${#names[@]} mutants of $1"
	while [ ${#names[@]} -gt 1 ]; do
		keep_time "$file" pgit -C "$TREE" checkout -q -- "$file"
		keep_time "$file" "$MUTATE" join "$TREE" "$file" "$MADE" "$1" "${names[@]}"
		if compile "$object"; then
			boot_joined "$1" "$2" "$object" "${names[@]}"
			break
		fi
		bad=$(awk '/In function/ { n = $0; sub(/.*__m/, "", n) } / error: / { print n - 1 }' \
			"$MADE/compile.log")
		[ -n "$bad" ] || break
		for n in $bad; do unset "names[n]"; done
		names=("${names[@]}")
		rm "$MADE/compile.log"
	done
	rm -f "$MADE/compile.log"
	keep_time "$file" pgit -C "$TREE" checkout -q -- "$file"
	cp -r "$CELL_KOUT"/.unbroken/. "$CELL_KOUT"
}

# boot_joined FUNCTION CELL OBJECT NAME...: leaves to attempt() what does as the function does.
# What survives is in SURVIVED, and may have the same code as something else nevertheless.
boot_joined()
{
	local cell=$2 n code state said codes=() names=(- "${@:4}") lived=' '

	"$HARNESS/guest/kernel.sh" "$CELL_cell" 2>>"$MADE/compile.log" || return 0
	while read -r n code; do
		codes[n]=$code
	done < <(disassembly "$3" | "$MUTATE" codes "$1")
	for ((n = 1; n < ${#names[@]}; n++)); do
		code=${codes[n]:-${codes[0]}}
		[ "$code" != "${codes[0]}" ] || continue
		say mutants "$cell: ${names[n]}"
		said='' state=survived
		if [[ $lived != *" $code "* ]]; then
			said=$(alike "${names[n]}" "$cell" "$code") state=same
			[ -n "$said" ] || MUTANT=$n outcome "${names[n]}"
		fi
		if [ "$state" = survived ]; then
			SURVIVED+="${names[n]} " lived+="$code "
		else
			came_out "${names[n]}" "$cell" "$code" "$state" "$said"
		fi
	done
}

# attempt NAME CELL FILE OBJECT...: one generated mutant, in a cell that is prepared.
attempt()
{
	local code=- state said=

	exchange "$3" "$MADE/$1.patch"
	if ! compile "${@:4}"; then
		state=build said=$(grep -m1 error: "$MADE/compile.log") || true
	elif code=$(code "${@:4}"); [ "$code" = "$CODE" ]; then
		state=equal
	elif said=$(alike "$1" "$2" "$code"); [ -n "$said" ]; then
		state=same
	elif [[ $SURVIVED = *" $1 "* ]]; then
		state=survived
	elif ! "$HARNESS/guest/kernel.sh" "$CELL_cell" 2>>"$MADE/compile.log"; then
		state=build said="it cannot be linked"
	else
		outcome "$1"
	fi
	rm -f "$MADE/compile.log"
	exchange "$3" "$MADE/$1.patch" -R
	cp -r "$CELL_KOUT"/.unbroken/. "$CELL_KOUT"
	came_out "$1" "$2" "$code" "$state" "$said"
}

# alike NAME CELL CODE: the name of another mutant that compiled to that.
alike()
{
	awk -F'\t' -v name="$1" -v cell="$2" -v key="$KEY" -v code="$3" '
		$1 != name && $2 == cell && $3 == key && $4 == code { print $1; exit }' "$TABLE"
}

# break_function NAME FILE CELLS OBJECTS MUTANT...: all of them; a cell gets what those before
# it did not notice; CELL+fuzz is CELL with [as mutation+fuzz]. Adds to COUNT, and writes the
# record if it is the whole function.
break_function()
{
	local name=$1 file=$2 cells=$3 objects cell mutant state left=() next head=mutants row todo
	local -A found=() mine=()
	local -x DURATION=${DURATION:-5}

	TABLE=$MADE/$name.tsv
	touch "$TABLE"
	if on AGAIN; then
		printf '%s\t\n' "${@:5}" | grep -vFf - "$TABLE" >"$TABLE.new" || true
		mv "$TABLE.new" "$TABLE"
	fi
	read -ra objects <<<"$4"
	shift 4
	for mutant; do
		if grep -q "^$mutant"$'\t' "$MUTANTS_DIR/equivalent.tsv"; then
			found[$mutant]=listed
		else
			left+=("$mutant")
		fi
	done
	for cell in $cells; do
		AS=mutation${cell#"${cell%+*}"}
		side mutant "${cell%+*}"
		begin_record
		KEY=$INPUT_KEY SURVIVED=' '
		next=() todo=()
		for mutant in "${left[@]}"; do
			[ -n "$(known "$mutant" "$cell")" ] || todo+=("$mutant")
		done
		[ ${#todo[@]} = 0 ] || prepare "$cell" "${objects[@]}"
		[[ $file != *.c ]] || join_mutants "$name" "$cell" "$file" "${todo[@]}"
		for mutant in "${todo[@]}"; do
			[ -z "$(known "$mutant" "$cell")" ] || continue
			say mutants "$cell: $mutant"
			attempt "$mutant" "$cell" "$file" "${objects[@]}"
		done
		for mutant in "${left[@]}"; do
			state=$(known "$mutant" "$cell")
			[[ ${found[$mutant]:-} = survived && $state =~ ^(equal|same|build)$ ]] ||
				found[$mutant]=$state
			# Other cells need not see what has the code of a killed one.
			[ "$state" != same ] || state=$(known "$(known "$mutant" "$cell" 6)" "$cell")
			[[ $state =~ ^(test|kernel|timeout)$ ]] || next+=("$mutant")
		done
		left=("${next[@]}")
	done
	for mutant; do
		state=${found[$mutant]}
		mine[$state]=$((${mine[$state]:-0} + 1)) COUNT[$state]=$((${COUNT[$state]:-0} + 1))
		[ "$state" != survived ] || printf '%s SURVIVED: %s\n' "$mutant" \
			"$(header "$MADE/$mutant.patch" Breaks)"
	done
	[ $# = "$(find "$MADE" -name "$name-*.patch" | wc -l)" ] || return 0
	# Of some of its cells only: others may notice what survived.
	[ -z "${CELLS:-}" ] || [ -z "${mine[survived]:-}" ] || return 0
	row=$#
	for state in test kernel timeout equal same build listed survived; do
		head+=$'\t'$state row+=$'\t'${mine[$state]:-0}
	done
	printf '%s\n' "$head" "$row" >"$MADE/figures"
	CELL_cell=
	begin_record "$TABLE"
	record mutation "$name" "$([ -n "${mine[survived]:-}" ] && echo fail || echo pass)" \
		"$(score mine)" --figures "$MADE/figures"
}

# score ARRAY: in words.
score()
{
	local -n of=$1
	local killed=$((${of[test]:-0} + ${of[kernel]:-0} + ${of[timeout]:-0})) all

	all=$((killed + ${of[survived]:-0}))
	echo "$killed of $all killed ($((all ? killed * 100 / all : 100)) %): ${of[test]:-0} by a test," \
		"${of[kernel]:-0} by the kernel's own checks, ${of[timeout]:-0} by time;" \
		"set aside: ${of[equal]:-0} of equal code, ${of[same]:-0} like another, ${of[build]:-0}" \
		"that do not compile, ${of[listed]:-0} listed; ${of[survived]:-0} survived"
}

# functions: the lines of functions.tsv that are asked for, with those of their cells that are.
functions()
{
	local name file cells objects cell of asked

	asked=$(IFS='|' && echo "${ASKED[*]%%-*}")
	while IFS=$'\t' read -r name file cells objects; do
		of=
		for cell in $cells; do
			[[ " ${CELLS:-$cell} " != *" $cell "* ]] || of+="$cell "
		done
		[[ -z $of || $name != @($asked) ]] ||
			printf '%s\t%s\t%s\t%s\n' "$name" "$file" "$of" "${objects:-${file%.c}.o}"
	done < <(grep -v '^#' "$MUTANTS_DIR/functions.tsv")
}

# chosen FUNCTION: those of its mutants that are asked for.
chosen()
{
	local name asked

	asked=$(IFS='|' && echo "${ASKED[*]}")
	find "$MADE" -name "$1-*.patch" -printf '%f\n' | sed 's/\.patch$//' | sort |
		while read -r name; do
			[[ $name != @($asked) && $1 != @($asked) ]] || echo "$name"
		done
}

# sampled: of the names on stdin those that MUTANTS has in full, and SAMPLE others; or all.
sampled()
{
	local all named

	all=$(cat)
	if [ -n "${SAMPLE:-}" ]; then
		named=$(printf '%s\n' "${ASKED[@]}" | grep -xF -- "$all") || true
		{ grep -vxF -- "$named" <<<"$all" || true; } | shuf -n "$SAMPLE" \
			--random-source=<(for i in {1..999}; do sha256sum <<<"${SEED:-} $i"; done)
		all=$named
	fi
	echo "$all"
}

# generated: makes those that are asked for, tries them, and says the score.
generated()
{
	local lines name file cells objects all mine

	lines=$(functions)
	[ -n "$lines" ] || return 0
	"$HARNESS/gate/deps.sh" --mutants
	rm -f "$MADE"/*.patch
	walk_tree "$TREE_REV" "$SIDES/mutant/tree" >/dev/null
	cut -f2 <<<"$lines" | sort -u | while read -r file; do
		say mutants "generating those of $file"
		awk -F'\t' -v file="$file" '$2 == file { print $1 }' <<<"$lines" |
			xargs "$MUTATE" make "$SIDES/mutant/tree" "$file" "$MADE" || exit 1
	done
	for name in "${ASKED[@]}"; do
		[[ $name != *-* || $name = *[*?[]* || -f $MADE/$name.patch ||
			-f $MUTANTS_DIR/$name.patch ]] ||
			die "no mutant '$name' any more: the code has changed, see build/mutants/made/"
	done
	all=$(cut -f1 <<<"$lines" | while read -r name; do chosen "$name"; done | sampled)
	while IFS=$'\t' read -ru 3 name file cells objects; do
		mapfile -t mine < <(grep "^$name-" <<<"$all")
		[ ${#mine[@]} = 0 ] || break_function "$name" "$file" "$cells" "$objects" "${mine[@]}"
	done 3<<<"$lines"
	score COUNT
}

main()
{
	local all i name written=() KILLED=0
	local -A COUNT=()

	no_arguments "$@"
	mapfile -t all < <(basename -s .patch -- "$MUTANTS_DIR"/*.patch)
	# Patterns of names, not of files; on several lines as well.
	read -rd '' -a ASKED <<<"${MUTANTS:-*}" || true
	for name in ${MUTANTS:+"${ASKED[@]}"}; do
		if [ -f "$MUTANTS_DIR/$name.patch" ]; then
			written+=("$name")
		elif ! cut -f1 "$MUTANTS_DIR/functions.tsv" | grep -qx -- "${name%%-*}" &&
			[[ $name != *[*?[]* ]]; then
			die "no mutant '$name': the known ones are ${all[*]}, and those of functions.tsv"
		fi
	done
	[ -n "${MUTANTS:-}" ] || written=("${all[@]}")
	[ -z "${SAMPLE:-}" ] || written=()
	for name in "${written[@]}"; do
		for i in Breaks Cell Killed-by; do
			header "$MUTANTS_DIR/$name.patch" "$i" >/dev/null
		done
	done
	lock mutants
	the_tree head
	export AS
	if [ ${#written[@]} -gt 0 ]; then
		mapfile -t written < <(in_order "${written[@]}")
		printf '%-22s %-18s %-32s %s\n' mutant cell "killed by" result
		for i in "${!written[@]}"; do
			say mutants "$((i + 1))/${#written[@]}: ${written[i]}"
			mutant "${written[i]}"
		done
		echo "$KILLED killed, $((${#written[@]} - KILLED)) survived"
	fi
	generated
	[ "$KILLED" = ${#written[@]} ] && [ "${COUNT[survived]:-0}" = 0 ]
}

# Its tests call the functions one by one.
[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
