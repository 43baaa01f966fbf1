# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # load_cell sets CELL_*
# What a guest is made of; sourced after cells.sh. All of it is about the cell loaded,
# and what is printed meanwhile goes to the file LOG.
#
#   run CMD...          quietly; if it fails, dies with the lines that tell why
#   make_headers DIR    the uapi headers of the tree, to DIR/usr/include
#   make_selftests LIBS ARG...  the selftests of the tree, static, by their own Makefile, which
#                       goes on after what cannot be built; the headers are in UAPI
#   guest_root DIR      makes the initramfs of DIR, which has the programs in bin/: adds
#                       init, and the cell's lists of suites and selftests, unless there
#                       are others in it
#   make_disks MIB      an ext4, and so much to swap to

run()
{
	"$@" >>"$LOG" 2>&1 </dev/null && return
	note "$(grep -m5 -E 'error:|\*\*\*|undefined' "$LOG" || tail -n5 "$LOG")"
	die "$CELL_cell: ${1##*/} failed: see $LOG"
}

make_headers()
{
	run make -C "$CELL_SRC" O="$1" ARCH="$CELL_arch" -j"$JOBS" headers
}

# Debian's cross compilers have no libnuma and no libcap: prove/regress has what is used of them.
# The answer of check_config.sh, in the source, is that of another compiler.
make_selftests()
{
	local lib

	for lib in numa cap; do
		run "${CELL_cross}ar" rcs "$1/lib$lib.a"
	done
	rm -f "$CELL_SRC"/tools/testing/selftests/mm/local_config.*
	make -C "$CELL_SRC/tools/testing/selftests" -k -j"$JOBS" ARCH="$CELL_arch" \
		CROSS_COMPILE="$CELL_cross" KHDR_INCLUDES="-isystem $UAPI/usr/include" \
		EXTRA_CFLAGS="-I$HARNESS/prove/regress" USERLDFLAGS="-static -L$1" "${@:2}" \
		>>"$LOG" 2>&1 </dev/null || true
	rm -f "$CELL_SRC"/tools/testing/selftests/mm/local_config.*
}

guest_root()
{
	mkdir -p "$1/bin" "$CELL_OUT"
	run "${CELL_cross}gcc" -static -O2 -Wall -Wextra -Werror -o "$1/init" \
		"$HARNESS/guest/init.c"
	[ -f "$1/suites" ] || tr ' ' '\n' <<<"$CELL_suites" >"$1/suites"
	[ -f "$1/selftests" ] || tr ' ' '\n' <<<"$CELL_user" >"$1/selftests"
	pack "$1" "$CELL_OUT/initramfs.cpio"
}

# Sparse, and QEMU never writes to them: they cost next to nothing. What is swapped to
# is made for a page size.
make_disks()
{
	local shift

	rm -f "$CELL_OUT"/{disk,swap}.img*
	run mkfs.ext4 -q -F -b 4096 "$CELL_OUT/disk.img.new" 512M
	mv "$CELL_OUT/disk.img.new" "$CELL_OUT/disk.img"
	shift=$(sed -n 's/^CONFIG_PAGE_SHIFT=//p' "$CELL_KOUT/.config" 2>/dev/null) || true
	run truncate -s "$1M" "$CELL_OUT/swap.img.new"
	run mkswap -p $((1 << ${shift:-12})) "$CELL_OUT/swap.img.new"
	mv "$CELL_OUT/swap.img.new" "$CELL_OUT/swap.img"
}
