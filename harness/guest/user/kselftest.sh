#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# kselftest.sh: the selftests of page tables, as the kernel installs and runs them. In the guest.
#
# out:  run_kselftest.sh's KTAP
# exit: its status

busybox --install -s /bin
cd /kselftest || exit 1
exec ./run_kselftest.sh -o 1800 -t mm:ksft_pgtable.sh
