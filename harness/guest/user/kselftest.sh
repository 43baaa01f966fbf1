#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# kselftest.sh: the selftests of page tables, as the kernel installs and runs them. In the guest.
#
# out:  run_kselftest.sh's KTAP
# exit: its status, or 1 if a program was skipped

busybox --install -s /bin
# The initramfs has no file system whose files can be collapsed.
export PGTABLE_TEST_DIR=/mnt
cd /kselftest || exit 1
# What the tests print is appended there.
ln -s /proc/self/fd/1 /dev/stdout
{ ./run_kselftest.sh -t mm:ksft_pgtable.sh; echo $? >/tmp/status; } | tee /tmp/out
status=$(cat /tmp/status)
! grep -F '[SKIP]' /tmp/out || status=1
exit "$status"
