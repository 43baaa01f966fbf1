// SPDX-License-Identifier: GPL-2.0
/*
 * Retraction of page tables, as seen from userspace.
 *
 * When the small pages of a file are collapsed into a huge page, the PTE tables
 * that mapped them are left empty, in every process. The kernel removes these
 * tables, so that the next fault can map the huge page by a PMD entry. It has to
 * keep a table that holds what the file cannot give back.
 *
 * VmPTE in /proc/PID/status tells how much memory the page tables of a process
 * take. All counts below are exact: to have nothing else come and go, every
 * mapping that is looked at lives in one area, whose upper page tables are held
 * by a page at either end:
 *
 *   +------+------------------+--------+--------+--------+--------+------+
 *   | page | filler           | slot 0 | slot 1 | slot 2 | slot 3 | page |
 *   +------+------------------+--------+--------+--------+--------+------+
 *
 * Each slot has room for a mapping of the whole test file. Slot 3 is used by
 * collapse() only, the filler by pgtable_bytes().
 */

#define _GNU_SOURCE
#define __SANE_USERSPACE_TYPES__ // Use ll64
#include "kselftest_harness.h"
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/vfs.h>
#include "hugepage_settings.h"
#include "vm_util.h"

#define MAX_RANGES	3
#define NR_FILLER	16
#define NR_SLOTS	4
#define COLLAPSE_SLOT	3
#define NR_PROCESSES	3
#define NR_ROUNDS	32
#define PRIVATE_PAGE	(~0UL)	/* page_data() of what is not in the file */
#define TEST_SECONDS	600	/* emulated machines are slow */

/* The machine, found out once in main(). */
static unsigned long page_size, pmd_size, table_bytes;
static size_t file_size;
static unsigned int nr_ranges;		/* of pmd_size in the file */
static char *area;
static unsigned long *page_buf;
static const char *no_test_reason;

/* The file: each test has one. Its contents change with the version. */
static int fd = -1;
static bool is_shmem;
static unsigned int version;

static char *slot(unsigned int nr)
{
	return area + (1 + NR_FILLER + nr * MAX_RANGES) * pmd_size;
}

/* The number behind @name in a file of /proc, in KiB. */
static long proc_kb(const char *path, const char *name)
{
	char buf[8192], *line = NULL;

	if (read_file(path, buf, sizeof(buf)))
		line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

static long vm_pte_kb(void)
{
	return proc_kb("/proc/self/status", "\nVmPTE:");
}

static long rss_kb(void)
{
	return proc_kb("/proc/self/status",
		       is_shmem ? "\nRssShmem:" : "\nRssFile:");
}

static void map_anon(char *addr, size_t len, int prot)
{
	if (mmap(addr, len, prot, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_NORESERVE, -1, 0) == MAP_FAILED)
		ksft_exit_fail_perror("mmap of anonymous memory");
}

/* Without access, populate_process() leaves it alone. */
static void map_filler(int prot)
{
	map_anon(area + pmd_size, NR_FILLER * pmd_size, prot);
}

/*
 * The size of this process's page tables. VmPTE counts in whole KiB, but a
 * table can be smaller than that (a powerpc table of 64K pages has 256 bytes).
 * Then fault in tables until VmPTE moves, which tells what it had rounded off.
 */
static long pgtable_bytes(void)
{
	long kb = vm_pte_kb();
	unsigned int nr = 0;

	if (!(table_bytes % 1024))
		return kb * 1024;
	map_filler(PROT_READ | PROT_WRITE);
	while (vm_pte_kb() == kb)
		area[++nr * pmd_size] = 1;
	map_filler(PROT_NONE);
	return (kb + 1) * 1024 - nr * table_bytes;
}

/* Have all tables of code and data before anything is counted. */
static void populate_process(void)
{
	if (mlockall(MCL_CURRENT) || munlockall())
		ksft_exit_fail_perror("mlockall");
}

/* What page @index of the file holds, in this version of the file. */
static void *page_data(unsigned long index)
{
	unsigned long i, seed = (index * 64 + version) * 0x9e3779b1UL;

	for (i = 0; i < page_size / sizeof(*page_buf); i++)
		page_buf[i] = seed + i;
	return page_buf;
}

/*
 * The first page of a mapping that is not the file's, but for @skip, or -1.
 * Not by memcmp(), which may read on into page @skip: the C library of sparc64
 * does, and gets SIGBUS if that page is poisoned.
 */
static long wrong_page(const void *addr, long skip)
{
	const unsigned long *word = addr;
	unsigned long j, words = page_size / sizeof(*word);
	long i;

	for (i = 0; i < file_size / page_size; i++, word += words) {
		if (i == skip)
			continue;
		page_data(i);
		for (j = 0; j < words; j++)
			if (word[j] != page_buf[j])
				return i;
	}
	return -1;
}

/* Write page by page: a longer write may fill the cache with larger folios. */
static void write_pages(unsigned long first, unsigned long nr)
{
	unsigned long i;

	for (i = first; i < first + nr; i++)
		if (pwrite(fd, page_data(i), page_size, (off_t)i * page_size) !=
		    page_size)
			ksft_exit_fail_perror("writing the file");
	if (fsync(fd))
		ksft_exit_fail_perror("fsync");
}

/* Replace the whole file by small pages with other contents. */
static void rewrite_file(void)
{
	version++;
	if (ftruncate(fd, 0) || ftruncate(fd, file_size))
		ksft_exit_fail_perror("ftruncate");
	write_pages(0, file_size / page_size);
}

/* Replace a page by another with the same contents. This splits a huge page. */
static void replace_page(unsigned long index)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)index * page_size, page_size))
		ksft_exit_fail_perror("punching a hole");
	write_pages(index, 1);
}

static void map_part(char *addr, size_t len, off_t offset, bool shared)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE, MAP_FIXED |
		 (shared ? MAP_SHARED : MAP_PRIVATE), fd, offset) == MAP_FAILED)
		ksft_exit_fail_perror("mmap of the file");
}

/*
 * Map the file. Read from every range, so that each has its page table; but not
 * at its ends or in its middle, nor near them: there test_survivor() needs pages
 * that are not mapped.
 */
static void map_file(char *addr, bool shared)
{
	map_part(addr, file_size, 0, shared);
	force_read_pages(addr + pmd_size / 4, nr_ranges, pmd_size);
}

/*
 * Map the huge pages of the file by PTEs: a range whose first half is mapped
 * alone gets a page table, and keeps it when the other half follows.
 */
static void map_file_by_ptes(char *addr, bool shared)
{
	size_t half = pmd_size / 2, offset;

	for (offset = 0; offset < file_size; offset += half) {
		map_part(addr + offset, half, offset, shared);
		if (madvise(addr + offset, half, MADV_POPULATE_READ))
			ksft_exit_fail_perror("MADV_POPULATE_READ");
	}
}

static void unmap(char *addr)
{
	map_anon(addr, MAX_RANGES * pmd_size, PROT_NONE);
}

/* Are exactly @nr ranges of the mapping at @addr mapped by a PMD entry? */
static bool pmd_mapped(char *addr, unsigned int nr)
{
	return is_shmem ? check_huge_shmem(addr, file_size, nr, pmd_size) :
			  check_huge_file(addr, file_size, nr, pmd_size);
}

/* 0 or an error, which is not that a page was in use for a moment. */
static int try_collapse(char *addr, size_t len)
{
	unsigned int tries = 50;

	while (madvise(addr, len, MADV_COLLAPSE)) {
		if (!--tries)
			return errno;
		if (errno == ENOMEM)
			write_num("/proc/sys/vm/compact_memory", 1);
		else if (errno != EAGAIN)
			return errno;
		usleep(2000);
	}
	return 0;
}

/*
 * Collapse the file through another mapping. (That which is given to madvise()
 * is not left to retract_page_tables(), but try_collapse_pte_mapped_thp().)
 */
static int collapse(unsigned int first, unsigned int nr)
{
	char *addr = slot(COLLAPSE_SLOT);
	int err;

	map_part(addr, file_size, 0, true);
	err = try_collapse(addr + first * pmd_size, nr * pmd_size);
	unmap(addr);
	return err;
}

static int open_file(const char *dir)
{
	struct statfs fs;

	if (is_shmem)
		return memfd_create("pgtable_retract", MFD_CLOEXEC);
	if (statfs(dir, &fs) || fs.f_type == TMPFS_MAGIC)
		return -1;
	return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Open a file that can be collapsed. NULL, or why there is none. */
static const char *set_up_file(bool shmem)
{
	const char * const dirs[] = {
		getenv("PGTABLE_TEST_DIR"), ".", "/tmp", "/var/tmp",
	};
	unsigned int i;
	int err;

	if (no_test_reason)
		return no_test_reason;
	is_shmem = shmem;
	/* A test that was killed may have left others. */
	thp_write_settings(thp_current_settings());
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		fd = dirs[i] ? open_file(dirs[i]) : -1;
		if (fd < 0)
			continue;
		rewrite_file();
		err = collapse(0, 1);
		rewrite_file();
		populate_process();
		if (!err)
			return NULL;
		if (err == ENOMEM)
			return "no huge page to be had";
		if (shmem)
			ksft_exit_fail_msg("MADV_COLLAPSE: %s\n", strerror(err));
		close(fd);
	}
	return "no directory with files that can be collapsed";
}

FIXTURE(tables)
{
};

FIXTURE_VARIANT(tables)
{
	bool shmem;
};

FIXTURE_VARIANT_ADD(tables, shmem)
{
	.shmem = true,
};

FIXTURE_VARIANT_ADD(tables, file)
{
	.shmem = false,
};

FIXTURE_SETUP(tables)
{
	const char *reason = set_up_file(variant->shmem);

	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(tables)
{
}

/*
 * Tables that the file may share with something else, which is not there:
 *
 *   | file        |              |               first range
 *   |           | file, shifted by SHMLBA ...  |  second and third
 *
 * SHMLBA is a page, or what caches ask of the addresses of shared memory.
 */
static void map_parts(char *addr)
{
	char *shifted = addr + pmd_size + SHMLBA;

	map_part(addr, pmd_size / 2, 0, true);
	map_part(shifted, pmd_size, 0, true);
	force_read_pages(addr, 1, 0);
	force_read_pages(shifted, 2, pmd_size - page_size);
}

/* In a process of its own, which stops for the parent to collapse the file. */
static void lose_tables(struct __test_metadata *_metadata)
{
	long all = nr_ranges * table_bytes, start, before;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	unmap(slot(0));
	populate_process();
	start = pgtable_bytes();
	map_file(slot(0), true);
	map_parts(slot(1));
	map_file(slot(2), false);
	before = pgtable_bytes();
	EXPECT_EQ(before - start, 2 * all + 3 * table_bytes);

	raise(SIGSTOP);

	EXPECT_EQ(before - pgtable_bytes(), 2 * all);
	unmap(slot(1));
	for (i = 0; i <= 2; i += 2) {
		EXPECT_TRUE(pmd_mapped(slot(i), 0));
		force_read_pages(slot(i), nr_ranges, pmd_size);
		EXPECT_TRUE(pmd_mapped(slot(i), nr_ranges));
		EXPECT_EQ(wrong_page(slot(i), -1), -1);
		unmap(slot(i));
	}
	EXPECT_EQ(pgtable_bytes(), start);
}

/*
 * Check that every mapping in every process loses exactly its table of each
 * range, because the collapse has to find them all: also those behind a mapping
 * without a table, or with a table that has to stay. The huge pages are mapped
 * by PMD at the next fault, and unmapping leaves as many tables as at first.
 *
 *   this process: | slot 0: file, not touched |
 *   three others: | slot 0: file | slot 1: parts of it | slot 2: file, private |
 */
TEST_F_TIMEOUT(tables, every_mapping, TEST_SECONDS)
{
	pid_t pids[NR_PROCESSES];
	int status, i;

	map_part(slot(0), file_size, 0, true);
	for (i = 0; i < NR_PROCESSES; i++) {
		pids[i] = fork();
		ASSERT_GE(pids[i], 0);
		if (!pids[i]) {
			lose_tables(_metadata);
			_exit(0);
		}
		ASSERT_EQ(waitpid(pids[i], &status, WUNTRACED), pids[i]);
		ASSERT_TRUE(WIFSTOPPED(status));
	}

	EXPECT_EQ(collapse(0, nr_ranges), 0);

	for (i = 0; i < NR_PROCESSES; i++) {
		kill(pids[i], SIGCONT);
		ASSERT_EQ(waitpid(pids[i], &status, 0), pids[i]);
		EXPECT_EQ(status, 0);
	}
}

/*
 * Check that the mapping which is given to madvise() is mapped by PMD when the
 * call returns, without another fault. Some architectures put a table aside for
 * each PMD that maps a huge page; how many is known from a second mapping.
 *
 * Then map the huge pages by PTEs and do it again: VmPTE and Rss have to be the
 * same each time. Nor may page tables be left behind (others come and go on the
 * machine: try three times), or references to the huge page, because then it
 * could not be split.
 */
TEST_F_TIMEOUT(tables, own_mapping, TEST_SECONDS)
{
	long all = nr_ranges * table_bytes, rss = rss_kb(), start, before;
	/* Half of the memory of the tables that are removed, in KiB. */
	long limit = NR_ROUNDS * all / 2 / 1024;
	long set_aside, global, tries = 0;
	unsigned int round;

	start = pgtable_bytes();
	map_file(slot(0), true);
	map_file(slot(1), false);
	EXPECT_EQ(pgtable_bytes() - start, 2 * all);

	ASSERT_EQ(try_collapse(slot(0), file_size), 0);

	EXPECT_TRUE(pmd_mapped(slot(0), nr_ranges));
	EXPECT_TRUE(pmd_mapped(slot(1), 0));
	before = pgtable_bytes();
	EXPECT_EQ(wrong_page(slot(1), -1), -1);
	EXPECT_TRUE(pmd_mapped(slot(1), nr_ranges));
	set_aside = pgtable_bytes() - before;
	EXPECT_EQ(before - start, set_aside);
	EXPECT_EQ(rss_kb() - rss, 2 * file_size / 1024);

	memcpy(slot(1), page_data(PRIVATE_PAGE), page_size);
	EXPECT_EQ(wrong_page(slot(1), 0), -1);
	EXPECT_EQ(wrong_page(slot(0), -1), -1);
	unmap(slot(1));

	do {
		global = proc_kb("/proc/meminfo", "\nPageTables:");
		for (round = 0; round < NR_ROUNDS; round++) {
			unmap(slot(0));
			ASSERT_EQ(pgtable_bytes(), start);
			ASSERT_EQ(rss_kb(), rss);
			map_file_by_ptes(slot(0), round % 2);
			ASSERT_TRUE(pmd_mapped(slot(0), 0));
			ASSERT_EQ(pgtable_bytes() - start, all);

			ASSERT_EQ(try_collapse(slot(0), file_size), 0);

			ASSERT_TRUE(pmd_mapped(slot(0), nr_ranges));
			ASSERT_EQ(pgtable_bytes() - start, set_aside);
			ASSERT_EQ(rss_kb() - rss, file_size / 1024);
		}
		sleep(2);	/* RCU frees them, and each CPU counts them alone */
		global = proc_kb("/proc/meminfo", "\nPageTables:") - global;
	} while (global > limit && ++tries < 3);
	EXPECT_LE(global, limit);

	replace_page(0);
	EXPECT_EQ(wrong_page(slot(0), -1), -1);
	EXPECT_TRUE(pmd_mapped(slot(0), nr_ranges - 1));
}

/*
 * Check that khugepaged, too, removes the tables of mappings whose file has been
 * collapsed, but leaves it to the next fault to map the huge page. A table with a
 * private page stays.
 */
TEST_F_TIMEOUT(tables, khugepaged, TEST_SECONDS)
{
	unsigned int order = sz2ord(pmd_size, page_size);
	struct thp_settings settings = *thp_current_settings();
	long before, scans;

	settings.thp_enabled = THP_MADVISE;
	settings.shmem_enabled = SHMEM_ADVISE;
	settings.hugepages[order].enabled = THP_INHERIT;
	settings.shmem_hugepages[order].enabled = SHMEM_INHERIT;

	ASSERT_EQ(collapse(0, nr_ranges), 0);
	map_file_by_ptes(slot(0), true);
	map_file_by_ptes(slot(1), false);
	memcpy(slot(1), page_data(PRIVATE_PAGE), page_size);
	before = pgtable_bytes();
	thp_push_settings(&settings);
	ASSERT_EQ(madvise(slot(0), file_size, MADV_HUGEPAGE), 0);
	ASSERT_EQ(madvise(slot(1), file_size, MADV_HUGEPAGE), 0);
	scans = thp_read_num("khugepaged/full_scans") + 3;
	while (thp_read_num("khugepaged/full_scans") < scans)
		usleep(10000);
	thp_pop_settings();

	EXPECT_TRUE(pmd_mapped(slot(0), 0));
	EXPECT_EQ(before - pgtable_bytes(), (2 * nr_ranges - 1) * table_bytes);
	EXPECT_EQ(wrong_page(slot(0), -1), -1);
	EXPECT_TRUE(pmd_mapped(slot(0), nr_ranges));
	EXPECT_EQ(wrong_page(slot(1), 0), -1);
	EXPECT_TRUE(pmd_mapped(slot(1), nr_ranges - 1));
	EXPECT_EQ(memcmp(slot(1), page_data(PRIVATE_PAGE), page_size), 0);
}

/* The machine */

static const char *find_area(void)
{
	size_t len = (2 + NR_FILLER + NR_SLOTS * MAX_RANGES) * pmd_size;
	unsigned int i;
	char *addr;
	long kb;

	addr = mmap(NULL, len + pmd_size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (addr == MAP_FAILED)
		ksft_exit_fail_perror("mmap of the area");
	area = (char *)(((uintptr_t)addr + pmd_size - 1) & ~(pmd_size - 1));
	map_anon(area, page_size, PROT_READ | PROT_WRITE);
	map_anon(area + len - pmd_size, page_size, PROT_READ | PROT_WRITE);
	area[0] = 1;
	area[len - pmd_size] = 1;

	/* How much VmPTE grows by a table is measured: it is no fixed size. */
	populate_process();
	map_filler(PROT_READ | PROT_WRITE);
	kb = vm_pte_kb();
	for (i = 1; i <= NR_FILLER; i++)
		area[i * pmd_size] = 1;
	table_bytes = (vm_pte_kb() - kb) * 1024 / NR_FILLER;
	map_filler(PROT_NONE);
	return table_bytes ? NULL : "VmPTE does not count page tables";
}

/* NULL, or why nothing can be tested here. */
static const char *set_up_machine(void)
{
	/* Files begin with small pages, and only the tests collapse them. */
	struct thp_settings settings = {
		.thp_enabled = THP_NEVER,
		.shmem_enabled = SHMEM_NEVER,
		.khugepaged = {
			.defrag = 1,
			.alloc_sleep_millisecs = 10,
			.scan_sleep_millisecs = 10,
		},
	};
	long mb;

	page_size = psize();
	if (!thp_available())
		return "this kernel has no transparent huge pages";
	pmd_size = read_pmd_pagesize();
	if (!pmd_size)
		return "this machine has no PMD-sized huge pages";
	/* What the page cache takes, shmem can be asked for. */
	if (!(thp_shmem_supported_orders() & (pmd_size / page_size)))
		return "a huge page is too large for the page cache";
	if (geteuid())
		return "only root can change the huge page settings";

	nr_ranges = pmd_size >> 20 > 4 ? 2 : MAX_RANGES;
	file_size = nr_ranges * pmd_size;
	/* The file, a huge page to collapse into, and as much for the rest. */
	mb = (nr_ranges + 2) * (pmd_size >> 20) + 16;
	if (proc_kb("/proc/meminfo", "\nMemAvailable:") / 1024 < mb)
		return "too little memory for huge pages of this size";

	thp_save_settings();
	settings.khugepaged.pages_to_scan = 8 * pmd_size / page_size;
	thp_push_settings(&settings);
	page_buf = malloc(page_size);
	return find_area();
}

int main(int argc, char **argv)
{
	no_test_reason = set_up_machine();
	return test_harness_run(argc, argv);
}
