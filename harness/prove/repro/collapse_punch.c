// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: MADV_COLLAPSE and a hole punch, or truncate(), wait for each other for ever:
 *	the collapse for invalidate_lock, to read a page, with others locked.
 * Fixed-by: mm/khugepaged: read missing pages before locking the others
 * Fails: within seconds
 */
#include "repro.h"

static int fd;

static void punch_all(void)
{
	dawdle(2000);
	punch(fd, 0, pmd_size);
}

static void collapse(char *addr, volatile unsigned long *done)
{
	while (another_round()) {
		need(!madvise(addr, pmd_size, MADV_POPULATE_READ));
		punch(fd, pmd_size / 2, page_size);
		go(punch_all);
		dawdle(10000);
		madvise(addr, pmd_size, MADV_COLLAPSE);
		meet();
		*done = rounds;
	}
	passed();
}

int main(void)
{
	volatile unsigned long *done;
	int status;
	double since;
	pid_t pid;

	fd = open(".", O_RDWR | O_TMPFILE, 0600);
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(fd >= 0 && done != MAP_FAILED);
	pid = fork();
	need(pid >= 0);
	if (!pid) {
		char *addr = reserve(1);

		need(!ftruncate(fd, pmd_size));
		collapse(map_pmd(addr, fd), done);
	}
	began = since = now();
	while (!waitpid(pid, &status, WNOHANG)) {
		if (rounds != *done) {
			rounds = *done;
			since = now();
		} else if (now() - since > 10) {
			fail("neither has returned for 10 s");
		}
		usleep(1000);
	}
	return WEXITSTATUS(status);
}
