// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: an access to a page that UFFDIO_POISON has poisoned crashes the
 *	kernel, where the fault handler does not know VM_FAULT_HWPOISON.
 * Fixed-by: the series hwpoison-faults
 * Fails: at once, on sparc64 (BUG in do_sparc64_fault()); x86 is right
 */
#include "repro.h"

int main(void)
{
	int status, uffd;
	char *addr;
	pid_t pid;

	/* Without huge pages as well: one page is enough. */
	page_size = sysconf(_SC_PAGESIZE);
	pmd_size = page_size;
	addr = map_pmd(mmap(NULL, page_size, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), -1);
	uffd = uffd_open(UFFD_FEATURE_POISON);
	uffd_register(uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
	need(uffd_poison(uffd, addr));
	while (another_round()) {
		pid = vfork();
		if (!pid)
			_exit(*(volatile char *)addr);
		need(waitpid(pid, &status, 0) == pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS)
			fail("an access to poison ends with %#x", status);
		if (rounds == 1000)
			break;
	}
	return passed();
}
