// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a page that UFFDIO_POISON has poisoned is accessible after a collapse
 *	of the file through another mapping.
 * Fixed-by: mm/khugepaged: do not lose poison with a retracted page table
 * Fails: in the first round: it is no race
 */
#include "repro.h"

int main(void)
{
	char *other, *addr = reserve(3);
	int fd = memfd(), uffd = uffd_open(UFFD_FEATURE_POISON);

	other = map_pmd(addr + 2 * pmd_size, fd);
	while (another_round()) {
		map_pmd(addr, fd);
		punch(fd, 0, pmd_size);
		memset(other, 1, pmd_size);
		uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
		need(uffd_poison(uffd, addr + page_size));
		need(!madvise(other, pmd_size, MADV_COLLAPSE));
		if (readable(addr + page_size))
			fail("the poisoned page is readable");
	}
	return passed();
}
