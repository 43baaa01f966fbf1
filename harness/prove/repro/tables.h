/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Common to the programs that count the page tables of a file's mapping before and
 * after another process collapses the file.  No table that is empty then may stay.
 */
#include "repro.h"

static size_t nr, pages;	/* PMD ranges, and pages in each */
static char *area;
static bool *written;		/* by page */
static bool *needed;		/* by table: it has an entry that has to stay */
static bool stayed;
static int fd;

/* Address space for memory bytes, or for four PMD ranges if they are larger. */
static void room(size_t memory)
{
	reserve(0);
	nr = memory / pmd_size < 4 ? 4 : memory / pmd_size;
	pages = pmd_size / page_size;
	/* In one PMD table. */
	area = reserve(2 * nr);
	area += -(uintptr_t)area & (nr * pmd_size - 1);
	written = calloc(nr * pages, sizeof(*written));
	needed = calloc(nr, sizeof(*needed));
	need(written && needed);
	began = now();
}

/* A fresh mapping of a fresh file, with all page tables; their size in kB. */
static long start(int flags)
{
	long before;

	close(fd);
	fd = memfd_create("repro", 0);
	need(fd >= 0 && !ftruncate(fd, nr * pmd_size));
	memset(written, 0, nr * pages * sizeof(*written));
	memset(needed, 0, nr * sizeof(*needed));
	need(mmap(area, nr * pmd_size, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		  fd, 0) == area);
	madvise(area, nr * pmd_size, MADV_NOHUGEPAGE);
	/* So that the tables of the other levels are there. */
	need(!madvise(area, pmd_size, MADV_POPULATE_READ));
	before = vm_pte();
	need(!madvise(area, nr * pmd_size, MADV_POPULATE_READ));
	need(vm_pte() > before);
	return (vm_pte() - before) * nr / (nr - 1);
}

static MAYBE_UNUSED void write_page(size_t page)
{
	area[page * page_size] = 1;
	written[page] = true;
	needed[page / pages] = true;
}

/* Another process collapses all of the file. */
static void collapse(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		char *p = mmap(area, nr * pmd_size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, fd, 0);

		_exit(p == MAP_FAILED || madvise(p, nr * pmd_size, MADV_COLLAPSE));
	}
	need(waitpid(pid, &status, 0) == pid);
	if (status)
		skip("no MADV_COLLAPSE");
}

/* Collapses the file. Returns how many of the nr tables, of kb together, went. */
static long gone(const char *what, long kb)
{
	long before = vm_pte(), left, keep = 0;

	for (size_t i = 0; i < nr; i++)
		keep += needed[i];
	collapse();
	left = kb - (before - vm_pte());
	printf("%-24s %3ld of %zu tables are empty, %ld went\n", what, nr - keep, nr,
	       nr - left * nr / kb);
	/* VmPTE is in whole kB, and a table may be less. */
	if (left > keep * kb / (long)nr + 1)
		stayed = true;
	if (left < keep * kb / (long)nr - 1)
		fail("tables went that are not empty");
	return nr - left * nr / kb;
}

static MAYBE_UNUSED void check_contents(void)
{
	for (size_t i = 0; i < nr * pages; i++) {
		if (area[i * page_size] != written[i])
			fail("page %zu has other contents", i);
	}
}

/* Registers all of it, and protects the pages from page on. */
static MAYBE_UNUSED int protect_from(size_t page)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)area + page * page_size,
			   .len = (nr * pages - page) * page_size },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	uffd_register_range(uffd, area, nr * pmd_size, UFFDIO_REGISTER_MODE_WP);
	need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
	for (size_t i = page / pages; i < nr; i++)
		needed[i] = true;
	return uffd;
}
