// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: UFFDIO_WRITEPROTECT of shmem returns 0, but the page is not
 *	write-protected, if MADV_DONTNEED takes its page table meanwhile.
 * Fixed-by: mm/mprotect: do not lose uffd-wp when the pmd is zapped
 * Fails: within seconds, with CONFIG_PT_RECLAIM and CONFIG_PREEMPTION
 */
#include "repro.h"

int main(void)
{
	struct uffdio_writeprotect wp;
	char *addr = reserve(1);
	int uffd;

	map_pmd(addr, memfd());
	uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			 UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_WP);
	wp.range = (struct uffdio_range){ (uintptr_t)addr, page_size };
	go_drop(addr);
	while (another_round()) {
		/* Without markers, the page table goes as well. */
		wp.mode = 0;
		need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		madvise(addr, pmd_size, MADV_DONTNEED);
		wp.mode = UFFDIO_WRITEPROTECT_MODE_WP;
		need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		if (!(pagemap(addr) & PM_UFFD_WP))
			fail("the page is not write-protected");
	}
	return passed();
}
