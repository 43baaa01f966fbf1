// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a page of a shared mapping that UFFDIO_POISON has poisoned is
 *	accessible in a child.
 * Fixed-by: mm/userfaultfd: let a forked child inherit poisoned pages
 * Fails: in the first round: it is no race
 */
#include "repro.h"

int main(void)
{
	int uffd = uffd_open(UFFD_FEATURE_POISON);
	char *addr = reserve(1);

	map_pmd(addr, memfd());
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
	need(uffd_poison(uffd, addr));
	need(!readable(addr));
	while (another_round()) {
		if (child_reads(addr))
			fail("the poisoned page is readable in the child");
	}
	return passed();
}
