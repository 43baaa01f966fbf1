// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to lose the empty page tables of a private mapping: page faults to
 * read all of it after the collapse, to write a page in each PMD range, which splits
 * the huge mapping of a range whose table went, and to read all of it again.
 */
#include "tables.h"
#include <sys/resource.h>

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static long read_all(void)
{
	long before = faults();

	for (size_t i = 0; i < nr * pages; i++)
		(void)*(volatile char *)(area + i * page_size);
	return faults() - before;
}

int main(void)
{
	long kb, first, writes, again;

	room(64UL << 20);
	kb = start(MAP_PRIVATE);
	write_page(7);
	gone("one private page", kb);
	need(!madvise(area, nr * pmd_size, MADV_HUGEPAGE));
	first = read_all();
	writes = faults();
	for (size_t i = 0; i < nr; i++)
		write_page(i * pages + 9);
	writes = faults() - writes;
	again = read_all();
	check_contents();
	leave(0, "%zu ranges: %ld faults to read all, %ld to write a page in each, %ld to read all again: %ld",
	      nr, first, writes, again, first + writes + again);
}
