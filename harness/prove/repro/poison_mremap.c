// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: poison is lost when mremap() runs out of memory half way, while another
 *	process collapses the file: it cannot move the entries back.
 * Fixed-by: mm/userfaultfd: let a forked child inherit poisoned pages
 * Fails: within seconds
 */
#include "repro.h"
#include "memcg.h"

#define RANGES	1024		/* a page in each, so that each has a table */

static void collapse(char *addr)
{
	for (;;) {
		madvise(addr, pmd_size, MADV_REMOVE);
		madvise(addr, pmd_size, MADV_POPULATE_WRITE);
		madvise(addr, pmd_size, MADV_COLLAPSE);
	}
}

static int uffd;
static enum { POISONED, PRIVATE, GUARD } kind;	/* in turn */
static const char * const names[] = { "poisoned", "private", "guard" };

/* Was it not there any more? */
static bool put_entry(char *addr)
{
	bool done;

	if (kind == PRIVATE) {
		done = !*addr;
		*addr = 1;
		return done;
	}
	if (kind == GUARD) {
		done = readable(addr);
		need(!madvise(addr, page_size, MADV_GUARD_INSTALL));
		return done;
	}
	do {
		done = uffd_poison(uffd, addr);
	} while (!done && errno == EAGAIN);
	need(done || errno == EEXIST);
	return done;
}

int main(void)
{
	char *from = reserve(2 * RANGES + 4), *to, limit[32];
	size_t len = RANGES * pmd_size;
	int i, lost, fd = memfd_create("repro", 0), max;

	if (sizeof(long) == 4)
		skip("needs 64-bit addresses");
	need(fd >= 0 && !ftruncate(fd, len));
	if (in_child())
		collapse(map_pmd(from, fd));
	max = memory_max();
	/* Not aligned, so that the entries are moved, not the page tables. */
	to = from + len + pmd_size + 2 * page_size;
	while (another_round()) {
		kind = (rounds - 1) % 3;
		need(mmap(from, len, PROT_READ | PROT_WRITE, MAP_FIXED |
			  (kind == PRIVATE ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED),
			  fd, 0) == from);
		uffd = uffd_open(UFFD_FEATURE_POISON);
		if (kind == POISONED)
			uffd_register_range(uffd, from, len,
					    UFFDIO_REGISTER_MODE_MISSING);
		for (i = 0; i < RANGES; i++)
			put_entry(from + i * pmd_size);
		snprintf(limit, sizeof(limit), "%ld",
			 memory_current() + RANGES * (long)page_size / 2);
		need(pwrite(max, limit, strlen(limit), 0) > 0);
		if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to) {
			need(pwrite(max, "max", 3, 0) == 3);
			munmap(to, len);
		} else {
			need(pwrite(max, "max", 3, 0) == 3);
			/* The first one may be lost by the collapse itself. */
			for (i = 1, lost = 0; i < RANGES; i++)
				lost += put_entry(from + i * pmd_size);
			if (lost)
				fail("%d of %d %s pages are lost", lost, RANGES,
				     names[kind]);
		}
		close(uffd);
	}
	return passed();
}
