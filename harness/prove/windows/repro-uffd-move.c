// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_MOVE of one page, while another thread drops the destination: the
 * arguments are valid, so -EINVAL is a lie.  Window: uffd_move.
 */
#include "repro.h"

FIXTURE(uffd_move)
{
	struct race race;
	char *src;
};

FIXTURE_SETUP(uffd_move)
{
	char *addr;

	find_sizes();
	/* Not next to each other, lest they are one vma */
	addr = reserve(3);
	ASSERT_NE(addr, NULL);
	self->src = map_at(addr, MAP_PRIVATE, -1);
	ASSERT_NE(self->src, NULL);
	self->race = (struct race){
		.window = "uffd_move", .us = 1000, .other = drop,
		.uffd = uffd_open(UFFD_FEATURE_MOVE),
		.addr = map_at(addr + 2 * pmd_size, MAP_PRIVATE, -1),
	};
	ASSERT_NE(self->race.addr, NULL);
	if (self->race.uffd < 0)
		SKIP(return, "no userfaultfd, or no UFFDIO_MOVE");
	ASSERT_EQ(uffd_register(self->race.uffd, self->race.addr,
				UFFDIO_REGISTER_MODE_MISSING), 0);
}

FIXTURE_TEARDOWN(uffd_move)
{
	report(&self->race);
}

TEST_F_TIMEOUT(uffd_move, race, 60)
{
	struct race *race = &self->race;
	unsigned long again = 0;
	int err = 0;

	while ((!err || err == EAGAIN || err == EBUSY) && another_round(race)) {
		struct uffdio_move move = {
			.dst = (uintptr_t)race->addr,
			.src = (uintptr_t)self->src,
			.len = page_size,
		};

		self->src[0] = 1;
		ASSERT_EQ(madvise(race->addr, pmd_size, MADV_DONTNEED), 0);
		go(race);
		err = ioctl(race->uffd, UFFDIO_MOVE, &move) ? errno : 0;
		meet(race);
		again += err == EAGAIN || err == EBUSY;
	}
	EXPECT_TRUE(!err || err == EAGAIN || err == EBUSY)
		TH_LOG("UFFDIO_MOVE: \"%s\", though nothing was wrong",
		       strerror(err));
	TH_LOG("%lu times EAGAIN or EBUSY", again);
}

TEST_HARNESS_MAIN
