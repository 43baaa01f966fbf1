// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: sparc64: a load that must not fault gets SIGBUS behind the end of a file, or at a
 *	poisoned page. memcmp() of glibc uses such loads: it reads on behind its arguments.
 * Fixed-by: none. The kernel could give 0, as it does instead of SIGSEGV. But memcmp() reads
 *	its arguments themselves in this way: a page that is lost would then compare as zeroes.
 * Fails: at once
 */
#include "repro.h"

int main(void)
{
	static char copy[1 << 16];	/* as many zeroes as a page may have */
	char *addr = reserve(1);
	int fd = memfd();

	need(!ftruncate(fd, page_size));
	need(mmap(addr, 2 * page_size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == addr);
	while (another_round())
		if (memcmp(addr, copy, page_size))
			fail("the page is not what it was");
	return passed();
}
