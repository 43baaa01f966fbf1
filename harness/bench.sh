#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: what the series costs or saves: instructions an operation, and size.
#
# in:   CELLS="A B ..." of cells.tsv (below: the default)
# out:  build/bench/CELL-{base,series}/, the kernels; build/bench/CELL.tsv: cell,
#       side, operation, unit, n, min, median, max; build/bench/CELL.size:
#       bloat-o-meter, base to series; a table on stdout
# exit: 0 measured; 1 not, with one line that says why
#
# One CPU under -icount shift=0, where the guest's clock counts instructions: the
# figures do not depend on this machine, nor on what else it does. Both kernels have
# the cell's configuration without debug-vm and without the suite. 10 minutes a cell
# the first time, 1 again.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/lib.sh"
. "$HARNESS/cells.sh"

OUT=$BUILD/bench
CELLS=${CELLS:-x86_64 i386-pae arm64 arm64-64k arm-lpae-highpte arm-highpte
	riscv64-sv57 s390x ppc64le-radix-64k}
SIDES="base series"
export ACCEL=tcg

# shellcheck disable=SC2034 # derive_cells calls it, and reads what it sets
bench_line()
{
	CELL_fragments=${CELL_fragments//,debug-vm/}
	CELL_fragments=${CELL_fragments//,ptlock/}
	CELL_qemu=$(sed -E 's/-smp [0-9]+/-smp 1 -icount shift=0,sleep=off/' <<<"$CELL_qemu")
	CELL_suites='' CELL_proof=''
	CELL_user=bench
	CELL_timeout=1800
}

# measure CELL SIDE: builds, boots, and prints the lines for CELL.tsv.
measure()
{
	local log=$OUT/$1-$2.log

	export KOUT=$OUT/$1-$2
	say bench "$1: $2"
	load_cell "$1"
	"$HARNESS/kernel.sh" "$1"
	"$HARNESS/user.sh" "$1"
	"$HARNESS/boot.sh" "$1" >"$log" 2>&1 ||
		die "$1, $2: $(grep -m1 -e ^FAIL -e ^error: "$log" || tail -n1 "$log")"
	sed -nE "s/^ok [0-9]+ (\w+) # unit=(\w+) n=(\S+) min=(\S+) median=(\S+) max=(\S+)\$/$1\t$2\t\1\t\2\t\3\t\4\t\5\t\6/p" \
		"$CELL_OUT/port.log"
}

bench_cell()
{
	local side

	for side in $SIDES; do
		TREE=$(walk_tree "${REV[$side]}" "$OUT/tree")
		export TREE
		measure "$1" "$side"
	done >"$OUT/$1.tsv.new"
	mv "$OUT/$1.tsv.new" "$OUT/$1.tsv"
	"$TREE/scripts/bloat-o-meter" "$OUT/$1-base/vmlinux" "$OUT/$1-series/vmlinux" |
		put "$OUT/$1.size"
}

[ $# = 0 ] || die "bench.sh takes no arguments, but CELLS=\"NAME …\""
for cell in $CELLS; do
	load_cell "$cell"
done
lock bench
mkdir -p "$OUT"
# shellcheck disable=SC2086 # a list of words
derive_cells "$OUT/cells.tsv" bench_line $CELLS
# shellcheck disable=SC2086 # a list of words
"$HARNESS/deps.sh" $CELLS
rev=$("$HARNESS/compose.sh")
declare -A REV=([base]=${rev% *} [series]=${rev#* })
for cell in $CELLS; do
	bench_cell "$cell"
done
# shellcheck disable=SC2086 # a list of words
"$HARNESS/bench.py" "$OUT" $CELLS
