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
 * Each racer (see the table racers[]) knows what its memory has to hold and
 * compares all the time. It runs twice: in a process of its own, and as one of
 * the threads of a process with all of them, the crowd. There are more racers
 * than CPUs, so they take turns: at any time a few, chosen at random, run, and
 * the others rest. The collapser, another process, never rests.
 *
 * The file:
 *
 *   +---------+---------+---------+
 *   | range 0 | range 1 |  tail   |     each as large as a PMD maps
 *   +---------+---------+---------+
 *
 * Ranges are split by a hole in their last page, or by reclaim. The tail is
 * truncated, which takes away private pages as well: nobody has any there.
 *
 * Every page of the file has one owner, who alone changes it: the last page of a
 * range and the tail belong to the collapser, a few pages to the racer "write",
 * and all others are never changed. What a page holds follows from its number
 * and its generation, an atomic counter that is odd as long as the page is being
 * changed: whoever has seen the same even number before and after he looked at
 * the page knows what he must have found.
 *
 * PGTABLE_RACE_SECONDS says how long each variant runs, PGTABLE_RACE_DIR names
 * a directory on a file system with PMD-sized folios. Without it the current
 * directory, /tmp and /var/tmp are tried.
 */

#define _GNU_SOURCE
#include "kselftest_harness.h"
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hugepage_settings.h"
#include "vm_util.h"

#define SECONDS_VARIABLE	"PGTABLE_RACE_SECONDS"
#define DIR_VARIABLE		"PGTABLE_RACE_DIR"
#define DEFAULT_SECONDS		10
#define GRACE_SECONDS		180	/* to begin and to end, emulated */
#define NR_KEPT			2	/* ranges that are never truncated */
#define NR_RANGES		(NR_KEPT + 1)
#define NR_SLOTS		8	/* of PMD size, for each racer */
#define NR_ITEMS		16	/* pages that a racer uses at a time */
#define MAX_LANES		48	/* of all racers, twice, and one */
#define REST_USECS		20000	/* many rest: wake up seldom */
#define STACK_BYTES		(256UL << 10)
#define SWAP_BYTES		(16UL << 20)

/* The machine, found out once in main(). */
static unsigned long page_size;
static unsigned long pmd_size;
static unsigned long nr_pages;		/* of a range */
static size_t file_size;
static unsigned int run_seconds = DEFAULT_SECONDS;
static char *arena;
static const char *no_test_reason;
static bool have_swap;

static __thread sigjmp_buf *escape;

enum backing {
	BACKED_BY_SHMEM,
	BACKED_BY_FILE,
};

/* What a range is like, as far as the collapser knows: a hint for others. */
enum phase {
	SMALL,
	COLLAPSING,
	COLLAPSED,
};

/* One run of a racer: in its own process, or in that of the crowd. */
struct lane {
	const struct racer *racer;
	bool crowd;
	unsigned int id;
	char *base;			/* NR_SLOTS slots */
	char *stack;
	char *page;			/* to read into and to copy from */
	/* The lane's alone. */
	unsigned int random;
	unsigned int serial;
	int uffd;
	int pagemap;
	bool wp_async;
	/* Read by the main process. */
	const char *skipped;
	bool turn;
	bool done;
	unsigned long iterations;
	unsigned long in_time;		/* arrivals during a collapse */
	unsigned long refused;		/* that the kernel did not do, for once */
	int refused_errno;
};

/* What all processes share. */
struct shared {
	unsigned long zero;		/* not known to be one, see poke() */
	bool start;
	bool stop;
	bool failed;
	char failure[256];
	pid_t pids[MAX_LANES];
	unsigned int nr_pids;
	unsigned int nr_ready;
	enum phase phase[NR_RANGES];
	unsigned int next;		/* range to be collapsed */
	unsigned long nsecs;		/* that the last collapse took */
	unsigned long long total_nsecs;
	unsigned int round;		/* odd: there is one under way */
	unsigned long collapses;
	unsigned long refused;
	int refused_errno;
	unsigned long splits;
	unsigned long msecs;
	unsigned long retractions;
	struct lane lanes[MAX_LANES];
	unsigned int nr_lanes;
	unsigned int generation[];	/* of each page of the file */
};

static struct test_file {
	enum backing backing;
	bool shared_mapping;
	int fd;
	struct shared *shared;
} file;

/* Racers for which there is no test in what they are run with. */
enum {
	NEEDS_SWAP	= 1 << 0,
	NEEDS_SHMEM	= 1 << 1,
};

struct racer {
	const char *name;
	void (*run)(struct lane *lane);
	const char *keeps;
	unsigned int needs;
	const struct arrival *arrival;
	void *(*helper)(void *lane);
};

/* Flags and failures */

static bool stopped(void)
{
	return __atomic_load_n(&file.shared->stop, __ATOMIC_ACQUIRE);
}

static void stop(void)
{
	__atomic_store_n(&file.shared->stop, true, __ATOMIC_RELEASE);
}

/* Only the first failure is kept: others may come of it. */
static void fail(struct lane *lane, const char *fmt, ...)
{
	struct shared *shared = file.shared;
	va_list args;
	int len;

	if (__atomic_exchange_n(&shared->failed, true, __ATOMIC_ACQ_REL))
		return;

	len = snprintf(shared->failure, sizeof(shared->failure), "%s%s: ",
		       lane ? lane->racer->name : "collapser",
		       lane && lane->crowd ? " (thread)" : "");
	va_start(args, fmt);
	vsnprintf(shared->failure + len, sizeof(shared->failure) - len, fmt,
		  args);
	va_end(args);
	stop();
}

static void skip(struct lane *lane, const char *reason)
{
	__atomic_store_n(&lane->skipped, reason, __ATOMIC_RELEASE);
}

/* What the kernel may refuse for a moment. It is counted, and shown. */
static void refuse(struct lane *lane, int err)
{
	lane->refused++;
	lane->refused_errno = err;
}

/* Rest until it is our turn. False when the run is over. */
static bool go_on(struct lane *lane)
{
	while (!stopped() && !lane->skipped) {
		if (__atomic_load_n(&lane->turn, __ATOMIC_ACQUIRE))
			return true;
		usleep(REST_USECS);
	}
	return false;
}

static unsigned int random_below(struct lane *lane, unsigned int limit)
{
	lane->random ^= lane->random << 13;
	lane->random ^= lane->random >> 17;
	lane->random ^= lane->random << 5;
	return lane->random % limit;
}

static unsigned long long now_nsecs(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Access to memory that may not be there */

static void handle_signal(int sig, siginfo_t *info, void *context)
{
	if (escape)
		siglongjmp(*escape, sig);
	fail(NULL, "process %d: signal %d at %p", getpid(), sig, info->si_addr);
	_exit(KSFT_FAIL);
}

/* The compiler must not move the access, of which it knows no signals, out. */
static void escape_to(sigjmp_buf *where)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&escape, where, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void catch_signals(void)
{
	struct sigaction act = {
		.sa_sigaction = handle_signal,
		.sa_flags = SA_NODEFER | SA_SIGINFO,
	};

	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
}

/* What a page should hold: words from @base on, in steps of @step. */
struct contents {
	unsigned long base;
	unsigned long step;
};

struct difference {
	unsigned long word;
	unsigned long expected;
	unsigned long found;
};

/* 0, the signal that came of it, or -1 when they differ. */
static int compare(const char *addr, struct contents expected,
		   struct difference *diff)
{
	const unsigned long *words = (const unsigned long *)addr;
	unsigned long i, found;
	sigjmp_buf here;
	int sig;

	sig = sigsetjmp(here, 0);
	if (sig) {
		escape_to(NULL);
		return sig;
	}
	escape_to(&here);
	for (i = 0; i < page_size / sizeof(*words); i++) {
		found = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
		if (found == expected.base + i * expected.step)
			continue;
		diff->word = i;
		diff->expected = expected.base + i * expected.step;
		diff->found = found;
		escape_to(NULL);
		return -1;
	}
	escape_to(NULL);
	return 0;
}

static int fill(char *addr, struct contents with)
{
	unsigned long *words = (unsigned long *)addr;
	sigjmp_buf here;
	unsigned long i;
	int sig;

	sig = sigsetjmp(here, 0);
	if (!sig) {
		escape_to(&here);
		for (i = 0; i < page_size / sizeof(*words); i++)
			__atomic_store_n(&words[i], with.base + i * with.step,
					 __ATOMIC_RELAXED);
	}
	escape_to(NULL);
	return sig;
}

/* A write access that changes nothing, nor undoes a change by someone else. */
static int poke(char *addr)
{
	unsigned long zero = __atomic_load_n(&file.shared->zero,
					     __ATOMIC_RELAXED);
	sigjmp_buf here;
	int sig;

	sig = sigsetjmp(here, 0);
	if (!sig) {
		escape_to(&here);
		__atomic_fetch_add((unsigned long *)addr, zero,
				   __ATOMIC_RELAXED);
	}
	escape_to(NULL);
	return sig;
}

static int peek(const char *addr)
{
	sigjmp_buf here;
	int sig;

	sig = sigsetjmp(here, 0);
	if (!sig) {
		escape_to(&here);
		FORCE_READ(*addr);
	}
	escape_to(NULL);
	return sig;
}

/* The contents of the file */

static unsigned long mix(unsigned long a, unsigned long b)
{
	unsigned long h = a * 0x9e3779b1UL ^ b * 0x85ebca6bUL;

	h ^= h >> 15;
	h *= 0xc2b2ae35UL;
	return h ^ h >> 13;
}

/* Bit 0 of a generation: being changed; bit 1: a hole. */
static struct contents file_contents(unsigned long index, unsigned int gen)
{
	struct contents contents = { 0, 0 };

	if (!(gen & 2)) {
		contents.base = mix(index + 1, gen) | 1;
		contents.step = 2;
	}
	return contents;
}

/* Contents that nobody else writes, and that are never 0. */
static struct contents new_contents(struct lane *lane)
{
	struct contents contents = {
		.base = mix(~0UL - lane->id, ++lane->serial) | 1,
		.step = 2,
	};

	return contents;
}

static unsigned int begin_change(unsigned long index)
{
	unsigned int *gen = &file.shared->generation[index];

	return __atomic_fetch_or(gen, 1, __ATOMIC_SEQ_CST) & ~1U;
}

static unsigned int next_generation(unsigned int gen, bool hole)
{
	return (gen & ~3U) + 4 + (hole ? 2 : 0);
}

static void end_change(unsigned long index, unsigned int gen)
{
	__atomic_store_n(&file.shared->generation[index], gen, __ATOMIC_SEQ_CST);
}

static unsigned int generation(unsigned long index)
{
	return __atomic_load_n(&file.shared->generation[index],
			       __ATOMIC_SEQ_CST);
}

/* Compare what has been found at @addr in one generation. */
static void report(struct lane *lane, const char *what, unsigned long index,
		   const char *addr, int result, const struct difference *diff)
{
	if (result > 0)
		fail(lane, "%s: page %lu at %p: signal %d", what, index, addr,
		     result);
	else
		fail(lane, "%s: page %lu at %p, word %lu: expected %lx, found %lx",
		     what, index, addr, diff->word, diff->expected, diff->found);
}

/* At @addr there is page @index of the file. */
static bool check_file(struct lane *lane, const char *what, const char *addr,
		       unsigned long index)
{
	unsigned int gen = generation(index);
	struct difference diff;
	int result;

	if (gen & 1)
		return true;
	result = compare(addr, file_contents(index, gen), &diff);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!result || generation(index) != gen)
		return true;
	report(lane, what, index, addr, result, &diff);
	return false;
}

/* At @addr there is what we have put there, and nobody else may change. */
static bool check_own(struct lane *lane, const char *what, const char *addr,
		      unsigned long index, struct contents contents)
{
	struct difference diff;
	int result = compare(addr, contents, &diff);

	if (result)
		report(lane, what, index, addr, result, &diff);
	return !result;
}

/* Mappings */

static char *slot(struct lane *lane, unsigned int nr)
{
	return lane->base + nr * pmd_size;
}

static void reserve(struct lane *lane, char *addr, size_t len)
{
	if (mmap(addr, len, PROT_NONE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0) == MAP_FAILED)
		fail(lane, "unmapping: %s", strerror(errno));
}

static void unmap_all(struct lane *lane)
{
	reserve(lane, lane->base, NR_SLOTS * pmd_size);
}

static bool map_anon(struct lane *lane, char *addr, size_t len)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0) != MAP_FAILED)
		return true;
	fail(lane, "mmap: %s", strerror(errno));
	return false;
}

static bool map_file(struct lane *lane, char *addr, unsigned int range,
		     size_t len, bool shared)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE,
		 MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE),
		 file.fd, range * pmd_size) != MAP_FAILED)
		return true;
	fail(lane, "mmap of the file: %s", strerror(errno));
	return false;
}

static bool map_range(struct lane *lane, char *addr, unsigned int range)
{
	return map_file(lane, addr, range, pmd_size, file.shared_mapping);
}

static unsigned long last_nsecs(void)
{
	return __atomic_load_n(&file.shared->nsecs, __ATOMIC_RELAXED);
}

/*
 * Wait for a range to become like that, but not for long: this is to meet the
 * collapse more often than by chance, nothing relies on it.
 */
static void wait_for_phase(unsigned int range, enum phase phase)
{
	struct shared *shared = file.shared;
	unsigned long long end;

	end = now_nsecs() + 1000000 + 5ULL * last_nsecs();
	while (__atomic_load_n(&shared->phase[range], __ATOMIC_RELAXED) !=
	       phase && now_nsecs() < end && !stopped())
		usleep(last_nsecs() / 1000 / 16 + 1);
}

/* userfaultfd */

static bool open_uffd(struct lane *lane, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	lane->uffd = syscall(__NR_userfaultfd,
			     O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (lane->uffd < 0)
		skip(lane, "this kernel has no userfaultfd");
	else if (ioctl(lane->uffd, UFFDIO_API, &api))
		skip(lane, "userfaultfd has no such feature here");
	return !lane->skipped;
}

static int register_uffd(struct lane *lane, char *addr, size_t len,
			 unsigned long long mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = len },
		.mode = mode,
	};

	return ioctl(lane->uffd, UFFDIO_REGISTER, &reg) ? errno : 0;
}

static int write_protect(struct lane *lane, char *addr, size_t len, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)addr, .len = len },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(lane->uffd, UFFDIO_WRITEPROTECT, &wp) ? errno : 0;
}

static bool marked(struct lane *lane, char *addr, unsigned long long bit)
{
	return pagemap_get_entry(lane->pagemap, addr) & bit;
}

/*
 * Late arrivals. Each round maps a range a few times, reads from the mappings,
 * so that they have their tables, waits for the collapse, and puts something
 * special into one mapping after the other. Whatever gets there stays.
 */
struct item {
	char *addr;
	unsigned long index;
	struct contents contents;
	bool there;
};

struct arrival {
	unsigned long long features;
	unsigned long long mode;	/* of userfaultfd, registered at first */
	bool private;			/* whatever the variant is */
	const char *missing;		/* if the first attempt gives EINVAL */
	int (*install)(struct lane *lane, struct item *item);
	bool (*check)(struct lane *lane, struct item *item);
	int (*remove)(struct lane *lane, struct item *item);
};

static int install_private(struct lane *lane, struct item *item)
{
	int sig = fill(item->addr, item->contents);

	if (sig)
		fail(lane, "writing page %lu at %p: signal %d", item->index,
		     item->addr, sig);
	return 0;
}

static bool check_private(struct lane *lane, struct item *item)
{
	return check_own(lane, "a private page", item->addr, item->index,
			 item->contents);
}

static int remove_private(struct lane *lane, struct item *item)
{
	return madvise(item->addr, page_size, MADV_DONTNEED) ? errno : 0;
}

static int install_guard(struct lane *lane, struct item *item)
{
	return madvise(item->addr, page_size, MADV_GUARD_INSTALL) ? errno : 0;
}

static bool check_guard(struct lane *lane, struct item *item)
{
	int sig = peek(item->addr);

	if (sig != SIGSEGV)
		fail(lane, "guard of page %lu at %p: expected signal %d, found %d",
		     item->index, item->addr, SIGSEGV, sig);
	return sig == SIGSEGV;
}

static int remove_guard(struct lane *lane, struct item *item)
{
	return madvise(item->addr, page_size, MADV_GUARD_REMOVE) ? errno : 0;
}

static int install_wp(struct lane *lane, struct item *item)
{
	char *range = (char *)((uintptr_t)item->addr & ~(pmd_size - 1));
	int err;

	err = register_uffd(lane, range, pmd_size, UFFDIO_REGISTER_MODE_WP);
	return err ?: write_protect(lane, item->addr, page_size, true);
}

static bool check_wp(struct lane *lane, struct item *item)
{
	bool before = marked(lane, item->addr, PM_UFFD_WP);
	bool after;
	int sig;

	/* Mapping it must not lose what was only a marker so far. */
	peek(item->addr);
	after = marked(lane, item->addr, PM_UFFD_WP);
	if (!before || !after) {
		fail(lane, "page %lu at %p: write protection expected, found %d then %d",
		     item->index, item->addr, before, after);
		return false;
	}
	if (lane->wp_async)
		return true;
	sig = poke(item->addr);
	if (sig != SIGBUS)
		fail(lane, "protected page %lu at %p: expected signal %d, found %d",
		     item->index, item->addr, SIGBUS, sig);
	return sig == SIGBUS;
}

static int remove_wp(struct lane *lane, struct item *item)
{
	return write_protect(lane, item->addr, page_size, false);
}

static int install_copy(struct lane *lane, struct item *item)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)item->addr,
		.src = (uintptr_t)lane->page,
		.len = page_size,
	};

	fill(lane->page, item->contents);
	return ioctl(lane->uffd, UFFDIO_COPY, &copy) ? errno : 0;
}

static int install_zeropage(struct lane *lane, struct item *item)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)item->addr, .len = page_size },
	};

	item->contents.base = 0;
	item->contents.step = 0;
	return ioctl(lane->uffd, UFFDIO_ZEROPAGE, &zero) ? errno : 0;
}

static int install_poison(struct lane *lane, struct item *item)
{
	struct uffdio_poison poison = {
		.range = { .start = (uintptr_t)item->addr, .len = page_size },
	};

	return ioctl(lane->uffd, UFFDIO_POISON, &poison) ? errno : 0;
}

/* SIGBUS, but some architectures do not tell this from other failed faults. */
static bool check_poison(struct lane *lane, struct item *item)
{
	int sig = peek(item->addr);

	if (sig)
		return true;
	fail(lane, "poison of page %lu at %p: expected signal %d, found none",
	     item->index, item->addr, SIGBUS);
	return false;
}

static const struct arrival private_page = {
	.private = true,
	.install = install_private,
	.check = check_private,
	.remove = remove_private,
};

static const struct arrival guard_region = {
	.missing = "no MADV_GUARD_INSTALL of this kind of mapping",
	.install = install_guard,
	.check = check_guard,
	.remove = remove_guard,
};

static const struct arrival protection = {
	.features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_SIGBUS,
	.missing = "no userfaultfd write protection of this kind of mapping",
	.install = install_wp,
	.check = check_wp,
	.remove = remove_wp,
};

static const struct arrival copied_page = {
	.features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS,
	.mode = UFFDIO_REGISTER_MODE_MISSING,
	.private = true,
	.missing = "no UFFDIO_COPY to this kind of mapping",
	.install = install_copy,
	.check = check_private,
	.remove = remove_private,
};

static const struct arrival zero_page = {
	.features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS,
	.mode = UFFDIO_REGISTER_MODE_MISSING,
	.private = true,
	.missing = "no UFFDIO_ZEROPAGE of this kind of mapping",
	.install = install_zeropage,
	.check = check_private,
	.remove = remove_private,
};

static const struct arrival poison = {
	.features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS |
		    UFFD_FEATURE_POISON,
	.mode = UFFDIO_REGISTER_MODE_MISSING,
	.missing = "no UFFDIO_POISON of this kind of mapping",
	.install = install_poison,
	.check = check_poison,
};

/*
 * A page that has not been mapped around the first one, and not the last one: a
 * hole takes write protection and guards away, together with the page.
 */
static unsigned long random_page(struct lane *lane)
{
	return nr_pages / 4 + random_below(lane, nr_pages * 3 / 4 - 1);
}

static bool prepare_items(struct lane *lane, struct item *items,
			  unsigned int range)
{
	const struct arrival *arrival = lane->racer->arrival;
	unsigned int i;
	int err = 0;

	for (i = 0; i < NR_SLOTS && !err; i++) {
		char *addr = slot(lane, i);
		unsigned long page = random_page(lane);

		if (!map_file(lane, addr, range, pmd_size,
			      file.shared_mapping && !arrival->private))
			return false;
		if (arrival->mode)
			err = register_uffd(lane, addr, pmd_size, arrival->mode);
		items[i].addr = addr + page * page_size;
		items[i].index = range * nr_pages + page;
		items[i].contents = new_contents(lane);
		check_file(lane, "before", addr, range * nr_pages);
	}
	if (err == EINVAL)
		skip(lane, arrival->missing);
	else if (err)
		fail(lane, "UFFDIO_REGISTER: %s", strerror(err));
	return !err;
}

static void install_items(struct lane *lane, struct item *items)
{
	const struct arrival *arrival = lane->racer->arrival;
	struct shared *shared = file.shared;
	unsigned long gap = last_nsecs() * 2 / NR_SLOTS;
	unsigned int round, i;
	int err;

	for (i = 0; i < NR_SLOTS; i++) {
		usleep(random_below(lane, gap / 1000 + 1));
		round = __atomic_load_n(&shared->round, __ATOMIC_ACQUIRE);
		err = arrival->install(lane, &items[i]);
		items[i].there = !err;
		if (err == EINVAL && arrival->missing) {
			skip(lane, arrival->missing);
			return;
		}
		if (err)
			refuse(lane, err);
		else if (round & 1 && round ==
			 __atomic_load_n(&shared->round, __ATOMIC_ACQUIRE))
			lane->in_time++;
	}
}

/* Then it is taken away again, where that can be done, and the file is there. */
static void remove_items(struct lane *lane, struct item *items)
{
	const struct arrival *arrival = lane->racer->arrival;
	unsigned int i;
	int err;

	for (i = 0; i < NR_SLOTS && arrival->remove; i++) {
		if (!items[i].there)
			continue;
		err = arrival->remove(lane, &items[i]);
		if (err)
			refuse(lane, err);
		else if (arrival->mode)
			continue;	/* a hole would be reported */
		else if (!check_file(lane, "afterwards", items[i].addr,
				     items[i].index))
			return;
	}
}

static void check_items(struct lane *lane, struct item *items)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS && !stopped(); i++)
		if (items[i].there)
			lane->racer->arrival->check(lane, &items[i]);
}

static void arrive_late(struct lane *lane)
{
	unsigned long long features = lane->racer->arrival->features;
	struct item items[NR_SLOTS];

	/* Of a regular file only asynchronous write protection can be had. */
	lane->wp_async = file.backing == BACKED_BY_FILE;
	if (features && lane->wp_async)
		features = UFFD_FEATURE_WP_ASYNC;
	if (features && !open_uffd(lane, features))
		return;

	while (go_on(lane)) {
		unsigned int range = __atomic_load_n(&file.shared->next,
						     __ATOMIC_RELAXED);

		wait_for_phase(range, SMALL);
		if (prepare_items(lane, items, range)) {
			wait_for_phase(range, COLLAPSING);
			install_items(lane, items);
			check_items(lane, items);
			wait_for_phase(range, COLLAPSED);
			check_items(lane, items);
			remove_items(lane, items);
		}
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Readers and writers of the file */

static void race_read(struct lane *lane)
{
	unsigned int i;

	while (go_on(lane)) {
		unsigned long index = random_below(lane, NR_RANGES) * nr_pages;

		if (!map_file(lane, slot(lane, 0), 0, file_size,
			      file.shared_mapping))
			break;
		for (i = 0; i < NR_ITEMS; i++) {
			check_file(lane, "reading", slot(lane, 0) +
				   index * page_size, index);
			index = random_below(lane, NR_RANGES * nr_pages);
		}
		lane->iterations++;
	}
}

/* The pages that this lane, a racer "write", owns: the same in each range. */
static unsigned long owned_page(struct lane *lane, unsigned int range)
{
	return range * nr_pages + nr_pages / 2 + lane->crowd;
}

static bool write_owned(struct lane *lane, char *addr, unsigned long index)
{
	unsigned int gen = next_generation(begin_change(index), false);
	int sig = fill(addr, file_contents(index, gen));

	if (sig)
		fail(lane, "writing page %lu at %p: signal %d", index, addr, sig);
	end_change(index, gen);
	return !sig;
}

/* Writes through one mapping, reads through another and through the file. */
static void race_write(struct lane *lane)
{
	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);
		unsigned long index = owned_page(lane, range);
		size_t offset = (index - range * nr_pages) * page_size;
		unsigned int i;

		if (!map_file(lane, slot(lane, 0), range, pmd_size, true) ||
		    !map_range(lane, slot(lane, 1), range))
			break;
		if (!check_file(lane, "read again", slot(lane, 0) + offset, index) ||
		    !write_owned(lane, slot(lane, 0) + offset, index))
			break;
		if (file.backing == BACKED_BY_FILE)
			msync(slot(lane, 0) + offset, page_size, MS_SYNC);
		for (i = 0; i < NR_ITEMS && !stopped(); i++) {
			check_file(lane, "written", slot(lane, 0) + offset, index);
			check_file(lane, "other mapping", slot(lane, 1) + offset,
				   index);
		}
		if (pread(file.fd, lane->page, page_size, index * page_size) ==
		    page_size)
			check_file(lane, "pread", lane->page, index);
		lane->iterations++;
	}
}

/* Reading in the kernel: process_vm_readv() is GUP, vmsplice() is GUP-fast. */
static bool read_by_gup(struct lane *lane, char *addr, int *pipe_fd)
{
	struct iovec from = { .iov_base = addr, .iov_len = page_size };
	struct iovec to = { .iov_base = lane->page, .iov_len = page_size };

	if (!pipe_fd)
		return process_vm_readv(getpid(), &to, 1, &from, 1, 0) ==
		       page_size;
	if (vmsplice(pipe_fd[1], &from, 1, SPLICE_F_NONBLOCK) < 0)
		return false;
	return read(pipe_fd[0], lane->page, page_size) == page_size;
}

static void check_gup(struct lane *lane, unsigned long index, int *pipe_fd)
{
	char *addr = slot(lane, 0) + index * page_size;
	unsigned int gen = generation(index);
	struct difference diff;
	bool done;
	int err;

	if (gen & 1)
		return;
	done = read_by_gup(lane, addr, pipe_fd);
	err = errno;
	if (generation(index) != gen)
		return;
	if (!done)
		fail(lane, "page %lu at %p: %s", index, addr, strerror(err));
	else if (compare(lane->page, file_contents(index, gen), &diff))
		report(lane, "read by GUP", index, addr, -1, &diff);
}

static void race_gup(struct lane *lane)
{
	bool remote = read_by_gup(lane, lane->stack, NULL);
	int pipe_fd[2];
	unsigned int i;

	if (pipe2(pipe_fd, O_CLOEXEC) ||
	    !read_by_gup(lane, lane->stack, pipe_fd))
		return skip(lane, "no vmsplice()");
	while (go_on(lane)) {
		if (!map_file(lane, slot(lane, 0), 0, file_size,
			      file.shared_mapping))
			break;
		for (i = 0; i < NR_ITEMS && !stopped(); i++)
			check_gup(lane, random_below(lane, NR_RANGES * nr_pages),
				  remote && i % 2 ? NULL : pipe_fd);
		lane->iterations++;
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Discarding, by another thread of the same process */

/*
 * Takes tables that are empty then, where the kernel has PT_RECLAIM. It does no
 * harm to what is there between two rounds.
 */
static void *discard_slot(void *arg)
{
	struct lane *lane = arg;

	while (!stopped() && !lane->skipped) {
		if (!__atomic_load_n(&lane->turn, __ATOMIC_ACQUIRE))
			usleep(REST_USECS);
		else if (madvise(slot(lane, 0), pmd_size, MADV_DONTNEED))
			fail(lane, "MADV_DONTNEED: %s", strerror(errno));
		sched_yield();
	}
	for (;;)
		pause();
	return NULL;
}

/* While another thread discards the range, a page is ours or the file's. */
static void read_discarded(struct lane *lane, unsigned int range)
{
	unsigned long page = random_below(lane, nr_pages);
	char *addr = slot(lane, 0) + page * page_size;
	struct contents contents = new_contents(lane);
	unsigned long index = range * nr_pages + page;
	struct difference diff;
	unsigned long *word;

	check_file(lane, "discarded", addr, index);
	if (file.shared_mapping)
		return;
	/* It may go after any word; so only the last word counts. */
	word = (unsigned long *)(addr + page_size) - 1;
	__atomic_store_n(word, contents.base, __ATOMIC_RELAXED);
	diff.found = __atomic_load_n(word, __ATOMIC_RELAXED);
	if (diff.found == contents.base)
		madvise(addr, page_size, MADV_DONTNEED);
	check_file(lane, "discarded, written", addr, index);
}

static void race_discard(struct lane *lane)
{
	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT), i;

		if (!map_range(lane, slot(lane, 0), range))
			break;
		for (i = 0; i < NR_ITEMS && !stopped(); i++)
			read_discarded(lane, range);
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Write protection stays, also where another thread empties the table. */
static bool check_protected(struct lane *lane, unsigned int range)
{
	struct item item;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		unsigned long page = random_page(lane);

		item.addr = slot(lane, 0) + page * page_size;
		item.index = range * nr_pages + page;
		if (!check_wp(lane, &item))
			return false;
	}
	return true;
}

static void race_protect_discard(struct lane *lane)
{
	int err;

	if (!open_uffd(lane, UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
		       UFFD_FEATURE_SIGBUS))
		return;
	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);

		if (!map_file(lane, slot(lane, 0), range, pmd_size, true))
			break;
		err = register_uffd(lane, slot(lane, 0), pmd_size,
				    UFFDIO_REGISTER_MODE_WP);
		if (err == EINVAL)
			return skip(lane, "no userfaultfd write protection of shmem");
		err = err ?: write_protect(lane, slot(lane, 0), pmd_size, true);
		if (err)
			refuse(lane, err);
		else
			check_protected(lane, range);
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Moving pages and page tables about */

static void check_moved(struct lane *lane, char *addr, unsigned int range,
			struct item *item)
{
	unsigned int i;

	if (item->there && !check_private(lane, item))
		return;
	for (i = 0; i < NR_ITEMS && !stopped(); i++) {
		unsigned long page = random_below(lane, nr_pages);

		if (addr + page * page_size != item->addr)
			check_file(lane, "moved", addr + page * page_size,
				   range * nr_pages + page);
	}
}

static bool move(struct lane *lane, char *from, char *to, int flags)
{
	if (mremap(from, pmd_size, pmd_size,
		   MREMAP_MAYMOVE | MREMAP_FIXED | flags, to) == MAP_FAILED) {
		if (errno != ENOMEM && !(flags && errno == EINVAL))
			fail(lane, "mremap: %s", strerror(errno));
		else
			refuse(lane, errno);
		return false;
	}
	if (!flags)
		reserve(lane, from, pmd_size);
	return true;
}

/*
 * slot 0 -> slot 2     as a whole table, if the destination has none
 * slot 2 -> slot 4 + x page by page, and back, between tables
 * slot 2 -> slot 6     leaving an empty mapping of the same behind
 */
static void race_mremap(struct lane *lane)
{
	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);
		unsigned long page = random_page(lane);
		char *odd = slot(lane, 4) +
			    (1 + random_below(lane, nr_pages - 1)) * page_size;
		struct item item = {
			.index = range * nr_pages + page,
			.contents = new_contents(lane),
			.there = !file.shared_mapping && random_below(lane, 2),
		};
		char * const at[] = { slot(lane, 0), slot(lane, 2), odd,
				      slot(lane, 2), slot(lane, 6) };
		unsigned int i;

		if (!map_range(lane, at[0], range))
			break;
		peek(at[0]);
		item.addr = at[0] + page * page_size;
		if (item.there)
			install_private(lane, &item);
		for (i = 1; i < ARRAY_SIZE(at) && !stopped(); i++) {
			if (!move(lane, at[i - 1], at[i],
				  i == 4 ? MREMAP_DONTUNMAP : 0))
				break;
			item.addr = at[i] + page * page_size;
			check_moved(lane, at[i], range, &item);
		}
		if (i == ARRAY_SIZE(at))
			check_file(lane, "left behind",
				   at[i - 2] + page * page_size, item.index);
		unmap_all(lane);
		lane->iterations++;
	}
}

/* UFFDIO_MOVE is for anonymous memory: here in a table that maps the file too. */
static int uffd_move(struct lane *lane, char *to, char *from)
{
	struct uffdio_move move = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = page_size,
	};

	return ioctl(lane->uffd, UFFDIO_MOVE, &move) ? errno : 0;
}

static void race_move(struct lane *lane)
{
	size_t half = nr_pages / 2 * page_size;
	int err;

	if (!open_uffd(lane, UFFD_FEATURE_MOVE))
		return;
	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT), i;
		struct contents contents = new_contents(lane);
		char *to = slot(lane, 0) + half +
			   random_below(lane, nr_pages / 2) * page_size;
		char *from = slot(lane, 1);

		if (!map_file(lane, slot(lane, 0), range, half,
			      file.shared_mapping) ||
		    !map_anon(lane, slot(lane, 0) + half, pmd_size - half) ||
		    !map_anon(lane, from, pmd_size))
			break;
		err = register_uffd(lane, slot(lane, 0) + half, pmd_size - half,
				    UFFDIO_REGISTER_MODE_MISSING);
		if (err)
			return fail(lane, "UFFDIO_REGISTER: %s", strerror(err));
		fill(from, contents);
		err = uffd_move(lane, to, from);
		if (err)
			refuse(lane, err);
		for (i = 0; i < NR_ITEMS && !stopped(); i++) {
			check_own(lane, "a moved page", err ? from : to, 0,
				  contents);
			check_file(lane, "beside it", slot(lane, 0) +
				   i * page_size, range * nr_pages + i);
		}
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Protection of a part of the range; a private page below it. */
static void expect_signal(struct lane *lane, const char *what, char *addr,
			  int sig, int expected)
{
	if (sig != expected)
		fail(lane, "%s at %p: expected signal %d, found %d", what, addr,
		     expected, sig);
}

static void protect(struct lane *lane, char *addr, size_t len, int prot)
{
	if (!mprotect(addr, len, prot))
		return;
	if (errno == ENOMEM)
		refuse(lane, errno);
	else
		fail(lane, "mprotect: %s", strerror(errno));
}

static void race_mprotect(struct lane *lane)
{
	const int rw = PROT_READ | PROT_WRITE;

	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);
		unsigned long page = random_page(lane);
		unsigned long first = random_below(lane, 2) ?
				      random_below(lane, page + 1) : 0;
		char *addr = slot(lane, 0) + first * page_size;
		char *at = slot(lane, 0) + page * page_size;
		struct item item = {
			.addr = at,
			.index = range * nr_pages + page,
			.contents = new_contents(lane),
			.there = !file.shared_mapping && random_below(lane, 2),
		};
		size_t len = first ? at + page_size - addr : pmd_size;

		if (!map_range(lane, slot(lane, 0), range))
			break;
		peek(slot(lane, 0));
		if (item.there)
			install_private(lane, &item);
		protect(lane, addr, len, PROT_READ);
		expect_signal(lane, "read-only write", at, poke(at), SIGSEGV);
		check_moved(lane, slot(lane, 0), range, &item);
		protect(lane, addr, len, PROT_NONE);
		expect_signal(lane, "PROT_NONE read", at, peek(at), SIGSEGV);
		protect(lane, addr, len, rw);
		check_moved(lane, slot(lane, 0), range, &item);
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Children inherit what is private, write their own, and leave all behind. */
static int run_child(struct lane *lane, struct item *items, unsigned int range)
{
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	map_range(lane, slot(lane, 2), range);
	for (i = 0; i < NR_SLOTS && !stopped(); i++) {
		check_file(lane, "in a child", slot(lane, 2) + i * page_size,
			   range * nr_pages + i);
		check_private(lane, &items[i]);
		check_file(lane, "in a child", slot(lane, 1) + i * page_size,
			   range * nr_pages + i);
		items[i].contents = new_contents(lane);
		install_private(lane, &items[i]);
	}
	for (i = 0; i < NR_SLOTS && !stopped(); i++)
		check_private(lane, &items[i]);
	return 0;
}

static void fork_child(struct lane *lane, struct item *items,
		       unsigned int range)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(run_child(lane, items, range));
	if (pid < 0) {
		if (errno != ENOMEM && errno != EAGAIN)
			fail(lane, "fork: %s", strerror(errno));
		return refuse(lane, errno);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		fail(lane, "child %d: wait status %x", pid, status);
}

static void race_fork(struct lane *lane)
{
	struct item items[NR_SLOTS];
	unsigned int i, n;

	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);

		if (!map_file(lane, slot(lane, 0), range, pmd_size, false) ||
		    !map_range(lane, slot(lane, 1), range))
			break;
		peek(slot(lane, 1));
		for (i = 0; i < NR_SLOTS; i++) {
			unsigned long page = nr_pages / NR_SLOTS * i;

			items[i].addr = slot(lane, 0) + page * page_size;
			items[i].index = range * nr_pages + page;
			items[i].contents = new_contents(lane);
			items[i].there = true;
			install_private(lane, &items[i]);
		}
		for (n = 0; n < 4 && !stopped(); n++) {
			fork_child(lane, items, range);
			for (i = 0; i < NR_SLOTS; i++)
				check_private(lane, &items[i]);
			check_file(lane, "after a fork", slot(lane, 1),
				   range * nr_pages);
		}
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Private pages that are written to swap, and read from there. */
static void race_swap(struct lane *lane)
{
	struct item items[NR_ITEMS];
	unsigned int i, n;

	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);

		if (!map_file(lane, slot(lane, 0), range, pmd_size, false))
			break;
		for (i = 0; i < NR_ITEMS; i++) {
			unsigned long page = random_below(lane, nr_pages /
							  NR_ITEMS) +
					     nr_pages / NR_ITEMS * i;

			items[i].addr = slot(lane, 0) + page * page_size;
			items[i].index = range * nr_pages + page;
			items[i].contents = new_contents(lane);
			install_private(lane, &items[i]);
		}
		for (n = 0; n < 4 && !stopped(); n++) {
			madvise(slot(lane, 0), pmd_size, MADV_PAGEOUT);
			for (i = 0; i < NR_ITEMS; i++) {
				if (marked(lane, items[i].addr, PM_SWAP))
					lane->in_time++;
				check_private(lane, &items[i]);
			}
		}
		unmap_all(lane);
		lane->iterations++;
	}
}

/* Looking at the tables of all others from outside, and at one's own. */
static void read_to_end(const char *path)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	while (!stopped() && read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
}

static void look_at(pid_t pid, char *base)
{
	char path[64], buf[4096];
	off_t at = (uintptr_t)base / page_size * 8;
	off_t end = at + NR_SLOTS * nr_pages * 8;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	read_to_end(path);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (; at < end && !stopped(); at += sizeof(buf))
		if (pread(fd, buf, sizeof(buf), at) < 0)
			break;
	close(fd);
}

static void race_look(struct lane *lane)
{
	struct shared *shared = file.shared;
	struct item item = { 0 };
	bool guarded;

	while (go_on(lane)) {
		unsigned int range = random_below(lane, NR_KEPT);
		unsigned int nr = random_below(lane, shared->nr_pids);
		unsigned int other = random_below(lane, shared->nr_lanes);

		if (!map_range(lane, slot(lane, 0), range))
			break;
		peek(slot(lane, 0));
		item.addr = slot(lane, 0) + random_page(lane) * page_size;
		guarded = !install_guard(lane, &item);
		look_at(shared->pids[nr], shared->lanes[other].base);
		if (guarded && !marked(lane, item.addr, PM_GUARD_REGION))
			fail(lane, "guard at %p: not in pagemap", item.addr);
		unmap_all(lane);
		lane->iterations++;
	}
}

static const struct racer racers[] = {
	{ "read", race_read, "the contents of the file" },
	{ "write", race_write, "what it has written to its page of the file" },
	{ "gup", race_gup, "the contents of the file, read by the kernel" },
	{ "private", arrive_late, "private pages", 0, &private_page },
	{ "guard", arrive_late, "guard regions", 0, &guard_region },
	{ "uffd_wp", arrive_late, "write protection", 0, &protection },
	{ "uffd_copy", arrive_late, "copied pages", NEEDS_SHMEM, &copied_page },
	{ "uffd_zero", arrive_late, "zero pages", NEEDS_SHMEM, &zero_page },
	{ "uffd_poison", arrive_late, "poison", NEEDS_SHMEM, &poison },
	{ "uffd_move", race_move, "pages moved by UFFDIO_MOVE" },
	{ "wp_discard", race_protect_discard,
	  "write protection, beside MADV_DONTNEED", NEEDS_SHMEM, NULL,
	  discard_slot },
	{ "discard", race_discard, "the file, beside MADV_DONTNEED", 0, NULL,
	  discard_slot },
	{ "mremap", race_mremap, "pages moved by mremap()" },
	{ "mprotect", race_mprotect, "protection and pages" },
	{ "fork", race_fork, "private pages of parent and child" },
	{ "swap", race_swap, "private pages that go to swap", NEEDS_SWAP },
	{ "look", race_look, "pagemap of a guard region" },
};

/* The collapser */

static int pwrite_page(unsigned long index, unsigned int gen, char *buf)
{
	fill(buf, file_contents(index, gen));
	if (pwrite(file.fd, buf, page_size, index * page_size) == page_size)
		return 0;
	fail(NULL, "writing page %lu: %s", index, strerror(errno));
	return -1;
}

/* Memory can get too fragmented for a huge page when it is small. */
static void defragment(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) != 1)
		usleep(REST_USECS);
	close(fd);
}

/*
 * A hole splits a huge page. Mostly it is filled again: a range of shmem with a
 * hole is not collapsed while someone waits for missing pages by userfaultfd.
 */
static void punch(struct lane *self, unsigned int range)
{
	unsigned long index = (range + 1) * nr_pages - 1;
	unsigned int gen = begin_change(index);
	bool hole = !random_below(self, 8);

	if (fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      index * page_size, page_size))
		fail(NULL, "punching a hole: %s", strerror(errno));
	gen = next_generation(gen, hole);
	if (!hole) {
		pwrite_page(index, gen, self->page);
		if (file.backing == BACKED_BY_FILE)
			fsync(file.fd);
	}
	end_change(index, gen);
}

static void truncate_tail(struct lane *self)
{
	unsigned long first = NR_KEPT * nr_pages, i;
	unsigned int gen = 0;

	for (i = 0; i < nr_pages; i++)
		gen = next_generation(begin_change(first + i), true);
	if (ftruncate(file.fd, NR_KEPT * pmd_size) ||
	    ftruncate(file.fd, file_size))
		fail(NULL, "truncating the file: %s", strerror(errno));
	/* All pages of the tail are always of one generation. */
	for (i = nr_pages - 1; i; i--)
		end_change(first + i, gen);
	/* Nothing but holes would not be collapsed. */
	pwrite_page(first, gen & ~2U, self->page);
	if (file.backing == BACKED_BY_FILE)
		fsync(file.fd);
	end_change(first, gen & ~2U);
}

/* Memory pressure, as far as one can ask for it. A few pages, it is slow. */
static void page_out(struct lane *self, unsigned int range)
{
	unsigned long first = random_below(self, nr_pages - NR_ITEMS);
	size_t offset = range * pmd_size + first * page_size;

	madvise(slot(self, 0) + offset, NR_ITEMS * page_size, MADV_PAGEOUT);
	if (file.backing == BACKED_BY_FILE)
		posix_fadvise(file.fd, offset, NR_ITEMS * page_size,
			      POSIX_FADV_DONTNEED);
}

static void split(struct lane *self, unsigned int range)
{
	if (!random_below(self, 8))
		page_out(self, range);
	if (range == NR_KEPT && random_below(self, 2))
		truncate_tail(self);
	else
		punch(self, range);
	file.shared->splits++;
}

static long status_kb(const char *name)
{
	char buf[4096], *line;

	if (!read_file("/proc/self/status", buf, sizeof(buf)))
		return -1;
	line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

/*
 * Collapse one range through one mapping. Whether tables are retracted is seen
 * by another one, which nothing but that takes tables from.
 */
static bool collapse(struct lane *self, unsigned int range)
{
	struct shared *shared = file.shared;
	char *witness = slot(self, NR_RANGES);
	unsigned long long nsecs;
	long before, after;
	int err;

	peek(witness + range * pmd_size);
	if (random_below(self, 2))
		map_file(NULL, slot(self, 0), 0, file_size, true);
	before = status_kb("VmPTE:");

	__atomic_store_n(&shared->phase[range], COLLAPSING, __ATOMIC_RELEASE);
	__atomic_add_fetch(&shared->round, 1, __ATOMIC_ACQ_REL);
	nsecs = now_nsecs();
	err = madvise(slot(self, 0) + range * pmd_size, pmd_size,
		      MADV_COLLAPSE) ? errno : 0;
	nsecs = now_nsecs() - nsecs;
	__atomic_store_n(&shared->nsecs, nsecs, __ATOMIC_RELAXED);
	shared->total_nsecs += nsecs;
	__atomic_add_fetch(&shared->round, 1, __ATOMIC_ACQ_REL);
	__atomic_store_n(&shared->phase[range], err ? SMALL : COLLAPSED,
			 __ATOMIC_RELEASE);

	after = status_kb("VmPTE:");
	if (after < before)
		shared->retractions++;
	if (err == ENOMEM)
		defragment();
	if (err)
		shared->refused_errno = err;
	return !err;
}

static void collapse_again_and_again(struct lane *self)
{
	struct shared *shared = file.shared;
	unsigned int range, gap, tries;

	setpriority(PRIO_PROCESS, 0, -10);
	map_file(NULL, slot(self, 0), 0, file_size, true);
	map_file(NULL, slot(self, NR_RANGES), 0, file_size, true);
	while (!stopped()) {
		range = random_below(self, NR_RANGES);
		split(self, range);
		if (range < NR_KEPT)
			__atomic_store_n(&shared->next, range, __ATOMIC_RELAXED);
		__atomic_store_n(&shared->phase[range], SMALL, __ATOMIC_RELEASE);
		/* Let the others map the small pages. */
		gap = last_nsecs() / 1000 + 100;
		usleep(random_below(self, gap < 5000 ? gap : 5000));
		for (tries = 0; tries < 3 && !collapse(self, range); tries++)
			shared->refused++;
		if (tries < 3)
			__atomic_add_fetch(&shared->collapses, 1,
					   __ATOMIC_RELAXED);
		check_file(NULL, "collapsed", slot(self, 0) + range * pmd_size,
			   range * nr_pages);
	}
}

/* Processes */

/* What a process has in page tables and pages. */
struct usage {
	long tables;
	long anon;
	long file;
};

static struct usage usage(void)
{
	struct usage usage = {
		.tables = status_kb("VmPTE:"),
		.anon = status_kb("RssAnon:"),
		.file = status_kb("RssFile:") + status_kb("RssShmem:"),
	};

	return usage;
}

static void compare_usage(struct lane *lane, struct usage then)
{
	struct usage now = usage();

	if (now.tables != then.tables)
		fail(lane, "page tables left: expected VmPTE %ld kB, found %ld",
		     then.tables, now.tables);
	if (now.anon != then.anon)
		fail(lane, "private pages left: expected RssAnon %ld kB, found %ld",
		     then.anon, now.anon);
	if (now.file != then.file)
		fail(lane, "pages left: expected RssFile + RssShmem %ld kB, found %ld",
		     then.file, now.file);
}

static void *run_lane(void *arg)
{
	struct lane *lane = arg;

	while (!__atomic_load_n(&file.shared->start, __ATOMIC_ACQUIRE) &&
	       !stopped())
		usleep(REST_USECS);
	lane->racer->run(lane);
	unmap_all(lane);
	if (lane->uffd >= 0)
		close(lane->uffd);
	__atomic_store_n(&lane->done, true, __ATOMIC_RELEASE);
	/* Nothing shall go while it is counted: we end with the process. */
	for (;;)
		pause();
	return NULL;
}

/* Upper page tables come with the first use of a slot, and stay. */
static void touch_slots(struct lane *lane)
{
	unsigned int i;

	if (!map_anon(lane, lane->base, NR_SLOTS * pmd_size))
		return;
	for (i = 0; i < NR_SLOTS; i++)
		poke(slot(lane, i));
	unmap_all(lane);
}

static char *map_memory(struct lane *lane, size_t len)
{
	char *addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED)
		fail(lane, "mmap: %s", strerror(errno));
	return addr;
}

static void set_up_lane(struct lane *lane)
{
	lane->stack = map_memory(lane, 2 * STACK_BYTES);
	lane->page = map_memory(lane, page_size);
	lane->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	lane->uffd = -1;
	lane->random = getpid() * 2654435761U + lane->id + 1;
	if (lane->pagemap < 0)
		fail(lane, "opening pagemap: %s", strerror(errno));
}

static void become_racer(void)
{
	/* The handlers that restore the settings are the parent's business. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1);
	catch_signals();
}

/* Never joined: a 32-bit kernel may not have the futex call of this libc. */
static bool start_thread(struct lane *lane, char *stack,
			 void *(*fn)(void *lane))
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	err = pthread_attr_setstack(&attr, stack, STACK_BYTES);
	if (!err)
		err = pthread_create(&thread, &attr, fn, lane);
	pthread_attr_destroy(&attr);
	if (err)
		fail(lane, "pthread_create: %s", strerror(err));
	return !err;
}

static bool start_lane(struct lane *lane)
{
	touch_slots(lane);
	if (lane->racer->helper &&
	    !start_thread(lane, lane->stack + STACK_BYTES, lane->racer->helper))
		return false;
	return start_thread(lane, lane->stack, run_lane);
}

static void wait_for_lanes(struct lane *lanes, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		while (!__atomic_load_n(&lanes[i].done, __ATOMIC_ACQUIRE))
			usleep(REST_USECS);
}

/*
 * A process with @nr lanes. Everything but what they map is locked, so that
 * nothing else comes and goes between the two counts.
 */
static int race(struct lane *lanes, unsigned int nr)
{
	struct shared *shared = file.shared;
	struct usage before;
	unsigned int i;

	for (i = 0; i < nr; i++)
		set_up_lane(&lanes[i]);
	if (mlockall(MCL_CURRENT))
		fail(lanes, "mlockall: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		if (!start_lane(&lanes[i]))
			return KSFT_FAIL;
	before = usage();
	__atomic_add_fetch(&shared->nr_ready, 1, __ATOMIC_ACQ_REL);

	wait_for_lanes(lanes, nr);
	if (!__atomic_load_n(&shared->failed, __ATOMIC_ACQUIRE))
		compare_usage(lanes, before);
	return 0;
}

static int run_collapser(struct lane *self, unsigned int nr)
{
	struct shared *shared = file.shared;

	set_up_lane(self);
	touch_slots(self);
	__atomic_add_fetch(&shared->nr_ready, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&shared->start, __ATOMIC_ACQUIRE) && !stopped())
		usleep(REST_USECS);
	collapse_again_and_again(self);
	return 0;
}

static void start_process(int (*fn)(struct lane *lanes, unsigned int nr),
			  struct lane *lanes, unsigned int nr)
{
	struct shared *shared = file.shared;
	pid_t pid = fork();

	if (!pid) {
		become_racer();
		_exit(fn(lanes, nr));
	}
	if (pid < 0)
		fail(NULL, "fork: %s", strerror(errno));
	else
		shared->pids[shared->nr_pids++] = pid;
}

/* The run */

static const char *cannot_run(const struct racer *racer)
{
	if (racer->needs & NEEDS_SHMEM && file.backing != BACKED_BY_SHMEM)
		return "not for regular files";
	if (racer->needs & NEEDS_SWAP && !have_swap)
		return "no swap, and no swap file could be made";
	return NULL;
}

/* Lanes of the crowd first, then those alone; both at the same addresses. */
static void make_lanes(void)
{
	struct shared *shared = file.shared;
	unsigned int nr = ARRAY_SIZE(racers), i;

	shared->nr_lanes = 2 * nr;
	for (i = 0; i <= 2 * nr; i++) {
		struct lane *lane = &shared->lanes[i];

		lane->racer = i < 2 * nr ? &racers[i % nr] : NULL;
		lane->crowd = i < nr;
		lane->id = i;
		lane->base = arena + i % nr * NR_SLOTS * pmd_size;
		if (lane->racer)
			lane->skipped = cannot_run(lane->racer);
	}
}

static void start_processes(void)
{
	struct shared *shared = file.shared;
	unsigned int nr = ARRAY_SIZE(racers), i;

	start_process(run_collapser, &shared->lanes[2 * nr], 1);
	start_process(race, shared->lanes, nr);
	for (i = nr; i < 2 * nr; i++)
		start_process(race, &shared->lanes[i], 1);
	while (__atomic_load_n(&shared->nr_ready, __ATOMIC_ACQUIRE) <
	       shared->nr_pids && !stopped())
		usleep(REST_USECS);
	__atomic_store_n(&shared->start, true, __ATOMIC_RELEASE);
}

/* Deal the lanes like cards: each has its turn before any has another one. */
static void next_turn(struct lane *dealer, unsigned int *order,
		      unsigned int *next, unsigned int nr)
{
	struct shared *shared = file.shared;
	unsigned int n = shared->nr_lanes, i, k;

	for (i = 0; i < n; i++)
		__atomic_store_n(&shared->lanes[i].turn, false,
				 __ATOMIC_RELEASE);
	for (i = 0; i < 2 * n && nr; i++) {
		struct lane *lane;

		if (*next == n)
			*next = 0;
		k = *next + random_below(dealer, *next ? n - *next : n);
		lane = &shared->lanes[order[k]];
		order[k] = order[*next];
		order[(*next)++] = lane->id;
		if (__atomic_load_n(&lane->skipped, __ATOMIC_ACQUIRE))
			continue;
		__atomic_store_n(&lane->turn, true, __ATOMIC_RELEASE);
		nr--;
	}
}

static bool have_collapsed(void)
{
	return __atomic_load_n(&file.shared->collapses, __ATOMIC_RELAXED);
}

static void take_turns(void)
{
	struct shared *shared = file.shared;
	unsigned int nr = sysconf(_SC_NPROCESSORS_ONLN);
	struct lane dealer = { .random = getpid() };
	unsigned int order[MAX_LANES], next = 0, i;
	unsigned long long begin, end, last, msecs;

	nr = nr < 3 ? 3 : nr;
	for (i = 0; i < shared->nr_lanes; i++)
		order[i] = i;
	/* Two turns for each, at least; a tenth to half a second. */
	msecs = run_seconds * 1000ULL * nr / shared->nr_lanes / 2;
	msecs = msecs < 100 ? 100 : msecs > 500 ? 500 : msecs;
	begin = now_nsecs();
	end = begin + run_seconds * 1000000000ULL;
	/* A slow machine may need longer for the first collapse. */
	last = end + GRACE_SECONDS / 3 * 1000000000ULL;
	while (!stopped() && now_nsecs() < (have_collapsed() ? end : last)) {
		next_turn(&dealer, order, &next, nr);
		usleep(msecs * 1000);
	}
	stop();
	shared->msecs = (now_nsecs() - begin) / 1000000;
}

/* Wait for a process until @end. */
static void wait_for_process(pid_t pid, const char *name,
			     unsigned long long end)
{
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now_nsecs() > end) {
			fail(NULL, "the process of %s does not end", name);
			kill(pid, SIGKILL);
			return;
		}
		usleep(REST_USECS);
	}
	if (status)
		fail(NULL, "the process of %s: wait status %x", name, status);
}

static void end_processes(void)
{
	struct shared *shared = file.shared;
	unsigned long long end;
	unsigned int i;

	end = now_nsecs() + GRACE_SECONDS / 2 * 1000000000ULL;
	for (i = 0; i < shared->nr_pids; i++) {
		wait_for_process(shared->pids[i], i == 0 ? "the collapser" :
				 i == 1 ? "all threads" : racers[i - 2].name,
				 end);
		shared->pids[i] = 0;
	}
}

/* All is quiet now: every page of the file is what its owner has made it. */
static void check_whole_file(void)
{
	struct lane *lane = &file.shared->lanes[file.shared->nr_lanes];
	unsigned long i;

	set_up_lane(lane);
	for (i = 0; i < NR_RANGES * nr_pages; i++) {
		if (pread(file.fd, lane->page, page_size, i * page_size) !=
		    page_size)
			fail(NULL, "reading page %lu: %s", i, strerror(errno));
		if (!check_file(NULL, "at the end", lane->page, i))
			break;
	}
}

static void print_counts(void)
{
	struct shared *shared = file.shared;
	unsigned int nr = ARRAY_SIZE(racers), i;

	ksft_print_msg("%lu collapses, %lu retractions seen, %lu splits in %lu ms\n",
		       shared->collapses, shared->retractions, shared->splits,
		       shared->msecs);
	ksft_print_msg("%llu us each, %lu refused (%s)\n",
		       shared->total_nsecs / 1000 /
		       (shared->collapses + shared->refused ?: 1),
		       shared->refused, strerror(shared->refused_errno));
	ksft_print_msg("%-12s %10s %10s %8s %8s\n", "racer", "process",
		       "thread", "in time", "refused");
	for (i = 0; i < nr; i++) {
		struct lane *crowd = &shared->lanes[i];
		struct lane *alone = &shared->lanes[nr + i];
		int err = alone->refused_errno ?: crowd->refused_errno;

		if (alone->skipped) {
			ksft_print_msg("%-12s %s\n", racers[i].name,
				       alone->skipped);
			continue;
		}
		ksft_print_msg("%-12s %10lu %10lu %8lu %8lu%s%s\n",
			       racers[i].name, alone->iterations,
			       crowd->iterations,
			       alone->in_time + crowd->in_time,
			       alone->refused + crowd->refused,
			       err ? " " : "", err ? strerror(err) : "");
	}
}

/* The file */

static int create_in(const char *dir, const char *name, char *path)
{
	struct statfs fs;

	if (statfs(dir, &fs) || fs.f_type == TMPFS_MAGIC)
		return -1;
	if (snprintf(path, PATH_MAX, "%s/pgtable_race_%s_XXXXXX", dir,
		     name) >= PATH_MAX)
		return -1;
	return mkostemp(path, O_CLOEXEC);
}

static bool populate(void)
{
	char *buf = malloc(page_size);
	unsigned long i;

	if (!buf || ftruncate(file.fd, file_size))
		return false;
	for (i = 0; i < NR_RANGES * nr_pages; i++)
		if (pwrite_page(i, 0, buf))
			break;
	free(buf);
	return i == NR_RANGES * nr_pages && !fsync(file.fd);
}

/* 0, or why MADV_COLLAPSE does not do it. */
static int try_collapse(void)
{
	struct lane *lane = &file.shared->lanes[0];
	unsigned int tries;
	int err = 0;

	map_file(NULL, arena, 0, file_size, true);
	for (tries = 0; tries < 50; tries++) {
		err = madvise(arena, pmd_size, MADV_COLLAPSE) ? errno : 0;
		if (err == ENOMEM)
			defragment();
		else if (err != EAGAIN)
			break;
		usleep(2000);
	}
	lane->base = arena;
	unmap_all(lane);
	return err;
}

static bool open_file(const char *dir)
{
	char path[PATH_MAX];

	file.fd = create_in(dir, "file", path);
	if (file.fd < 0)
		return false;
	unlink(path);
	if (populate() && !try_collapse())
		return true;
	close(file.fd);
	file.fd = -1;
	return false;
}

static const char * const dirs[] = { ".", "/tmp", "/var/tmp" };

static bool find_file(void)
{
	const char *dir = getenv(DIR_VARIABLE);
	unsigned int i;

	if (dir && *dir)
		return open_file(dir);
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		if (open_file(dirs[i]))
			return true;
	return false;
}

/* Fixtures */

FIXTURE(pgtable_race)
{
};

FIXTURE_VARIANT(pgtable_race)
{
	enum backing backing;
	bool shared_mapping;
};

FIXTURE_VARIANT_ADD(pgtable_race, shmem_shared)
{
	.backing = BACKED_BY_SHMEM,
	.shared_mapping = true,
};

FIXTURE_VARIANT_ADD(pgtable_race, shmem_private)
{
	.backing = BACKED_BY_SHMEM,
	.shared_mapping = false,
};

FIXTURE_VARIANT_ADD(pgtable_race, file_shared)
{
	.backing = BACKED_BY_FILE,
	.shared_mapping = true,
};

FIXTURE_VARIANT_ADD(pgtable_race, file_private)
{
	.backing = BACKED_BY_FILE,
	.shared_mapping = false,
};

FIXTURE_SETUP(pgtable_race)
{
	size_t len = sizeof(struct shared) +
		     NR_RANGES * nr_pages * sizeof(unsigned int);

	file.fd = -1;
	file.backing = variant->backing;
	file.shared_mapping = variant->shared_mapping;
	if (no_test_reason)
		SKIP(return, "%s", no_test_reason);

	file.shared = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(file.shared != MAP_FAILED);
	if (file.backing == BACKED_BY_FILE) {
		if (!find_file())
			SKIP(return, "no directory with collapsible files, see "
			     DIR_VARIABLE);
		return;
	}
	file.fd = memfd_create("pgtable_race", MFD_CLOEXEC);
	ASSERT_GE(file.fd, 0);
	ASSERT_TRUE(populate());
	/* shmem may refuse it, or the page cache folios of that size. */
	if (try_collapse() == EINVAL)
		SKIP(return, "shmem cannot be collapsed on this machine");
}

FIXTURE_TEARDOWN(pgtable_race)
{
	unsigned int i;

	for (i = 0; file.shared && i < file.shared->nr_pids; i++) {
		if (file.shared->pids[i] <= 0)
			continue;
		kill(file.shared->pids[i], SIGKILL);
		waitpid(file.shared->pids[i], NULL, 0);
	}
	if (file.fd >= 0)
		close(file.fd);
}

/* GRACE_SECONDS are for a run of no time: see set_time_limit(). */
TEST_F_TIMEOUT(pgtable_race, keeps_everything, GRACE_SECONDS)
{
	struct shared *shared = file.shared;

	make_lanes();
	start_processes();
	take_turns();
	end_processes();
	if (!shared->failed)
		check_whole_file();

	print_counts();
	ASSERT_FALSE(shared->failed) {
		TH_LOG("%s", shared->failure);
	}
	ASSERT_GT(shared->collapses, 0) {
		TH_LOG("nothing was collapsed, so nothing was tested");
	}
}

/* The machine */

/* Do not disturb us, and begin with small pages. */
static void use_small_pages(void)
{
	struct thp_settings settings;
	unsigned int i;

	thp_save_settings();
	thp_read_settings(&settings);
	settings.thp_enabled = THP_NEVER;
	settings.shmem_enabled = SHMEM_NEVER;
	for (i = 0; i < NR_ORDERS; i++) {
		settings.hugepages[i].enabled = THP_NEVER;
		settings.shmem_hugepages[i].enabled = SHMEM_NEVER;
	}
	thp_push_settings(&settings);
}

static unsigned long meminfo_kb(const char *name)
{
	static char buf[8192];
	char *line;

	if (!read_file("/proc/meminfo", buf, sizeof(buf)))
		return 0;
	line = strstr(buf, name);
	return line ? strtoul(line + strlen(name), NULL, 10) : 0;
}

static char swap_path[PATH_MAX];

static void remove_swap(void)
{
	if (swapoff(swap_path))
		ksft_perror("swapoff");
	unlink(swap_path);
}

static bool write_swap(int fd)
{
	struct {
		unsigned int version, last_page, nr_badpages;
	} header = { 1, SWAP_BYTES / page_size - 1, 0 };
	char *buf = calloc(1, page_size);
	unsigned long i;

	if (!buf)
		return false;
	for (i = 0; i < SWAP_BYTES / page_size; i++)
		if (pwrite(fd, buf, page_size, i * page_size) != page_size)
			break;
	free(buf);
	return i == SWAP_BYTES / page_size &&
	       pwrite(fd, &header, sizeof(header), 1024) == sizeof(header) &&
	       pwrite(fd, "SWAPSPACE2", 10, page_size - 10) == 10 &&
	       !fchmod(fd, 0600) && !fsync(fd);
}

/* Use the machine's swap, or make a little one for as long as we run. */
static void find_swap(void)
{
	const char *dir = getenv(DIR_VARIABLE);
	int fd;

	have_swap = meminfo_kb("SwapFree:") * 1024 >= SWAP_BYTES;
	if (have_swap)
		return;
	fd = create_in(dir && *dir ? dir : ".", "swap", swap_path);
	if (fd < 0)
		return;
	have_swap = write_swap(fd) && !swapon(swap_path, 0);
	close(fd);
	if (have_swap)
		atexit(remove_swap);
	else
		unlink(swap_path);
}

/* The file, two huge pages, and a little for everything else. */
static bool fits(void)
{
	return meminfo_kb("MemAvailable:") / 1024 >=
	       (NR_RANGES + 2) * (pmd_size >> 20) + 128;
}

static void make_arena(void)
{
	size_t len = ARRAY_SIZE(racers) * NR_SLOTS * pmd_size;

	arena = mmap(NULL, len + pmd_size, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		ksft_exit_fail_perror("mmap of the arena");
	arena = (char *)(((uintptr_t)arena + pmd_size - 1) & ~(pmd_size - 1));
}

/* NULL, or why nothing can be tested here. */
static const char *set_up_machine(void)
{
	static char reason[128];

	page_size = getpagesize();
	if (!thp_available())
		return "this kernel has no transparent huge pages";
	pmd_size = read_pmd_pagesize();
	if (!pmd_size)
		return "PMD-sized huge pages are not available";
	if (geteuid())
		return "only root can change the huge page settings";
	/* Nothing to do is a success, an unknown advice an error. */
	if (madvise(NULL, 0, MADV_COLLAPSE))
		return "this kernel has no MADV_COLLAPSE";
	nr_pages = pmd_size / page_size;
	file_size = NR_RANGES * pmd_size;
	if (!fits()) {
		snprintf(reason, sizeof(reason),
			 "%lu MiB are too little memory for huge pages of %lu MiB",
			 meminfo_kb("MemAvailable:") / 1024, pmd_size >> 20);
		return reason;
	}
	use_small_pages();
	make_arena();
	find_swap();
	return NULL;
}

/* The harness takes a constant only. */
static void set_time_limit(void)
{
	const char *seconds = getenv(SECONDS_VARIABLE);
	struct __fixture_metadata *f;
	struct __test_metadata *t;
	char *end;

	if (seconds && *seconds) {
		run_seconds = strtoul(seconds, &end, 10);
		if (*end || !run_seconds)
			ksft_exit_fail_msg("%s=%s is no number of seconds\n",
					   SECONDS_VARIABLE, seconds);
	}
	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout += run_seconds;
}

int main(int argc, char **argv)
{
	set_time_limit();
	no_test_reason = set_up_machine();
	return test_harness_run(argc, argv);
}
