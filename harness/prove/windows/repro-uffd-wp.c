// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_WRITEPROTECT of shmem, while another thread drops the same range: it
 * leaves a marker in each pte that is none, so when it says 0, each page must
 * be write-protected, whenever MADV_DONTNEED came.  Window: change_pmd.
 */
#include "race.h"

FIXTURE(uffd_wp)
{
};

FIXTURE_SETUP(uffd_wp)
{
	race = (struct race){
		.window = "change_pmd", .us = 2000, .other = drop_once,
		.uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
				  UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
		.addr = reserve(1),
	};
	map_pmd(race.addr, small_pages(memfd()));
	uffd_register(race.uffd, race.addr, UFFDIO_REGISTER_MODE_WP);
}

FIXTURE_TEARDOWN(uffd_wp)
{
	report();
}

static int protect(bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)race.addr, .len = pmd_size },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(race.uffd, UFFDIO_WRITEPROTECT, &wp);
}

TEST_F_TIMEOUT(uffd_wp, race, 60)
{
	size_t nr = pmd_size / page_size, i, protected = nr;

	while (protected == nr && another_race()) {
		/* No markers, no page table */
		ASSERT_EQ(protect(false), 0);
		ASSERT_EQ(madvise(race.addr, pmd_size, MADV_DONTNEED), 0);

		start();
		ASSERT_EQ(protect(true), 0);
		finish();

		touch(race.addr);
		for (i = protected = 0; i < nr; i++)
			protected += !!(pagemap(race.addr + i * page_size) & PM_UFFD_WP);
	}
	EXPECT_EQ(protected, nr)
		TH_LOG("only %zu of %zu pages are write-protected", protected, nr);
}

TEST_HARNESS_MAIN
