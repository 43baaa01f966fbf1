#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# probe_kvm.sh IMAGE QEMU [ARG...]: can KVM boot that kernel here, now?
#
# exit: 0 it can; 1 it cannot; build/kvm-probe has the answer until the next boot of the host
#
# There are machines where /dev/kvm opens and runs instructions, and a kernel then hangs for
# ever. So it is booted, and is to get as far as missing its root file system, within seconds.

. "$(dirname "$0")/../lib/lib.sh"

[ $# -ge 2 ] || die "usage: probe_kvm.sh IMAGE QEMU [ARG...]"
[ -w /dev/kvm ] || exit 1

lock kvm-probe
ANSWER=$BUILD/kvm-probe
KEY="$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) $2 $("$2" --version | head -n1)"
if [ -f "$ANSWER" ] && [ "$(head -n1 "$ANSWER")" = "$KEY" ]; then
	[ "$(tail -n1 "$ANSWER")" = yes ]
	exit
fi

say kvm "does it work here?"
scratch "$BUILD/kvm-probe.tmp"
answer=no
timeout -k 1 8 "${@:2}" -accel kvm -nodefaults -nographic -no-reboot \
	-kernel "$1" -append 'console=ttyS0 kunit.enable=0 reboot=t panic=-1' \
	-serial file:"$BUILD/kvm-probe.tmp/console" </dev/null \
	>"$BUILD/kvm-probe.tmp/log" 2>&1 &
at_exit kill $!
# Some QEMUs abort; bash would tell everybody.
wait $! 2>/dev/null && grep -q 'Kernel panic.*VFS' "$BUILD/kvm-probe.tmp/console" && answer=yes
AT_EXIT=("${AT_EXIT[@]:1}")
printf '%s\n' "$KEY" "$answer" | put "$ANSWER"
note "KVM works here: $answer"
[ "$answer" = yes ]
