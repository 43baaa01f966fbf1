// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: PAGEMAP_SCAN reports a page as written that was never written, if
 *	MADV_DONTNEED takes its page table while it protects the page.
 * Fixed-by: mm/mprotect: do not lose uffd-wp when the pmd is zapped
 * Fails: within seconds, with CONFIG_PT_RECLAIM and CONFIG_PREEMPTION
 */
#include <linux/fs.h>
#include "repro.h"

static char *addr;

/* Does the page count as written?  Can protect it as well. */
static bool written(uint64_t flags)
{
	static int fd = -1;
	struct page_region vec;
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = flags,
		.start = (uintptr_t)addr, .end = (uintptr_t)addr + page_size,
		.vec = (uintptr_t)&vec, .vec_len = 1,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int nr;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY);
	need((nr = ioctl(fd, PAGEMAP_SCAN, &arg)) >= 0);
	return nr;
}

int main(void)
{
	struct uffdio_writeprotect wp = { .mode = 0 };
	int uffd;

	addr = reserve(1);
	map_pmd(addr, memfd());
	uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			 UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_WP);
	wp.range = (struct uffdio_range){ (uintptr_t)addr, page_size };
	go_drop(addr);
	while (another_round()) {
		/* Nothing is protected, and there is no page table. */
		need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		madvise(addr, pmd_size, MADV_DONTNEED);
		written(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC);
		if (written(0))
			fail("the page is reported as written");
	}
	return passed();
}
