// SPDX-License-Identifier: GPL-2.0
/*
 * What the page-table operations of userspace cost, in instructions: QEMU's
 * -icount shift=0 makes the guest's clock advance by 1 ns an instruction, so a
 * clock that is read twice counts what was executed in between, the kernel
 * included. On any other clock the figures are times, of no use here.
 *
 * usage: bench [OPERATION...]		all of them by default
 *
 * Prints KTAP, a test for each operation, and in its comment what was measured:
 *
 *	ok 1 anon_fault # unit=page n=50 min=3103.2 median=3103.4 max=3110.0
 *
 * Each of the n repetitions is set up afresh, does the operation many times, and
 * divides; setting up and cleaning up are not measured. An operation that this
 * kernel does not have is skipped, with the reason.
 *
 * retract_N_M is a collapse with N page tables to be retracted in M processes: what a
 * table costs is the difference between them, see bench.py. kept_N_M is a collapse with N
 * tables that stay: it should cost no more than on the base.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPETITIONS	25
#define WARMUP		3	/* not counted: slabs, per-CPU lists */
#define PAGES		512	/* of most operations */
#define TABLES		32	/* of those that count tables */
#define MAX_MMS		16

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

struct operation;

/* What an operation works on; what it does not need is not there. */
struct area {
	char *addr;
	size_t len;
	int fd;
	char *other;		/* a second mapping */
	size_t other_len;
	const struct operation *op;
	pid_t pids[MAX_MMS];	/* other processes that map the file */
	const char *why_not;	/* set by setup(): skip, and say this */
};

struct operation {
	const char *name;
	const char *unit;	/* what the count is divided by */
	void (*setup)(struct area *area);
	long (*run)(struct area *area);	/* returns the number of units */
	int tables, mms;
	bool keep;		/* the tables stay, as each has a private page */
};

static size_t page_size, pmd_size;

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* At a multiple of the size of a huge page: a whole number of page tables. */
static char *reserve(size_t len)
{
	size_t span = len + pmd_size;
	char *addr = mmap(NULL, span, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned;

	if (addr == MAP_FAILED)
		die("mmap");
	aligned = (char *)(((uintptr_t)addr + pmd_size - 1) / pmd_size * pmd_size);
	munmap(addr, aligned - addr);
	munmap(aligned + len, addr + span - (aligned + len));
	return aligned;
}

static char *map(size_t len, int flags, int fd)
{
	char *addr = mmap(reserve(len), len, PROT_READ | PROT_WRITE,
			  MAP_FIXED | flags, fd, 0);

	if (addr == MAP_FAILED)
		die("mmap");
	/* Small pages; whoever wants huge ones collapses */
	madvise(addr, len, MADV_NOHUGEPAGE);
	return addr;
}

/* One byte in every step, from the first. */
static long touch(char *addr, size_t len, size_t step, bool write)
{
	long n = 0;

	for (size_t i = 0; i < len; i += step, n++) {
		volatile char *p = addr + i;

		if (write)
			*p = 1;
		else
			(void)*p;
	}
	return n;
}

static void setup_anon(struct area *area)
{
	area->len = PAGES * page_size;
	area->addr = map(area->len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void setup_anon_touched(struct area *area)
{
	setup_anon(area);
	touch(area->addr, area->len, page_size, true);
}

static void make_file(struct area *area, size_t len)
{
	area->len = len;
	area->fd = memfd_create("bench", 0);
	if (area->fd < 0 || ftruncate(area->fd, len))
		die("memfd_create");
}

/* The pages are in the page cache, and not mapped. */
static void setup_file(struct area *area, int flags)
{
	char *addr;

	make_file(area, PAGES * page_size);
	addr = map(area->len, MAP_SHARED, area->fd);
	touch(addr, area->len, page_size, true);
	munmap(addr, area->len);
	area->addr = map(area->len, flags, area->fd);
}

static void setup_file_shared(struct area *area)
{
	setup_file(area, MAP_SHARED);
}

static void setup_file_private(struct area *area)
{
	setup_file(area, MAP_PRIVATE);
}

/* One page in each of many page tables. */
static void setup_tables(struct area *area)
{
	area->len = TABLES * pmd_size;
	area->addr = map(area->len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	touch(area->addr, area->len, pmd_size, true);
}

static long write_pages(struct area *area)
{
	return touch(area->addr, area->len, page_size, true);
}

/* Faults map what is around; one that is far enough is a fault of its own. */
static long read_far_pages(struct area *area)
{
	return touch(area->addr, area->len, 16 * page_size, false);
}

static long dontneed(struct area *area)
{
	if (madvise(area->addr, area->len, MADV_DONTNEED))
		die("MADV_DONTNEED");
	return area->len / page_size;
}

static long unmap(struct area *area)
{
	munmap(area->addr, area->len);
	area->addr = NULL;
	return area->len / page_size;
}

static long fork_exit(struct area *area)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork");
	return area->len / pmd_size;
}

static long protect(struct area *area)
{
	if (mprotect(area->addr, area->len, PROT_READ) ||
	    mprotect(area->addr, area->len, PROT_READ | PROT_WRITE))
		die("mprotect");
	return 2 * (area->len / page_size);
}

/* To the next page table, page by page. */
static void setup_move(struct area *area)
{
	area->len = 2 * pmd_size;
	area->addr = map(area->len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	touch(area->addr, 64 * page_size, page_size, true);
	touch(area->addr + pmd_size, page_size, page_size, true);
}

static long move_pages(struct area *area)
{
	long n = 64;

	if (pmd_size / page_size <= 64)
		n = pmd_size / page_size - 1;
	for (long i = 0; i < n; i++)
		if (mremap(area->addr + i * page_size, page_size, page_size,
			   MREMAP_MAYMOVE | MREMAP_FIXED,
			   area->addr + pmd_size + i * page_size) == MAP_FAILED)
			die("mremap");
	return n;
}

static void setup_readv(struct area *area)
{
	setup_anon_touched(area);
	area->other_len = area->len;
	area->other = map(area->len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	touch(area->other, area->len, page_size, true);
}

/* One byte of each page: the walk is what is measured, not the copy. */
static long readv_pages(struct area *area)
{
	struct iovec from[64], to = { .iov_base = area->other, .iov_len = 64 };
	long pages = area->len / page_size;

	for (long i = 0; i + 64 <= pages; i += 64) {
		for (int j = 0; j < 64; j++) {
			from[j].iov_base = area->addr + (i + j) * page_size;
			from[j].iov_len = 1;
		}
		if (process_vm_readv(getpid(), &to, 1, from, 64, 0) != 64) {
			if (errno == ENOSYS)
				return -1;
			die("process_vm_readv");
		}
	}
	return pages / 64 * 64;
}

static void setup_pagemap(struct area *area)
{
	setup_anon_touched(area);
	area->fd = open("/proc/self/pagemap", O_RDONLY);
	if (area->fd < 0)
		area->why_not = "no /proc/self/pagemap";
}

static long read_pagemap(struct area *area)
{
	static uint64_t buf[PAGES];
	off_t offset = (uintptr_t)area->addr / page_size * sizeof(buf[0]);

	if (pread(area->fd, buf, sizeof(buf), offset) != sizeof(buf))
		die("read pagemap");
	return PAGES;
}

/* A file of one huge page, to be collapsed through a mapping without a table. */
static void setup_collapse(struct area *area)
{
	char *addr;

	if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) ||
	    pmd_size > 64UL << 20) {
		area->why_not = "no huge pages, or too large ones";
		return;
	}
	make_file(area, pmd_size);
	addr = map(pmd_size, MAP_SHARED, area->fd);
	touch(addr, pmd_size, page_size, true);
	munmap(addr, pmd_size);
	area->addr = mmap(reserve(pmd_size), pmd_size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, area->fd, 0);
	if (area->addr == MAP_FAILED)
		die("mmap");
}
static long collapse(struct area *area)
{
	if (madvise(area->addr, pmd_size, MADV_COLLAPSE)) {
		if (errno == EINVAL)
			return -1;
		die("MADV_COLLAPSE");
	}
	return 1;
}

/*
 * Map the file nr times, each with a page table of its own. If they are to be kept, the page
 * in the middle of each is private.
 */
static void map_tables(struct area *area, int nr)
{
	char *addr = reserve(nr * pmd_size);
	int flags = (area->op->keep ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED;

	for (int i = 0; i < nr; i++, addr += pmd_size) {
		if (mmap(addr, pmd_size, PROT_READ | PROT_WRITE, flags,
			 area->fd, 0) == MAP_FAILED)
			die("mmap");
		madvise(addr, pmd_size, MADV_NOHUGEPAGE);
		touch(addr, page_size, page_size, false);
		if (area->op->keep)
			addr[pmd_size / 2] = 1;
	}
}

/* ... and processes that share the mappings out among them. */
static void setup_scale(struct area *area)
{
	int ready[2];
	char byte;

	if (sizeof(long) < 8 && area->op->tables / area->op->mms > 64) {
		area->why_not = "no address space for so many";
		return;
	}
	setup_collapse(area);
	if (area->why_not)
		return;
	if (pipe(ready))
		die("pipe");
	for (int i = 0; i < area->op->mms; i++) {
		area->pids[i] = fork();
		if (area->pids[i] < 0)
			die("fork");
		if (area->pids[i])
			continue;
		munmap(area->addr, pmd_size);
		map_tables(area, area->op->tables / area->op->mms);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	for (int i = 0; i < area->op->mms; i++)
		if (read(ready[0], &byte, 1) != 1)
			die("a process that maps the file ended");
	close(ready[0]);
}

static size_t hugetlb_size(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	size_t kb = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Hugepagesize: %zu kB", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb << 10;
}

static void setup_hugetlb(struct area *area)
{
	size_t size = hugetlb_size();
	FILE *file;

	if (!size || size > 16UL << 20) {
		area->why_not = "no hugetlb pages, or too large ones";
		return;
	}
	file = fopen("/proc/sys/vm/nr_hugepages", "w");
	if (file) {
		fputs("8\n", file);
		fclose(file);
	}
	area->len = 8 * size;
	area->addr = mmap(NULL, area->len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (area->addr == MAP_FAILED) {
		area->addr = NULL;
		area->why_not = "no hugetlb pages to be had";
	}
}

static long write_hugetlb(struct area *area)
{
	return touch(area->addr, area->len, area->len / 8, true);
}

static const struct operation operations[] = {
	{ "anon_fault", "page", setup_anon, write_pages },
	{ "file_read_fault", "fault", setup_file_shared, read_far_pages },
	{ "file_write_fault", "page", setup_file_shared, write_pages },
	{ "cow_fault", "page", setup_file_private, write_pages },
	{ "madv_dontneed", "page", setup_anon_touched, dontneed },
	{ "munmap", "page", setup_anon_touched, unmap },
	{ "fork_exit", "table", setup_tables, fork_exit },
	{ "mprotect", "page", setup_anon_touched, protect },
	{ "mremap", "page", setup_move, move_pages },
	{ "process_vm_readv", "page", setup_readv, readv_pages },
	{ "pagemap", "page", setup_pagemap, read_pagemap },
	{ "collapse", "collapse", setup_collapse, collapse },
	{ "retract_1_1", "collapse", setup_scale, collapse, 1, 1 },
	{ "retract_8_1", "collapse", setup_scale, collapse, 8, 1 },
	{ "retract_64_1", "collapse", setup_scale, collapse, 64, 1 },
	{ "retract_64_4", "collapse", setup_scale, collapse, 64, 4 },
	{ "retract_64_16", "collapse", setup_scale, collapse, 64, 16 },
	{ "retract_512_1", "collapse", setup_scale, collapse, 512, 1 },
	{ "retract_512_4", "collapse", setup_scale, collapse, 512, 4 },
	{ "retract_512_16", "collapse", setup_scale, collapse, 512, 16 },
	{ "kept_1_1", "collapse", setup_scale, collapse, 1, 1, true },
	{ "kept_16_1", "collapse", setup_scale, collapse, 16, 1, true },
	{ "kept_1008_16", "collapse", setup_scale, collapse, 1008, 16, true },
	{ "hugetlb_fault", "page", setup_hugetlb, write_hugetlb },
};

#define NR_OPERATIONS	(sizeof(operations) / sizeof(operations[0]))

static void tear_down(struct area *area)
{
	for (int i = 0; i < MAX_MMS; i++)
		if (area->pids[i] > 0) {
			kill(area->pids[i], SIGKILL);
			waitpid(area->pids[i], NULL, 0);
		}
	if (area->addr)
		munmap(area->addr, area->len);
	if (area->other)
		munmap(area->other, area->other_len);
	if (area->fd >= 0)
		close(area->fd);
}

/* Per unit, or negative when it cannot be had; says why in *why_not. */
static double measure(const struct operation *op, const char **why_not)
{
	struct area area = { .fd = -1, .op = op };
	double result = -1;
	uint64_t begin;
	long n;

	op->setup(&area);
	if (!area.why_not) {
		begin = now();
		n = op->run(&area);
		result = n > 0 ? (double)(now() - begin) / n : -1;
		if (n <= 0)
			area.why_not = "this kernel does not have it";
	}
	*why_not = area.why_not;
	tear_down(&area);
	return result;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(int number, const struct operation *op)
{
	double results[REPETITIONS];
	const char *why_not = NULL;

	for (int i = -WARMUP; i < REPETITIONS && !why_not; i++) {
		double result = measure(op, &why_not);

		if (i >= 0)
			results[i] = result;
	}
	if (why_not) {
		printf("ok %d %s # SKIP %s\n", number, op->name, why_not);
		return;
	}
	qsort(results, REPETITIONS, sizeof(results[0]), compare);
	printf("ok %d %s # unit=%s n=%d min=%.1f median=%.1f max=%.1f\n",
	       number, op->name, op->unit, REPETITIONS, results[0],
	       results[REPETITIONS / 2], results[REPETITIONS - 1]);
}

/* Where there are huge pages, the kernel says how large; else a page of ptes. */
static void find_sizes(void)
{
	const char *path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
	FILE *file = fopen(path, "r");

	page_size = sysconf(_SC_PAGESIZE);
	if (!file || fscanf(file, "%zu", &pmd_size) != 1)
		pmd_size = page_size / sizeof(long) * page_size;
	if (file)
		fclose(file);
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	int number = 0, planned = 0;

	find_sizes();
	for (size_t i = 0; i < NR_OPERATIONS; i++)
		planned += wanted(operations[i].name, argc, argv);
	if (planned < argc - 1) {
		fprintf(stderr, "error: bench: an unknown operation\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%d\n", planned);
	for (size_t i = 0; i < NR_OPERATIONS; i++)
		if (wanted(operations[i].name, argc, argv))
			run(++number, &operations[i]);
	return 0;
}
