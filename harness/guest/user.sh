#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# user.sh CELL: builds what runs in the guest of one cell.
#
# in:   harness/guest/init.c, tools/testing/selftests/mm of the tree (TREE=DIR for another),
#       its uapi headers; the cell's lists of suites and selftests; harness/guest/user, for
#       those that the kernel does not have; the cell's packages of Debian's, downloaded
# out:  build/cells/CELL/initramfs.cpio: init, the selftests, what to run; disk.img: an empty
#       ext4, when there are selftests; swap.img
# exit: 0 built or already up to date; 1 with one line that says why not
#
# All of it is static, so that neither a loader nor a libc has to come along.
# The selftests' own Makefile is used for make kselftest only.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
. "$HARNESS/guest/root.sh"
. "$HARNESS/lib/apt.sh"

[ $# = 1 ] || die "usage: user.sh CELL"
load_cell "$1"
CC=${CELL_cross}gcc
MM=$CELL_SRC/tools/testing/selftests/mm
# Cells of one architecture share the headers, unless the tree is another.
UAPI=$BUILD/uapi/$CELL_arch${CELL_OUT#"$BUILD/cells/$CELL_cell"}
[ -z "${TREE:-}" ] || UAPI=$CELL_OUT/uapi
LOG=$CELL_OUT/user.log

[ -d "$MM" ] || die "no kernel tree in $CELL_SRC: run make tree"
need "$CC" "${CELL_packages%% *}"
need cpio cpio
need mkfs.ext4 e2fsprogs
need mkswap util-linux

inputs()
{
	echo "$CELL_SRC" "$CELL_suites" "$CELL_user" "$CELL_debs"
	"$CC" --version | head -n1
}

# What a test is linked with, apart from what all are: $(OUTPUT)/TEST: FILE.c …
shared_sources()
{
	sed -nE "s|^\\\$\\(OUTPUT\\)/$1: (.*\.c)$|\\1|p" "$MM/Makefile"
}

# As the selftests' Makefile has it, for one test, and where it does it: the names of the files
# are in what a failed test says.
# shellcheck disable=SC2046 # names of files in the tree
build_selftest()
{
	local src=$1.c

	[ "$1" != kselftest ] || install_selftests
	[ ! -f "$HARNESS/guest/user/$1.sh" ] || {
		run install "$HARNESS/guest/user/$1.sh" "$CELL_OUT/rootfs/bin/$1"
		return
	}
	[ -f "$MM/$src" ] || src=$HARNESS/guest/user/$1.c
	[ -f "$src" ] || [ -f "$MM/$src" ] ||
		die "$CELL_cell: no tools/testing/selftests/mm/$1.c in the tree"
	cd "$MM"
	run "$CC" -static -O2 -Wall -U_FORTIFY_SOURCE -D_GNU_SOURCE= \
		-I "$CELL_SRC/tools/testing/selftests" -I "$MM" -I "$CELL_OUT/gen" \
		-isystem "$UAPI/usr/include" \
		-isystem "$CELL_SRC/tools/include/uapi" -I "$CELL_SRC" \
		-o "$CELL_OUT/rootfs/bin/$1" "$src" \
		vm_util.c hugepage_settings.c $(shared_sources "$1") -lrt -lpthread -lm
}

# All selftests of mm, as their own Makefile installs them.
install_selftests()
{
	mkdir -p "$CELL_OUT/kselftest"
	make_selftests "$CELL_OUT/kselftest" O="$CELL_OUT/kselftest" TARGETS=mm \
		INSTALL_PATH="$CELL_OUT/rootfs/kselftest" install
	[ -x "$CELL_OUT/rootfs/kselftest/mm/pgtable_retract" ] ||
		die "$CELL_cell: make install of the selftests failed: see $LOG"
}

build_tests()
{
	local test

	mkdir -p "$CELL_OUT/rootfs/bin" "$CELL_OUT/gen"
	# What check_config.sh would say: no liburing.
	: >"$CELL_OUT/gen/local_config.h_gen"
	make_headers "$UAPI"
	for test in $CELL_user; do
		build_selftest "$test"
	done
}

# The packages and what they need, but for what is only to be read. Of bookworm: later ones of
# stress-ng need five times as much.
unpack_debs()
{
	local arch deb debs root
	local -a packages

	arch=$(deb_arch)
	debs=$BUILD/debs/$arch-${CELL_debs// /-} root=$CELL_OUT/debs
	read -ra packages <<<"$CELL_debs"
	lock "${debs##*/}"
	if [ ! -f "$debs.tar" ]; then
		say user "$CELL_cell: fetching $CELL_debs"
		scratch "$debs"
		scratch "$root"
		own_apt "$debs" bookworm "$arch"
		run apt-get "${APT_OPTIONS[@]}" install --download-only -y \
			--no-install-recommends "${packages[@]}"
		for deb in "$debs"/cache/archives/*.deb; do
			run dpkg-deb -x "$deb" "$root"
		done
		put "$debs.tar" tar -C "$root" --exclude=./usr/share --exclude=./var -cf - .
	fi
	run tar -xf "$debs.tar" -C "$CELL_OUT/rootfs"
}

lock "user-$CELL_cell"
mkdir -p "$CELL_OUT" "$UAPI" || die "cannot create $CELL_OUT"
STAMP=$CELL_OUT/.user-stamp
inputs >"$CELL_OUT/.user-inputs.new"
if [ -f "$STAMP" ] && cmp -s "$CELL_OUT/.user-inputs.new" "$CELL_OUT/.user-inputs" &&
	! changed "$STAMP" "$HARNESS/guest/"{init.c,user.sh,root.sh,user} \
		"$CELL_SRC/tools/testing/selftests/mm" \
		"$CELL_SRC"/tools/testing/selftests/*.h \
		"$CELL_SRC/tools/include" "$CELL_SRC/include/uapi" \
		"$CELL_SRC"/arch/*/include/uapi; then
	say user "$CELL_cell: up to date"
	exit 0
fi
say user "$CELL_cell: building init ${CELL_user:-}"
rm -rf "$STAMP" "$CELL_OUT/rootfs"
: >"$STAMP.new"
: >"$LOG"
build_tests
[ -z "$CELL_debs" ] || unpack_debs
guest_root "$CELL_OUT/rootfs"
[ -z "$CELL_user" ] || make_disks 64
mv "$CELL_OUT/.user-inputs.new" "$CELL_OUT/.user-inputs"
mv "$STAMP.new" "$STAMP"
say user "$CELL_cell: built"
