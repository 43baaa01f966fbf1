#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# boot.sh CELL: boots one cell in QEMU and judges what came out.
#
# in:   the kernel (KOUT=DIR for another), build/cells/CELL/{initramfs.cpio,disk.img}; ACCEL
# out:  build/cells/CELL/{console.log,port.log,qemu.log}, seconds, result.tsv (see verdict.py)
# exit: that of verdict.py: 0 when everything ran and passed
#
# The guest is killed at the cell's time-out, and with this script.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
. "$HARNESS/guest/qemu.sh"

[ $# = 1 ] || die "usage: boot.sh CELL"
load_cell "$1"
[ -n "$CELL_qemu" ] || die "$CELL_cell: is only built: $CELL_shows"
make_qemu "$CELL_OUT/initramfs.cpio"
# shellcheck disable=SC2054 # the commas are QEMU's
QEMU+=(-serial "file:$CELL_OUT/console.log"
	-device "virtio-serial-$CELL_virtio"
	-chardev "file,id=result,path=$CELL_OUT/port.log"
	-device virtserialport,chardev=result,name=result)

# timeout(1) makes a process group of its own, so Ctrl-C does not reach it: it is told by us.
run_guest()
{
	local status=0 pid

	TMPDIR=$CELL_OUT timeout -k 5 "$CELL_timeout" "${QEMU[@]}" \
		</dev/null >"$CELL_OUT/qemu.log" 2>&1 &
	pid=$!
	at_exit kill_guest "$pid"
	watch_guest "$pid"
	wait "$pid" || status=$?
	AT_EXIT=("${AT_EXIT[@]:1}")
	case $status in
	0) echo exit ;;
	124 | 137) echo "the guest was killed after $CELL_timeout s" ;;
	*) echo "QEMU failed ($status): $(tail -n1 "$CELL_OUT/qemu.log")" ;;
	esac
}

# On a terminal: how many results there are.
watch_guest()
{
	local n

	while [ -n "$CLEAR" ] && kill -0 "$1" 2>/dev/null; do
		n=$(grep -cE '^ *(not )?ok [0-9]' "$CELL_OUT/port.log" 2>/dev/null) || true
		say boot "$CELL_cell: ${n:-0} results"
		sleep 1
	done
}

# Until it is gone: a signal that comes before it has become timeout(1) is lost.
kill_guest()
{
	while kill "$1" 2>/dev/null; do
		sleep 0.1
	done
}

lock "boot-$CELL_cell"
rm -f "$CELL_OUT"/{console.log,port.log,qemu.log,result.tsv,seconds}
say boot "$CELL_cell: $ACCEL, at most $CELL_timeout s"
begin=$EPOCHSECONDS
run_guest >"$CELL_OUT/ended"
echo $((EPOCHSECONDS - begin)) >"$CELL_OUT/seconds"
echo "$ACCEL" >"$CELL_OUT/accel"
printf %s "$CLEAR" >&2
# What a part of the series cannot show, it does not have to.
set -- --proof "$CELL_proof"
! on PARTIAL || set --
! on PARTIAL || [ -n "$CELL_suites$CELL_user" ] || set -- --no-tests
[ "${AS:-}" != try ] || set -- --by-exit
exec "$HARNESS/judge/verdict.py" "$@" --cell "$CELL_cell" \
	--config "$CELL_KOUT/.config" --console "$CELL_OUT/console.log" --port "$CELL_OUT/port.log" \
	--suites "$CELL_suites" --selftests "$CELL_user" \
	--ended "$(<"$CELL_OUT/ended")" --out "$CELL_OUT/result.tsv" \
	--kunit "$CELL_SRC/tools/testing/kunit"
