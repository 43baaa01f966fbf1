/* SPDX-License-Identifier: GPL-2.0 */
/*
 * arch/alpha/mm/fault.c of Linux 7.3.4 calls this for poisoned memory, and nobody
 * defines it: no kernel of the base can be compiled without.
 */
#define show_signal_msg(regs, address, sig, what) do { } while (0)
