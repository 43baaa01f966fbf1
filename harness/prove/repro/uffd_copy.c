// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: UFFDIO_COPY returns -EEXIST although there is no page, if
 *	MADV_DONTNEED takes the page table meanwhile.
 * Fixed-by: mm/userfaultfd: do not return -EEXIST when a page table is reclaimed
 * Fails: within seconds, with CONFIG_PT_RECLAIM and CONFIG_PREEMPTION
 */
#include "repro.h"

int main(void)
{
	struct uffdio_copy copy;
	char *addr, *src;
	int uffd;

	addr = map_pmd(reserve(1), -1);
	need(src = aligned_alloc(page_size, page_size));
	memset(src, 1, page_size);
	uffd = uffd_open(0);
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
	go_drop(addr);
	while (another_round()) {
		/* No other thread installs a page. */
		madvise(addr, pmd_size, MADV_DONTNEED);
		copy = (struct uffdio_copy){
			.dst = (uintptr_t)addr, .src = (uintptr_t)src,
			.len = page_size,
		};
		if (ioctl(uffd, UFFDIO_COPY, &copy) && errno != EAGAIN)
			fail("UFFDIO_COPY: %s", strerror(errno));
	}
	return passed();
}
