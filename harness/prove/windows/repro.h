/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the reproducers have in common: rounds, in each of which another thread
 * does something at a random time near a window (see widen.patch).  They go on
 * for REPRO_SECONDS (10), or until one fails.  On a kernel that was not widened
 * it takes luck.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
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

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define WINDOWS "/sys/kernel/debug/ptlock_window/"
#define UNUSED __attribute__((unused))

struct race {
	const char *window;
	unsigned int us;	/* how long the window is made */
	void (*other)(struct race *race);
	char *addr;		/* what the other thread works on */
	int uffd;
	atomic_bool stop;	/* the round is over, should it ask */
	/* Only for the functions below */
	atomic_bool running;
	unsigned long rounds;
	double end;
};

static size_t page_size, pmd_size;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static bool set_window(const char *file, unsigned int value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), WINDOWS "%s", file);
	f = fopen(path, "w");
	if (!f)
		return false;
	fprintf(f, "%u\n", value);
	return !fclose(f);
}

static int counter(const char *window, const char *name)
{
	char path[128];
	int nr = 0;
	FILE *f;

	snprintf(path, sizeof(path), WINDOWS "%s/%s", window, name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &nr) != 1)
		nr = 0;
	if (f)
		fclose(f);
	return nr;
}

static void stretch(struct race *race, unsigned int us)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/delay_us", race->window);
	if (!set_window("tgid", getpid()) || !set_window(file, us))
		printf("# no window %s: was this kernel widened?\n",
		       race->window);
}

static void *other_thread(void *data)
{
	struct race *race = data;

	for (;;) {
		while (!atomic_load(&race->running))
			sched_yield();
		usleep(rand() % (2 * race->us));
		race->other(race);
		atomic_store(&race->running, false);
	}
	return NULL;
}

/* Is there time for another round?  The first one makes everything ready. */
static bool another_round(struct race *race)
{
	const char *seconds = getenv("REPRO_SECONDS");
	pthread_t thread;

	if (!race->rounds) {
		race->end = now() + (seconds ? atof(seconds) : 10);
		if (pthread_create(&thread, NULL, other_thread, race))
			abort();
		stretch(race, race->us);
	}
	race->rounds++;
	return now() < race->end;
}

static void go(struct race *race)
{
	atomic_store(&race->stop, false);
	atomic_store(&race->running, true);
}

static void meet(struct race *race)
{
	atomic_store(&race->stop, true);
	while (atomic_load(&race->running))
		sched_yield();
}

/* To be called by the teardown: it has to be said after a failure, too. */
static void report(struct race *race)
{
	if (!race->rounds)
		return;
	stretch(race, 0);
	printf("# window %s: %d hits, stretched %d times in %lu rounds\n",
	       race->window, counter(race->window, "hits"),
	       counter(race->window, "stretched"), race->rounds);
	fflush(stdout);
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

/* Address space for nr PMD ranges, the first aligned, and nothing there */
static char *reserve(int nr)
{
	char *p = mmap(NULL, (nr + 1) * pmd_size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return (char *)(((uintptr_t)p + pmd_size - 1) & ~(pmd_size - 1));
}

/* One PMD range there: of a file, or anonymous memory without huge pages */
static char *map_at(char *addr, int flags, int fd)
{
	if (fd < 0)
		flags |= MAP_ANONYMOUS;
	addr = mmap(addr, pmd_size, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		    fd, 0);
	if (addr == MAP_FAILED)
		return NULL;
	if (fd < 0)
		madvise(addr, pmd_size, MADV_NOHUGEPAGE);
	return addr;
}

/* A file of pmd_size, with all its pages small */
static UNUSED int small_pages(int memfd)
{
	size_t i;

	if (memfd < 0)
		memfd = memfd_create("repro", 0);
	if (memfd < 0 || ftruncate(memfd, 0) || ftruncate(memfd, pmd_size))
		return -1;
	for (i = 0; i < pmd_size; i += page_size)
		if (pwrite(memfd, "x", 1, i) != 1)
			return -1;
	return memfd;
}

static UNUSED int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

static UNUSED int uffd_register(int uffd, void *addr, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = pmd_size },
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static UNUSED int uffd_poison(int uffd, void *addr)
{
	struct uffdio_poison poison = {
		.range = { .start = (uintptr_t)addr, .len = page_size },
	};

	return ioctl(uffd, UFFDIO_POISON, &poison);
}

/* Does the kernel find something to read there?  No signal is raised. */
static UNUSED bool readable(const char *addr)
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

static UNUSED void touch(const char *addr)
{
	size_t i;

	for (i = 0; i < pmd_size; i += page_size)
		*(volatile const char *)(addr + i);
}

/* How much the page tables of this process take, in KiB, as the mm counts it */
static UNUSED long vm_pte(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmPTE: %ld", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib;
}

/* The most common of what another thread does */
static UNUSED void drop(struct race *race)
{
	do {
		madvise(race->addr, pmd_size, MADV_DONTNEED);
	} while (!atomic_load(&race->stop));
}
