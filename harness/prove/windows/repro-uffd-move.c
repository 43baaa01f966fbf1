// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_MOVE of one page, while another thread drops the destination: the
 * arguments are valid, so -EINVAL is a lie.  Window: uffd_move.
 */
#include "race.h"

FIXTURE(uffd_move)
{
	char *src;
};

FIXTURE_SETUP(uffd_move)
{
	char *addr;

	/* Not next to each other, lest they are one vma */
	addr = reserve(3);
	self->src = map_pmd(addr, -1);
	race = (struct race){
		.window = "uffd_move", .us = 1000, .other = drop,
		.uffd = uffd_open(UFFD_FEATURE_MOVE),
		.addr = map_pmd(addr + 2 * pmd_size, -1),
	};
	uffd_register(race.uffd, race.addr, UFFDIO_REGISTER_MODE_MISSING);
}

FIXTURE_TEARDOWN(uffd_move)
{
	report();
}

TEST_F_TIMEOUT(uffd_move, race, 60)
{
	unsigned long again = 0;
	int err = 0;

	while ((!err || err == EAGAIN || err == EBUSY) && another_race()) {
		struct uffdio_move move = {
			.dst = (uintptr_t)race.addr,
			.src = (uintptr_t)self->src,
			.len = page_size,
		};

		self->src[0] = 1;
		ASSERT_EQ(madvise(race.addr, pmd_size, MADV_DONTNEED), 0);
		start();
		err = ioctl(race.uffd, UFFDIO_MOVE, &move) ? errno : 0;
		finish();
		again += err == EAGAIN || err == EBUSY;
	}
	EXPECT_TRUE(!err || err == EAGAIN || err == EBUSY)
		TH_LOG("UFFDIO_MOVE: \"%s\", though nothing was wrong",
		       strerror(err));
	TH_LOG("%lu times EAGAIN or EBUSY", again);
}

TEST_HARNESS_MAIN
