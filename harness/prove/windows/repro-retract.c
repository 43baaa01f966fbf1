// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE of a file in another thread, through a mapping of its own: it
 * retracts the empty page tables of all other mappings of that file.
 *
 * mremap: of a mapping with a poisoned page, to where its page table may be
 *	retracted: the page must still be poisoned.  Without "mm/khugepaged: do not
 *	lose poison with a retracted page table", it can be lost later as well: so
 *	that does not end the test.  Window: move_ptes.
 * reclaim: MADV_DONTNEED removes the page table first: it must not be taken
 *	twice.  Window: retract_lookup.
 */
#include "race.h"

FIXTURE(retract)
{
	char *from, *to;
	int fd;
};

FIXTURE_VARIANT(retract)
{
	const char *window;
	bool move;
};

FIXTURE_VARIANT_ADD(retract, mremap)
{
	.window = "move_ptes", .move = true,
};

FIXTURE_VARIANT_ADD(retract, reclaim)
{
	.window = "retract_lookup",
};

static void collapse(void)
{
	madvise(race.addr, pmd_size, MADV_COLLAPSE);
}

FIXTURE_SETUP(retract)
{
	char *addr = reserve(7);

	self->fd = memfd();
	race = (struct race){
		.window = variant->window, .us = 20000, .other = collapse,
		.addr = map_pmd(addr, self->fd),
		.uffd = uffd_open(UFFD_FEATURE_POISON),
	};
	/* Not aligned: khugepaged leaves it alone, and mremap moves ptes */
	self->from = addr + 2 * pmd_size + page_size;
	self->to = addr + 5 * pmd_size;
}

FIXTURE_TEARDOWN(retract)
{
	report();
}

TEST_F_TIMEOUT(retract, race, 60)
{
	long kib = 0, before = 0;
	int lost = 0, hits;

	while (another_race()) {
		hits = counter("hits");
		small_pages(self->fd);
		if (variant->move) {
			map_pmd(self->from, self->fd);
			uffd_register(race.uffd, self->from,
				      UFFDIO_REGISTER_MODE_MISSING);
			ASSERT_TRUE(uffd_poison(race.uffd, self->from));
		} else {
			map_pmd(self->to, self->fd);
			touch(self->to);
		}

		start();
		usleep(rand() % (2 * race.us));
		if (variant->move) {
			ASSERT_EQ(mremap(self->from, pmd_size, pmd_size,
					 MREMAP_MAYMOVE | MREMAP_FIXED, self->to),
				  self->to);
		} else {
			ASSERT_EQ(madvise(self->to, pmd_size, MADV_DONTNEED), 0);
		}
		finish();

		hits = counter("hits") - hits;
		if (variant->move && readable(self->to)) {
			lost++;
			if (hits)
				break;
		}
		ASSERT_EQ(munmap(self->to, pmd_size), 0);
		/* A page table that was taken twice is seen here */
		kib = vm_pte();
		if (rounds == 1)
			before = kib;
		if (kib < before)
			break;
	}
	EXPECT_EQ(lost, 0)
		TH_LOG("the poison is lost, %d times", lost);
	EXPECT_GE(kib, before)
		TH_LOG("VmPTE was %ld KiB, and is %ld", before, kib);
}

TEST_HARNESS_MAIN
