#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: what the stack costs or saves: instructions an operation, and size.
#
# in:   CELLS (below: the default; A+debug-vm is A with CONFIG_DEBUG_VM), AGAIN. Each kernel is
#       booted BOOTS times: addresses and the order of allocations differ, and so do figures
# out:  a record of each cell and side; build/bench/CELL.size: bloat-o-meter, base to
#       series; a table on stdout
# exit: 0 measured; 1 not, with one line that says why

. "$(dirname "$0")/../lib/lib.sh"

SIDES=$BUILD/bench$SUFFIX
. "$HARNESS/prove/pair.sh"

read -ra CELLS <<<"${CELLS:-x86_64 i386-pae arm64 arm64-64k arm-lpae-highpte arm-highpte
	riscv64-sv57 s390x ppc64le-radix-64k ppc64le-radix-64k+debug-vm}"
SUITE=pgtable_bench BOOTS=3
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

# measure: one side of a cell, to $out.tsv
measure()
{
	local boot

	for ((boot = 1; boot <= BOOTS; boot++)); do
		say bench "$name: $side, boot $boot of $BOOTS"
		"$HARNESS/guest/boot.sh" "$cell" >"$out.log" 2>&1 || return
		cp "$CELL_OUT/port.log" "$out.port$boot" || return
	done
	"$HARNESS/prove/bench.py" figures "$CELL_KOUT/vmlinux" "$out".port[1-9] \
		>"$out.tsv" 2>>"$out.log"
}

no_arguments "$@"
AS=bench load_cells "${CELLS[@]%+debug-vm}"
lock bench
"$HARNESS/gate/deps.sh" --bench "${CELLS[@]%+debug-vm}"
the_tree head
make_sides add_suite
for one in "${CELLS[@]}"; do
	cell=${one%+debug-vm} name=${one/+/-} AS=bench
	[ "$cell" = "$one" ] || AS+=-debug-vm
	for side in base series; do
		out=$SIDES/$name.$side
		side "$side" "$cell"
		begin_record "$HARNESS"/prove/bench{.sh,.py,/${SUITE}_kunit.c}
		! still_good bench "$name" "$side" || continue
		rm -f "$SIDES/$name.size"
		"$HARNESS/guest/kernel.sh" "$cell"
		"$HARNESS/guest/user.sh" "$cell"
		if ! measure; then
			why=$(failure "$out.log")
			record bench "$name" fail "$why" --side "$side"
			die "$name, $side: $why"
		fi
		record bench "$name" pass "$(($(wc -l <"$out.tsv") - 1)) figures" \
			--side "$side" --figures "$out.tsv"
	done
	[ -f "$SIDES/$name.size" ] || "$TREE/scripts/bloat-o-meter" -p "$HARNESS/prove/bench/" \
		"$SIDES"/{base,series}/kernel/"$CELL_build"/vmlinux >"$SIDES/$name.size"
done
"$HARNESS/prove/bench.py" table "$RECORDS" "${CELLS[@]/+/-}"
