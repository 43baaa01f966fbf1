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
#include "repro.h"

FIXTURE(retract)
{
	struct race race;
	char *from, *to;
	int memfd;
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

static void collapse(struct race *race)
{
	madvise(race->addr, pmd_size, MADV_COLLAPSE);
}

FIXTURE_SETUP(retract)
{
	char *addr;

	find_sizes();
	addr = reserve(7);
	ASSERT_NE(addr, NULL);
	self->memfd = small_pages(-1);
	ASSERT_GE(self->memfd, 0);
	self->race = (struct race){
		.window = variant->window, .us = 20000, .other = collapse,
		.addr = map_at(addr, MAP_SHARED, self->memfd),
		.uffd = uffd_open(UFFD_FEATURE_POISON),
	};
	ASSERT_NE(self->race.addr, NULL);
	if (self->race.uffd < 0)
		SKIP(return, "no userfaultfd, or no UFFDIO_POISON");
	/* Not aligned: khugepaged leaves it alone, and mremap moves ptes */
	self->from = addr + 2 * pmd_size + page_size;
	self->to = addr + 5 * pmd_size;
}

FIXTURE_TEARDOWN(retract)
{
	report(&self->race);
}

TEST_F_TIMEOUT(retract, race, 60)
{
	struct race *race = &self->race;
	long kib = 0, before = 0;
	int lost = 0, hits;

	while (another_round(race)) {
		hits = counter(race->window, "hits");
		ASSERT_EQ(small_pages(self->memfd), self->memfd);
		if (variant->move) {
			ASSERT_NE(map_at(self->from, MAP_SHARED, self->memfd),
				  NULL);
			ASSERT_EQ(uffd_register(race->uffd, self->from,
						UFFDIO_REGISTER_MODE_MISSING), 0);
			ASSERT_EQ(uffd_poison(race->uffd, self->from), 0);
		} else {
			ASSERT_NE(map_at(self->to, MAP_SHARED, self->memfd), NULL);
			touch(self->to);
		}

		go(race);
		usleep(rand() % (2 * race->us));
		if (variant->move) {
			ASSERT_EQ(mremap(self->from, pmd_size, pmd_size,
					 MREMAP_MAYMOVE | MREMAP_FIXED, self->to),
				  self->to);
		} else {
			ASSERT_EQ(madvise(self->to, pmd_size, MADV_DONTNEED), 0);
		}
		meet(race);

		hits = counter(race->window, "hits") - hits;
		if (variant->move && readable(self->to)) {
			lost++;
			if (hits)
				break;
		}
		ASSERT_EQ(munmap(self->to, pmd_size), 0);
		/* A page table that was taken twice is seen here */
		kib = vm_pte();
		if (race->rounds == 1)
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
