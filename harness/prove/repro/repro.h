/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Common to the reproducers.  Each repeats a short round until one fails, but
 * not for longer than REPRO_SECONDS (40), and prints one line about it.
 * Exit status: 0 no round failed, 1 one did, 4 this kernel cannot run it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

#define MAYBE_UNUSED	__attribute__((unused))
#define PM_UFFD_WP	(1ULL << 57)

static size_t page_size, pmd_size;
static unsigned long rounds;
static double began;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void __attribute__((noreturn, format(printf, 2, 3)))
leave(int status, const char *fmt, ...)
{
	va_list ap;

	if (status == 1)
		printf("round %lu, %.1f s: ", rounds, now() - began);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(status);
}

#define fail(...)	leave(1, __VA_ARGS__)
#define skip(...)	leave(4, __VA_ARGS__)

/* Of what the test needs: if it fails, there is nothing to test. */
#define need(cond) \
	do { if (!(cond)) skip("%s: %s", #cond, strerror(errno)); } while (0)

static MAYBE_UNUSED bool another_round(void)
{
	const char *seconds = getenv("REPRO_SECONDS");

	if (!rounds)
		began = now();
	if (now() - began >= (seconds ? atof(seconds) : 40))
		return false;
	rounds++;
	return true;
}

static MAYBE_UNUSED int passed(void)
{
	leave(0, "%lu rounds, %.0f s", rounds, now() - began);
}

/*
 * Address space for nr PMD ranges, the first aligned, with nothing there.  A PMD
 * range after them stays empty.
 */
static MAYBE_UNUSED char *reserve(int nr)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
	char *p;

	page_size = sysconf(_SC_PAGESIZE);
	if (!f || fscanf(f, "%zu", &pmd_size) != 1)
		skip("no transparent huge pages");
	fclose(f);
	p = mmap(NULL, (nr + 2) * pmd_size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(p != MAP_FAILED);
	return (char *)(((uintptr_t)p + pmd_size - 1) & ~(pmd_size - 1));
}

/* A PMD range there: of a file, or of anonymous memory without huge pages. */
static MAYBE_UNUSED char *map_pmd(char *addr, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	addr = mmap(addr, pmd_size, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		    fd, 0);
	need(addr != MAP_FAILED);
	if (fd < 0)
		madvise(addr, pmd_size, MADV_NOHUGEPAGE);
	return addr;
}

static MAYBE_UNUSED int memfd(void)
{
	int fd = memfd_create("repro", 0);

	need(fd >= 0 && !ftruncate(fd, pmd_size));
	return fd;
}

static MAYBE_UNUSED void punch(int fd, off_t from, off_t len)
{
	need(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
			len));
}

static MAYBE_UNUSED int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		skip("userfaultfd features %#llx: %s",
		     (unsigned long long)features, strerror(errno));
	return uffd;
}

static MAYBE_UNUSED void uffd_register_range(int uffd, char *addr, size_t len,
					     uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = len },
		.mode = mode,
	};

	need(!ioctl(uffd, UFFDIO_REGISTER, &reg));
}

static MAYBE_UNUSED void uffd_register(int uffd, char *addr, uint64_t mode)
{
	uffd_register_range(uffd, addr, pmd_size, mode);
}

static MAYBE_UNUSED bool uffd_poison(int uffd, char *addr)
{
	struct uffdio_poison poison = {
		.range = { .start = (uintptr_t)addr, .len = page_size },
	};

	return !ioctl(uffd, UFFDIO_POISON, &poison);
}

/* Without a signal: neither of a guard region, nor of poison. */
static MAYBE_UNUSED bool readable(char *addr)
{
	return !madvise(addr, page_size, MADV_POPULATE_READ);
}

/* Forks: true in the child, which is killed when its parent ends. */
static MAYBE_UNUSED bool in_child(void)
{
	pid_t pid = fork();

	need(pid >= 0);
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return !pid;
}

static MAYBE_UNUSED bool child_reads(char *addr)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(readable(addr));
	need(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

/* What the page tables of this process occupy, of all levels, in KiB. */
static MAYBE_UNUSED long vm_pte(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	need(f);
	while (fgets(line, sizeof(line), f) &&
	       sscanf(line, "VmPTE: %ld", &kib) != 1)
		;
	fclose(f);
	return kib;
}

static MAYBE_UNUSED uint64_t pagemap(char *addr)
{
	static int fd = -1;
	uint64_t entry;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	need(pread(fd, &entry, sizeof(entry), (uintptr_t)addr / page_size * 8) ==
	     sizeof(entry));
	return entry;
}

/* Up to max turns of an empty loop: the other side is to come at any time. */
static MAYBE_UNUSED void dawdle(unsigned int max)
{
	static __thread unsigned int seed = 1;

	for (volatile int i = rand_r(&seed) % max; i > 0; i--)
		;
}

/*
 * Another thread calls fn(), once between go() and meet(), or for ever if that
 * does not return.
 */
static void (*other_fn)(void);
static atomic_int turn;

static MAYBE_UNUSED void *other(void *unused)
{
	for (;;) {
		while (!atomic_load(&turn))
			sched_yield();
		other_fn();
		atomic_store(&turn, 0);
	}
	return unused;
}

static MAYBE_UNUSED void go(void (*fn)(void))
{
	static pthread_t thread;

	if (!thread)
		need(!pthread_create(&thread, NULL, other, NULL));
	other_fn = fn;
	atomic_store(&turn, 1);
}

static MAYBE_UNUSED void meet(void)
{
	while (atomic_load(&turn))
		sched_yield();
}

/*
 * Another thread drops a PMD range, again and again.  Both run on one CPU, and it
 * preempts this one at a random place of the kernel.  This is faster than two
 * CPUs, which wait for each other to flush their TLBs.
 */
static char *dropped;

static MAYBE_UNUSED void keep_dropping(void)
{
	struct sched_param param = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(getpid(), sizeof(set), &set);
	sched_setaffinity(0, sizeof(set), &set);
	need(!sched_setscheduler(0, SCHED_FIFO, &param));
	for (;;) {
		usleep(random() % 100);
		madvise(dropped, pmd_size, MADV_DONTNEED);
	}
}

static MAYBE_UNUSED void go_drop(char *addr)
{
	dropped = addr;
	go(keep_dropping);
}
