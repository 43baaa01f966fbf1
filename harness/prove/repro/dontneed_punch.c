// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a page of a file is still mapped when a hole punch, or truncate(), deletes it:
 *	MADV_DONTNEED has cleared the pmd entry, but has not flushed the TLB yet.
 * Fixed-by: mm: flush the TLB before an empty page table is removed
 * Fails: within seconds, where CONFIG_PT_RECLAIM is set, with two CPUs. With
 *	CONFIG_DEBUG_VM, the kernel does not survive it.
 */
#include "repro.h"

static int fd;

static bool bad_page(void)
{
	FILE *f = fopen("/proc/sys/kernel/tainted", "r");
	unsigned long tainted;

	need(f && fscanf(f, "%lu", &tainted) == 1);
	fclose(f);
	return tainted & 1 << 5;
}

/* The last one: MADV_DONTNEED unmaps it last. */
static void punch_last(void)
{
	dawdle(20000);
	punch(fd, pmd_size - page_size, page_size);
}

int main(void)
{
	char *addr = reserve(1);
	size_t i;

	need(!bad_page());
	fd = memfd();
	map_pmd(addr, fd);
	while (another_round()) {
		for (i = 0; i < pmd_size; i += page_size)
			addr[i] = 1;
		go(punch_last);
		need(!madvise(addr, pmd_size, MADV_DONTNEED));
		meet();
		if (bad_page())
			fail("a page was deleted that was still mapped");
	}
	return passed();
}
