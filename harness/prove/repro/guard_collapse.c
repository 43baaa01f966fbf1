// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a guard region that is installed during MADV_COLLAPSE of a PTE-mapped
 *	huge page may not exist afterwards.
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
	addr = reserve(1);
	map_pmd(addr, memfd());
	memset(addr, 1, pmd_size);
	need(!madvise(addr, pmd_size, MADV_COLLAPSE));
	while (another_round()) {
		/* The huge page stays; a guard region has it mapped by ptes. */
		madvise(addr, pmd_size, MADV_DONTNEED);
		need(!madvise(addr, page_size, MADV_GUARD_INSTALL));
		madvise(addr, page_size, MADV_GUARD_REMOVE);
		madvise(addr, pmd_size, MADV_POPULATE_READ);
		go(collapse);
		dawdle(10000);
		need(!madvise(addr + pmd_size / 2, page_size, MADV_GUARD_INSTALL));
		meet();
		if (readable(addr + pmd_size / 2))
			fail("the guard page is readable");
		madvise(addr, pmd_size, MADV_GUARD_REMOVE);
	}
	return passed();
}
