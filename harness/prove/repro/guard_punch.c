// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a guard region is lost when a hole is punched in the file, while
 *	another mapping of it faults.
 * Fixed-by: mm/memory: keep guard markers when a file is truncated or punched
 * Fails: within a second
 */
#include "repro.h"

static char *other_map;

static void fault(void)
{
	for (;;)
		madvise(other_map, pmd_size, MADV_POPULATE_READ);
}

int main(void)
{
	char *addr = reserve(3);
	int fd = memfd();
	size_t at;

	map_pmd(addr, fd);
	other_map = map_pmd(addr + 2 * pmd_size, fd);
	need(!madvise(addr, pmd_size, MADV_GUARD_INSTALL));
	go(fault);
	while (another_round()) {
		punch(fd, 0, pmd_size);
		for (at = 0; at < pmd_size; at += page_size)
			if (readable(addr + at))
				fail("guard page %zu is readable", at / page_size);
	}
	return passed();
}
