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
	struct race race;
	int pagemap;
};

FIXTURE_SETUP(uffd_wp)
{
	find_sizes();
	self->race = (struct race){
		.window = "change_pmd", .us = 2000, .other = drop,
		.uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
				  UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
		.addr = map_at(reserve(1), MAP_SHARED, small_pages(-1)),
	};
	if (self->race.uffd < 0)
		SKIP(return, "no userfaultfd, or no write-protection of shmem");
	ASSERT_NE(self->race.addr, NULL);
	ASSERT_EQ(uffd_register(self->race.uffd, self->race.addr,
				UFFDIO_REGISTER_MODE_WP), 0);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
}

FIXTURE_TEARDOWN(uffd_wp)
{
	report(&self->race);
}

static int protect(struct race *race, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)race->addr, .len = pmd_size },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(race->uffd, UFFDIO_WRITEPROTECT, &wp);
}

TEST_F_TIMEOUT(uffd_wp, race, 60)
{
	ssize_t nr = pmd_size / page_size, i, protected = nr;
	uint64_t *map = calloc(nr, sizeof(*map));
	struct race *race = &self->race;

	while (protected == nr && another_round(race)) {
		/* No markers, no page table */
		ASSERT_EQ(protect(race, false), 0);
		ASSERT_EQ(madvise(race->addr, pmd_size, MADV_DONTNEED), 0);

		go(race);
		ASSERT_EQ(protect(race, true), 0);
		meet(race);

		touch(race->addr);
		ASSERT_EQ(pread(self->pagemap, map, nr * 8,
				(uintptr_t)race->addr / page_size * 8), nr * 8);
		for (i = protected = 0; i < nr; i++)
			protected += !!(map[i] & PM_UFFD_WP);
	}
	EXPECT_EQ(protected, nr)
		TH_LOG("only %zd of %zd pages are write-protected", protected, nr);
}

TEST_HARNESS_MAIN
