// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a page that UFFDIO_POISON poisons during MADV_COLLAPSE of a PTE-mapped
 *	huge page may be accessible afterwards.
 * Fixed-by: mm/khugepaged: do not lose markers with a PTE-mapped THP's page table
 * Fails: within seconds
 */
#include "repro.h"

static char *addr;

static void collapse(void)
{
	dawdle(2000);
	madvise(addr, pmd_size, MADV_COLLAPSE);
}

int main(void)
{
	int uffd = uffd_open(UFFD_FEATURE_POISON);
	bool poisoned;
	char *page;

	addr = reserve(1);
	map_pmd(addr, memfd());
	page = addr + pmd_size / 2;
	memset(addr, 1, pmd_size);
	need(!madvise(addr, pmd_size, MADV_COLLAPSE));
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
	while (another_round()) {
		/* The huge page stays; poison has it mapped by ptes. */
		madvise(addr, pmd_size, MADV_DONTNEED);
		need(uffd_poison(uffd, addr));
		madvise(addr, page_size, MADV_DONTNEED);
		madvise(addr, pmd_size, MADV_POPULATE_READ);
		madvise(page, page_size, MADV_DONTNEED);
		go(collapse);
		dawdle(10000);
		/* -EEXIST once the huge page is mapped. */
		poisoned = uffd_poison(uffd, page);
		meet();
		if (poisoned && readable(page))
			fail("the poisoned page is readable");
	}
	return passed();
}
