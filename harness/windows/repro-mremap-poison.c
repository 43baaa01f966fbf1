// SPDX-License-Identifier: GPL-2.0
/*
 * mremap() of a mapping with a poisoned page, while another thread collapses
 * the file through another mapping: the page must still be poisoned.  Without
 * "mm/khugepaged: do not lose poison with a retracted page table", it is lost
 * anyway.  Window: move_ptes.
 */
#include "repro.h"

FIXTURE(mremap_poison)
{
	char *by, *from, *to;
	int uffd, memfd;
	struct other other;
};

static char *collapse_addr;

static void collapse(void *arg)
{
	madvise(collapse_addr, pmd_size, MADV_COLLAPSE);
}

FIXTURE_SETUP(mremap_poison)
{
	find_sizes();
	self->uffd = uffd_open(UFFD_FEATURE_POISON);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd, or no UFFDIO_POISON");
	self->memfd = memfd_create("mremap", 0);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(ftruncate(self->memfd, pmd_size), 0);
	self->by = reserve(5);
	ASSERT_NE(self->by, NULL);
	self->from = self->by + 2 * pmd_size;
	self->to = self->by + 4 * pmd_size;
	ASSERT_NE(mmap(self->by, pmd_size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, self->memfd, 0), MAP_FAILED);
	collapse_addr = self->by;
	self->other = (struct other){ .run = collapse };
	start(&self->other);
}

FIXTURE_TEARDOWN(mremap_poison)
{
	if (self->uffd < 0)
		return;
	done(&self->other);
	close(self->uffd);
	close(self->memfd);
}

TEST_F_TIMEOUT(mremap_poison, lost, 3600)
{
	char *page = self->to + pmd_size / 2;
	unsigned long rounds = 0;
	double end = deadline();
	bool lost;
	size_t i;

	widen("move_ptes", 20000);
	do {
		struct uffdio_poison poison = {
			.range = { .start = (uintptr_t)self->from + pmd_size / 2,
				   .len = page_size },
		};

		/* Small pages, all of them there */
		ASSERT_EQ(fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE |
				    FALLOC_FL_KEEP_SIZE, 0, pmd_size), 0);
		for (i = 0; i < pmd_size; i += page_size)
			ASSERT_EQ(pwrite(self->memfd, "x", 1, i), 1);

		ASSERT_NE(mmap(self->from, pmd_size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, self->memfd, 0),
			  MAP_FAILED);
		/* Without EVENT_REMAP: so it is move_ptes() that moves them */
		ASSERT_EQ(uffd_register(self->uffd, self->from, pmd_size,
					UFFDIO_REGISTER_MODE_MISSING), 0);
		ASSERT_EQ(ioctl(self->uffd, UFFDIO_POISON, &poison), 0);

		go(&self->other);
		usleep(rand() % 3000);
		ASSERT_EQ(mremap(self->from, pmd_size, pmd_size, MREMAP_MAYMOVE |
				 MREMAP_FIXED, self->to), self->to);
		meet(&self->other);

		lost = readable(page);
		rounds++;
	} while (!lost && now() < end);

	EXPECT_FALSE(lost)
		TH_LOG("a poisoned page can be read in round %lu", rounds);
	TH_LOG("%lu rounds, window stretched %d times", rounds,
	       widened("move_ptes"));
}

TEST_HARNESS_MAIN
