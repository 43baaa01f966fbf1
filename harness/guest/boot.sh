#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# boot.sh CELL: boots one cell in QEMU and judges what came out.
#
# in:   the kernel (KOUT=DIR for another), build/cells/CELL/{initramfs.cpio,
#       disk.img}; ACCEL=auto|tcg|kvm
# out:  build/cells/CELL/{console.log,port.log,qemu.log}, result.tsv
#       (see verdict.py), seconds
#       More knobs are in cells.sh.
# exit: that of verdict.py: 0 when everything ran and passed
#
# The guest is killed at the cell's time-out, and with this script.
# shellcheck disable=SC2154 # load_cell sets CELL_*

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

[ $# = 1 ] || die "usage: boot.sh CELL"
load_cell "$1"
[ -n "$CELL_qemu" ] || die "$CELL_cell: is only built: $CELL_shows"
read -ra QEMU <<<"$CELL_qemu"
need "${QEMU[0]}" "${CELL_packages##* }"
for file in "$CELL_KOUT/$CELL_image" "$CELL_OUT/initramfs.cpio"; do
	[ -s "$file" ] || die "$CELL_cell: no $file: run make cell CELL=$CELL_cell"
done

# KVM runs only the host's own architecture, and not even that everywhere.
accel()
{
	local accel=${ACCEL:-auto}

	case $accel in
	tcg | kvm) echo "$accel" ;;
	auto)
		if [ "${QEMU[0]}" = "qemu-system-$(uname -m)" ] &&
			"$HARNESS/guest/probe_kvm.sh" "$CELL_KOUT/$CELL_image" "${QEMU[@]}"; then
			echo kvm
		else
			echo tcg
		fi
		;;
	*) die "ACCEL=$accel: it is auto, tcg or kvm" ;;
	esac
}

# QEMU may be wrong about its own machine: with "-dtb sed:SCRIPT" in the column
# qemu, the guest gets the device tree that QEMU makes, edited in place.
edit_dtb()
{
	local i

	for i in "${!QEMU[@]}"; do
		[[ ${QEMU[i]} = sed:* ]] || continue
		"${QEMU[@]:0:i-1}" "${QEMU[@]:i+1}" -nodefaults -nographic \
			-machine "dumpdtb=$CELL_OUT/dtb" >"$CELL_OUT/qemu.log" 2>&1 ||
			die "$CELL_cell: no device tree from QEMU: $(tail -n1 "$CELL_OUT/qemu.log")"
		sed -i "${QEMU[i]#sed:}" "$CELL_OUT/dtb"
		QEMU[i]=$CELL_OUT/dtb
	done
}

edit_dtb
ACCEL=$(accel)
# A lockup is told from a slow host by waiting longer than on hardware; what is
# sure to be one ends the guest, so that nobody waits for the time-out.
APPEND="$CELL_append oops=panic panic=-1 watchdog_thresh=30 softlockup_panic=1
	rcupdate.rcu_cpu_stall_timeout=60 hung_task_panic=1 loglevel=8"
# shellcheck disable=SC2054 # the commas are QEMU's
QEMU+=(-accel "$ACCEL" -nodefaults -nographic -no-reboot
	-kernel "$CELL_KOUT/$CELL_image" -initrd "$CELL_OUT/initramfs.cpio"
	-append "${APPEND//[$'\n\t']/ }"
	-serial "file:$CELL_OUT/console.log"
	-device "virtio-serial-$CELL_virtio"
	-chardev "file,id=result,path=$CELL_OUT/port.log"
	-device virtserialport,chardev=result,name=result)
for disk in disk swap; do
	[ ! -f "$CELL_OUT/$disk.img" ] || QEMU+=(
		-drive "if=none,id=$disk,format=raw,snapshot=on,file=$CELL_OUT/$disk.img"
		-device "virtio-blk-$CELL_virtio,drive=$disk")
done

# timeout(1) makes a process group of its own, so Ctrl-C does not reach it: it
# is told by us, and passes it on.
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

kill_guest()
{
	kill "$1" 2>/dev/null && wait "$1"
}

lock "boot-$CELL_cell"
rm -f "$CELL_OUT"/{console.log,port.log,qemu.log,result.tsv,seconds}
say boot "$CELL_cell: $ACCEL, at most $CELL_timeout s"
begin=$(date +%s)
run_guest >"$CELL_OUT/ended"
echo $(($(date +%s) - begin)) >"$CELL_OUT/seconds"
echo "$ACCEL" >"$CELL_OUT/accel"
printf %s "$CLEAR" >&2
# What a part of the series cannot show, it does not have to.
set -- --proof "$CELL_proof"
[ -z "${PARTIAL:-}" ] || set --
[ -z "${PARTIAL:-}" ] || [ -n "$CELL_suites$CELL_user" ] || set -- --no-tests
exec "$HARNESS/judge/verdict.py" "$@" --cell "$CELL_cell" \
	--console "$CELL_OUT/console.log" --port "$CELL_OUT/port.log" \
	--suites "$CELL_suites" --selftests "$CELL_user" \
	--ended "$(<"$CELL_OUT/ended")" --out "$CELL_OUT/result.tsv" \
	--kunit "$CELL_SRC/tools/testing/kunit"
