// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE of a file in another thread, through a mapping of its own: it
 * retracts the empty page tables of all other mappings of that file.
 *
 * mremap: of a mapping with a poisoned page, to where its page table may be
 *	retracted: the page must still be poisoned.  Without "mm/khugepaged: do not
 *	lose poison with a retracted page table", it can be lost later as well: so
 *	that does not end the test.  Window: move_ptes.
 * mremap_private: the same with a page that was written in a private mapping.
 * fork: while fork copies a private mapping with a written page in its second
 *	range, the page table of the first one may be retracted: the child must
 *	see that page.  The collapse is that of another process, as fork has the
 *	mmap lock.  Window: copy_pmd.
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
	bool move, private, fork;
};

FIXTURE_VARIANT_ADD(retract, mremap)
{
	.window = "move_ptes", .move = true,
};

FIXTURE_VARIANT_ADD(retract, mremap_private)
{
	.window = "move_ptes", .move = true, .private = true,
};

FIXTURE_VARIANT_ADD(retract, fork)
{
	.window = "copy_pmd", .private = true, .fork = true,
};

FIXTURE_VARIANT_ADD(retract, reclaim)
{
	.window = "retract_lookup",
};

static void collapse(void)
{
	madvise(race.addr, pmd_size, MADV_COLLAPSE);
}

static atomic_bool *asked;	/* of the other process, by collapse_elsewhere() */

static void collapse_elsewhere(void)
{
	atomic_store(asked, true);
	while (atomic_load(asked))
		usleep(100);
}

static void serve(void)
{
	asked = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(asked != MAP_FAILED);
	race.other = collapse_elsewhere;
	if (!in_child())
		return;
	for (;; usleep(100)) {
		if (!atomic_load(asked))
			continue;
		collapse();
		atomic_store(asked, false);
	}
}

/* One or two ranges, with a written page at the start of the last one */
static void map_private(char *addr, int fd, size_t size)
{
	need(!ftruncate(fd, size));
	need(mmap(addr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		  fd, 0) == addr);
	addr[size - pmd_size] = 'p';
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
	if (variant->fork)
		serve();
}

FIXTURE_TEARDOWN(retract)
{
	report();
}

TEST_F_TIMEOUT(retract, race, 60)
{
	size_t size = variant->fork ? 2 * pmd_size : pmd_size;
	long kib = 0, before = 0;
	int lost = 0, hits, status;
	pid_t pid;

	while (another_race()) {
		bool gone = false;

		hits = counter("hits");
		small_pages(self->fd);
		if (variant->private) {
			map_private(variant->move ? self->from : self->to, self->fd,
				    size);
		} else if (variant->move) {
			map_pmd(self->from, self->fd);
			uffd_register(race.uffd, self->from,
				      UFFDIO_REGISTER_MODE_MISSING);
			ASSERT_TRUE(uffd_poison(race.uffd, self->from));
		} else {
			map_pmd(self->to, self->fd);
		}
		if (!variant->move)
			touch(self->to);

		start();
		usleep(rand() % (2 * race.us));
		if (variant->move) {
			ASSERT_EQ(mremap(self->from, pmd_size, pmd_size,
					 MREMAP_MAYMOVE | MREMAP_FIXED, self->to),
				  self->to);
			gone = variant->private ? *self->to != 'p' :
						  readable(self->to);
		} else if (variant->fork) {
			pid = fork();
			if (!pid)
				_exit(self->to[pmd_size] == 'p');
			ASSERT_GT(pid, 0);
			ASSERT_EQ(waitpid(pid, &status, 0), pid);
			gone = !WEXITSTATUS(status);
		} else {
			ASSERT_EQ(madvise(self->to, pmd_size, MADV_DONTNEED), 0);
		}
		finish();

		hits = counter("hits") - hits;
		lost += gone;
		if (gone && hits)
			break;
		ASSERT_EQ(munmap(self->to, size), 0);
		/* A page table that was taken twice is seen here */
		kib = vm_pte();
		if (rounds == 1)
			before = kib;
		if (kib < before)
			break;
	}
	EXPECT_EQ(lost, 0)
		TH_LOG("the %s is lost, %d times",
		       variant->private ? "private page" : "poison", lost);
	EXPECT_GE(kib, before)
		TH_LOG("VmPTE was %ld KiB, and is %ld", before, kib);
}

TEST_HARNESS_MAIN
