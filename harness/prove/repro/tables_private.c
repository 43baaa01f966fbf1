// SPDX-License-Identifier: GPL-2.0
/*
 * A private mapping of a file keeps all its page tables when another process
 * collapses the file: one written page is enough.  So does a mapping with one guard
 * region, or one that is registered with userfaultfd-wp.  Their empty page tables
 * should go.
 */
#include "tables.h"

/* Writes each page with a probability of one in every; every = 0: only one page. */
static long sparse(const char *what, unsigned int every)
{
	long kb = start(MAP_PRIVATE), went;

	if (!every)
		write_page(nr / 2 * pages + 7);
	for (size_t i = 0; every && i < nr * pages; i++) {
		if (random() % every == 0)
			write_page(i);
	}
	went = gone(what, kb);
	check_contents();
	return went;
}

static long guard(void)
{
	long kb = start(MAP_SHARED), went;

	need(!madvise(area + page_size, page_size, MADV_GUARD_INSTALL));
	needed[0] = true;
	went = gone("one guard page", kb);
	if (readable(area + page_size))
		fail("the guard page is readable");
	return went;
}

static long uffd_wp(void)
{
	long kb = start(MAP_SHARED), went;
	int uffd = protect_from(nr * pages - 1);

	went = gone("one uffd-wp page", kb);
	if (!(pagemap(area + nr * pmd_size - page_size) & PM_UFFD_WP))
		fail("the page is not protected");
	close(uffd);
	return went;
}

int main(void)
{
	long one, percent, guarded, wp;

	room(64UL << 20);
	one = sparse("one private page", 0);
	sparse("1 page of 10000", 10000);
	sparse("1 page of 1000", 1000);
	percent = sparse("1 page of 100", 100);
	guarded = guard();
	wp = uffd_wp();
	leave(stayed, "of %zu tables went %ld with one private page, %ld with 1 %% private pages, %ld with a guard page, %ld with uffd-wp",
	      nr, one, percent, guarded, wp);
}
