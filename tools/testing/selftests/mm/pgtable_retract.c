// SPDX-License-Identifier: GPL-2.0
/*
 * Retraction of page tables, as seen from userspace.
 *
 * When the small pages of a file are collapsed into a huge page, the PTE
 * tables that mapped them are left empty, in every process which mapped them.
 * The kernel takes these tables away ("retracts" them), so that the next fault
 * can map the huge page by a PMD entry. It may not take a table which holds
 * something that the file cannot give back: a private page, a userfaultfd
 * protection or marker, a guard region, another mapping's pages.
 *
 * VmPTE in /proc/PID/status tells how much memory the page tables of a process
 * take. All counts below are exact: to have nothing else come and go, every
 * mapping that is looked at lives in one arena, at the same address in every
 * process, whose upper page tables are held by a page at either edge:
 *
 *   +------+------------------+--------+--------+--------+--------+------+
 *   | edge | filler           | slot 0 | slot 1 | slot 2 | slot 3 | edge |
 *   +------+------------------+--------+--------+--------+--------+------+
 *
 * An edge is a PMD range, a slot holds one mapping of the whole test file,
 * the filler measures (see pgtable_bytes()).
 *
 * Regular files need a directory on a file system with PMD-sized folios, named
 * by PGTABLE_TEST_DIR. Without it the current directory, /tmp and /var/tmp are
 * tried.
 */

#define _GNU_SOURCE
#include "kselftest_harness.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "pgtable_common.h"
#include "vm_util.h"

#define MAX_RANGES	3
#define MIN_RANGES	2	/* one to be special, one to be ordinary */
#define NR_FILLER	16
#define NR_SLOTS	4
#define COLLAPSE_SLOT	3	/* used by collapse() only */
#define NR_MAPPERS	3
#define PRIVATE_SEED	1
#define RACE_MSECS	250
#define MIN_ROUNDS	8	/* twice each thing that may arrive late */
#define TEST_SECONDS	180	/* emulated machines are slow */

/* The machine, found out once in main(). */
static unsigned long table_bytes;
static unsigned int nr_ranges;
static size_t file_size;
static char *arena, *arena_end;
static char *page_buf;
static const char *no_test_reason;

/* State of a process that has registered a mapping with userfaultfd. */
static int uffd = -1;
static bool uffd_async;

/* A process of its own that maps the file and does what it is asked to. */
struct mapper {
	pid_t pid;
	int request_fd;
	int answer_fd;
};

/* What the test shares with its mappers after they have been forked. */
struct shared {
	unsigned long version;		/* of the file's contents */
	/* race_with_collapse() */
	bool stop;
	unsigned int ready;		/* rounds that the mapper has prepared */
	unsigned int started;		/* collapses that have begun */
	unsigned int finished;		/* collapses that are over */
	unsigned long long collapse_usecs; /* how long the last one took */
};

struct test_file {
	enum backing backing;
	bool shared_mapping;
	int fd;
	struct shared *shared;
};

typedef long (*work_fn)(struct test_file *file, char *addr, long arg);

struct request {
	work_fn fn;
	char *addr;
	long arg;
};

static char *slot(unsigned int nr)
{
	return arena + (1 + NR_FILLER + nr * MAX_RANGES) * pmd_size;
}

/* The page that is made special: in the second table, far from its ends. */
static char *item(char *addr)
{
	return addr + pmd_size + pmd_size / 2;
}

static long item_index(void)
{
	return (item(NULL) - (char *)NULL) / page_size;
}

static long failed(const char *what)
{
	int err = errno;

	ksft_print_msg("%s: %s\n", what, strerror(err));
	return -err;
}

/* Counting tables */

static long vm_pte_kb(void)
{
	return proc_kb("/proc/self/status", "VmPTE:");
}

static long map_filler(void)
{
	if (mmap(arena + pmd_size, NR_FILLER * pmd_size, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0) == MAP_FAILED)
		return failed("mmap of the filler");
	return 0;
}

static void touch_filler(unsigned int nr)
{
	__atomic_store_n(arena + (1 + nr) * pmd_size, 1, __ATOMIC_RELAXED);
}

/*
 * The size of this process's page tables. VmPTE counts in whole KiB, but a
 * table can be smaller than that (a powerpc table of 64K pages has 256 bytes).
 * Then fault in tables until VmPTE moves, which tells what it had rounded off.
 */
static long pgtable_bytes(struct test_file *file, char *addr, long arg)
{
	long kb = vm_pte_kb();
	unsigned int nr = 0;

	if (!(table_bytes % 1024))
		return kb * 1024;

	do {
		if (nr == NR_FILLER) {
			ksft_print_msg("VmPTE does not move\n");
			return -EIO;
		}
		touch_filler(nr++);
	} while (vm_pte_kb() == kb);

	return map_filler() ?: (kb + 1) * 1024 - nr * table_bytes;
}

/* Work that is done in the process whose tables are counted */

static int mapping_prot(struct test_file *file, bool shared)
{
	/* A regular file is opened for reading only. */
	if (file->backing == BACKED_BY_FILE && shared)
		return PROT_READ;
	return PROT_READ | PROT_WRITE;
}

static long map_range(struct test_file *file, char *addr,
		      size_t len, bool shared)
{
	if (mmap(addr, len, mapping_prot(file, shared),
		 MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE),
		 file->fd, 0) == MAP_FAILED)
		return failed("mmap of the file");
	return 0;
}

static long map_file(struct test_file *file, char *addr, long arg)
{
	return map_range(file, addr, file_size, file->shared_mapping);
}

static long map_private(struct test_file *file, char *addr, long arg)
{
	return map_range(file, addr, file_size, false);
}

/* userfaultfd takes only what could be written to: not a read-only file. */
static long map_for_uffd(struct test_file *file, char *addr, long arg)
{
	return map_range(file, addr, file_size, file->shared_mapping &&
			 file->backing == BACKED_BY_SHMEM);
}

static long unmap(struct test_file *file, char *addr, long arg)
{
	if (!reserve(addr, MAX_RANGES * pmd_size))
		return failed("unmapping the file");
	return 0;
}

/* Read the first page of every range, so that each range has its table. */
static long touch(struct test_file *file, char *addr, long arg)
{
	force_read_pages(addr, nr_ranges, pmd_size);
	return 0;
}

static unsigned long file_seed(struct test_file *file, long index)
{
	return page_seed(index, file->shared->version);
}

/* Is the page what @seed makes of one? */
static long compare(char *addr, unsigned long seed, const char *what, long nr)
{
	struct difference diff;

	if (!compare_page(addr, seed, &diff))
		return 0;
	ksft_print_msg("%s page %ld was lost\n", what, nr);
	return -EIO;
}

static long compare_file(struct test_file *file, char *addr,
			 long nr_pages, long skip)
{
	long i, ret = 0;

	for (i = 0; i < nr_pages && !ret; i++)
		if (i != skip)
			ret = compare(addr + i * page_size, file_seed(file, i),
				      "the file's", i);
	return ret;
}

/* Byte for byte what has been written to the file, but for page @skip? */
static long contents(struct test_file *file, char *addr, long skip)
{
	return compare_file(file, addr, file_size / page_size, skip);
}

/* Are exactly @nr ranges of the mapping at @addr mapped by a PMD entry? */
static long pmd_mapped(struct test_file *file, char *addr, long nr)
{
	const char *name = file->backing == BACKED_BY_SHMEM ?
			   "ShmemPmdMapped:" : "FilePmdMapped:";
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char start[32], line[512];
	bool found;

	if (!smaps)
		return failed("opening smaps");

	snprintf(start, sizeof(start), "%08lx-", (unsigned long)addr);
	found = check_for_pattern(smaps, start, line, sizeof(line)) &&
		check_for_pattern(smaps, name, line, sizeof(line));
	fclose(smaps);
	if (!found) {
		ksft_print_msg("smaps has no mapping %s\n", start);
		return -ENOENT;
	}
	return strtol(line + strlen(name), NULL, 10) == nr * (pmd_size >> 10);
}

/*
 * Have a table wherever this process has code or data outside of the arena, so
 * that none is added between two counts only because something is done first.
 */
static long warm_up(struct test_file *file, char *addr, long arg)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end, p;
	char line[512], perm;

	if (!maps)
		return failed("opening maps");

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %c", &start, &end, &perm) != 3)
			continue;
		/* [vvar] is not for reading. */
		if (perm != 'r' || strstr(line, "[v"))
			continue;
		if (start >= (uintptr_t)arena && start < (uintptr_t)arena_end)
			continue;
		for (p = start; p >= start && p < end; p = (p | (pmd_size - 1)) + 1)
			FORCE_READ(*(char *)p);
	}
	fclose(maps);
	return 0;
}

/* Mappers */

static void mapper_loop(struct test_file *file, int request_fd, int answer_fd)
{
	struct request request;
	long answer;

	become_child();
	while (read(request_fd, &request, sizeof(request)) == sizeof(request)) {
		answer = request.fn(file, request.addr, request.arg);
		if (write(answer_fd, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
}

static bool tell(struct mapper *mapper, work_fn fn, char *addr, long arg)
{
	struct request request = { .fn = fn, .addr = addr, .arg = arg };

	return write(mapper->request_fd, &request, sizeof(request)) ==
	       sizeof(request);
}

static long answer_of(struct mapper *mapper)
{
	long answer;

	if (read(mapper->answer_fd, &answer, sizeof(answer)) == sizeof(answer))
		return answer;

	ksft_print_msg("mapper %d has died\n", mapper->pid);
	return -EPIPE;
}

static long ask(struct mapper *mapper, work_fn fn, char *addr, long arg)
{
	return tell(mapper, fn, addr, arg) ? answer_of(mapper) : -EPIPE;
}

static long bytes_of(struct mapper *mapper)
{
	return ask(mapper, pgtable_bytes, NULL, 0);
}

/*
 * Fork mappers. What is mapped already they inherit, at the same address and
 * without its page tables: those of a file are not copied, but faulted in.
 */
static void spawn(struct __test_metadata *_metadata, struct test_file *file,
		  struct mapper *mappers, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct mapper *mapper = &mappers[i];
		int request[2], answer[2];

		ASSERT_EQ(pipe(request), 0);
		ASSERT_EQ(pipe(answer), 0);
		mapper->pid = fork();
		ASSERT_GE(mapper->pid, 0);
		if (!mapper->pid) {
			close(request[1]);
			close(answer[0]);
			mapper_loop(file, request[0], answer[1]);
			_exit(0);
		}
		close(request[0]);
		close(answer[1]);
		mapper->request_fd = request[1];
		mapper->answer_fd = answer[0];
		ASSERT_EQ(ask(mapper, warm_up, NULL, 0), 0);
	}
}

/* The file */

static long write_page(struct test_file *file, int fd, long index)
{
	fill_page(page_buf, file_seed(file, index));
	if (pwrite(fd, page_buf, page_size, index * page_size) == page_size)
		return 0;
	return failed("writing the file");
}

/* Write page by page: a longer write may fill the cache with larger folios. */
static long write_pages(struct test_file *file, int fd)
{
	long i, ret;

	for (i = 0; i < file_size / page_size; i++) {
		ret = write_page(file, fd, i);
		if (ret)
			return ret;
	}
	return fsync(fd) ? failed("fsync of the file") : 0;
}

static int open_again(struct test_file *file, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	return open(path, flags | O_CLOEXEC);
}

/* Replace the whole file by small pages with other contents. */
static long rewrite(struct test_file *file)
{
	int fd = open_again(file, O_RDWR);
	long ret;

	if (fd < 0)
		return failed("opening the file for writing");

	file->shared->version++;
	if (ftruncate(fd, 0) || ftruncate(fd, file_size))
		ret = failed("truncating the file");
	else
		ret = write_pages(file, fd);
	close(fd);
	return ret;
}

/* Punch a hole of nr pages, and fill it again: the contents are as before. */
static long refill(struct test_file *file, long first, long nr)
{
	int fd = open_again(file, O_RDWR);
	long i, ret = 0;

	if (fd < 0)
		return failed("opening the file for writing");

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      first * page_size, nr * page_size))
		ret = failed("punching a hole");
	for (i = first; i < first + nr && !ret; i++)
		ret = write_page(file, fd, i);
	if (!ret && fsync(fd))
		ret = failed("fsync of the file");
	close(fd);
	return ret;
}

/* Split the huge page that has the special page in it, by a hole at its end. */
static long split(struct test_file *file)
{
	return refill(file, 2 * pmd_size / page_size - 1, 1);
}

/*
 * The same, and drop the other huge pages. (While the file is mapped, to split
 * one takes seconds on sparc64: each page of it is flushed by flushing them all.)
 */
static long split_and_drop(struct test_file *file)
{
	long step = pmd_size / page_size;
	long ret = refill(file, 0, step);

	return ret ? ret : refill(file, 2 * step - 1, (nr_ranges - 2) * step + 1);
}

/*
 * Collapse the file through a mapping that was not read from: the tables of
 * all others are left to retract_page_tables() alone. (For the mapping given to
 * madvise() there is another chance afterwards, see the test own_mapping.)
 */
static long collapse_ranges(struct test_file *file,
			    unsigned int first, unsigned int nr)
{
	char *addr = slot(COLLAPSE_SLOT);
	long ret;

	ret = map_range(file, addr, file_size, true);
	if (ret)
		return ret;
	ret = try_collapse(addr + first * pmd_size, nr * pmd_size);
	unmap(file, addr, 0);
	return ret;
}

static long collapse(struct test_file *file)
{
	long ret = collapse_ranges(file, 0, nr_ranges);

	if (ret)
		ksft_print_msg("MADV_COLLAPSE: %s\n", strerror(-ret));
	return ret;
}

static long populate(struct test_file *file)
{
	if (ftruncate(file->fd, file_size))
		return failed("setting the file's size");
	return write_pages(file, file->fd);
}

/* Regular files are collapsed while they are not open for writing. */
static int prepare_file(int fd, void *arg)
{
	struct test_file *file = arg;
	int ret;

	file->fd = fd;
	if (populate(file))
		file->fd = -1;
	else
		file->fd = open_again(file, O_RDONLY);
	close(fd);
	if (file->fd < 0)
		return -1;

	ret = collapse_ranges(file, 0, 1);
	if (!ret && !rewrite(file))
		return file->fd;
	close(file->fd);
	file->fd = -1;
	return ret == -ENOMEM ? ret : -1;
}

/* Fixtures */

static void set_up(struct __test_metadata *_metadata, struct test_file *file,
		   enum backing backing, bool shared_mapping)
{
	int ret;

	file->fd = -1;
	file->backing = backing;
	file->shared_mapping = shared_mapping;
	if (no_test_reason)
		SKIP(return, "%s", no_test_reason);

	file->shared = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(file->shared != MAP_FAILED);
	file->shared->version = getpid();

	if (backing == BACKED_BY_FILE) {
		ret = find_file(prepare_file, file);
		if (ret == -ENOMEM)
			SKIP(return, "no huge page to be had");
		if (ret < 0)
			SKIP(return, "no directory with collapsible files, see "
			     DIR_VARIABLE);
		return;
	}

	file->fd = memfd_create("pgtable_retract", MFD_CLOEXEC);
	ASSERT_GE(file->fd, 0);
	ASSERT_EQ(populate(file), 0);
	ret = collapse_ranges(file, 0, 1);
	if (ret == -ENOMEM)
		SKIP(return, "no huge page to be had");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(rewrite(file), 0);
}

static void tear_down(struct test_file *file, struct mapper *mappers)
{
	unsigned int i;

	for (i = 0; i < NR_MAPPERS; i++) {
		if (mappers[i].pid <= 0)
			continue;
		kill(mappers[i].pid, SIGKILL);
		waitpid(mappers[i].pid, NULL, 0);
	}
	if (file->fd >= 0)
		close(file->fd);
}

FIXTURE(pgtable_retract)
{
	struct test_file file;
	struct mapper mappers[NR_MAPPERS];
};

FIXTURE_VARIANT(pgtable_retract)
{
	enum backing backing;
	bool shared_mapping;
};

FIXTURE_VARIANT_ADD(pgtable_retract, shmem_shared)
{
	.backing = BACKED_BY_SHMEM,
	.shared_mapping = true,
};

FIXTURE_VARIANT_ADD(pgtable_retract, shmem_private)
{
	.backing = BACKED_BY_SHMEM,
	.shared_mapping = false,
};

FIXTURE_VARIANT_ADD(pgtable_retract, file_shared)
{
	.backing = BACKED_BY_FILE,
	.shared_mapping = true,
};

FIXTURE_VARIANT_ADD(pgtable_retract, file_private)
{
	.backing = BACKED_BY_FILE,
	.shared_mapping = false,
};

FIXTURE_SETUP(pgtable_retract)
{
	set_up(_metadata, &self->file, variant->backing,
	       variant->shared_mapping);
}

FIXTURE_TEARDOWN(pgtable_retract)
{
	tear_down(&self->file, self->mappers);
}

/* What userfaultfd does with shmem, but not with regular files. */
FIXTURE(pgtable_retract_uffd)
{
	struct test_file file;
	struct mapper mappers[NR_MAPPERS];
};

FIXTURE_VARIANT(pgtable_retract_uffd)
{
	bool shared_mapping;
};

FIXTURE_VARIANT_ADD(pgtable_retract_uffd, shmem_shared)
{
	.shared_mapping = true,
};

FIXTURE_VARIANT_ADD(pgtable_retract_uffd, shmem_private)
{
	.shared_mapping = false,
};

FIXTURE_SETUP(pgtable_retract_uffd)
{
	set_up(_metadata, &self->file, BACKED_BY_SHMEM,
	       variant->shared_mapping);
}

FIXTURE_TEARDOWN(pgtable_retract_uffd)
{
	tear_down(&self->file, self->mappers);
}

/*
 * Every process and every mapping of the file loses exactly its table of each
 * collapsed range, keeps the contents, and gets the huge page by PMD at the
 * next fault. Unmapping leaves as many tables as there were at first.
 *
 *   process 1: | slot 0: file | slot 1: file |
 *   process 2: | slot 0: file | slot 1: file |    all lose nr_ranges tables
 *   process 3: | slot 0: file | slot 1: file |    for each of the two
 */
TEST_F_TIMEOUT(pgtable_retract, every_mapping, TEST_SECONDS)
{
	struct test_file *file = &self->file;
	long both = 2 * nr_ranges * table_bytes;
	long start[NR_MAPPERS], before[NR_MAPPERS];
	unsigned int i, s;

	ASSERT_EQ(map_file(file, slot(0), 0), 0);
	spawn(_metadata, file, self->mappers, NR_MAPPERS);
	for (i = 0; i < NR_MAPPERS; i++) {
		struct mapper *mapper = &self->mappers[i];

		start[i] = bytes_of(mapper);
		ASSERT_EQ(ask(mapper, map_file, slot(1), 0), 0);
		for (s = 0; s < 2; s++) {
			ASSERT_EQ(ask(mapper, contents, slot(s), -1), 0);
			ASSERT_EQ(ask(mapper, pmd_mapped, slot(s), 0), 1);
		}
		before[i] = bytes_of(mapper);
		EXPECT_EQ(before[i] - start[i], both);
	}

	ASSERT_EQ(collapse(file), 0);

	for (i = 0; i < NR_MAPPERS; i++) {
		struct mapper *mapper = &self->mappers[i];

		EXPECT_EQ(before[i] - bytes_of(mapper), both);
		for (s = 0; s < 2; s++) {
			EXPECT_EQ(ask(mapper, pmd_mapped, slot(s), 0), 1);
			ASSERT_EQ(ask(mapper, touch, slot(s), 0), 0);
			EXPECT_EQ(ask(mapper, pmd_mapped, slot(s), nr_ranges),
				  1);
			EXPECT_EQ(ask(mapper, contents, slot(s), -1), 0);
			ASSERT_EQ(ask(mapper, unmap, slot(s), 0), 0);
		}
		EXPECT_EQ(bytes_of(mapper), start[i]);
	}
}

/*
 * The mapping that is given to madvise() is mapped by PMD when the call
 * returns, without another fault; another mapping in the same process at its
 * next fault. Some architectures put a table aside for each PMD that maps a
 * huge page; how many is known from the second mapping.
 */
TEST_F_TIMEOUT(pgtable_retract, own_mapping, TEST_SECONDS)
{
	struct test_file *file = &self->file;
	long both = 2 * nr_ranges * table_bytes;
	long start, before, after, set_aside;

	ASSERT_EQ(warm_up(file, NULL, 0), 0);
	start = pgtable_bytes(file, NULL, 0);
	ASSERT_EQ(map_file(file, slot(0), 0), 0);
	ASSERT_EQ(map_file(file, slot(1), 0), 0);
	ASSERT_EQ(contents(file, slot(0), -1), 0);
	ASSERT_EQ(contents(file, slot(1), -1), 0);
	before = pgtable_bytes(file, NULL, 0);
	EXPECT_EQ(before - start, both);

	ASSERT_EQ(try_collapse(slot(0), file_size), 0);

	EXPECT_EQ(pmd_mapped(file, slot(0), nr_ranges), 1);
	EXPECT_EQ(pmd_mapped(file, slot(1), 0), 1);
	after = pgtable_bytes(file, NULL, 0);
	ASSERT_EQ(touch(file, slot(1), 0), 0);
	EXPECT_EQ(pmd_mapped(file, slot(1), nr_ranges), 1);
	set_aside = pgtable_bytes(file, NULL, 0) - after;
	EXPECT_EQ(before - after, both - set_aside);

	EXPECT_EQ(contents(file, slot(0), -1), 0);
	EXPECT_EQ(contents(file, slot(1), -1), 0);
	ASSERT_EQ(unmap(file, slot(0), 0), 0);
	ASSERT_EQ(unmap(file, slot(1), 0), 0);
	EXPECT_EQ(pgtable_bytes(file, NULL, 0), start);
}

/*
 * Collapsing the file, replacing its contents and collapsing it again counts the
 * same tables each time.
 */
TEST_F_TIMEOUT(pgtable_retract, again_and_again, TEST_SECONDS)
{
	struct test_file *file = &self->file;
	long all = nr_ranges * table_bytes;
	struct mapper *mapper = &self->mappers[0];
	long start, before;
	unsigned int round;

	ASSERT_EQ(map_file(file, slot(0), 0), 0);
	spawn(_metadata, file, self->mappers, 1);
	start = bytes_of(mapper);

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(ask(mapper, contents, slot(0), -1), 0);
		EXPECT_EQ(ask(mapper, pmd_mapped, slot(0), 0), 1);
		before = bytes_of(mapper);
		EXPECT_EQ(before - start, all);

		ASSERT_EQ(collapse(file), 0);
		EXPECT_EQ(before - bytes_of(mapper), all);
		ASSERT_EQ(ask(mapper, contents, slot(0), -1), 0);
		EXPECT_EQ(ask(mapper, pmd_mapped, slot(0), nr_ranges), 1);

		ASSERT_EQ(rewrite(file), 0);
	}

	ASSERT_EQ(ask(mapper, contents, slot(0), -1), 0);
	ASSERT_EQ(ask(mapper, unmap, slot(0), 0), 0);
	EXPECT_EQ(bytes_of(mapper), start);
}

/*
 * A table that the file shares with something else is not retracted: neither
 * where the mapping ends inside of the range, nor where it lies askew to it.
 *
 *   slot 2: | file        | anonymous    |               first range
 *           | anonymous | file, shifted by SHMLBA ... |  second and third
 *
 * SHMLBA is a page, or what caches ask of the addresses of shared memory.
 */
static char *askew_part(char *addr)
{
	return addr + pmd_size + SHMLBA;
}

static long map_parts(struct test_file *file, char *addr, long arg)
{
	char *askew = askew_part(addr);
	long ret;

	if (mmap(addr, MIN_RANGES * pmd_size + SHMLBA,
		 PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0) == MAP_FAILED)
		return failed("mmap of anonymous memory");
	ret = map_range(file, addr, pmd_size / 2, file->shared_mapping);
	if (!ret)
		ret = map_range(file, askew, pmd_size, file->shared_mapping);
	if (ret)
		return ret;

	fill_page(addr + pmd_size / 2, PRIVATE_SEED);
	fill_page(addr + pmd_size, PRIVATE_SEED + 2);
	return 0;
}

static long check_parts(struct test_file *file, char *addr, long arg)
{
	char *askew = askew_part(addr);
	long ret;

	ret = compare_file(file, addr, pmd_size / 2 / page_size, -1);
	if (!ret)
		ret = compare_file(file, askew, pmd_size / page_size, -1);
	if (!ret)
		ret = compare(addr + pmd_size / 2, PRIVATE_SEED, "anonymous", 0);
	if (!ret)
		ret = compare(addr + pmd_size, PRIVATE_SEED + 2, "anonymous", 1);
	return ret;
}

TEST_F_TIMEOUT(pgtable_retract, part_of_a_table, TEST_SECONDS)
{
	struct test_file *file = &self->file;
	long all = nr_ranges * table_bytes;
	struct mapper *mapper = &self->mappers[0];
	long start, before;

	ASSERT_EQ(map_file(file, slot(0), 0), 0);
	spawn(_metadata, file, self->mappers, 1);
	start = bytes_of(mapper);
	ASSERT_EQ(ask(mapper, map_parts, slot(2), 0), 0);
	ASSERT_EQ(ask(mapper, check_parts, slot(2), 0), 0);
	ASSERT_EQ(ask(mapper, touch, slot(0), 0), 0);
	before = bytes_of(mapper);
	EXPECT_EQ(before - start, all + 3 * table_bytes);

	ASSERT_EQ(collapse(file), 0);

	EXPECT_EQ(before - bytes_of(mapper), all);
	EXPECT_EQ(ask(mapper, check_parts, slot(2), 0), 0);
	EXPECT_EQ(ask(mapper, contents, slot(0), -1), 0);
	EXPECT_EQ(ask(mapper, pmd_mapped, slot(0), nr_ranges), 1);
	ASSERT_EQ(ask(mapper, unmap, slot(2), 0), 0);
	ASSERT_EQ(ask(mapper, unmap, slot(0), 0), 0);
	EXPECT_EQ(bytes_of(mapper), start);
}

/* What must survive: install_*() makes item() special, check_*() looks at it */

static long expect_signal(char *addr, bool write, int expected)
{
	int sig = write ? poke(addr) : peek(addr);

	if (sig == expected)
		return 0;
	ksft_print_msg("%s access gave signal %d, not %d\n",
		       write ? "write" : "read", sig, expected);
	return -EIO;
}

static long install_private(struct test_file *file, char *addr, long arg)
{
	fill_page(item(addr), PRIVATE_SEED);
	return 0;
}

static long check_private(struct test_file *file, char *addr, long arg)
{
	return compare(item(addr), PRIVATE_SEED, "the private", item_index());
}

static long install_guard(struct test_file *file, char *addr, long arg)
{
	if (!madvise(item(addr), page_size, MADV_GUARD_INSTALL))
		return 0;
	if (errno == EINVAL)
		return -EOPNOTSUPP;
	return failed("MADV_GUARD_INSTALL");
}

static long check_guard(struct test_file *file, char *addr, long arg)
{
	return expect_signal(item(addr), false, SIGSEGV);
}

/* Register the mapping at @addr. -EOPNOTSUPP if this kernel cannot do that. */
static long register_uffd(struct test_file *file, char *addr,
			  __u64 mode, __u64 features)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = file_size },
		.mode = mode,
	};

	uffd = open_uffd(features);
	if (uffd < 0) {
		ksft_print_msg("userfaultfd: %s\n", strerror(-uffd));
		return uffd;
	}
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		return errno == EINVAL ? -EOPNOTSUPP :
					 failed("UFFDIO_REGISTER");
	return 0;
}

static void close_uffd(void)
{
	if (uffd >= 0)
		close(uffd);
	uffd = -1;
}

/* Of a regular file only asynchronous write protection can be had. */
static long install_wp_marker(struct test_file *file, char *addr, long arg)
{
	__u64 features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_SIGBUS;
	long ret;

	uffd_async = file->backing == BACKED_BY_FILE;
	if (uffd_async)
		features = UFFD_FEATURE_WP_ASYNC;
	ret = register_uffd(file, addr, UFFDIO_REGISTER_MODE_WP, features);
	return ret ?: uffd_protect(uffd, item(addr), page_size, true);
}

static long install_wp_page(struct test_file *file, char *addr, long arg)
{
	FORCE_READ(*item(addr));
	return install_wp_marker(file, addr, arg);
}

static long check_wp(struct test_file *file, char *addr, long arg)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const char *what;

	if (pagemap < 0)
		return failed("opening pagemap");

	what = lost_protection(pagemap, item(addr), uffd_async);
	close(pagemap);
	if (!what)
		return 0;
	ksft_print_msg("%s\n", what);
	return -EIO;
}

static long install_rwp(struct test_file *file, char *addr, long arg)
{
#ifdef UFFDIO_REGISTER_MODE_RWP
	struct uffdio_rwprotect rwp = {
		.range = { .start = (uintptr_t)item(addr), .len = page_size },
		.mode = UFFDIO_RWPROTECT_MODE_RWP,
	};
	long ret;

	FORCE_READ(*item(addr));
	ret = register_uffd(file, addr, UFFDIO_REGISTER_MODE_RWP,
			    UFFD_FEATURE_RWP | UFFD_FEATURE_SIGBUS);
	if (ret)
		return ret;
	if (ioctl(uffd, UFFDIO_RWPROTECT, &rwp))
		return failed("UFFDIO_RWPROTECT");
	return expect_signal(item(addr), false, SIGBUS);
#else
	return -EOPNOTSUPP;
#endif
}

static long install_private_rwp(struct test_file *file, char *addr, long arg)
{
	fill_page(item(addr), PRIVATE_SEED);
	return install_rwp(file, addr, arg);
}

static long check_private_rwp(struct test_file *file, char *addr, long arg)
{
	return expect_signal(item(addr), false, SIGBUS);
}

/* A private page put beside the page cache, which no page lock holds back. */
static long install_copy(struct test_file *file, char *addr, long arg)
{
	long ret;

	fill_page(page_buf, PRIVATE_SEED);
	ret = register_uffd(file, addr, UFFDIO_REGISTER_MODE_MISSING,
			    UFFD_FEATURE_MISSING_SHMEM);
	if (ret)
		return ret;
	/* The table may go before the page is in it. */
	do {
		ret = uffd_copy(uffd, item(addr), page_buf);
	} while (ret == -EAGAIN);
	return ret;
}

/* A marker in an empty entry, which nothing but the page table knows about. */
static long install_poison(struct test_file *file, char *addr, long arg)
{
	long ret;

	ret = register_uffd(file, addr, UFFDIO_REGISTER_MODE_MISSING,
			    UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_POISON);
	return ret ?: uffd_poison(uffd, item(addr));
}

static long check_poison(struct test_file *file, char *addr, long arg)
{
	return expect_signal(item(addr), false, SIGBUS);
}

struct survivor {
	const char *needs;	/* what the kernel lacks if it is refused */
	work_fn map;
	work_fn install;
	work_fn check;		/* NULL: only the tables are looked at */
	bool splits;		/* its page is of a huge page that was split */
};

static const struct survivor private_page = {
	.needs = "private mappings",
	.map = map_private,
	.install = install_private,
	.check = check_private,
	.splits = true,
};

static const struct survivor copied_page = {
	.needs = "UFFDIO_COPY to this kind of mapping",
	.map = map_private,
	.install = install_copy,
	.check = check_private,
};

static const struct survivor guard_region = {
	.needs = "MADV_GUARD_INSTALL of this kind of mapping",
	.map = map_file,
	.install = install_guard,
	.check = check_guard,
};

static const struct survivor wp_page = {
	.needs = "userfaultfd write protection of this kind of mapping",
	.map = map_for_uffd,
	.install = install_wp_page,
	.check = check_wp,
};

static const struct survivor wp_marker = {
	.needs = "userfaultfd write protection of this kind of mapping",
	.map = map_for_uffd,
	.install = install_wp_marker,
	.check = check_wp,
};

/* A page of the file loses this protection with its PTE: look at the tables. */
static const struct survivor rwp_page = {
	.needs = "userfaultfd RWP of this kind of mapping",
	.map = map_for_uffd,
	.install = install_rwp,
};

static const struct survivor poisoned_page = {
	.needs = "UFFDIO_POISON of this kind of mapping",
	.map = map_file,
	.install = install_poison,
	.check = check_poison,
};

static const struct survivor private_rwp_page = {
	.needs = "userfaultfd RWP of this kind of mapping",
	.map = map_private,
	.install = install_private_rwp,
	.check = check_private_rwp,
};

/*
 * A mapping is retracted like any other until one page, in one of its tables,
 * becomes special. From then on it keeps its tables when the file is collapsed,
 * and what is special stays. The other mappings of the same pages,
 * in this process and in another, are retracted all the same.
 *
 *   process 1: | slot 0: file | slot 2: file with something special |
 *   process 2: | slot 0: file |
 */
static void survives(struct __test_metadata *_metadata, struct test_file *file,
		     struct mapper *mappers, const struct survivor *survivor)
{
	struct mapper *mapper = &mappers[0], *other = &mappers[1];
	long all = nr_ranges * table_bytes;
	long start, before, before_other, ret;

	ASSERT_EQ(map_file(file, slot(0), 0), 0);
	spawn(_metadata, file, mappers, 2);
	start = bytes_of(mapper);

	ASSERT_EQ(ask(mapper, survivor->map, slot(2), 0), 0);
	ASSERT_EQ(ask(mapper, touch, slot(2), 0), 0);
	before = bytes_of(mapper);
	ASSERT_EQ(collapse(file), 0);
	ASSERT_EQ(before - bytes_of(mapper), all);

	ASSERT_EQ(survivor->splits ? split_and_drop(file) : rewrite(file), 0);
	ret = ask(mapper, survivor->install, slot(2), 0);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "this kernel has no %s", survivor->needs);
	ASSERT_EQ(ret, 0);

	ASSERT_EQ(ask(mapper, touch, slot(2), 0), 0);
	ASSERT_EQ(ask(mapper, touch, slot(0), 0), 0);
	ASSERT_EQ(ask(other, touch, slot(0), 0), 0);
	before = bytes_of(mapper);
	before_other = bytes_of(other);
	EXPECT_EQ(before - start, 2 * all);

	ASSERT_EQ(collapse(file), 0);

	EXPECT_EQ(before - bytes_of(mapper), all);
	EXPECT_EQ(before_other - bytes_of(other), all);
	if (survivor->check)
		EXPECT_EQ(ask(mapper, survivor->check, slot(2), 0), 0);
	EXPECT_EQ(ask(mapper, contents, slot(2), item_index()), 0);
	EXPECT_EQ(ask(mapper, pmd_mapped, slot(2), 0), 1);
	EXPECT_EQ(ask(mapper, contents, slot(0), -1), 0);
	EXPECT_EQ(ask(mapper, pmd_mapped, slot(0), nr_ranges), 1);
	EXPECT_EQ(ask(other, contents, slot(0), -1), 0);
	EXPECT_EQ(ask(other, pmd_mapped, slot(0), nr_ranges), 1);

	ASSERT_EQ(ask(mapper, unmap, slot(2), 0), 0);
	ASSERT_EQ(ask(mapper, unmap, slot(0), 0), 0);
	EXPECT_EQ(bytes_of(mapper), start);
}

/* A private page, written before the collapse, keeps its contents. */
TEST_F_TIMEOUT(pgtable_retract, private_page, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &private_page);
}

/* So does a private page that userfaultfd has put there. */
TEST_F_TIMEOUT(pgtable_retract_uffd, copied_page, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &copied_page);
}

/* A guard region still kills a process that touches it. */
TEST_F_TIMEOUT(pgtable_retract, guard_region, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &guard_region);
}

/* A page of the file that is write-protected by userfaultfd stays protected. */
TEST_F_TIMEOUT(pgtable_retract, uffd_wp_page, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &wp_page);
}

/* So does an address that was write-protected while it had no page. */
TEST_F_TIMEOUT(pgtable_retract, uffd_wp_marker, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &wp_marker);
}

/* A page that userfaultfd has poisoned still cannot be read. */
TEST_F_TIMEOUT(pgtable_retract_uffd, poisoned_page, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &poisoned_page);
}

/* A mapping registered for userfaultfd RWP keeps its tables. */
TEST_F_TIMEOUT(pgtable_retract_uffd, rwp, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &rwp_page);
}

/* A private page that is read-write-protected stays protected. */
TEST_F_TIMEOUT(pgtable_retract_uffd, rwp_private, TEST_SECONDS)
{
	survives(_metadata, &self->file, self->mappers, &private_rwp_page);
}

/*
 * Late arrivals: what is installed while the file is being collapsed is not
 * lost. In every round a new mapping, whose table is empty or maps the file
 * only, gets one of the above while the collapse of that range is under way,
 * each time at another moment of it. Whether a round meets the narrow moment in
 * question is chance; to lose something is an error at any.
 */
static bool race_wait(struct shared *shared, unsigned int *counter,
		      unsigned int value)
{
	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < value) {
		if (__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE))
			return false;
		sched_yield();
	}
	return true;
}

/* 0, an error, or 1 when there is no collapse any more to race with. */
static long race_round(struct test_file *file, const struct survivor *survivor,
		       unsigned int round)
{
	struct shared *shared = file->shared;
	unsigned long long until;
	long error, ret;

	ret = survivor->map(file, slot(2), 0);
	if (ret)
		return ret;
	touch(file, slot(2), 0);

	__atomic_store_n(&shared->ready, round, __ATOMIC_RELEASE);
	if (!race_wait(shared, &shared->started, round))
		return 1;
	until = now_usecs() + shared->collapse_usecs * (round * 37 % 128) / 100;
	while (now_usecs() < until)
		;
	ret = survivor->install(file, slot(2), 0);
	race_wait(shared, &shared->finished, round);
	if (!ret)
		ret = survivor->check(file, slot(2), 0);

	close_uffd();
	unmap(file, slot(2), 0);
	error = split(file);
	return error ? error : ret;
}

/* The number of rounds in which nothing was lost, or an error. */
static long race_with_collapse(struct test_file *file, char *addr, long arg)
{
	const struct survivor *kinds[] = {
		&private_page, &guard_region, &wp_marker, &copied_page,
	};
	unsigned int nr_kinds = ARRAY_SIZE(kinds), nr = 0, round = 0;
	long ret;

	do {
		ret = race_round(file, kinds[nr % nr_kinds], ++round);
		if (ret == -EOPNOTSUPP && nr_kinds > 1) {
			nr_kinds--;
			kinds[nr % (nr_kinds + 1)] = kinds[nr_kinds];
			ret = 0;
		} else if (!ret) {
			nr++;
		}
	} while (!ret);
	return ret < 0 ? ret : nr;
}

TEST_F_TIMEOUT(pgtable_retract, late_arrivals, TEST_SECONDS)
{
	struct test_file *file = &self->file;
	struct mapper *mapper = &self->mappers[0];
	struct shared *shared = file->shared;
	unsigned int round = 0, collapsed = 0;
	unsigned long long begin, end, late;
	long start;

	spawn(_metadata, file, self->mappers, 1);
	start = bytes_of(mapper);
	ASSERT_TRUE(tell(mapper, race_with_collapse, NULL, 0));

	/* Wait for a slow mapper, but not for one that has given up. */
	end = now_usecs() + RACE_MSECS * 1000ULL;
	late = end + 20 * 1000000ULL;
	while (now_usecs() < (round < MIN_ROUNDS ? late : end)) {
		if (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) <= round) {
			sched_yield();
			continue;
		}
		round++;
		begin = now_usecs();
		__atomic_store_n(&shared->started, round, __ATOMIC_RELEASE);
		if (!collapse_ranges(file, 1, 1))
			collapsed++;
		shared->collapse_usecs = now_usecs() - begin;
		__atomic_store_n(&shared->finished, round, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);

	EXPECT_GT(answer_of(mapper), 0);
	EXPECT_GT(collapsed, 0);
	TH_LOG("%u rounds, %u of them collapsed", round, collapsed);
	ASSERT_EQ(ask(mapper, unmap, slot(2), 0), 0);
	EXPECT_EQ(bytes_of(mapper), start);
}

/* The machine */

/* The file, a huge page to collapse into, and as much for everything else. */
static const char *too_large(unsigned int nr)
{
	return lack_of_memory((nr + 2) * (pmd_size >> 20) + 16);
}

static void make_arena(void)
{
	size_t len = (2 + NR_FILLER + NR_SLOTS * MAX_RANGES) * pmd_size;
	char *last;

	arena = reserve_arena(len);
	arena_end = arena + len;
	last = arena_end - pmd_size;
	if (mprotect(arena, page_size, PROT_READ | PROT_WRITE) ||
	    mprotect(last, page_size, PROT_READ | PROT_WRITE))
		ksft_exit_fail_perror("mprotect of the arena's edges");
	memset(arena, 1, page_size);
	memset(last, 1, page_size);
}

/* How much VmPTE grows by a table is measured, as it is no fixed size. */
static void measure_table(void)
{
	unsigned int i;
	long kb;

	if (map_filler())
		ksft_exit_fail();
	vm_pte_kb();
	kb = vm_pte_kb();
	for (i = 0; i < NR_FILLER; i++)
		touch_filler(i);
	table_bytes = (vm_pte_kb() - kb) * 1024 / NR_FILLER;
	if (map_filler())
		ksft_exit_fail();
}

/* NULL, or why nothing can be tested here. */
static const char *set_up_machine(void)
{
	const char *reason = find_page_sizes();

	if (reason)
		return reason;
	if (vm_pte_kb() < 0)
		return "/proc/self/status has no VmPTE";

	/* Two show the same as three, when they are so large. */
	nr_ranges = pmd_size >> 20 > 4 ? MIN_RANGES : MAX_RANGES;
	while ((reason = too_large(nr_ranges)))
		if (nr_ranges-- == MIN_RANGES)
			return reason;
	file_size = nr_ranges * pmd_size;

	page_buf = malloc(page_size);
	if (!page_buf)
		ksft_exit_fail_perror("malloc");
	memset(page_buf, 0, page_size);

	use_small_pages();
	make_arena();
	measure_table();
	if (!table_bytes)
		return "VmPTE does not count page tables";
	return NULL;
}

int main(int argc, char **argv)
{
	/* To write to a mapper that has died is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	no_test_reason = set_up_machine();
	return test_harness_run(argc, argv);
}
