// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_COPY into anonymous memory, while another thread drops the whole range.
 *
 * eexist: the only one who ever installs a page is the one who asks, so -EEXIST
 *	is a lie.  Window: pte_alloc.
 * lost: a page must not be installed in a page table that is gone.  It would
 *	still be counted when the process ends: "Bad rss-counter state".
 *	Window: map_lock.  It takes more than one page, since who drops the range
 *	passes it as well, and comes late.
 */
#include "race.h"

FIXTURE(uffd_copy)
{
	char *src;
};

FIXTURE_VARIANT(uffd_copy)
{
	const char *window;
	void (*other)(void);
	int pages;
};

FIXTURE_VARIANT_ADD(uffd_copy, eexist)
{
	.window = "pte_alloc", .other = drop_once, .pages = 1,
};

FIXTURE_VARIANT_ADD(uffd_copy, lost)
{
	.window = "map_lock", .other = drop, .pages = 8,
};

FIXTURE_SETUP(uffd_copy)
{
	race = (struct race){
		.window = variant->window, .us = 1000, .other = variant->other,
		.uffd = uffd_open(0), .addr = map_pmd(reserve(1), -1),
	};
	self->src = mmap(NULL, variant->pages * page_size, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(self->src, MAP_FAILED);
	uffd_register(race.uffd, race.addr, UFFDIO_REGISTER_MODE_MISSING);
}

FIXTURE_TEARDOWN(uffd_copy)
{
	report();
}

TEST_F_TIMEOUT(uffd_copy, race, 60)
{
	unsigned long again = 0;
	int err = 0;

	while ((!err || err == EAGAIN) && another_race()) {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)race.addr,
			.src = (uintptr_t)self->src,
			.len = variant->pages * page_size,
		};

		/* Whatever was there before is gone now, and stays away */
		ASSERT_EQ(madvise(race.addr, pmd_size, MADV_DONTNEED), 0);
		start();
		err = ioctl(race.uffd, UFFDIO_COPY, &copy) ? errno : 0;
		finish();
		again += err == EAGAIN;
	}
	EXPECT_TRUE(!err || err == EAGAIN)
		TH_LOG("UFFDIO_COPY: \"%s\", but nobody else fills the range",
		       strerror(err));
	TH_LOG("%lu times EAGAIN", again);
}

TEST_HARNESS_MAIN
