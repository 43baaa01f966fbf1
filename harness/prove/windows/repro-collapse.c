// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE of a file's huge page that is mapped by ptes, against
 *
 * guard, poison: a marker that is installed in the same page table must not be
 *	lost with it.  Window: collapse_2_4.
 * reclaim, reclaim_armed: MADV_DONTNEED removes the page table first, and
 *	khugepaged must notice.  To be seen only without split page table locks
 *	(NR_CPUS below 4), where it breaks the kernel.  Windows: collapse_2_4,
 *	and collapse_1_2 with a private mapping armed with userfaultfd.
 */
#include "race.h"

static char *page;		/* where a marker is installed */
static bool installed;

static void guard(void)
{
	installed = !madvise(page, page_size, MADV_GUARD_INSTALL);
}

/* EEXIST as long as the page is mapped: try, and try again */
static void poison(void)
{
	do {
		installed = uffd_poison(race.uffd, page);
	} while (!installed && !atomic_load(&race.stop));
}

FIXTURE(collapse)
{
};

FIXTURE_VARIANT(collapse)
{
	void (*other)(void);
	bool armed;
	int flags;
	const char *window;
};

FIXTURE_VARIANT_ADD(collapse, guard)
{
	.other = guard, .flags = MAP_SHARED, .window = "collapse_2_4",
};

FIXTURE_VARIANT_ADD(collapse, poison)
{
	.other = poison, .flags = MAP_SHARED, .window = "collapse_2_4",
	.armed = true,
};

FIXTURE_VARIANT_ADD(collapse, reclaim)
{
	.other = drop, .flags = MAP_SHARED, .window = "collapse_2_4",
};

FIXTURE_VARIANT_ADD(collapse, reclaim_armed)
{
	.other = drop, .flags = MAP_PRIVATE, .window = "collapse_1_2",
	.armed = true,
};

FIXTURE_SETUP(collapse)
{
	char *addr = reserve(1);

	ASSERT_EQ(mmap(addr, pmd_size, PROT_READ | PROT_WRITE,
		       variant->flags | MAP_FIXED, small_pages(memfd()), 0), addr);
	touch(addr);
	if (madvise(addr, pmd_size, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
	race = (struct race){
		.window = variant->window, .us = 5000, .other = variant->other,
		.addr = addr,
	};
	page = addr + pmd_size / 2;
	if (!variant->armed)
		return;
	race.uffd = uffd_open(UFFD_FEATURE_POISON);
	uffd_register(race.uffd, addr, UFFDIO_REGISTER_MODE_MISSING);
}

FIXTURE_TEARDOWN(collapse)
{
	report();
}

/* Have the huge page mapped by ptes: there is a page table already */
static void map_by_ptes(char *addr)
{
	madvise(addr, pmd_size, MADV_GUARD_REMOVE);
	madvise(addr, pmd_size, MADV_DONTNEED);
	madvise(addr, page_size, MADV_GUARD_INSTALL);
	madvise(addr, page_size, MADV_GUARD_REMOVE);
	touch(addr);
}

TEST_F_TIMEOUT(collapse, race, 60)
{
	unsigned long collapsed = 0, markers = 0;
	long kib = 0, before = 0;
	bool lost = false;

	while (!lost && another_race()) {
		map_by_ptes(race.addr);
		/* A page table that was taken twice is seen here */
		kib = vm_pte();
		if (rounds == 1)
			before = kib;
		if (kib != before)
			break;

		installed = false;
		start();
		collapsed += !madvise(race.addr, pmd_size, MADV_COLLAPSE);
		finish();
		markers += installed;
		lost = installed && readable(page);
	}
	EXPECT_FALSE(lost)
		TH_LOG("the marker is lost");
	EXPECT_EQ(kib, before)
		TH_LOG("VmPTE was %ld KiB, and is %ld", before, kib);
	TH_LOG("%lu collapsed, %lu markers", collapsed, markers);
}

TEST_HARNESS_MAIN
