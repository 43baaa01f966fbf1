# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # load_cell sets CELL_*
# The command line of QEMU; sourced after cells.sh.
#
#   make_qemu INITRAMFS   sets QEMU, the command that boots the cell loaded, all but where
#                         its console goes, and ACCEL to what it is run with

# KVM runs only the host's own architecture, and not even that everywhere.
accel()
{
	if [ "${ACCEL:-auto}" != auto ]; then
		echo "$ACCEL"
	elif [ "${QEMU[0]}" = "qemu-system-$(uname -m)" ] &&
		"$HARNESS/guest/probe_kvm.sh" "$CELL_KOUT/$CELL_image" "${QEMU[@]}"; then
		echo kvm
	else
		echo tcg
	fi
}

# QEMU may be wrong about its own machine: with "-dtb sed:SCRIPT" in the key qemu, the
# guest gets the device tree that QEMU makes, edited in place.
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

make_qemu()
{
	local file disk append

	read -ra QEMU <<<"$CELL_qemu"
	need "${QEMU[0]}" "${CELL_packages##* }"
	for file in "$CELL_KOUT/$CELL_image" "$1"; do
		[ -s "$file" ] || die "$CELL_cell: no $file: run make cell CELL=$CELL_cell"
	done
	edit_dtb
	ACCEL=$(accel)
	# A lockup is told from a slow host by waiting longer than on hardware; what is
	# sure to be one ends the guest, so that nobody waits for the time-out. What the
	# cell says comes last, and counts.
	append="oops=panic panic=-1 watchdog_thresh=30 softlockup_panic=1 \
rcupdate.rcu_cpu_stall_timeout=60 hung_task_panic=1 loglevel=8 $CELL_append"
	QEMU+=(-accel "$ACCEL" -nodefaults -nographic -no-reboot
		-kernel "$CELL_KOUT/$CELL_image" -initrd "$1" -append "$append")
	for disk in disk swap; do
		[ ! -f "$CELL_OUT/$disk.img" ] || QEMU+=(
			-drive "if=none,id=$disk,format=raw,snapshot=on,file=$CELL_OUT/$disk.img"
			-device "virtio-blk-$CELL_virtio,drive=$disk")
	done
}
