// SPDX-License-Identifier: GPL-2.0
/*
 * A fault in a mapping whose driver inserts pages in its fault handler, while
 * another thread drops the whole range: there is memory enough, so -ENOMEM is
 * a lie.  The driver is in widen.patch.  Window: pte_alloc.
 */
#include "race.h"

FIXTURE(mixedmap)
{
};

FIXTURE_SETUP(mixedmap)
{
	int fd = open(WINDOWS "mixedmap", O_RDWR);

	if (fd < 0)
		SKIP(return, "no such mapping: this kernel was not widened");
	race = (struct race){
		.window = "pte_alloc", .us = 1000, .other = drop_once,
		.addr = map_pmd(reserve(1), fd),
	};
}

FIXTURE_TEARDOWN(mixedmap)
{
	report();
}

TEST_F_TIMEOUT(mixedmap, race, 60)
{
	int err = 0;

	while (!err && another_race()) {
		ASSERT_EQ(madvise(race.addr, pmd_size, MADV_DONTNEED), 0);
		start();
		err = madvise(race.addr, page_size, MADV_POPULATE_READ) ? errno : 0;
		finish();
	}
	EXPECT_EQ(err, 0)
		TH_LOG("MADV_POPULATE_READ: \"%s\"", strerror(err));
}

TEST_HARNESS_MAIN
