// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: unmapping a hugetlb page hits a BUG_ON() in pte_fragment_free() on e500.
 * Fixed-by: powerpc/e500: ignore the upper half of an unused pmd entry
 * Fails: in the first round: it is no race
 */
#include "repro.h"

static void write_number(const char *path, const char *number)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		skip("%s: %s", path, strerror(errno));
	need(write(fd, number, strlen(number)) > 0);
	close(fd);
}

/* Rounded up to a huge page, and unmapped by the exit. */
static void touch_huge_page(void)
{
	char *addr = mmap(NULL, 1, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	need(addr != MAP_FAILED);
	*addr = 1;
	_exit(0);
}

int main(void)
{
	int status;
	pid_t pid;

	write_number("/proc/sys/vm/nr_hugepages", "2");
	while (another_round()) {
		pid = fork();
		if (!pid)
			touch_huge_page();
		need(pid > 0 && waitpid(pid, &status, 0) == pid);
		if (WIFSIGNALED(status))
			fail("a child died of signal %d", WTERMSIG(status));
		need(!status);
	}
	return passed();
}
