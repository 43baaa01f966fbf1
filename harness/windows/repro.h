/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the reproducers have in common.  Each runs for REPRO_SECONDS (20) or
 * until it fails, whichever is first.  With the windows widened (see
 * include/linux/ptlock_window.h) it takes seconds, without them luck.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "kselftest_harness.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define WINDOWS "/sys/kernel/debug/ptlock_window/"

static size_t page_size, pmd_size;

/* true if there is such a window, and it has been widened */
static bool widen(const char *name, unsigned int us)
{
	char path[128];
	FILE *f;

	f = fopen(WINDOWS "tgid", "w");
	if (!f)
		return false;
	fprintf(f, "%d\n", getpid());
	fclose(f);

	snprintf(path, sizeof(path), WINDOWS "%s/delay_us", name);
	f = fopen(path, "w");
	if (!f)
		return false;
	fprintf(f, "%u\n", us);
	fclose(f);
	return true;
}

/* How often the window was stretched; -1 if there is none */
static int widened(const char *name)
{
	char path[128];
	int nr = -1;
	FILE *f;

	snprintf(path, sizeof(path), WINDOWS "%s/delayed", name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &nr) != 1)
		nr = -1;
	if (f)
		fclose(f);
	widen(name, 0);
	return nr;
}

static void find_sizes(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");

	page_size = sysconf(_SC_PAGESIZE);
	/* As many entries as fit, each 8 bytes, if there are no THP to ask */
	if (!f || fscanf(f, "%zu", &pmd_size) != 1)
		pmd_size = page_size / 8 * page_size;
	if (f)
		fclose(f);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double deadline(void)
{
	const char *s = getenv("REPRO_SECONDS");

	return now() + (s ? atof(s) : 20);
}

/* Address space for nr PMD ranges, the first aligned, and nothing there */
static char *reserve(int nr)
{
	char *p = mmap(NULL, (nr + 1) * pmd_size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return (char *)(((uintptr_t)p + pmd_size - 1) & ~(pmd_size - 1));
}

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

static int uffd_register(int uffd, void *addr, size_t len, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = len },
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg);
}

/* Does the kernel find something to read there?  No signal is raised. */
static bool __attribute__((unused)) readable(const char *addr)
{
	static int fds[2] = { -1, -1 };
	char c;

	if (fds[0] < 0 && pipe(fds))
		abort();
	if (write(fds[1], addr, 1) != 1)
		return false;
	if (read(fds[0], &c, 1) != 1)
		abort();
	return true;
}

static void __attribute__((unused)) touch(const char *addr)
{
	size_t i;

	for (i = 0; i < pmd_size; i += page_size)
		*(volatile const char *)(addr + i);
}

/* Another thread, that runs once for each go() until done() */
struct other {
	void (*run)(void *arg);
	void *arg;
	atomic_int turn;
	pthread_t thread;
};

static void *other_thread(void *data)
{
	struct other *o = data;

	for (;;) {
		int turn = atomic_load(&o->turn);

		if (turn < 0)
			return NULL;
		if (turn & 1) {
			o->run(o->arg);
			atomic_store(&o->turn, turn + 1);
		} else {
			sched_yield();
		}
	}
}

static void go(struct other *o)
{
	atomic_fetch_add(&o->turn, 1);
}

static void meet(struct other *o)
{
	while (atomic_load(&o->turn) & 1)
		sched_yield();
}

static void start(struct other *o)
{
	atomic_store(&o->turn, 0);
	if (pthread_create(&o->thread, NULL, other_thread, o))
		abort();
}

static void done(struct other *o)
{
	meet(o);
	atomic_store(&o->turn, -1);
	pthread_join(o->thread, NULL);
}
