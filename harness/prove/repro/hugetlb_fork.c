// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: a child sees what its parent writes to a private hugetlb page after fork() on e500.
 * Fixed-by: powerpc/e500: write-protect all of a huge entry
 * Fails: in the first round: it is no race
 */
#include "repro.h"

#define SIZE	(4 << 20)	/* of a huge page there: two pmd entries */

int main(void)
{
	char *addr, *last;
	int ready[2], status;
	char byte;
	pid_t pid;
	int fd;

	fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
	need(fd >= 0 && write(fd, "8", 1) == 1);
	while (another_round()) {
		addr = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		need(addr != MAP_FAILED && !pipe(ready));
		last = addr + SIZE - 1;
		memset(addr, 1, SIZE);
		pid = fork();
		need(pid >= 0);
		if (!pid)
			_exit(read(ready[0], &byte, 1) != 1 || *last != 1);
		*last = 2;
		need(write(ready[1], "", 1) == 1 && waitpid(pid, &status, 0) == pid);
		if (status)
			fail("the child sees what the parent has written");
		need(!munmap(addr, SIZE) && !close(ready[0]) && !close(ready[1]));
	}
	return passed();
}
