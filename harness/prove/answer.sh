#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# answer.sh: how long until a developer has an answer, beside the kernel's kunit.py.
#
# out:  a record: seconds of make cell CELL=x86_64, of kunit.py with the same suite, and their
#       ratio, a row a step; the same on stdout
# exit: 0 measured; 1 something failed, with one line that says what
#
# Both without ccache, with all CPUs, and emulated; userspace and its tests are in our time.

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

OUT=$BUILD/answer
CELL=x86_64
export CCACHE_DISABLE=1 ACCEL=tcg

# The record of that run is none of the cell's.
ours()
{
	RECORDS=$OUT/records "$HARNESS/run/cell.sh" "$CELL"
}

kunit()
{
	(cd "$OUT/tree" && PATH=$OUT/bin:$PATH PYTHONDONTWRITEBYTECODE=1 \
		tools/testing/kunit/kunit.py run --arch=x86_64 --kunitconfig=mm/tests \
		--build_dir="$OUT/kunit" --jobs="$JOBS" --qemu_args='-smp 4')
}

# step NAME: its row of the table.
step()
{
	local what log begin row=$1

	for what in ours kunit; do
		say answer "$1: $what"
		log="$OUT/$what, ${1//\//-}.log" begin=$EPOCHREALTIME
		"$what" >"$log" 2>&1 </dev/null || die "$what: $(failure "$log"): see $log"
		row+=$(awk "BEGIN { printf \"\\t%.1f\", $EPOCHREALTIME - $begin }")
	done
	awk -F'\t' '{ printf "%s\t%.2f\n", $0, $2 / $3 }' <<<"$row" >>"$OUT/answer.tsv"
}

no_arguments "$@"
lock answer
mkdir -p "$OUT/bin"
"$HARNESS/gate/deps.sh" "$CELL"
the_tree head
walk_tree "$TREE_REV" "$OUT/tree" >/dev/null
export TREE=$OUT/tree KOUT=$OUT/ours
load_cell "$CELL"
begin_record
rm -rf "$OUT"/{ours,ours.cell,kunit}
# A QEMU for kunit.py, which offers it KVM before TCG.
printf "#!/bin/bash\nexec %s \"\${@/#kvm/tcg}\"\n" "$(command -v qemu-system-x86_64)" \
	>"$OUT/bin/qemu-system-x86_64"
chmod +x "$OUT/bin/qemu-system-x86_64"
printf 'step\tours\tkunit\tratio\n' >"$OUT/answer.tsv"
step "nothing built"
step "nothing changed"
echo "/* $(date) */" >>"$TREE/mm/khugepaged.c"
step "mm/khugepaged.c changed"
record answer "$CELL" pass "seconds of make cell CELL=$CELL, and of kunit.py" \
	--figures "$OUT/answer.tsv"
column -t -s $'\t' "$OUT/answer.tsv"
