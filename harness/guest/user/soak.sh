#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# soak.sh: memory stressors of stress-ng, and trinity's memory calls, in turn, with a busy
# khugepaged and huge pages wherever they can be had. Runs in the guest.
#
# in:   SOAK_SECONDS, that each of them runs for (20)
# out:  KTAP; what cannot run on this machine is skipped
# exit: 0, or 1 if one failed

SECS=${SOAK_SECONDS:-20} NR=0 STATUS=0 OUT=/tmp/out
STRESSORS="vm vm-addr vm-segv mmap mmapfork mmapmany mmaphuge mremap remap pagemove madvise
	mprotect munmap mlock msync userfaultfd shm memfd fork forkheavy stackmmap tlb-shootdown"

export PATH=/bin:/usr/bin
busybox --install -s /bin
cd /tmp || exit 1

setting()
{
	[ ! -e "$1" ] || echo "$2" >"$1"
}

# result NAME STATUS: 4 is stress-ng's for what this machine has not.
result()
{
	NR=$((NR + 1))
	case $2 in
	0) echo "ok $NR $1" ;;
	4) echo "ok $NR $1 # SKIP $(tail -n 1 $OUT)" ;;
	*)
		sed 's/^/# /' $OUT | tail -n 20
		echo "not ok $NR $1"
		STATUS=1 ;;
	esac
}

THP=/sys/kernel/mm/transparent_hugepage
setting $THP/enabled always
setting $THP/shmem_enabled always
setting $THP/khugepaged/scan_sleep_millisecs 10
setting $THP/khugepaged/alloc_sleep_millisecs 10
setting $THP/khugepaged/pages_to_scan 4096
mkdir /dev/shm
mount -t tmpfs shm /dev/shm
[ ! -d $THP ] || for dir in /tmp /dev/shm; do
	mount -o remount,huge=always $dir
done

# shellcheck disable=SC2086 # words
set -- $STRESSORS trinity
echo "TAP version 13"
echo "1..$#"
for name; do
	status=0
	echo "# $name"
	case $name in
	trinity)
		# It does not end by itself: if it does, it did not run.
		echo "nobody:x:65534:65534::/tmp:" >/etc/passwd
		mkdir -m 777 trinity && cd trinity || exit 1
		timeout -s KILL "$SECS" trinity -q -X -l off -C 4 -g vm >$OUT 2>&1 || status=$?
		case $status in 137) status=0 ;; 0) status=1 ;; esac
		cd /tmp || exit 1
		;;
	*)
		stress-ng --"$name" 2 --timeout "${SECS}s" --temp-path /tmp --verify \
			--vm-bytes 64M --mmap-bytes 64M --mremap-bytes 32M --shm-bytes 16M \
			--memfd-bytes 32M --userfaultfd-bytes 16M --pagemove-bytes 16M \
			--msync-bytes 32M --forkheavy-procs 256 >$OUT 2>&1 || status=$?
		;;
	esac
	result "$name" $status
done
exit $STATUS
