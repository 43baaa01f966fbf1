// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a child can access a guard page of its parent, if another thread called
 *	mprotect() while the parent installed it.
 * Fixed-by: mm/vma: do not lose the guard flag of a VMA that is being changed
 * Fails: within a second
 */
#include "repro.h"

static char *addr;

static void change_protection(void)
{
	for (int i = 0; i < 2; i++) {
		mprotect(addr, pmd_size, PROT_READ);
		mprotect(addr, pmd_size, PROT_READ | PROT_WRITE);
	}
}

int main(void)
{
	int fd;

	addr = reserve(1);
	fd = memfd();
	while (another_round()) {
		map_pmd(addr, fd);
		go(change_protection);
		dawdle(4000);
		need(!madvise(addr, page_size, MADV_GUARD_INSTALL));
		meet();
		need(!readable(addr));
		if (child_reads(addr))
			fail("the guard page is readable in the child");
	}
	return passed();
}
