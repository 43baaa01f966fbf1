#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shell.sh CELL: a shell in the guest of a cell, with the console as its terminal.
#
# in:   SIDE=series (build/tree as it is) or base; SHARE=DIR, copied to /share in the guest,
#       from where nothing comes back; ACCEL; from a pipe, commands: they are read first,
#       and the guest ends after the last
# out:  stdout, the console; build/cells/CELL-shell/; build/busybox/ARCH, Debian's
# exit: 0 the shell was left; 1 with one line that says why there was none

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/lib/apt.sh"
. "$HARNESS/guest/cells.sh"
. "$HARNESS/guest/qemu.sh"

[ $# = 1 ] || die "usage: shell.sh CELL, or make shell CELL=NAME: the cells are" \
	"$(cell_names | paste -sd' ')"
CELL=$1 SIDE=${SIDE:-series} PIPED=''
[[ $SIDE =~ ^(base|series)$ ]] || die "SIDE=$SIDE: it is base or series"
if [ -n "${SHARE:-}" ]; then
	[ -d "$SHARE" ] || die "SHARE=$SHARE: no such folder"
	[ "$(du -sLm "$SHARE" | cut -f1)" -le 128 ] ||
		die "SHARE=$SHARE: more than 128 MiB, and the guest has to hold it in memory"
fi
export AS=shell
load_cell "$CELL"
arch=$(deb_arch)
[ -t 0 ] || { PIPED=1 && COMMANDS=$(cat); }
"$HARNESS/gate/deps.sh" "$CELL" </dev/null
if [ "$SIDE" = base ]; then
	# shellcheck disable=SC1091 # in turn it reads what is read here
	. "$HARNESS/prove/pair.sh"
	the_tree head
	make_sides '' base
	side base "$CELL"
else
	the_tree work </dev/null
fi
lock "shell-$CELL_cell"
"$HARNESS/guest/kernel.sh" "$CELL" </dev/null
"$HARNESS/guest/user.sh" "$CELL" </dev/null
busybox=$BUILD/busybox/$arch
if [ ! -s "$busybox" ]; then
	say shell "fetching busybox-static for $arch"
	# bookworm has none for riscv64.
	scratch "$BUILD/busybox/apt"
	own_apt "$BUILD/busybox/apt" trixie "$arch"
	own_download "$BUILD/busybox/apt" "busybox-static:$arch"
	dpkg-deb --fsys-tarfile "$BUILD"/busybox/apt/get/busybox-static_*.deb |
		tar -xO --wildcards '*bin/busybox' | put "$busybox"
fi
# What the cell's own initramfs has not; the kernel unpacks both.
root=$CELL_OUT/shell
scratch "$root"
install -D "$busybox" "$root/bin/busybox"
# What init runs, where it runs selftests. The terminal here adds the carriage returns.
echo "/bin/busybox --install -s /bin; cd /mnt; stty -onlcr" >"$root/shell"
if [ -n "$PIPED" ]; then
	echo "exec sh /commands </dev/null" >>"$root/shell"
	printf '%s\n' "$COMMANDS" >"$root/commands"
else
	stty size | sed -E 's/(.*) (.*)/stty rows \1 cols \2/' >>"$root/shell"
	echo "export PS1='$CELL_cell:\\w# ' TERM=${TERM:-linux}; exec sh" >>"$root/shell"
fi
[ -z "${SHARE:-}" ] || cp -RL "$SHARE" "$root/share"
pack "$root" "$root.cpio"
put "$CELL_OUT/with-shell.cpio" cat "$CELL_OUT/initramfs.cpio" "$root.cpio"
make_qemu "$CELL_OUT/with-shell.cpio"
[ -n "$PIPED" ] || note "$CELL, $SIDE, $ACCEL: exit ends it, Ctrl-A X whatever it does"
printf %s "$CLEAR" >&2
"${QEMU[@]}" -serial mon:stdio
