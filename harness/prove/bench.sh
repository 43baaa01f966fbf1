#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: what the series costs or saves: instructions an operation, and size.
#
# in:   CELLS="A B ..." of cells.ini (below: the default); A+debug-vm is the same cell
#       with CONFIG_DEBUG_VM
# out:  build/bench/{base,series}/kernel/CELL/; build/bench/CELL.tsv: cell,
#       side, operation, unit, n, min, median, max; build/bench/CELL.size:
#       bloat-o-meter, base to series; a table on stdout
# exit: 0 measured; 1 not, with one line that says why
#
# One CPU under -icount shift=0, where the guest's clock counts instructions: the
# figures do not depend on this machine, nor on what else it does. Both kernels have
# the cell's configuration without debug-vm and without the suite, and both have
# harness/prove/bench/, which calls what userspace does not reach alone. 10 minutes a cell
# the first time, 1 again.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

OUT=$BUILD/bench$(tree_branch | sed 's/^series//')
read -ra CELLS <<<"${CELLS:-x86_64 i386-pae arm64 arm64-64k arm-lpae-highpte arm-highpte
	riscv64-sv57 s390x ppc64le-radix-64k ppc64le-radix-64k+debug-vm}"
SUITE=pgtable_bench
export ACCEL=tcg

# add_suite ARG: adds the KUnit suite to an index; ARG is what pte_lockptr() takes.
# shellcheck disable=SC2317 # variant calls it
add_suite()
{
	local rev=$2 object=tests/${SUITE}_kunit blob

	blob=$(bgit hash-object -w "$HARNESS/prove/bench/${SUITE}_kunit.c")
	bgit update-index --add --cacheinfo "100644,$blob,mm/$object.c"
	blob=$({
		bgit show "$rev:mm/Makefile"
		echo "obj-y += $object.o"
		echo "CFLAGS_$object.o := -DPTE_LOCKPTR_ARG=$1"
	} | bgit hash-object -w --stdin)
	bgit update-index --cacheinfo "100644,$blob,mm/Makefile"
}

# side NAME CELL[-debug-vm]: selects the tree and the folders of one of the two kernels.
side()
{
	export TREE=$OUT/$1/tree KOUT=$OUT/$1/kernel/$2 AS=bench
	CELL=${2%-debug-vm}
	[ "$CELL" = "$2" ] || AS=bench-debug-vm
	load_cell "$CELL"
}

# measure SIDE CELL: boots, and prints the lines for CELL.tsv.
measure()
{
	local log=$OUT/$1/$2.log

	side "$@"
	"$HARNESS/guest/user.sh" "$CELL"
	say bench "$2: $1"
	"$HARNESS/guest/boot.sh" "$CELL" >"$log" 2>&1 ||
		die "$2, $1: $(grep -m1 -e ^FAIL -e ^error: "$log" || tail -n1 "$log")"
	sed -nE "s/^(ok [0-9]+| *#) (\w+)(:| #) unit=(\w+) n=(\S+) min=(\S+) median=(\S+) max=(\S+)\$/$2\t$1\t\2\t\4\t\5\t\6\t\7\t\8/p" \
		"$CELL_OUT/port.log"
}

measure_both()
{
	measure base "$1"
	measure series "$1"
}

bench_cell()
{
	local name

	for name in base series; do
		side "$name" "$1"
		"$HARNESS/guest/kernel.sh" "$CELL"
	done
	rm -f "$OUT/$1.size"
	put "$OUT/$1.tsv" measure_both "$1"
	put "$OUT/$1.size" "$TREE/scripts/bloat-o-meter" -p "$HARNESS/prove/bench/" \
		"$OUT"/{base,series}/kernel/"$1"/vmlinux
}

make_trees()
{
	local rev

	"$HARNESS/source/tree.sh" >/dev/null
	composed
	rev=$(variant "$BASE_REV" add_suite pmd "$BASE_REV")
	walk_tree "$rev" "$OUT/base/tree" >/dev/null
	rev=$(pgit -C "$(tree_dir)" rev-parse HEAD)
	rev=$(variant "$rev" add_suite pte "$rev")
	walk_tree "$rev" "$OUT/series/tree" >/dev/null
}

[ $# = 0 ] || die "bench.sh takes no arguments, but CELLS=\"NAME …\""
for name in "${CELLS[@]}"; do
	load_cell "${name%+debug-vm}"
done
lock bench
mkdir -p "$OUT"
"$HARNESS/gate/deps.sh" "${CELLS[@]%+debug-vm}"
make_trees
DONE=()
for name in "${CELLS[@]}"; do
	DONE+=("${name//+/-}")
	bench_cell "${DONE[-1]}"
done
"$HARNESS/prove/bench.py" "$OUT" "${DONE[@]}"
