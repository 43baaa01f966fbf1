// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a guard region is lost when its VMA is merged with the one before,
 *	while another process collapses the file.
 * Fixed-by: mm/vma: set the sticky flags of a merged VMA before it can be found
 * Fails: within seconds
 */
#include "repro.h"

/* One page of the file is enough: MADV_COLLAPSE fills the holes. */
static void collapse(char *addr, int fd)
{
	for (;;) {
		*addr = 1;
		madvise(addr, pmd_size, MADV_COLLAPSE);
		punch(fd, 0, pmd_size);
	}
}

int main(void)
{
	char *addr = reserve(1), *half = addr + pmd_size / 2;
	int fd = memfd();

	if (in_child())
		collapse(map_pmd(addr, fd), fd);
	while (another_round()) {
		map_pmd(addr, fd);
		need(!mprotect(half, pmd_size / 2, PROT_READ));
		need(!madvise(half, page_size, MADV_GUARD_INSTALL));
		need(!mprotect(half, pmd_size / 2, PROT_READ | PROT_WRITE));
		if (readable(half))
			fail("the guard page is readable");
	}
	return passed();
}
