// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: UFFDIO_WRITEPROTECT returns 0 although there was no memory for some of
 *	the page tables, so that part of the range is not protected.
 * Fixed-by: mm/mprotect: report that UFFDIO_WRITEPROTECT ran out of memory
 * Fails: in the first round: it is no race
 */
#include "repro.h"
#include "memcg.h"

#define GIB	(1UL << 30)

int main(void)
{
	int ret, fd = memfd_create("repro", 0);
	int uffd = uffd_open(UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int max = memory_max();
	char *addr;

	reserve(0);
	need(fd >= 0 && !ftruncate(fd, 2 * GIB));
	addr = mmap(NULL, 3 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(addr != MAP_FAILED);
	addr = (char *)(((uintptr_t)addr + GIB - 1) & ~(GIB - 1));

	/* Page tables of 4 KiB for each 2 MiB: there is memory for all but a few. */
	while (another_round()) {
		need(mmap(addr, 2 * GIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			  fd, 0) == addr);
		uffd_register_range(uffd, addr, 2 * GIB, UFFDIO_REGISTER_MODE_WP);
		wp.range = (struct uffdio_range){ (uintptr_t)addr, 2 * GIB };
		need(pwrite(max, "4M", 2, 0) == 2);
		ret = ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
		need(pwrite(max, "max", 3, 0) == 3);
		if (!ret && !(pagemap(addr + 2 * GIB - page_size) & PM_UFFD_WP))
			fail("it returned 0, and has not protected the last page");
		need(ret && errno == ENOMEM);
	}
	return passed();
}
