// SPDX-License-Identifier: GPL-2.0
/*
 * How many empty page tables stay because their VMA is locked for writing in the
 * moment of the collapse: while another thread forks all the time, or calls
 * mprotect() on the mapping, or maps and unmaps other memory.
 */
#include "tables.h"

static void forks(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void mprotects(void)
{
	static int i;

	mprotect(area, nr * pmd_size, i++ % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
}

static void maps(void)
{
	munmap(mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	       page_size);
}

static atomic_bool over;

static void *busy(void *fn)
{
	while (!atomic_load(&over))
		((void (*)(void))fn)();
	return NULL;
}

static long run(const char *what, void (*fn)(void))
{
	long kb = start(MAP_SHARED), went;
	pthread_t thread;

	atomic_store(&over, false);
	if (fn)
		need(!pthread_create(&thread, NULL, busy, fn));
	went = gone(what, kb);
	atomic_store(&over, true);
	if (fn)
		pthread_join(thread, NULL);
	return went;
}

int main(void)
{
	long idle, forking, protecting, mapping;

	room(64UL << 20);
	idle = run("idle", NULL);
	forking = run("forks", forks);
	protecting = run("calls mprotect()", mprotects);
	mapping = run("maps other memory", maps);
	leave(0, "of %zu tables went %ld idle, %ld in forks, %ld in mprotect(), %ld in mmap()",
	      nr, idle, forking, protecting, mapping);
}
