// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_WRITEPROTECT of shmem, while another thread drops the same range: it
 * leaves a marker in each pte that is none, so when it says 0, each page must
 * be write-protected, whenever MADV_DONTNEED came.  Window: change_pmd.
 */
#include "repro.h"

#define PM_UFFD_WP	(1ULL << 57)

FIXTURE(uffd_wp)
{
	char *addr;
	int uffd, memfd, pagemap;
	struct other other;
};

static char *drop_addr;

static void drop(void *arg)
{
	int i;

	for (i = 0; i < 20; i++)
		madvise(drop_addr, pmd_size, MADV_DONTNEED);
}

FIXTURE_SETUP(uffd_wp)
{
	find_sizes();
	self->uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			       UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd, or no write-protection of shmem");
	self->memfd = memfd_create("uffd-wp", 0);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(ftruncate(self->memfd, pmd_size), 0);
	self->addr = reserve(1);
	ASSERT_NE(self->addr, NULL);
	ASSERT_NE(mmap(self->addr, pmd_size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, self->memfd, 0), MAP_FAILED);
	ASSERT_EQ(uffd_register(self->uffd, self->addr, pmd_size,
				UFFDIO_REGISTER_MODE_WP), 0);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	drop_addr = self->addr;
	self->other = (struct other){ .run = drop };
	start(&self->other);
}

FIXTURE_TEARDOWN(uffd_wp)
{
	if (self->uffd < 0)
		return;
	done(&self->other);
	close(self->uffd);
	close(self->pagemap);
	close(self->memfd);
}

static int protect(int uffd, char *addr, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)addr, .len = pmd_size },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

TEST_F_TIMEOUT(uffd_wp, lost, 3600)
{
	size_t nr = pmd_size / page_size, i, protected;
	uint64_t *map = calloc(nr, sizeof(*map));
	unsigned long rounds = 0;
	double end = deadline();

	widen("change_pmd", 2000);
	do {
		/* No markers, no page table */
		ASSERT_EQ(protect(self->uffd, self->addr, false), 0);
		ASSERT_EQ(madvise(self->addr, pmd_size, MADV_DONTNEED), 0);

		go(&self->other);
		ASSERT_EQ(protect(self->uffd, self->addr, true), 0);
		meet(&self->other);

		touch(self->addr);
		ASSERT_EQ(pread(self->pagemap, map, nr * sizeof(*map),
				(uintptr_t)self->addr / page_size * sizeof(*map)),
			  nr * sizeof(*map));
		for (i = protected = 0; i < nr; i++)
			protected += !!(map[i] & PM_UFFD_WP);
		rounds++;
		EXPECT_EQ(protected, nr)
			TH_LOG("%zu of %zu pages protected in round %lu",
			       protected, nr, rounds);
	} while (protected == nr && now() < end);
	TH_LOG("%lu rounds, window stretched %d times", rounds,
	       widened("change_pmd"));
	free(map);
}

TEST_HARNESS_MAIN
