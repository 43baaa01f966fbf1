// SPDX-License-Identifier: GPL-2.0
/*
 * A fault in a mapping whose driver inserts pages in its fault handler, while
 * another thread drops the whole range: there is memory enough, so -ENOMEM is
 * a lie.  The driver is in widen.patch.  Window: pte_alloc.
 */
#include "repro.h"

FIXTURE(mixedmap)
{
	struct race race;
};

FIXTURE_SETUP(mixedmap)
{
	int fd = open(WINDOWS "mixedmap", O_RDWR);

	if (fd < 0)
		SKIP(return, "no such mapping: this kernel was not widened");
	find_sizes();
	self->race = (struct race){
		.window = "pte_alloc", .us = 1000, .other = drop,
		.addr = map_at(reserve(1), MAP_SHARED, fd),
	};
	ASSERT_NE(self->race.addr, NULL);
}

FIXTURE_TEARDOWN(mixedmap)
{
	report(&self->race);
}

TEST_F_TIMEOUT(mixedmap, race, 60)
{
	struct race *race = &self->race;
	int err = 0;

	while (!err && another_round(race)) {
		ASSERT_EQ(madvise(race->addr, pmd_size, MADV_DONTNEED), 0);
		go(race);
		err = madvise(race->addr, page_size, MADV_POPULATE_READ) ? errno : 0;
		meet(race);
	}
	EXPECT_EQ(err, 0)
		TH_LOG("MADV_POPULATE_READ: \"%s\"", strerror(err));
}

TEST_HARNESS_MAIN
