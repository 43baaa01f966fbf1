// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: UFFDIO_MOVE returns -EINVAL although its arguments are valid, if
 *	MADV_DONTNEED takes the destination's page table meanwhile.
 * Fixed-by: mm/userfaultfd: try again when UFFDIO_MOVE loses a page table
 * Fails: within seconds, with CONFIG_PT_RECLAIM and two CPUs
 */
#include "repro.h"

static char *addr;

static void drop(void)
{
	/* Not preempt(): rcu_read_lock() may disable preemption there. */
	for (;;)
		madvise(addr, pmd_size, MADV_DONTNEED);
}

int main(void)
{
	struct uffdio_move move;
	char *src;
	int uffd;

	addr = reserve(3);
	/* Not next to each other, or they would be one VMA. */
	src = map_pmd(addr + 2 * pmd_size, -1);
	map_pmd(addr, -1);
	uffd = uffd_open(UFFD_FEATURE_MOVE);
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
	go(drop);
	while (another_round()) {
		*src = 1;
		madvise(addr, pmd_size, MADV_DONTNEED);
		move = (struct uffdio_move){
			.dst = (uintptr_t)addr, .src = (uintptr_t)src,
			.len = page_size,
		};
		if (ioctl(uffd, UFFDIO_MOVE, &move) && errno != EAGAIN &&
		    errno != EBUSY)
			fail("UFFDIO_MOVE: %s", strerror(errno));
	}
	return passed();
}
