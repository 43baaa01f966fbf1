// SPDX-License-Identifier: GPL-2.0
/* What pgtable_fuzz and the programs that it prints have in common. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "hugepage_settings.h"
#include "pgtable_common.h"
#include "vm_util.h"

unsigned long page_size;
unsigned long pmd_size;

/* Where the present access goes when it raises a signal. */
static __thread sigjmp_buf *escape;

/* The machine */

const char *find_page_sizes(void)
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
	return NULL;
}

const char *lack_of_memory(unsigned long mb)
{
	unsigned long available = proc_kb("/proc/meminfo", "MemAvailable:") / 1024;
	static char reason[128];

	if (available >= mb)
		return NULL;
	snprintf(reason, sizeof(reason),
		 "%lu MiB are too little memory for huge pages of %lu MiB",
		 available, pmd_size >> 20);
	return reason;
}

/* Turn THP off: pages are small at first, and only the tests collapse them. */
void use_small_pages(void)
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

/* The number behind @name in a file such as /proc/self/status, or -1. */
long proc_kb(const char *path, const char *name)
{
	char buf[8192], *line;

	if (!read_file(path, buf, sizeof(buf)))
		return -1;
	line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

unsigned long long now_usecs(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

/* Processes and their address space */

static void handle_signal(int sig, siginfo_t *info, void *context)
{
	if (escape)
		siglongjmp(*escape, sig);
	ksft_print_msg("process %d: signal %d at %p\n", getpid(), sig,
		       info->si_addr);
	_exit(KSFT_FAIL);
}

void become_child(void)
{
	struct sigaction act = {
		.sa_sigaction = handle_signal,
		.sa_flags = SA_NODEFER | SA_SIGINFO,
	};

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
					 MAP_PRIVATE | MAP_ANONYMOUS |
					 MAP_NORESERVE, -1, 0);

	if (addr == (uintptr_t)MAP_FAILED)
		ksft_exit_fail_perror("mmap of the arena");
	return (char *)((addr + pmd_size - 1) & ~(pmd_size - 1));
}

/* Pages and accesses to them */

/* The compiler knows nothing of signals: it must not move an access out. */
static void escape_to(sigjmp_buf *where)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&escape, where, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static int try_access(int (*access)(unsigned long *words, unsigned long seed,
				    struct difference *diff),
		      char *addr, unsigned long seed, struct difference *diff)
{
	sigjmp_buf here;
	int ret;

	ret = sigsetjmp(here, 0);
	if (!ret) {
		escape_to(&here);
		ret = access((unsigned long *)addr, seed, diff);
	}
	escape_to(NULL);
	return ret;
}

static int do_fill(unsigned long *words, unsigned long seed,
		   struct difference *diff)
{
	const unsigned long step = seed ? 2 : 0;
	unsigned long i;

	for (i = 0; i < page_size / sizeof(*words); i++, seed += step)
		__atomic_store_n(&words[i], seed, __ATOMIC_RELAXED);
	return 0;
}

static int do_compare(unsigned long *words, unsigned long seed,
		      struct difference *diff)
{
	const unsigned long step = seed ? 2 : 0;
	unsigned long i, found;

	for (i = 0; i < page_size / sizeof(*words); i++, seed += step) {
		found = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
		if (found == seed)
			continue;
		diff->word = i;
		diff->expected = seed;
		diff->found = found;
		return -1;
	}
	return 0;
}

static int do_peek(unsigned long *words, unsigned long seed,
		   struct difference *diff)
{
	FORCE_READ(*words);
	return 0;
}

int fill_page(char *addr, unsigned long seed)
{
	return try_access(do_fill, addr, seed, NULL);
}

int compare_page(char *addr, unsigned long seed, struct difference *diff)
{
	return try_access(do_compare, addr, seed, diff);
}

/* Read a word. */
int peek(char *addr)
{
	return try_access(do_peek, addr, 0, NULL);
}

/* Files */

/* A new file in @dir, without a name; not of tmpfs. */
static int create_in(const char *dir)
{
	char path[PATH_MAX];
	struct statfs fs;
	int fd;

	if (statfs(dir, &fs) || fs.f_type == TMPFS_MAGIC)
		return -1;
	if (snprintf(path, sizeof(path), "%s/pgtable_XXXXXX", dir) >=
	    (int)sizeof(path))
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/*
 * A new file of which @prepare() says that it can be collapsed, on one of the
 * file systems that are tried. @prepare() may return another file instead, or -1, or
 * -ENOMEM if there is no huge page to be had, wherever the file is.
 */
int find_file(int (*prepare)(int fd, void *arg), void *arg)
{
	static const char * const dirs[] = { ".", "/tmp", "/var/tmp" };
	const char *dir = getenv(DIR_VARIABLE);
	unsigned int i, nr = ARRAY_SIZE(dirs);
	int fd = -1;

	if (dir && *dir)
		nr = 1;
	else
		dir = NULL;
	for (i = 0; i < nr && fd < 0 && fd != -ENOMEM; i++) {
		fd = create_in(dir ?: dirs[i]);
		if (fd >= 0)
			fd = prepare(fd, arg);
	}
	return fd;
}

/* userfaultfd */

/* -EOPNOTSUPP: this kernel does not have that. */
int open_uffd(__u64 features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd, ret;

	uffd = syscall(__NR_userfaultfd,
		       O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (uffd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ?
		       -errno : -EOPNOTSUPP;
	if (!ioctl(uffd, UFFDIO_API, &api))
		return uffd;
	ret = errno == EINVAL ? -EOPNOTSUPP : -errno;
	close(uffd);
	return ret;
}
