// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a child can access a guard page of its parent, if the mapping was merged
 *	with another one that lost its name.
 * Fixed-by: mm/madvise: do not lose the guard flag of a VMA that gets a name
 * Fails: in the first round: it is no race
 */
#include "repro.h"

static void name(char *addr, const char *to)
{
	need(!prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, page_size, to));
}

int main(void)
{
	char *addr = reserve(1);

	while (another_round()) {
		need(mmap(addr, 2 * page_size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == addr);
		name(addr, "first");
		need(!madvise(addr + page_size, page_size, MADV_GUARD_INSTALL));
		name(addr, NULL);
		if (child_reads(addr + page_size))
			fail("the guard page is readable in the child");
	}
	return passed();
}
