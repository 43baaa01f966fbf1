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
#include "repro.h"

enum against { GUARD, POISON, RECLAIM };

FIXTURE(collapse)
{
	char *addr;
	int uffd, memfd;
	struct other other;
};

FIXTURE_VARIANT(collapse)
{
	enum against against;
	bool armed;
	int flags;
	const char *window;
};

FIXTURE_VARIANT_ADD(collapse, guard)
{
	.against = GUARD, .flags = MAP_SHARED, .window = "collapse_2_4",
};

FIXTURE_VARIANT_ADD(collapse, poison)
{
	.against = POISON, .armed = true, .flags = MAP_SHARED,
	.window = "collapse_2_4",
};

FIXTURE_VARIANT_ADD(collapse, reclaim)
{
	.against = RECLAIM, .flags = MAP_SHARED, .window = "collapse_2_4",
};

FIXTURE_VARIANT_ADD(collapse, reclaim_armed)
{
	.against = RECLAIM, .armed = true, .flags = MAP_PRIVATE,
	.window = "collapse_1_2",
};

static struct {
	enum against against;
	char *addr, *page;
	int uffd;
	bool installed;
	unsigned int spin;
	atomic_bool stop;
} o;

static void other(void *arg)
{
	struct uffdio_poison poison;
	volatile unsigned int i;

	for (i = 0; i < o.spin; i++)
		;

	switch (o.against) {
	case GUARD:
		o.installed = !madvise(o.page, page_size, MADV_GUARD_INSTALL);
		break;
	case POISON:
		/* EEXIST as long as the page is mapped: try, and try again */
		do {
			poison = (struct uffdio_poison){
				.range = { .start = (uintptr_t)o.page,
					   .len = page_size },
			};
			o.installed = !ioctl(o.uffd, UFFDIO_POISON, &poison);
		} while (!o.installed && !atomic_load(&o.stop));
		break;
	case RECLAIM:
		madvise(o.addr, pmd_size, MADV_DONTNEED);
		break;
	}
}

FIXTURE_SETUP(collapse)
{
	size_t i;

	find_sizes();
	self->uffd = -1;
	self->memfd = memfd_create("collapse", 0);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(ftruncate(self->memfd, pmd_size), 0);
	for (i = 0; i < pmd_size; i += page_size)
		ASSERT_EQ(pwrite(self->memfd, "x", 1, i), 1);
	self->addr = reserve(1);
	ASSERT_NE(self->addr, NULL);
	ASSERT_NE(mmap(self->addr, pmd_size, PROT_READ | PROT_WRITE,
		       variant->flags | MAP_FIXED, self->memfd, 0), MAP_FAILED);
	touch(self->addr);
	if (madvise(self->addr, pmd_size, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
	if (madvise(self->addr, page_size, MADV_GUARD_INSTALL))
		SKIP(return, "MADV_GUARD_INSTALL: %s", strerror(errno));
	if (variant->armed) {
		self->uffd = uffd_open(UFFD_FEATURE_POISON);
		if (self->uffd < 0)
			SKIP(return, "no userfaultfd, or no UFFDIO_POISON");
		ASSERT_EQ(uffd_register(self->uffd, self->addr, pmd_size,
					UFFDIO_REGISTER_MODE_MISSING), 0);
	}
	o.against = variant->against;
	o.addr = self->addr;
	o.page = self->addr + pmd_size / 2;
	o.uffd = self->uffd;
	self->other = (struct other){ .run = other };
	start(&self->other);
}

FIXTURE_TEARDOWN(collapse)
{
	if (self->other.run)
		done(&self->other);
	close(self->memfd);
	close(self->uffd);
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

static long vm_pte(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmPTE: %ld", &kb) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kb;
}

TEST_F_TIMEOUT(collapse, race, 3600)
{
	unsigned long rounds = 0, collapsed = 0, installed = 0;
	double end = deadline();
	long kb, before = 0;
	bool lost = false;

	widen(variant->window, 2000);
	do {
		bool ok;

		map_by_ptes(self->addr);
		/* A page table counted twice is seen here */
		kb = vm_pte();
		if (!rounds)
			before = kb;

		o.installed = false;
		o.spin = rand() % 20000;
		atomic_store(&o.stop, false);
		go(&self->other);
		ok = !madvise(self->addr, pmd_size, MADV_COLLAPSE);
		atomic_store(&o.stop, true);
		meet(&self->other);

		collapsed += ok;
		installed += o.installed;
		lost = o.installed && readable(o.page);
		rounds++;
	} while (!lost && kb == before && now() < end);

	EXPECT_FALSE(lost)
		TH_LOG("the marker installed in round %lu is lost", rounds);
	EXPECT_EQ(kb, before)
		TH_LOG("VmPTE is %ld kB after round %lu, and was %ld kB", kb,
		       rounds, before);
	TH_LOG("%lu rounds, %lu collapsed, %lu markers, window stretched %d times",
	       rounds, collapsed, installed, widened(variant->window));
}

TEST_HARNESS_MAIN
