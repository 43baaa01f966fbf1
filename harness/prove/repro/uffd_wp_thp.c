// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: UFFDIO_WRITEPROTECT of shmem returns 0, but the page is not
 *	write-protected, if MADV_DONTNEED zaps the huge page there meanwhile.
 * Fixed-by: mm/mprotect: do not lose uffd-wp when the pmd is zapped
 * Fails: within a minute
 */
#include "repro.h"

static char *addr;

static void drop(void)
{
	madvise(addr, pmd_size, MADV_DONTNEED);
}

int main(void)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct uffdio_range range;
	int uffd;

	addr = reserve(1);
	map_pmd(addr, memfd());
	memset(addr, 1, pmd_size);
	need(!madvise(addr, pmd_size, MADV_COLLAPSE));
	uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			 UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	range = (struct uffdio_range){ (uintptr_t)addr, pmd_size };
	wp.range = (struct uffdio_range){ (uintptr_t)addr, page_size };
	while (another_round()) {
		/* The huge page is mapped while nothing is registered. */
		madvise(addr, pmd_size, MADV_DONTNEED);
		need(readable(addr));
		uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_WP);
		go(drop);
		dawdle(2000);
		need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		meet();
		if (!(pagemap(addr) & PM_UFFD_WP))
			fail("the page is not write-protected");
		need(!ioctl(uffd, UFFDIO_UNREGISTER, &range));
	}
	return passed();
}
