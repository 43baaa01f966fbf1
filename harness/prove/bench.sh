#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: what the stack costs or saves: instructions an operation, and size.
#
# in:   CELLS (below: the default; A+debug-vm is A with CONFIG_DEBUG_VM), AGAIN
# out:  a record of each cell and side; build/bench/CELL.size: bloat-o-meter, base to
#       series; a table on stdout
# exit: 0 measured; 1 not, with one line that says why

. "$(dirname "$0")/../lib/lib.sh"

SIDES=$BUILD/bench$SUFFIX
. "$HARNESS/prove/pair.sh"

read -ra CELLS <<<"${CELLS:-x86_64 i386-pae arm64 arm64-64k arm-lpae-highpte arm-highpte
	riscv64-sv57 s390x ppc64le-radix-64k ppc64le-radix-64k+debug-vm}"
SUITE=pgtable_bench
export ACCEL=tcg AS

# add_suite SIDE REV: adds the KUnit suite to an index, with what pte_lockptr() takes.
# shellcheck disable=SC2317 # variant calls it
add_suite()
{
	local object=tests/${SUITE}_kunit blob arg=pte

	[ "$1" != base ] || arg=pmd
	blob=$(bgit hash-object -w "$HARNESS/prove/bench/${SUITE}_kunit.c")
	bgit update-index --add --cacheinfo "100644,$blob,mm/$object.c"
	blob=$({
		bgit show "$2:mm/Makefile"
		echo "obj-y += $object.o"
		echo "CFLAGS_$object.o := -DPTE_LOCKPTR_ARG=$arg"
	} | bgit hash-object -w --stdin)
	bgit update-index --cacheinfo "100644,$blob,mm/Makefile"
}

# measure SIDE: boots that kernel, and records what the guest said.
measure()
{
	local out=$SIDES/$NAME.$1 why

	"$HARNESS/guest/user.sh" "$CELL"
	say bench "$NAME: $1"
	if ! "$HARNESS/guest/boot.sh" "$CELL" >"$out.log" 2>&1 ||
	   ! "$HARNESS/prove/bench.py" figures "$CELL_OUT/port.log" "$CELL_KOUT/vmlinux" \
		>"$out.tsv" 2>>"$out.log"; then
		why=$(failure "$out.log")
		record bench "$NAME" fail "$why" --side "$1"
		die "$NAME, $1: $why"
	fi
	record bench "$NAME" pass "$(($(wc -l <"$out.tsv") - 1)) figures" --side "$1" \
		--figures "$out.tsv"
}

# bench_cell CELL[+debug-vm]
bench_cell()
{
	local name measured=

	CELL=${1%+debug-vm} NAME=${1/+/-} AS=bench
	[ "$CELL" = "$1" ] || AS+=-debug-vm
	for name in base series; do
		side "$name" "$CELL"
		begin_record "$HARNESS/prove/bench/${SUITE}_kunit.c" "$HARNESS/guest/user/bench.c"
		if ! still_good bench "$NAME" "$name"; then
			rm -f "$SIDES/$NAME.size"
			"$HARNESS/guest/kernel.sh" "$CELL"
			measure "$name"
			measured=1
		fi
	done
	[ -n "$measured" ] || return 0
	"$TREE/scripts/bloat-o-meter" -p "$HARNESS/prove/bench/" \
		"$SIDES"/{base,series}/kernel/"$CELL_build"/vmlinux >"$SIDES/$NAME.size"
}

no_arguments "$@"
AS=bench load_cells "${CELLS[@]%+debug-vm}"
lock bench
"$HARNESS/gate/deps.sh" --bench "${CELLS[@]%+debug-vm}"
the_tree head
make_sides add_suite
for name in "${CELLS[@]}"; do
	bench_cell "$name"
done
"$HARNESS/prove/bench.py" table "$RECORDS" "${CELLS[@]/+/-}"
