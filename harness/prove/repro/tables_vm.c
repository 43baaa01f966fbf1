// SPDX-License-Identifier: GPL-2.0
/*
 * A virtual machine that was restored from a snapshot, in miniature: 256 MiB of a
 * file, mapped privately, of which 2 % are written, in clusters of 64 pages.
 * Another process collapses the file.  Then the same while the next snapshot is
 * saved: userfaultfd-wp still protects the last 2 %.
 */
#include "tables.h"

static long run(const char *what, bool snapshot)
{
	long kb = start(MAP_PRIVATE), went;
	int uffd = -1;

	for (size_t i = 0; i < nr * pages; i++) {
		if (i / 64 % 50 == 0)
			write_page(i);
	}
	if (snapshot)
		uffd = protect_from(nr * pages - nr * pages / 50);
	went = gone(what, kb);
	close(uffd);
	check_contents();
	return went;
}

int main(void)
{
	long went, armed;

	room(256UL << 20);
	went = run("a restored VM", false);
	armed = run("that saves a snapshot", true);
	leave(stayed, "of %zu tables went %ld, and %ld while a snapshot is saved", nr,
	      went, armed);
}
