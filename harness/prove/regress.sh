#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# regress.sh: the kernel's own tests of mm, on the base and with the series.
#
# in:   regress.tsv, or TESTS="NAME NAME ..." of it; CELLS="x86_64-debug arm64";
#       RETRIES=3: how often what seems worse is run again, on both sides
# out:  build/regress/CELL/{base,patched}.logs/, build/regress/report.tsv, a table
#       on stdout, its last line "N compared, N worse"
# exit: 0 when nothing is worse; 1 when something is, or was not run at all
#
# Both kernels of a cell get the same configuration, tests (those of the base) and
# command lines. A guest that dies in a test is booted again for those after it.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

OUT=$BUILD/regress$(tree_branch | sed 's/^series//')
LIST=$HARNESS/prove/regress.tsv
read -ra CELLS <<<"${CELLS:-x86_64-debug arm64}"
RETRIES=${RETRIES:-3}
SUITES=(usercopy slub_test damon damon-operations damon-sysfs kasan kfence
	lazy_mmu_mode)

# side CELL SIDE: selects the tree and the folders of one of the two kernels.
side()
{
	export TREE=$OUT/$2-tree KOUT=$OUT/$1/$2
	LOGS=$KOUT.logs
	load_cell "$1"
}

# run CMD...: quietly, with everything in the log.
run()
{
	"$@" >>"${KOUT%/*}/user.log" 2>&1 </dev/null
}

# built_from CELL: what the programs depend on; make sees only the .c files.
built_from()
{
	pgit -C "$TREE" rev-parse HEAD
	"${CELL_cross}gcc" --version | head -n1
	cat "$HARNESS"/prove/regress/*.h "$HARNESS"/prove/regress/sys/*.h
}

# build_tests CELL: init and the selftests of the base, static, by their own
# Makefile. Debian's cross compilers have no libnuma and no libcap: harness/prove/regress
# has the few calls that are used. One that does not build is left out, visibly.
build_tests()
{
	local bin uapi

	side "$1" base
	bin=$OUT/$1/bin uapi=$OUT/$1/uapi
	say regress "$1: building the selftests"
	built_from | cmp -s - "$bin/.from" || rm -rf "$bin"
	mkdir -p "$bin" "$uapi"
	: >"$OUT/$1/user.log"
	run "${CELL_cross}gcc" -static -O2 -o "$OUT/$1/init" "$HARNESS/guest/init.c" ||
		die "$1: init does not build: see $OUT/$1/user.log"
	run make -C "$TREE" O="$uapi" ARCH="$CELL_arch" -j"$JOBS" headers ||
		die "$1: make headers failed: see $OUT/$1/user.log"
	[ -f "$bin/libnuma.a" ] || run "${CELL_cross}ar" rcs "$bin/libnuma.a"
	[ -f "$bin/libcap.a" ] || run "${CELL_cross}ar" rcs "$bin/libcap.a"
	run make -C "$TREE/tools/testing/selftests/mm" -k -j"$JOBS" OUTPUT="$bin" \
		ARCH="$CELL_arch" CROSS_COMPILE="$CELL_cross" \
		KHDR_INCLUDES="-isystem $uapi/usr/include" \
		EXTRA_CFLAGS="-I$HARNESS/prove/regress" USERLDFLAGS="-static -L$bin" || true
	built_from >"$bin/.from"
}

# tests_of CELL: the lines that init runs: test, seconds, command.
tests_of()
{
	local name seconds command

	grep -v -e '^#' -e $'^test\t' "$LIST" | while IFS=$'\t' read -r name seconds command; do
		[ -z "${TESTS:-}" ] || [[ " $TESTS " = *" $name "* ]] || continue
		[ "$command" != - ] || command=$name
		if [ -x "$OUT/$1/bin/${command%% *}" ]; then
			echo "$name $seconds $command"
		else
			note "left out: $1 $name: no ${command%% *} was built (see $OUT/$1/user.log)"
		fi
	done
}

# make_root CELL LINES: the guest, that runs these lines.
make_root()
{
	local root=$OUT/$1/root program

	scratch "$root"
	mkdir "$root/bin"
	cp "$OUT/$1/init" "$root/init"
	printf '%s\n' "$2" >"$root/selftests"
	printf '%s\n' "${SUITES[@]}" >"$root/suites"
	while read -r _ _ program _; do
		[ -z "$program" ] || cp -u "$OUT/$1/bin/$program" "$root/bin/"
	done <<<"$2"
	mkdir -p "$CELL_OUT"
	pack "$root" "$CELL_OUT/initramfs.cpio"
}

# A file system, and something to swap to. Sparse, and QEMU never writes to them.
make_disks()
{
	[ -f "$CELL_OUT/swap.img" ] && return
	mkdir -p "$CELL_OUT"
	rm -f "$CELL_OUT"/{disk,swap}.img*
	mkfs.ext4 -q -F -b 4096 "$CELL_OUT/disk.img" 512M >/dev/null
	truncate -s 512M "$CELL_OUT/swap.img.new"
	mkswap "$CELL_OUT/swap.img.new" >/dev/null 2>&1 ||
		die "mkswap of $CELL_OUT/swap.img.new failed"
	mv "$CELL_OUT/swap.img.new" "$CELL_OUT/swap.img"
}

# boot CELL SIDE ROUND LINES: until each line was begun once.
boot()
{
	local lines=$4 n=0 begun log

	side "$1" "$2"
	make_disks
	mkdir -p "$LOGS"
	rm -f "$LOGS/$3"-*
	begun=first
	while [ -n "$begun" ]; do
		n=$((n + 1))
		say regress "$1 $2, round $3: $(grep -c . <<<"$lines") tests"
		make_root "$1" "$lines"
		"$HARNESS/guest/boot.sh" "$1" >"$LOGS/verdict.log" 2>&1 || true
		for log in console port; do
			cp "$CELL_OUT/$log.log" "$LOGS/$3-$n.$log" ||
				die "$1: the guest left no $log.log: see $LOGS/verdict.log"
		done
		begun=$(sed -n 's/^guest: selftest //p' "$LOGS/$3-$n.port")
		lines=$(awk 'NR == FNR { begun[$1]; next } !($1 in begun)' \
			<(echo "$begun") <(echo "$lines"))
		[ -n "$lines" ] || break
	done
}

compare()
{
	"$HARNESS/prove/regress.py" --out "$OUT" --cells "${CELLS[*]}" \
		--kunit "$OUT/base-tree/tools/testing/kunit" "$@"
}

# What seems worse is run again, on both sides, to tell it from what is not the
# same every time. Complaints from the boot are looked at again with it.
again()
{
	local round cell worse cells

	for ((round = 2; round <= RETRIES + 1; round++)); do
		worse=$(compare --worse)
		[ -n "$worse" ] || return 0
		mapfile -t cells < <(cut -d' ' -f1 <<<"$worse" | sort -u)
		for cell in "${cells[@]}"; do
			run_cell "$cell" "$round" "$(awk -v cell="$cell" '
				NR == FNR { if ($1 == cell) want[$2]; next }
				$1 in want' <(echo "$worse") <(tests_of "$cell" 2>/dev/null))"
		done
	done
}

# run_cell CELL ROUND LINES
run_cell()
{
	boot "$1" base "$2" "$3"
	boot "$1" patched "$2" "$3"
}

check_arguments()
{
	local name

	[ $# = 0 ] ||
		die "regress.sh takes no arguments, but CELLS=\"…\", TESTS=\"…\" and RETRIES=N"
	[[ $RETRIES =~ ^[0-9]$ ]] || die "RETRIES=$RETRIES: it is a number from 0 to 9"
	for name in ${TESTS:-}; do
		grep -q "^$name"$'\t' "$LIST" ||
			die "no test '$name' in harness/prove/regress.tsv"
	done
	for name in "${CELLS[@]}"; do
		load_cell "$name"
		[ -f "$HARNESS/guest/config/regress-$name.config" ] ||
			die "no harness/guest/config/regress-$name.config: make regress does x86_64-debug and arm64"
	done
}

check_arguments "$@"
lock regress
mkdir -p "$OUT"
"$HARNESS/gate/deps.sh" "${CELLS[@]}"
"$HARNESS/source/tree.sh" >/dev/null
composed
walk_tree "$BASE_REV" "$OUT/base-tree" >/dev/null
walk_tree "$(pgit -C "$(tree_dir)" rev-parse HEAD)" "$OUT/patched-tree" >/dev/null
export AS=regress
for cell in "${CELLS[@]}"; do
	build_tests "$cell"
	for name in base patched; do
		side "$cell" "$name"
		"$HARNESS/guest/kernel.sh" "$cell"
		rm -rf "$LOGS"
	done
	run_cell "$cell" 1 "$(tests_of "$cell")"
done
again
note "all of it took $(elapsed | tr -d ' ')"
compare
