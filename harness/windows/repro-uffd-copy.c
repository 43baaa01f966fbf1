// SPDX-License-Identifier: GPL-2.0
/*
 * UFFDIO_COPY into anonymous memory, while another thread drops the whole
 * range: the only one who ever installs a page is the one who asks, so
 * -EEXIST is a lie.  Window: mfill_pmd.
 */
#include "repro.h"

FIXTURE(uffd_copy)
{
	char *addr, *src;
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

FIXTURE_SETUP(uffd_copy)
{
	find_sizes();
	self->uffd = uffd_open(0);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	self->src = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(self->src, MAP_FAILED);
	self->addr = reserve(1);
	ASSERT_NE(self->addr, NULL);
	ASSERT_NE(mmap(self->addr, pmd_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		  MAP_FAILED);
	madvise(self->addr, pmd_size, MADV_NOHUGEPAGE);
	ASSERT_EQ(uffd_register(self->uffd, self->addr, pmd_size,
				UFFDIO_REGISTER_MODE_MISSING), 0);
	drop_addr = self->addr;
	self->other = (struct other){ .run = drop };
	start(&self->other);
}

FIXTURE_TEARDOWN(uffd_copy)
{
	if (self->uffd < 0)
		return;
	atomic_store(&stop, true);
	done(&self->other);
	close(self->uffd);
}

TEST_F_TIMEOUT(uffd_copy, eexist, 3600)
{
	unsigned long rounds = 0, again = 0;
	double end = deadline();
	int err = 0;

	widen("mfill_pmd", 1000);
	go(&self->other);
	do {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)self->addr,
			.src = (uintptr_t)self->src,
			.len = page_size,
		};

		/* Whatever was there before is gone now, and stays away */
		ASSERT_EQ(madvise(self->addr, pmd_size, MADV_DONTNEED), 0);
		err = ioctl(self->uffd, UFFDIO_COPY, &copy) ? errno : 0;
		again += err == EAGAIN;
		rounds++;
	} while ((!err || err == EAGAIN) && now() < end);

	EXPECT_TRUE(!err || err == EAGAIN)
		TH_LOG("\"%s\" in round %lu, where nobody else fills the range",
		       strerror(err), rounds);
	TH_LOG("%lu rounds, %lu times EAGAIN, window stretched %d times",
	       rounds, again, widened("mfill_pmd"));
}

TEST_HARNESS_MAIN
