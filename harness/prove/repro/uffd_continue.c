// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: UFFDIO_CONTINUE returns -EEXIST although the page is not mapped, if
 *	MADV_DONTNEED takes the page table meanwhile.
 * Fixed-by: mm/userfaultfd: do not return -EEXIST when a page table is reclaimed
 * Fails: within seconds, with CONFIG_PT_RECLAIM and CONFIG_PREEMPTION
 */
#include "repro.h"

int main(void)
{
	struct uffdio_continue cont;
	int fd, uffd = uffd_open(UFFD_FEATURE_MINOR_SHMEM);
	char *addr = reserve(1);

	fd = memfd();
	map_pmd(addr, fd);
	need(pwrite(fd, "x", 1, 0) == 1);
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MINOR);
	go_drop(addr);
	while (another_round()) {
		madvise(addr, pmd_size, MADV_DONTNEED);
		cont = (struct uffdio_continue){
			.range = { (uintptr_t)addr, page_size },
		};
		if (ioctl(uffd, UFFDIO_CONTINUE, &cont) && errno != EAGAIN)
			fail("UFFDIO_CONTINUE: %s", strerror(errno));
	}
	return passed();
}
