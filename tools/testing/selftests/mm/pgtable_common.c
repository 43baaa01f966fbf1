// SPDX-License-Identifier: GPL-2.0
/* What pgtable_fuzz and the programs that it prints have in common. */

#include <linux/magic.h>
#include <setjmp.h>
#include <sys/vfs.h>
#include "hugepage_settings.h"
#include "pgtable_common.h"

unsigned long page_size, pmd_size;

/* Where an access goes that raises a signal, while there is one. */
static __thread sigjmp_buf escape;
static __thread bool accessing;

/* Turn THP off: pages are small at first, and only the tests collapse them. */
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

/* Returns NULL, or why nothing can be tested. */
const char *set_up_machine(void)
{
	page_size = psize();
	if (!thp_available())
		return "this kernel has no transparent huge pages";
	pmd_size = read_pmd_pagesize();
	if (!pmd_size)
		return "PMD-sized huge pages are not available";
	/* What the page cache takes, shmem can be asked for. */
	if (!(thp_shmem_supported_orders() & (pmd_size / page_size)))
		return "a huge page is too large for the page cache";
	if (geteuid())
		return "only root can change the huge page settings";
	/* Nothing to do is a success, an unknown advice an error. */
	if (madvise(NULL, 0, MADV_COLLAPSE))
		return "this kernel has no MADV_COLLAPSE";
	if (proc_kb("/proc/meminfo", "MemAvailable:") < (long)(16 * pmd_size >> 10))
		return "too little memory for huge pages of this size";
	use_small_pages();
	return NULL;
}

/* A signal that no access expects ends the process, as without this handler. */
static void handle_signal(int sig)
{
	if (accessing)
		siglongjmp(escape, sig);
	signal(sig, SIG_DFL);
}

void become_child(void)
{
	struct sigaction act = { .sa_handler = handle_signal, .sa_flags = SA_NODEFER };

	/* The handlers that restore the settings are the parent's business. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
}

/* @len bytes that nothing is mapped to and nothing else will be, PMD-aligned. */
char *reserve_arena(size_t len)
{
	uintptr_t addr = (uintptr_t)mmap(NULL, len + pmd_size, PROT_NONE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == (uintptr_t)MAP_FAILED)
		ksft_exit_fail_perror("mmap of the arena");
	return (char *)((addr + pmd_size - 1) & ~(pmd_size - 1));
}

/* A file without a name, not of tmpfs. Returns -1 if there is no place for it. */
int create_file(void)
{
	const char * const dirs[] = { getenv("PGTABLE_TEST_DIR"), ".", "/tmp", "/var/tmp" };
	struct statfs fs;
	unsigned int i;
	int fd = -1;

	for (i = 0; i < ARRAY_SIZE(dirs) && fd < 0; i++)
		if (dirs[i] && !statfs(dirs[i], &fs) && fs.f_type != TMPFS_MAGIC)
			fd = open(dirs[i], O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	return fd;
}

/* The number behind @name in a file such as /proc/self/status, or -1. */
long proc_kb(const char *path, const char *name)
{
	char buf[8192], *line = NULL;

	if (read_file(path, buf, sizeof(buf)))
		line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

unsigned long long now_usecs(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

/* Reads @nr words, up to the first one that is not what it must be, or, without @diff, writes. */
static int access_words(char *addr, unsigned long nr, unsigned long seed, struct difference *diff)
{
	unsigned long *words = (unsigned long *)addr, word, found, i;
	int ret;

	ret = sigsetjmp(escape, 0);
	accessing = !ret;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < nr && !ret; i++) {
		word = seed ? seed + 2 * i : 0;
		if (!diff) {
			__atomic_store_n(&words[i], word, __ATOMIC_RELAXED);
			continue;
		}
		found = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
		*diff = (struct difference){ i, word, found };
		ret = found == word ? 0 : -1;
	}
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	accessing = false;
	return ret;
}

int fill_page(char *addr, unsigned long seed)
{
	return access_words(addr, page_size / sizeof(long), seed, NULL);
}

int compare_page(char *addr, unsigned long seed, struct difference *diff)
{
	return access_words(addr, page_size / sizeof(long), seed, diff);
}

/* Read a word, whatever it is. */
int peek(char *addr)
{
	struct difference diff;
	int ret = access_words(addr, 1, 0, &diff);

	return ret < 0 ? 0 : ret;
}
