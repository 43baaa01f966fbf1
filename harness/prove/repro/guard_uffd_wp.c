// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: MADV_GUARD_INSTALL does not return if userfaultfd has write-protected
 *	the page of a file.
 * Fixed-by: mm/madvise: let MADV_GUARD_INSTALL replace uffd-wp markers
 * Fails: in the first round: it is no race
 */
#include "repro.h"

int main(void)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int fd, status, uffd;
	char *addr;
	pid_t pid;

	addr = reserve(1);
	fd = memfd();
	while (another_round()) {
		map_pmd(addr, fd);
		uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
				 UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
		uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_WP);
		wp.range = (struct uffdio_range){ (uintptr_t)addr, page_size };
		need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
		/* The same mm, so that it is still registered there. */
		pid = vfork();
		if (!pid) {
			alarm(5);
			_exit(!!madvise(addr, page_size, MADV_GUARD_INSTALL));
		}
		need(waitpid(pid, &status, 0) == pid);
		if (WIFSIGNALED(status))
			fail("MADV_GUARD_INSTALL has not returned after 5 s");
		close(uffd);
	}
	return passed();
}
