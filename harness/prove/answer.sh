#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# answer.sh: how long until a developer has an answer, beside the kernel's kunit.py.
#
# out:  build/answer/answer.tsv: step, seconds of make cell CELL=x86_64, seconds of
#       kunit.py run --arch=x86_64 with the same suite; a table of them with the ratio
#       on stdout
# exit: 0 measured; 1 something failed, with one line that says what
#
# Three steps: with nothing built (the tree is there, and what has to be installed),
# with nothing changed, and with a line of mm/khugepaged.c changed. Both without ccache,
# both with all CPUs, and both emulated: kunit.py would try KVM first. What ours does
# beyond it is in its time: userspace, and its tests. One after the other, 11 minutes.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

OUT=$BUILD/answer
CELL=x86_64
export CCACHE_DISABLE=1 ACCEL=tcg

# seconds LOG CMD...: runs it quietly; prints how long it took.
seconds()
{
	local log=$OUT/$1 begin=$EPOCHREALTIME

	"${@:2}" >"$log" 2>&1 </dev/null ||
		die "$2: $(grep -m1 -e ^FAIL -e ^error: "$log" || tail -n1 "$log"): see $log"
	awk "BEGIN { printf \"%.1f\\n\", $EPOCHREALTIME - $begin }"
}

ours()
{
	TREE=$OUT/tree KOUT=$OUT/ours "$HARNESS/run/cell.sh" "$CELL"
}

kunit()
{
	cd "$OUT/tree"
	PATH=$OUT/bin:$PATH PYTHONDONTWRITEBYTECODE=1 tools/testing/kunit/kunit.py run \
		--arch=x86_64 --kunitconfig=mm/tests --build_dir="$OUT/kunit" \
		--jobs="$JOBS" --qemu_args='-smp 4'
}

# A QEMU for kunit.py, which offers it KVM before TCG.
make_qemu()
{
	mkdir -p "$OUT/bin"
	cat >"$OUT/bin/qemu-system-x86_64" <<-EOF
		#!/bin/bash
		args=()
		for arg; do
			[[ \$arg = kvm || \$arg = hvf ]] && arg=tcg
			args+=("\$arg")
		done
		exec $(command -v qemu-system-x86_64) "\${args[@]}"
	EOF
	chmod +x "$OUT/bin/qemu-system-x86_64"
}

step()
{
	local a b

	say answer "$1: make cell"
	a=$(seconds "ours.$2.log" ours)
	say answer "$1: kunit.py"
	b=$(seconds "kunit.$2.log" kunit)
	printf '%s\t%s\t%s\t%s\n' "$1" "$a" "$b" \
		"$(awk "BEGIN { printf \"%.2f\", $a / $b }")" | tee -a "$OUT/answer.tsv.new"
}

[ $# = 0 ] || die "answer.sh takes no arguments"
load_cell "$CELL"
lock answer
mkdir -p "$OUT"
"$HARNESS/gate/deps.sh" "$CELL"
"$HARNESS/source/tree.sh" >/dev/null
walk_tree "$(pgit -C "$(tree_dir)" rev-parse HEAD)" "$OUT/tree" >/dev/null
rm -rf "$OUT"/{ours,ours.cell,kunit}
make_qemu
{
	printf 'step\tmake cell, s\tkunit.py, s\tratio\n' | tee "$OUT/answer.tsv.new"
	step "nothing built" cold
	step "nothing changed" again
	echo "/* $(date) */" >>"$OUT/tree/mm/khugepaged.c"
	step "mm/khugepaged.c changed" edit
} | column -t -s $'\t'
mv "$OUT/answer.tsv.new" "$OUT/answer.tsv"
