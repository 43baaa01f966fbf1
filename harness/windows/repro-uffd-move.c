// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_MOVE of one page, while another thread drops the destination: the
 * arguments are valid, so -EINVAL is a lie.  Window: uffd_move.
 */
#include "repro.h"

#ifndef UFFDIO_MOVE
#error "needs the UAPI headers of Linux 6.8 or later"
#endif

FIXTURE(uffd_move)
{
	char *src, *dst;
	int uffd;
	struct other other;
};

static char *drop_addr;
static atomic_bool stop;

static void drop(void *arg)
{
	while (!atomic_load(&stop))
		madvise(drop_addr, pmd_size, MADV_DONTNEED);
}

FIXTURE_SETUP(uffd_move)
{
	char *addr;
	int i;

	find_sizes();
	self->uffd = uffd_open(UFFD_FEATURE_MOVE);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd, or no UFFDIO_MOVE");
	addr = reserve(3);
	ASSERT_NE(addr, NULL);
	/* Not next to each other, lest they are one vma */
	for (i = 0; i < 3; i += 2) {
		ASSERT_NE(mmap(addr + i * pmd_size, pmd_size,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			  MAP_FAILED);
		madvise(addr + i * pmd_size, pmd_size, MADV_NOHUGEPAGE);
	}
	self->src = addr;
	self->dst = addr + 2 * pmd_size;
	ASSERT_EQ(uffd_register(self->uffd, self->dst, pmd_size,
				UFFDIO_REGISTER_MODE_MISSING), 0);
	drop_addr = self->dst;
	self->other = (struct other){ .run = drop };
	start(&self->other);
}

FIXTURE_TEARDOWN(uffd_move)
{
	if (self->uffd < 0)
		return;
	atomic_store(&stop, true);
	done(&self->other);
	close(self->uffd);
}

TEST_F_TIMEOUT(uffd_move, einval, 3600)
{
	unsigned long rounds = 0, again = 0, busy = 0;
	double end = deadline();
	int err = 0;

	widen("uffd_move", 500);
	go(&self->other);
	do {
		struct uffdio_move move = {
			.dst = (uintptr_t)self->dst,
			.src = (uintptr_t)self->src,
			.len = page_size,
		};

		self->src[0] = 1;
		ASSERT_EQ(madvise(self->dst, pmd_size, MADV_DONTNEED), 0);
		err = ioctl(self->uffd, UFFDIO_MOVE, &move) ? errno : 0;
		again += err == EAGAIN;
		busy += err == EBUSY;
		rounds++;
	} while ((!err || err == EAGAIN || err == EBUSY) && now() < end);

	EXPECT_TRUE(!err || err == EAGAIN || err == EBUSY)
		TH_LOG("\"%s\" in round %lu, though nothing was wrong",
		       strerror(err), rounds);
	TH_LOG("%lu rounds, %lu times EAGAIN, %lu EBUSY, window stretched %d times",
	       rounds, again, busy, widened("uffd_move"));
}

TEST_HARNESS_MAIN
