// SPDX-License-Identifier: GPL-2.0
/*
 * Races with the retraction of page tables, as seen from userspace.
 *
 * pgtable_retract.c tests, step by step, what is retracted and what is not. Here
 * a file is collapsed and split again as fast as that goes, while everything
 * that puts something into a page table, takes it away, moves it, or looks for
 * it runs against that. Nothing may be lost: neither what a table held before
 * the collapse began, nor what arrived while it was under way; nothing may be
 * written into a table that is not in use any more; and when the mappings are
 * gone, so are their page tables and their pages.
 *
 * Each racer (see racers[]) knows what its memory has to hold and compares all
 * the time. It runs twice: in a process of its own, and as one of the threads of
 * a process with all of them, the crowd. Such a run is a lane. Lanes take turns:
 * at any time as many as there are CPUs, chosen at random, run, and the others
 * rest. Only the collapser, another process, never rests.
 *
 * The file:
 *
 *   +---------+---------+---------+
 *   | range 0 | range 1 |  tail   |     each as large as a PMD maps
 *   +---------+---------+---------+
 *
 * Ranges are split by a hole in their last page, or by reclaim. The tail is
 * truncated, which takes away private pages as well: no process has any there.
 *
 * Every page of the file has one owner, who alone changes it: the last page of a
 * range and the tail belong to the collapser, a page in the middle of each range
 * to a racer "write", and all others are never changed. What a page holds
 * follows from its number and its generation, which is odd as long as the page
 * is being changed. If it is the same even number before and after the page is
 * looked at, it says what the page must have held.
 *
 * Each kind of mapping is a test, and all of them run unless some are named as
 * arguments. PGTABLE_RACE_SECONDS says how long each one runs. PGTABLE_TEST_DIR
 * names a directory on a file system with PMD-sized folios; without it the
 * current directory, /tmp and /var/tmp are tried.
 */

#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "pgtable_common.h"
#include "vm_util.h"

#define SECONDS_VARIABLE	"PGTABLE_RACE_SECONDS"
#define DEFAULT_SECONDS		10
#define GRACE_SECONDS		120	/* to begin and to end, emulated */
#define NR_KEPT			2	/* ranges that are never truncated */
#define NR_RANGES		(NR_KEPT + 1)
#define NR_SLOTS		8	/* of PMD size, for each lane */
#define NR_ITEMS		16	/* pages that a racer looks at in a round */
#define MAX_LANES		40	/* of all racers, twice, and the collapser */
#define REST_USECS		20000	/* many rest: wake up seldom */
#define STACK_BYTES		(256UL << 10)
#define MIN_SWAP_KB		4096

/* What the tests are run with. */
static const struct kind {
	const char *name;
	enum backing backing;
	bool shared;
} kinds[] = {
	{ "shmem_shared", BACKED_BY_SHMEM, true },
	{ "shmem_private", BACKED_BY_SHMEM, false },
	{ "file_shared", BACKED_BY_FILE, true },
	{ "file_private", BACKED_BY_FILE, false },
};

/* What a range is like, as far as the collapser knows: a hint for others. */
enum phase {
	SMALL,
	COLLAPSING,
	COLLAPSED,
};

struct lane {
	const struct racer *racer;
	bool crowd;
	unsigned int id;
	char *base;			/* NR_SLOTS slots */
	char *page;			/* to read into and to copy from */
	unsigned int random;
	unsigned long serial;
	int uffd;
	int pagemap;
	int pipe[2];
	bool succeeded;			/* in anything, some time */
	bool installed;			/* what it is about, some time */
	atomic_bool turn;
	atomic_bool done;
	atomic_bool skipped;
	/* For the main process to print. */
	const char *reason;
	unsigned long rounds;
	unsigned long in_time;		/* arrivals during a collapse */
	unsigned long refused;		/* that the kernel did not do, for once */
	int refused_errno;
};

/* What all processes share. */
static struct shared {
	atomic_bool stop;
	atomic_uint failed;		/* a byte would need libatomic on riscv */
	atomic_uint nr_ready;
	pid_t pids[MAX_LANES];
	unsigned int nr_pids;
	struct lane lanes[MAX_LANES];
	/* The collapser's, read by others. */
	atomic_uint phase[NR_RANGES];
	atomic_uint next;		/* range to be collapsed */
	atomic_uint round;		/* odd: there is a collapse under way */
	atomic_ulong usecs;		/* that the last collapse took */
	atomic_ulong collapses;
	unsigned long retractions;
	atomic_uint generation[];	/* of each page of the file */
} *shared;

/* A page that a racer has made special. */
struct item {
	char *addr;
	unsigned long index;		/* of the file's page there */
	unsigned long seed;		/* of the private page there */
	bool there;
};

/* Where a racer has a test, what it maps, and what may fail. */
enum {
	NEEDS_SWAP	= 1 << 0,
	NEEDS_SHMEM	= 1 << 1,
	ALWAYS_SHARED	= 1 << 2,
	ALWAYS_PRIVATE	= 1 << 3,
	MAY_EXIST	= 1 << 4,	/* the huge page, at the same address */
	DISCARDS	= 1 << 5,	/* in another thread, see discard_slot() */
};

struct racer {
	const char *name;
	void (*round)(struct lane *lane, unsigned int range);
	unsigned int flags;
	__u64 features;			/* of userfaultfd */
	int (*install)(struct lane *lane, struct item *item);
	void (*check)(struct lane *lane, struct item *item);
	int (*remove)(struct lane *lane, struct item *item);
};

static const struct kind *kind;
static unsigned long nr_pages;		/* of a range */
static size_t file_size;
static int file;
static unsigned int run_seconds = DEFAULT_SECONDS;
static char *arena;
static char *buffer;			/* the main process's page */

/* Failures. Only the first one is told: others may come of it. */

static __printf(2, 3) void fail(struct lane *lane, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (atomic_exchange(&shared->failed, 1))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ksft_print_msg("%s%s: %s\n", lane->racer->name,
		       lane->crowd ? " (thread)" : "", text);
	shared->stop = true;
}

static void skip(struct lane *lane, const char *reason)
{
	lane->reason = reason;
	lane->skipped = reason;
}

/*
 * Has it been done? The kernel may say for once that it cannot, and must not be
 * short of memory. What it never does it does not have.
 */
static bool done(struct lane *lane, const char *what, int ret)
{
	bool may_exist = lane->racer->flags & MAY_EXIST;

	if (!ret) {
		lane->succeeded = true;
	} else if (ret == -EAGAIN || ret == -EBUSY ||
		   (ret == -EEXIST && may_exist)) {
		lane->refused++;
		lane->refused_errno = -ret;
	} else if (ret == -EINVAL && !lane->succeeded) {
		skip(lane, "not with this kind of mapping here");
	} else {
		fail(lane, "%s: %s", what, strerror(-ret));
	}
	return !ret;
}

static void expect_signal(struct lane *lane, const char *what, char *addr,
			  int sig, int expected)
{
	if (sig != expected)
		fail(lane, "%s at %p: expected signal %d, found %d", what, addr,
		     expected, sig);
}

/* Small helpers */

static void rest(void)
{
	usleep(REST_USECS);
}

static unsigned int random_below(struct lane *lane, unsigned int limit)
{
	lane->random ^= lane->random << 13;
	lane->random ^= lane->random >> 17;
	lane->random ^= lane->random << 5;
	return lane->random % limit;
}

/*
 * Wait for a range to become like that, but not for long: this is to meet the
 * collapse more often than by chance, nothing relies on it.
 */
static void wait_for_phase(unsigned int range, enum phase phase)
{
	unsigned long long begin = now_usecs();

	while (shared->phase[range] != phase && !shared->stop &&
	       now_usecs() - begin < 1000 + 5 * shared->usecs)
		usleep(shared->usecs / 16 + 1);
}

/* The contents of the file: bit 0 of a generation: being changed; 1: a hole. */

static unsigned long file_seed(unsigned long index, unsigned int generation)
{
	return generation & 2 ? 0 : page_seed(index + 1, generation);
}

/* The generation that the page will have. */
static unsigned int begin_change(unsigned long index, bool hole)
{
	unsigned int generation = atomic_fetch_or(&shared->generation[index], 1);

	/* Later writes must not be seen with the old generation. */
	atomic_thread_fence(memory_order_seq_cst);
	return (generation & ~3U) + (hole ? 6 : 4);
}

static void end_change(unsigned long index, unsigned int generation)
{
	shared->generation[index] = generation;
}

static void report(struct lane *lane, const char *what, unsigned long index,
		   char *addr, int result, struct difference *diff)
{
	if (result > 0)
		fail(lane, "%s: page %lu at %p: signal %d", what, index, addr,
		     result);
	else
		fail(lane, "%s: page %lu at %p, word %lu: expected %lx, found %lx",
		     what, index, addr, diff->word, diff->expected, diff->found);
}

/* At @addr there is what page @index of the file was in this generation. */
static void check_generation(struct lane *lane, const char *what, char *addr,
			     unsigned long index, unsigned int generation)
{
	struct difference diff;
	int result;

	if (generation & 1)
		return;
	result = compare_page(addr, file_seed(index, generation), &diff);
	atomic_thread_fence(memory_order_seq_cst);
	if (result && shared->generation[index] == generation)
		report(lane, what, index, addr, result, &diff);
}

/* The range, or another that @page counts from, is mapped at @addr. */
static void check_file(struct lane *lane, const char *what, char *addr,
		       unsigned int range, unsigned long page)
{
	unsigned long index = range * nr_pages + page;

	check_generation(lane, what, addr + page * page_size, index,
			 shared->generation[index]);
}

/* Has all of a page been read or written? */
static bool full(ssize_t nr)
{
	return nr == (ssize_t)page_size;
}

/* Mappings */

static char *slot(struct lane *lane, unsigned int nr)
{
	return lane->base + nr * pmd_size;
}

static void unmap(struct lane *lane, char *addr, size_t len)
{
	if (!reserve(addr, len))
		fail(lane, "unmapping: %s", strerror(errno));
}

static void map(struct lane *lane, char *addr, size_t len, int flags,
		unsigned int range)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE, MAP_FIXED | flags,
		 flags & MAP_ANONYMOUS ? -1 : file, range * pmd_size) ==
	    MAP_FAILED)
		fail(lane, "mmap: %s", strerror(errno));
}

static void map_anon(struct lane *lane, char *addr, size_t len)
{
	map(lane, addr, len, MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

static void map_file(struct lane *lane, char *addr, unsigned int range,
		     size_t len, bool shared_mapping)
{
	map(lane, addr, len, shared_mapping ? MAP_SHARED : MAP_PRIVATE, range);
}

static void map_range(struct lane *lane, char *addr, unsigned int range)
{
	unsigned int flags = lane->racer->flags;

	map_file(lane, addr, range, pmd_size, flags & ALWAYS_SHARED ||
		 (kind->shared && !(flags & ALWAYS_PRIVATE)));
}

/* Items: private pages and guard regions ... */

/*
 * A page that has not been mapped around the first one, and not the last one: a
 * hole takes write protection and guards away, together with the page.
 */
static unsigned long random_page(struct lane *lane)
{
	return nr_pages / 4 + random_below(lane, nr_pages * 3 / 4 - 1);
}

/* Page @page of the range that is mapped at @addr. */
static struct item make_item(struct lane *lane, char *addr, unsigned int range,
			     unsigned long page)
{
	struct item item = {
		.addr = addr + page * page_size,
		.index = range * nr_pages + page,
		.seed = page_seed(~0UL - lane->id, ++lane->serial),
	};

	return item;
}

/* There is nothing special any more. */
static void check_item(struct lane *lane, const char *what, struct item *item)
{
	check_generation(lane, what, item->addr, item->index,
			 shared->generation[item->index]);
}

static int install_own(struct lane *lane, struct item *item)
{
	expect_signal(lane, "a private write", item->addr,
		      fill_page(item->addr, item->seed), 0);
	item->there = true;
	return 0;
}

static void check_own(struct lane *lane, struct item *item)
{
	struct difference diff;
	int result = compare_page(item->addr, item->seed, &diff);

	if (result)
		report(lane, "a private page", item->index, item->addr, result,
		       &diff);
}

/* What madvise() and ioctl() return, as the functions here give it. */
static int errno_if(int ret)
{
	return ret ? -errno : 0;
}

static int remove_own(struct lane *lane, struct item *item)
{
	return errno_if(madvise(item->addr, page_size, MADV_DONTNEED));
}

static int install_guard(struct lane *lane, struct item *item)
{
	return errno_if(madvise(item->addr, page_size, MADV_GUARD_INSTALL));
}

static void check_guard(struct lane *lane, struct item *item)
{
	expect_signal(lane, "guard", item->addr, peek(item->addr), SIGSEGV);
}

static int remove_guard(struct lane *lane, struct item *item)
{
	return errno_if(madvise(item->addr, page_size, MADV_GUARD_REMOVE));
}

/* ... and what userfaultfd has */

#define UFFD_WP		(UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_SIGBUS)
#define UFFD_MISSING	(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS)

/* Of a regular file only asynchronous write protection can be had. */
static bool wp_async(void)
{
	return kind->backing == BACKED_BY_FILE;
}

static void prepare_uffd(struct lane *lane)
{
	__u64 features = lane->racer->features;

	if (!features)
		return;
	if (features == UFFD_WP && wp_async())
		features = UFFD_FEATURE_WP_ASYNC;
	lane->uffd = open_uffd(features);
	if (lane->uffd == -EOPNOTSUPP)
		skip(lane, "no such userfaultfd in this kernel");
	else if (lane->uffd < 0)
		fail(lane, "userfaultfd: %s", strerror(-lane->uffd));
}

static int register_uffd(struct lane *lane, char *addr, size_t len)
{
	bool wp = lane->racer->features == UFFD_WP;

	return uffd_register(lane->uffd, addr, len, !wp, wp, false);
}

/* Then a hole is no zero page, but SIGBUS. */
static bool reports_missing(struct lane *lane)
{
	return lane->racer->features & UFFD_FEATURE_MISSING_SHMEM;
}

static int install_wp(struct lane *lane, struct item *item)
{
	char *range = (char *)((uintptr_t)item->addr & ~(pmd_size - 1));
	int ret = register_uffd(lane, range, pmd_size);

	return ret ?: uffd_protect(lane->uffd, item->addr, page_size, true);
}

static void check_wp(struct lane *lane, struct item *item)
{
	const char *what = lost_protection(lane->pagemap, item->addr, wp_async());

	if (what)
		fail(lane, "page %lu at %p: %s", item->index, item->addr, what);
}

static int remove_wp(struct lane *lane, struct item *item)
{
	return uffd_protect(lane->uffd, item->addr, page_size, false);
}

static int install_copy(struct lane *lane, struct item *item)
{
	fill_page(lane->page, item->seed);
	return uffd_copy(lane->uffd, item->addr, lane->page);
}

static int install_zeropage(struct lane *lane, struct item *item)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)item->addr, .len = page_size },
	};

	item->seed = 0;
	return errno_if(ioctl(lane->uffd, UFFDIO_ZEROPAGE, &zero));
}

static int install_poison(struct lane *lane, struct item *item)
{
	return uffd_poison(lane->uffd, item->addr);
}

static void check_poison(struct lane *lane, struct item *item)
{
	expect_signal(lane, "poison", item->addr, peek(item->addr), SIGBUS);
}

/*
 * Late arrivals. Each round maps a range a few times, reads from the mappings,
 * so that they have their tables, waits for the collapse, and puts something
 * special into one mapping after the other. Whatever gets there stays.
 */
static void prepare_items(struct lane *lane, struct item *items,
			  unsigned int range)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS; i++) {
		map_range(lane, slot(lane, i), range);
		if (reports_missing(lane))
			done(lane, "UFFDIO_REGISTER",
			     register_uffd(lane, slot(lane, i), pmd_size));
		items[i] = make_item(lane, slot(lane, i), range,
				     random_page(lane));
		check_file(lane, "before", slot(lane, i), range, 0);
	}
}

static void install_items(struct lane *lane, struct item *items)
{
	unsigned int round, i;

	for (i = 0; i < NR_SLOTS && !lane->skipped; i++) {
		usleep(random_below(lane, shared->usecs * 2 / NR_SLOTS + 1));
		round = shared->round;
		items[i].there = done(lane, "installing",
				      lane->racer->install(lane, &items[i]));
		if (!items[i].there)
			continue;
		lane->installed = true;
		if (round & 1 && round == shared->round)
			lane->in_time++;
	}
}

static void check_items(struct lane *lane, struct item *items)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS && !shared->stop; i++)
		if (items[i].there)
			lane->racer->check(lane, &items[i]);
}

/* Where it can be taken away again, the file is there. */
static void remove_items(struct lane *lane, struct item *items)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS && lane->racer->remove; i++)
		if (items[i].there &&
		    done(lane, "removing",
			 lane->racer->remove(lane, &items[i])) &&
		    !reports_missing(lane))
			check_item(lane, "afterwards", &items[i]);
}

static void arrive_late(struct lane *lane, unsigned int range)
{
	struct item items[NR_SLOTS];

	range = shared->next;
	wait_for_phase(range, SMALL);
	prepare_items(lane, items, range);
	wait_for_phase(range, COLLAPSING);
	install_items(lane, items);
	check_items(lane, items);
	wait_for_phase(range, COLLAPSED);
	check_items(lane, items);
	remove_items(lane, items);
}

/* Readers and writers of the file */

static void race_read(struct lane *lane, unsigned int range)
{
	unsigned int i;

	map_file(lane, slot(lane, 0), 0, file_size, kind->shared);
	for (i = 0; i < NR_ITEMS; i++)
		check_file(lane, "reading", slot(lane, 0), 0,
			   random_below(lane, NR_RANGES * nr_pages));
}

/* Writes through one mapping, reads through another and by the file. */
static void race_write(struct lane *lane, unsigned int range)
{
	/* Ours, the same in each range. */
	unsigned long page = nr_pages / 2 + lane->crowd;
	unsigned long index = range * nr_pages + page;
	char *written = slot(lane, 0) + page * page_size;
	unsigned int generation, i;
	int sig;

	map_file(lane, slot(lane, 0), range, pmd_size, true);
	map_range(lane, slot(lane, 1), range);
	check_file(lane, "read again", slot(lane, 0), range, page);

	generation = begin_change(index, false);
	sig = fill_page(written, file_seed(index, generation));
	expect_signal(lane, "writing", written, sig, 0);
	end_change(index, generation);
	if (kind->backing == BACKED_BY_FILE)
		msync(written, page_size, MS_SYNC);

	for (i = 0; i < NR_ITEMS && !shared->stop; i++) {
		check_file(lane, "written", slot(lane, 0), range, page);
		check_file(lane, "other mapping", slot(lane, 1), range, page);
	}
	if (full(pread(file, lane->page, page_size, index * page_size)))
		check_generation(lane, "pread", lane->page, index, generation);
}

/* Reading in the kernel: process_vm_readv() is GUP, vmsplice() is GUP-fast. */
static bool read_by_gup(struct lane *lane, char *addr, bool fast)
{
	struct iovec from = { .iov_base = addr, .iov_len = page_size };
	struct iovec to = { .iov_base = lane->page, .iov_len = page_size };

	if (!fast)
		return full(process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	return full(vmsplice(lane->pipe[1], &from, 1, SPLICE_F_NONBLOCK)) &&
	       full(read(lane->pipe[0], lane->page, page_size));
}

static void check_gup(struct lane *lane, unsigned long index, bool fast)
{
	char *addr = slot(lane, 0) + index * page_size;
	unsigned int generation = shared->generation[index];

	if (read_by_gup(lane, addr, fast))
		check_generation(lane, "read by GUP", lane->page, index,
				 generation);
	else if (!(generation & 1) && shared->generation[index] == generation)
		fail(lane, "GUP of page %lu at %p: %s", index, addr,
		     strerror(errno));
}

static void race_gup(struct lane *lane, unsigned int range)
{
	/* process_vm_readv() is an option. */
	bool slow = read_by_gup(lane, buffer, false);
	unsigned int i;

	map_file(lane, slot(lane, 0), 0, file_size, kind->shared);
	for (i = 0; i < NR_ITEMS && !shared->stop; i++)
		check_gup(lane, random_below(lane, NR_RANGES * nr_pages),
			  i % 2 || !slow);
}

/* Discarding, by another thread of the same process */

/*
 * Takes tables that are empty then, where the kernel has PT_RECLAIM. It does no
 * harm to what is there between two rounds.
 */
static void *discard_slot(void *arg)
{
	struct lane *lane = arg;

	while (!shared->stop) {
		if (!lane->turn || lane->skipped)
			rest();
		else if (madvise(slot(lane, 0), pmd_size, MADV_DONTNEED))
			fail(lane, "MADV_DONTNEED: %s", strerror(errno));
		sched_yield();
	}
	for (;;)
		pause();
	return NULL;
}

/* A page is ours or the file's. */
static void race_discard(struct lane *lane, unsigned int range)
{
	unsigned int i;

	map_range(lane, slot(lane, 0), range);
	for (i = 0; i < NR_ITEMS && !shared->stop; i++) {
		struct item item = make_item(lane, slot(lane, 0), range,
					     random_below(lane, nr_pages));
		unsigned long *word;

		check_item(lane, "discarded", &item);
		if (kind->shared)
			continue;
		/* It may go after any word; so only the last word counts. */
		word = (unsigned long *)(item.addr + page_size) - 1;
		__atomic_store_n(word, item.seed, __ATOMIC_RELAXED);
		if (__atomic_load_n(word, __ATOMIC_RELAXED) == item.seed)
			remove_own(lane, &item);
		check_item(lane, "discarded, written", &item);
	}
}

/* Write protection stays, also where another thread empties the table. */
static void race_wp_discard(struct lane *lane, unsigned int range)
{
	unsigned int i;
	int ret;

	map_range(lane, slot(lane, 0), range);
	ret = register_uffd(lane, slot(lane, 0), pmd_size);
	ret = ret ?: uffd_protect(lane->uffd, slot(lane, 0), pmd_size, true);
	if (!done(lane, "write-protecting", ret))
		return;
	lane->installed = true;
	for (i = 0; i < NR_ITEMS / 4; i++) {
		struct item item = make_item(lane, slot(lane, 0), range,
					     random_page(lane));

		check_wp(lane, &item);
	}
}

/* Moving pages and page tables about */

/* At @addr there are the file and, perhaps, a private page. */
static void check_around(struct lane *lane, char *addr, struct item *item)
{
	unsigned int i;

	if (item->there)
		check_own(lane, item);
	for (i = 0; i < NR_ITEMS && !shared->stop; i++) {
		unsigned long page = random_below(lane, nr_pages);

		if (addr + page * page_size != item->addr)
			check_file(lane, "around", addr, item->index / nr_pages,
				   page);
	}
}

/* A range that has its table, and perhaps a private page. */
static struct item map_around(struct lane *lane, unsigned int range)
{
	struct item item = make_item(lane, slot(lane, 0), range,
				     random_page(lane));

	map_range(lane, slot(lane, 0), range);
	peek(slot(lane, 0));
	if (!kind->shared && random_below(lane, 2))
		install_own(lane, &item);
	return item;
}

/*
 * slot 0 -> slot 2     as a whole table, if the destination has none
 * slot 2 -> slot 4 + x page by page, and back, between tables: x is a multiple
 *                      of what caches ask of the addresses of shared memory
 * slot 2 -> slot 6     leaving an empty mapping of the same behind
 */
static void race_mremap(struct lane *lane, unsigned int range)
{
	struct item item = map_around(lane, range);
	unsigned long page = item.index % nr_pages;
	char *odd = slot(lane, 4) +
		    (1 + random_below(lane, pmd_size / SHMLBA - 1)) * SHMLBA;
	char * const at[] = { slot(lane, 0), slot(lane, 2), odd, slot(lane, 2),
			      slot(lane, 6) };
	const unsigned int last = ARRAY_SIZE(at) - 1;
	unsigned int i;

	for (i = 1; i <= last && !shared->stop; i++) {
		int flags = MREMAP_MAYMOVE | MREMAP_FIXED |
			    (i == last ? MREMAP_DONTUNMAP : 0);

		if (mremap(at[i - 1], pmd_size, pmd_size, flags, at[i]) ==
		    MAP_FAILED)
			return fail(lane, "mremap: %s", strerror(errno));
		if (i < last)
			unmap(lane, at[i - 1], pmd_size);
		item.addr = at[i] + page * page_size;
		check_around(lane, at[i], &item);
	}
	if (!shared->stop)
		check_file(lane, "left behind", at[last - 1], range, page);
}

/* Protection of the range, or of a part of it. */
static void race_mprotect(struct lane *lane, unsigned int range)
{
	struct item item = map_around(lane, range);
	unsigned long page = item.index % nr_pages;
	unsigned long first = random_below(lane, page + 1);
	char *addr = slot(lane, 0);
	size_t len = pmd_size;

	if (random_below(lane, 2)) {
		addr += first * page_size;
		len = (page + 1 - first) * page_size;
	}
	if (mprotect(addr, len, PROT_READ))
		fail(lane, "PROT_READ: %s", strerror(errno));
	expect_signal(lane, "read-only", item.addr, poke(item.addr), SIGSEGV);
	check_around(lane, slot(lane, 0), &item);
	if (mprotect(addr, len, PROT_NONE))
		fail(lane, "PROT_NONE: %s", strerror(errno));
	expect_signal(lane, "PROT_NONE", item.addr, peek(item.addr), SIGSEGV);
	if (mprotect(addr, len, PROT_READ | PROT_WRITE))
		fail(lane, "PROT_WRITE: %s", strerror(errno));
	check_around(lane, slot(lane, 0), &item);
}

/* UFFDIO_MOVE is for anonymous memory: here in a table that maps the file too. */
static void race_move(struct lane *lane, unsigned int range)
{
	size_t half = nr_pages / 2 * page_size;
	struct item item = make_item(lane, slot(lane, 1), range, 0);
	struct uffdio_move move = {
		.dst = (uintptr_t)slot(lane, 0) + half +
		       random_below(lane, nr_pages / 2) * page_size,
		.src = (uintptr_t)item.addr,
		.len = page_size,
	};
	unsigned int i;
	int ret;

	map_file(lane, slot(lane, 0), range, half, kind->shared);
	map_anon(lane, slot(lane, 0) + half, pmd_size - half);
	map_anon(lane, slot(lane, 1), pmd_size);
	install_own(lane, &item);
	ret = register_uffd(lane, slot(lane, 0) + half, pmd_size - half);
	ret = ret ?: errno_if(ioctl(lane->uffd, UFFDIO_MOVE, &move));
	if (done(lane, "UFFDIO_MOVE", ret)) {
		lane->installed = true;
		item.addr = (char *)(uintptr_t)move.dst;
	}
	for (i = 0; i < NR_ITEMS && !shared->stop; i++) {
		check_own(lane, &item);
		check_file(lane, "beside it", slot(lane, 0), range, i);
	}
}

/* Children inherit what is private, write their own, and leave all behind. */
static void run_child(struct lane *lane, struct item *items, unsigned int range)
{
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	map_file(lane, slot(lane, 2), range, pmd_size, kind->shared);
	for (i = 0; i < NR_SLOTS && !shared->stop; i++) {
		check_file(lane, "in a child", slot(lane, 2), range, i);
		check_own(lane, &items[i]);
		check_file(lane, "in a child", slot(lane, 1), range, i);
		items[i].seed = page_seed(items[i].seed, i);
		install_own(lane, &items[i]);
	}
	for (i = 0; i < NR_SLOTS && !shared->stop; i++)
		check_own(lane, &items[i]);
}

static void race_fork(struct lane *lane, unsigned int range)
{
	struct item items[NR_SLOTS];
	unsigned int i, n;
	int status;
	pid_t pid;

	map_range(lane, slot(lane, 0), range);
	map_file(lane, slot(lane, 1), range, pmd_size, kind->shared);
	peek(slot(lane, 1));
	for (i = 0; i < NR_SLOTS; i++) {
		items[i] = make_item(lane, slot(lane, 0), range,
				     nr_pages / NR_SLOTS * i);
		install_own(lane, &items[i]);
	}
	for (n = 0; n < 4 && !shared->stop; n++) {
		pid = fork();
		if (!pid) {
			run_child(lane, items, range);
			_exit(0);
		}
		if (pid < 0)
			return fail(lane, "fork: %s", strerror(errno));
		if (waitpid(pid, &status, 0) != pid || status)
			fail(lane, "child %d: wait status %x", pid, status);
		for (i = 0; i < NR_SLOTS; i++)
			check_own(lane, &items[i]);
		check_file(lane, "after a fork", slot(lane, 1), range, 0);
	}
}

static bool marked(struct lane *lane, struct item *item, __u64 bit)
{
	__u64 entry = 0;

	if (!read_pagemap(lane->pagemap, item->addr, &entry))
		fail(lane, "reading pagemap: %s", strerror(errno));
	return entry & bit;
}

/* Private pages that are written to swap, and read from there. */
static void race_swap(struct lane *lane, unsigned int range)
{
	const unsigned long step = nr_pages / NR_ITEMS;
	struct item items[NR_ITEMS];
	unsigned int i, n;

	map_range(lane, slot(lane, 0), range);
	for (i = 0; i < NR_ITEMS; i++) {
		items[i] = make_item(lane, slot(lane, 0), range,
				     i * step + random_below(lane, step));
		install_own(lane, &items[i]);
	}
	for (n = 0; n < 4 && !shared->stop; n++) {
		madvise(slot(lane, 0), pmd_size, MADV_PAGEOUT);
		for (i = 0; i < NR_ITEMS; i++) {
			lane->in_time += marked(lane, &items[i], PM_SWAP);
			check_own(lane, &items[i]);
		}
	}
}

/* Read what the kernel tells of a process. */
static void look_at(pid_t pid, const char *name, off_t at, ssize_t len)
{
	char path[64], buf[4096];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (lseek(fd, at, SEEK_SET); len > 0 && !shared->stop; len -= at) {
		at = read(fd, buf, sizeof(buf));
		if (at <= 0)
			break;
	}
	close(fd);
}

/* Looking at the tables of all others from outside, and at one's own. */
static void race_look(struct lane *lane, unsigned int range)
{
	pid_t pid = shared->pids[random_below(lane, shared->nr_pids)];
	char *other = arena + random_below(lane, MAX_LANES / 2) *
			      NR_SLOTS * pmd_size;
	struct item item = make_item(lane, slot(lane, 0), range,
				     random_page(lane));
	bool guarded;

	map_range(lane, slot(lane, 0), range);
	peek(slot(lane, 0));
	guarded = !install_guard(lane, &item);
	look_at(pid, "smaps", 0, 1 << 20);
	look_at(pid, "pagemap", (uintptr_t)other / page_size * 8,
		NR_SLOTS * nr_pages * 8);
	if (guarded && !marked(lane, &item, PM_GUARD_REGION))
		fail(lane, "guard at %p: not in pagemap", item.addr);
}

static const struct racer racers[] = {
	{ .name = "read", .round = race_read },
	{ .name = "write", .round = race_write },
	{ .name = "gup", .round = race_gup },
	{ .name = "mremap", .round = race_mremap },
	{ .name = "mprotect", .round = race_mprotect },
	{ .name = "fork", .round = race_fork, .flags = ALWAYS_PRIVATE },
	{ .name = "swap", .round = race_swap,
	  .flags = ALWAYS_PRIVATE | NEEDS_SWAP },
	{ .name = "look", .round = race_look },
	{ .name = "discard", .round = race_discard, .flags = DISCARDS },
	{ .name = "wp_discard", .round = race_wp_discard,
	  .flags = NEEDS_SHMEM | ALWAYS_SHARED | DISCARDS,
	  .features = UFFD_WP },
	{ .name = "uffd_move", .round = race_move,
	  .features = UFFD_FEATURE_MOVE },
	{ .name = "private", .round = arrive_late, .flags = ALWAYS_PRIVATE,
	  .install = install_own, .check = check_own, .remove = remove_own },
	{ .name = "guard", .round = arrive_late,
	  .install = install_guard, .check = check_guard,
	  .remove = remove_guard },
	{ .name = "uffd_wp", .round = arrive_late, .features = UFFD_WP,
	  .install = install_wp, .check = check_wp, .remove = remove_wp },
	{ .name = "uffd_copy", .round = arrive_late, .features = UFFD_MISSING,
	  .flags = NEEDS_SHMEM | ALWAYS_PRIVATE | MAY_EXIST,
	  .install = install_copy, .check = check_own, .remove = remove_own },
	{ .name = "uffd_zero", .round = arrive_late, .features = UFFD_MISSING,
	  .flags = NEEDS_SHMEM | ALWAYS_PRIVATE | MAY_EXIST,
	  .install = install_zeropage, .check = check_own,
	  .remove = remove_own },
	{ .name = "uffd_poison", .round = arrive_late,
	  .features = UFFD_MISSING | UFFD_FEATURE_POISON,
	  .flags = NEEDS_SHMEM | MAY_EXIST,
	  .install = install_poison, .check = check_poison },
};

#define NR_RACERS	ARRAY_SIZE(racers)
#define NR_LANES	(2 * NR_RACERS)	/* the collapser's comes after them */

static_assert(NR_LANES < MAX_LANES, "there are more lanes than room for them");

/* The collapser */

static bool write_page(struct lane *lane, unsigned long index,
		       unsigned int generation)
{
	fill_page(lane->page, file_seed(index, generation));
	return full(pwrite(file, lane->page, page_size, index * page_size));
}

/* Only clean pages of a regular file are collapsed. */
static bool write_back(void)
{
	return kind->backing != BACKED_BY_FILE || !fsync(file);
}

/*
 * A hole splits a huge page. Mostly it is filled again: a range of shmem with a
 * hole is not collapsed while someone waits for missing pages by userfaultfd.
 */
static void punch(struct lane *lane, unsigned int range)
{
	unsigned long index = (range + 1) * nr_pages - 1;
	bool hole = !random_below(lane, 8);
	unsigned int generation = begin_change(index, hole);

	if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      index * page_size, page_size) ||
	    (!hole && !write_page(lane, index, generation)) || !write_back())
		fail(lane, "punching a hole: %s", strerror(errno));
	end_change(index, generation);
}

static void truncate_tail(struct lane *lane)
{
	unsigned long first = NR_KEPT * nr_pages, i;
	unsigned int generation;

	for (i = 1; i < nr_pages; i++)
		begin_change(first + i, true);
	/* Nothing but holes would not be collapsed. */
	generation = begin_change(first, false);
	if (ftruncate(file, NR_KEPT * pmd_size) || ftruncate(file, file_size) ||
	    !write_page(lane, first, generation) || !write_back())
		fail(lane, "truncating the file: %s", strerror(errno));
	end_change(first, generation);
	for (i = 1; i < nr_pages; i++)
		end_change(first + i, (shared->generation[first + i] & ~3U) + 6);
}

/* Memory pressure, as far as one can ask for it. A few pages, it is slow. */
static void page_out(struct lane *lane, unsigned int range)
{
	unsigned long first = random_below(lane, nr_pages - NR_ITEMS), i;
	size_t offset = range * pmd_size + first * page_size;

	for (i = 0; i < NR_ITEMS; i++)
		peek(slot(lane, 0) + offset + i * page_size);
	madvise(slot(lane, 0) + offset, NR_ITEMS * page_size, MADV_PAGEOUT);
	if (kind->backing == BACKED_BY_FILE)
		posix_fadvise(file, offset, NR_ITEMS * page_size,
			      POSIX_FADV_DONTNEED);
}

static void split(struct lane *lane, unsigned int range)
{
	if (!random_below(lane, 8))
		page_out(lane, range);
	if (range == NR_KEPT && random_below(lane, 2))
		truncate_tail(lane);
	else
		punch(lane, range);
}

static long pgtable_kb(void)
{
	return proc_kb("/proc/self/status", "VmPTE:");
}

/*
 * Collapse a range through one mapping. Whether tables are retracted is seen by
 * another one, from the fourth slot on, which nothing but that takes tables from;
 * not where they are smaller than the KiB that VmPTE counts.
 */
static bool collapse(struct lane *lane, unsigned int range)
{
	unsigned long long begin;
	long before;
	int err;

	peek(slot(lane, NR_RANGES + range));
	if (random_below(lane, 2))
		peek(slot(lane, range));
	before = pgtable_kb();

	shared->phase[range] = COLLAPSING;
	shared->round++;
	begin = now_usecs();
	err = madvise(slot(lane, range), pmd_size, MADV_COLLAPSE) ? errno : 0;
	shared->usecs = now_usecs() - begin;
	shared->round++;
	shared->phase[range] = err ? SMALL : COLLAPSED;

	if (pgtable_kb() < before)
		shared->retractions++;
	if (err == ENOMEM)
		defragment();
	if (err) {
		lane->refused++;
		lane->refused_errno = err;
	}
	return !err;
}

static void split_and_collapse(struct lane *lane, unsigned int range)
{
	unsigned int tries;

	map_file(lane, slot(lane, 0), 0, file_size, true);
	map_file(lane, slot(lane, NR_RANGES), 0, file_size, true);
	range = random_below(lane, NR_RANGES);
	split(lane, range);
	if (range < NR_KEPT)
		shared->next = range;
	shared->phase[range] = SMALL;
	/* Let the others map the small pages. */
	usleep(random_below(lane, shared->usecs < 5000 ? shared->usecs + 100 :
						       5000));
	for (tries = 0; tries < 3; tries++)
		if (collapse(lane, range)) {
			shared->collapses++;
			break;
		}
	check_file(lane, "collapsed", slot(lane, range), range, 0);
}

static const struct racer collapser = {
	.name = "collapser", .round = split_and_collapse
};

/* Lanes */

static void *run_lane(void *arg)
{
	struct lane *lane = arg;

	prepare_uffd(lane);
	while (!shared->stop) {
		if (!lane->turn || lane->skipped) {
			rest();
			continue;
		}
		lane->racer->round(lane, random_below(lane, NR_KEPT));
		unmap(lane, lane->base, NR_SLOTS * pmd_size);
		lane->rounds++;
	}
	lane->done = true;
	/* Nothing shall go while it is counted: we end with the process. */
	for (;;)
		pause();
	return NULL;
}

static void set_up_lane(struct lane *lane)
{
	lane->page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	lane->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (lane->page == MAP_FAILED || lane->pagemap < 0 ||
	    pipe2(lane->pipe, O_CLOEXEC))
		fail(lane, "setting up: %s", strerror(errno));
}

/* Never joined: a 32-bit kernel may not have the futex call of this libc. */
static void start_thread(struct lane *lane, void *(*fn)(void *lane))
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* mlockall() populates nothing behind what libc may put there. */
	pthread_attr_setguardsize(&attr, 0);
	err = pthread_create(&thread, &attr, fn, lane);
	pthread_attr_destroy(&attr);
	if (!err)
		return;
	fail(lane, "pthread_create: %s", strerror(err));
	lane->done = true;
}

static void start_lane(struct lane *lane)
{
	set_up_lane(lane);
	if (lane->racer->flags & DISCARDS)
		start_thread(lane, discard_slot);
	start_thread(lane, run_lane);
}

/* Upper page tables come with the first use of a slot, and stay. */
static void touch_slots(struct lane *lane)
{
	unsigned int i;

	map_anon(lane, lane->base, NR_SLOTS * pmd_size);
	for (i = 0; i < NR_SLOTS; i++)
		poke(slot(lane, i));
	unmap(lane, lane->base, NR_SLOTS * pmd_size);
}

/* Processes */

/* What a process has in page tables and pages. */
static const char * const usage_names[] = {
	"VmPTE:", "RssAnon:", "RssFile:", "RssShmem:",
};

static void get_usage(long *usage)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(usage_names); i++)
		usage[i] = proc_kb("/proc/self/status", usage_names[i]);
}

/*
 * A process with @nr lanes. Everything but what they map is locked, so that
 * nothing else comes and goes between the two counts.
 */
static void race(struct lane *lanes, unsigned int nr)
{
	long before[ARRAY_SIZE(usage_names)], after[ARRAY_SIZE(usage_names)];
	unsigned int i;

	become_child();
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_TIMERSLACK, 1);
	if (lanes->racer == &collapser)
		setpriority(PRIO_PROCESS, 0, -10);
	for (i = 0; i < nr; i++)
		start_lane(&lanes[i]);
	if (mlockall(MCL_CURRENT))
		fail(lanes, "mlockall: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		touch_slots(&lanes[i]);
	get_usage(before);
	shared->nr_ready++;

	while (!shared->stop)
		rest();
	/* If a lane hangs, SIGALRM kills the process, and that is seen. */
	alarm(GRACE_SECONDS);
	for (i = 0; i < nr; i++)
		while (!lanes[i].done)
			rest();
	get_usage(after);
	for (i = 0; i < ARRAY_SIZE(usage_names); i++)
		if (after[i] != before[i])
			fail(lanes, "%s%s %ld kB expected in the end, found %ld",
			     nr > 1 ? "or another one: " : "", usage_names[i],
			     before[i], after[i]);
}

/* They end after all is over, or too early. */
static void child_ended(int sig)
{
	shared->stop = true;
}

static void start_process(struct lane *lanes, unsigned int nr)
{
	pid_t pid = fork();

	if (!pid) {
		race(lanes, nr);
		_exit(0);
	}
	if (pid < 0)
		fail(lanes, "fork: %s", strerror(errno));
	else
		shared->pids[shared->nr_pids++] = pid;
}

static void start_processes(void)
{
	unsigned long long begin;
	unsigned int i;

	signal(SIGCHLD, child_ended);
	start_process(&shared->lanes[NR_LANES], 1);
	start_process(shared->lanes, NR_RACERS);
	for (i = NR_RACERS; i < NR_LANES; i++)
		start_process(&shared->lanes[i], 1);
	begin = now_usecs();
	while (shared->nr_ready < shared->nr_pids && !shared->stop) {
		if (now_usecs() - begin > GRACE_SECONDS * 1000000ULL)
			fail(shared->lanes, "or another one: not ready in %d s",
			     GRACE_SECONDS);
		rest();
	}
}

static void end_processes(struct lane *lane)
{
	unsigned int i;
	int status;

	for (i = 0; i < shared->nr_pids; i++)
		if (waitpid(shared->pids[i], &status, 0) < 0 || status)
			fail(lane, "process %d: wait status %x",
			     shared->pids[i], status);
}

/* The run */

static const char *cannot_run(const struct racer *racer)
{
	if (racer->flags & NEEDS_SHMEM && kind->backing != BACKED_BY_SHMEM)
		return "not for regular files";
	if (racer->flags & NEEDS_SWAP &&
	    proc_kb("/proc/meminfo", "SwapFree:") < MIN_SWAP_KB)
		return "this machine has no swap";
	return NULL;
}

/* Those of the crowd, those alone at the same addresses, and the collapser. */
static void make_lanes(void)
{
	unsigned int i;

	for (i = 0; i <= NR_LANES; i++) {
		struct lane *lane = &shared->lanes[i];

		lane->racer = i < NR_LANES ? &racers[i % NR_RACERS] : &collapser;
		lane->crowd = i < NR_RACERS;
		lane->id = i;
		lane->base = arena + i % NR_RACERS * NR_SLOTS * pmd_size;
		lane->random = page_seed(i, getpid());
		lane->page = buffer;
		skip(lane, cannot_run(lane->racer));
	}
}

/* Deal them like cards: each has its turn before any has another one. */
static void next_turn(struct lane *dealer, unsigned int *deck,
		      unsigned int *next, unsigned int nr)
{
	unsigned int i, k;

	for (i = 0; i < NR_LANES; i++)
		shared->lanes[i].turn = false;
	for (i = 0; i < NR_LANES && nr; i++) {
		struct lane *lane;

		if (*next == NR_LANES)
			*next = 0;
		k = *next + random_below(dealer, NR_LANES - *next);
		lane = &shared->lanes[deck[k]];
		deck[k] = deck[*next];
		deck[(*next)++] = lane->id;
		if (lane->skipped)
			continue;
		lane->turn = true;
		nr--;
	}
}

/* How did a racer do, as one of the crowd and alone? */
static struct lane *lanes_of(unsigned int i, struct lane **alone)
{
	*alone = &shared->lanes[NR_RACERS + i];
	return &shared->lanes[i];
}

/*
 * NULL once everybody has raced with the retraction of tables, or what has not
 * happened yet. The kernel says it in KiB: smaller page tables are not seen to go.
 */
static const char *nothing_raced(void)
{
	struct lane *crowd, *alone;
	unsigned int i;

	if (!shared->collapses)
		return "nothing was collapsed";
	if (!shared->retractions && nr_pages * sizeof(__u32) >= 1024)
		return "no page table went away";
	for (i = 0; i < NR_RACERS; i++) {
		crowd = lanes_of(i, &alone);
		if (crowd->skipped || alone->skipped)
			continue;
		if (!crowd->rounds && !alone->rounds)
			return crowd->racer->name;
		/* Refused is what all of these may be, but not for ever. */
		if ((crowd->racer->install || crowd->racer->features) &&
		    !crowd->installed && !alone->installed)
			return crowd->racer->name;
	}
	return NULL;
}

static void take_turns(struct lane *last)
{
	struct lane dealer = { .random = page_seed(NR_LANES + 1, getpid()) };
	unsigned int nr = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int deck[NR_LANES], next = 0, i;
	unsigned long long begin;
	unsigned long msecs, elapsed;

	nr = nr < 3 ? 3 : nr;
	for (i = 0; i < NR_LANES; i++)
		deck[i] = i;
	/* Two turns for each, unless that makes them too short or too long. */
	msecs = run_seconds * 1000UL * nr / NR_LANES / 2;
	msecs = msecs < 100 ? 100 : msecs > 500 ? 500 : msecs;
	begin = now_usecs();
	last->turn = true;
	do {
		next_turn(&dealer, deck, &next, nr);
		usleep(msecs * 1000);
		elapsed = (now_usecs() - begin) / 1000000;
		/* A slow machine may need longer for a race of everybody. */
	} while (!shared->stop &&
		 (elapsed < run_seconds ||
		  (nothing_raced() && elapsed < run_seconds + GRACE_SECONDS)));
	shared->stop = true;
}

/* All is quiet now: every page of the file is what its owner has made it. */
static void check_whole_file(struct lane *lane)
{
	unsigned long i;

	lane->page = buffer;
	for (i = 0; i < NR_RANGES * nr_pages; i++) {
		if (!full(pread(file, buffer, page_size, i * page_size)))
			fail(lane, "reading page %lu: %s", i, strerror(errno));
		check_generation(lane, "at the end", buffer, i,
				 shared->generation[i]);
	}
}

static void print_counts(struct lane *last)
{
	unsigned int i;

	ksft_print_msg("%lu collapses, %lu refused (%s), %lu retractions seen\n",
		       shared->collapses, last->refused,
		       strerror(last->refused_errno), shared->retractions);
	ksft_print_msg("%-12s %10s %10s %8s %8s\n", "racer", "process",
		       "thread", "in time", "refused");
	for (i = 0; i < NR_RACERS; i++) {
		struct lane *alone, *crowd = lanes_of(i, &alone);
		int err = alone->refused_errno ?: crowd->refused_errno;

		if (alone->skipped)
			ksft_print_msg("%-12s %s\n", racers[i].name,
				       alone->reason);
		else
			ksft_print_msg("%-12s %10lu %10lu %8lu %8lu %s\n",
				       racers[i].name, alone->rounds,
				       crowd->rounds,
				       alone->in_time + crowd->in_time,
				       alone->refused + crowd->refused,
				       err ? strerror(err) : "");
	}
}

/* Tests */

/* 0, or why MADV_COLLAPSE does not do it with a new file. */
static int fill_file(int fd, struct lane *lane)
{
	unsigned long i;
	int ret;

	file = fd;
	if (fd < 0 || ftruncate(file, file_size))
		return -errno;
	for (i = 0; i < NR_RANGES * nr_pages; i++)
		if (!write_page(lane, i, 0))
			return -errno;
	if (!write_back())
		return -errno;
	map_file(lane, lane->base, 0, file_size, true);
	ret = try_collapse(slot(lane, 0), pmd_size);
	unmap(lane, lane->base, NR_SLOTS * pmd_size);
	return ret;
}

static int prepare_file(int fd, void *lane)
{
	int ret = fill_file(fd, lane);

	if (!ret)
		return fd;
	close(fd);
	file = -1;
	return ret == -ENOMEM ? ret : -1;
}

/* NULL, or why there is no file of this kind. */
static const char *open_file(struct lane *lane)
{
	int ret;

	file = -1;
	if (kind->backing == BACKED_BY_FILE)
		ret = find_file(prepare_file, lane);
	else
		ret = fill_file(memfd_create("pgtable_race", MFD_CLOEXEC), lane);
	if (ret == -ENOMEM)
		return "no huge page to be had";
	if (ret < 0 && kind->backing == BACKED_BY_FILE)
		return "no directory with collapsible files, see " DIR_VARIABLE;
	if (ret < 0)
		fail(lane, "a file of shmem: %s", strerror(-ret));
	return NULL;
}

/* Was there a race at all? NULL, or why there could be none. */
static const char *judge_run(struct lane *last)
{
	const char *missing = nothing_raced();
	struct lane *crowd, *alone;
	unsigned int i;

	if (!shared->collapses && last->refused_errno == ENOMEM && !shared->failed)
		return "no huge page to be had";
	if (missing)
		fail(last, "%s: did not race in %d s", missing,
		     run_seconds + GRACE_SECONDS);
	/* A racer that is refused from the start is so wherever it is tried. */
	for (i = 0; i < NR_RACERS; i++) {
		crowd = lanes_of(i, &alone);
		if ((crowd->skipped && alone->succeeded) ||
		    (alone->skipped && crowd->succeeded))
			fail(crowd, "works in one process, and not in another");
	}
	return NULL;
}

static void test(void)
{
	size_t len = sizeof(*shared) +
		     NR_RANGES * nr_pages * sizeof(shared->generation[0]);
	struct lane *last;
	const char *reason;

	shared = mmap(NULL, len, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	last = &shared->lanes[NR_LANES];
	make_lanes();
	reason = open_file(last);
	if (!reason && !shared->failed) {
		start_processes();
		take_turns(last);
		end_processes(last);
		check_whole_file(last);
		print_counts(last);
		reason = judge_run(last);
	}
	if (file >= 0)
		close(file);
	if (reason)
		ksft_test_result_code(KSFT_SKIP, kind->name, "%s", reason);
	else
		ksft_test_result(!shared->failed, "%s\n", kind->name);
	munmap(shared, len);
}

/* The machine */

/* NULL, or why nothing can be tested here. */
static const char *set_up_machine(void)
{
	const char *reason = find_page_sizes();

	/* The file, two huge pages, and a little for everything else. */
	reason = reason ?: lack_of_memory((NR_RANGES + 2) * (pmd_size >> 20) + 128);
	if (reason)
		return reason;
	nr_pages = pmd_size / page_size;
	file_size = NR_RANGES * pmd_size;
	buffer = malloc(page_size);
	if (!buffer)
		ksft_exit_fail_perror("malloc");
	arena = reserve_arena(MAX_LANES / 2 * NR_SLOTS * pmd_size);
	use_small_pages();
	/* As all the children will, see race(). */
	if (mlockall(MCL_CURRENT))
		return "memory cannot be locked: see ulimit -l";
	munlockall();
	return NULL;
}

static void read_seconds(void)
{
	const char *seconds = getenv(SECONDS_VARIABLE);

	if (!seconds || !*seconds)
		return;
	run_seconds = atoi(seconds);
	if ((int)run_seconds <= 0)
		ksft_exit_fail_msg("%s=%s is no number of seconds\n",
				   SECONDS_VARIABLE, seconds);
}

static bool chosen(const char *name, char **names)
{
	if (!*names)
		return true;
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

int main(int argc, char **argv)
{
	const char *reason;
	unsigned int nr = 0;

	ksft_print_header();
	read_seconds();
	for (kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++)
		nr += chosen(kind->name, argv + 1);
	if (!nr)
		ksft_exit_fail_msg("there is no such kind of mapping\n");
	reason = set_up_machine();
	if (reason)
		ksft_exit_skip("%s\n", reason);
	ksft_set_plan(nr);
	for (kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		if (chosen(kind->name, argv + 1))
			test();
	}
	ksft_finished();
}
