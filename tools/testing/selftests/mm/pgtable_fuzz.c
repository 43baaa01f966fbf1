// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on page tables, against a model of what must be true: struct page,
 * for each page of a small address space, says what an access gives, which bits pagemap
 * has, and which errors calls return.
 *
 * sequential: A seed makes a sequence of operations, the same one everywhere, which
 *	begins with nothing mapped, and leaves no page table. One that fails is shortened
 *	for as long as it fails, and printed as a C program: sed -n 's/^#C//p'. That is
 *	linked with what this test is linked with.
 * concurrent: A seed makes a scene: processes with threads, each with a model of the
 *	pages that it owns, and others that collapse, reclaim, drop, fork and split VMAs
 *	around them, in the same page tables and files.
 *
 * Only some kinds of operations occur in a sequence, or scene, so that each combination
 * of a few of them occurs often. Arguments: the seed, the seconds for each of the two (or
 * PGTABLE_FUZZ_SECONDS), and the sum of 1 for sequential, 2 for concurrent, and 4 to go on
 * after a failure.
 */
#include "uffd-common.h"
#include <sys/prctl.h>
#include <sys/shm.h>
#include "pgtable_common.h"

#define NR_SLOTS	4	/* of PMD size, in the address space */
#define NR_RANGES	3	/* of PMD size, in a file; the last one is truncated */
#define NR_OPS		32	/* at most, in a sequence */
#define NR_PROCS	2
#define HANG_SECONDS	20
#define SCENE_USECS	400000
#define RW		(PROT_READ | PROT_WRITE)
#define COLOUR		((SHMLBA + page_size - 1) / page_size)	/* so that caches do not alias */

enum { NONE = -2, ANON, SHMEM, REGULAR, NR_FILES };	/* what is mapped */
enum { MISSING = 1, WP = 2, MINOR = 4, ASYNC = 8 };	/* registered for, as in the ioctl() */
enum { OK = 1, SEGV = 2, BUS = 4 };			/* what an access may give */
enum { COLLAPSES, RECLAIMS, POPULATES, SPLITS, FORKS, DROPS, NR_HAZARDS };

struct page {
	int8_t object;
	uint8_t prot, reg;
	bool shared, guard, poison;
	bool own;		/* a private page; of anonymous memory, any page */
	bool wp;		/* protected by userfaultfd */
	bool vague;		/* neither its contents nor its protection are known */
	uint32_t index;		/* in the file */
	uint32_t seed;		/* of what the private page contains */
};

struct op {
	uint8_t kind, slot, to, at, len;
	uint32_t arg, seed;
};

/* An operation on @nr pages from @page on, of which the first one is @m. */
struct target {
	const struct op *op;
	struct page *m;
	unsigned long page, nr, to, at, len;	/* @at, @len: of @page and @nr, in bytes */
	char *addr;
	unsigned long arg;			/* of this kind of operation */
};

static struct shared {
	bool stop, replay, printing;
	atomic_bool failed;
	unsigned int done, collapses;
	uint64_t seed;				/* of the sequence */
	unsigned long long until;
	char text[256];
	struct worker {
		unsigned int id, nr, at;
		unsigned long lo, hi;		/* its pages of each slot */
		struct op ops[NR_OPS];
		struct page *pages;
		uint32_t *files[NR_FILES];	/* seeds of what their pages contain */
		int uffd[2];			/* the second one is asynchronous */
		char *buf;
		const char *what;		/* is done */
		long vmpte;			/* when nothing is mapped */
	} workers[NR_PROCS * 2];
} *shared;

/* If there are threads, it is a scene. */
static struct scene {
	bool lossy;			/* pages may be dropped at any time */
	unsigned int nr_threads, nr_slots, nr_points, kinds, reg, hazards;
	uint64_t seed;
} scene;

static unsigned long nr_pages, arena_pages;
static char *arena;
static int files[NR_FILES], pagemap;
static bool in_child;
static __thread struct worker *me;

static const char prelude[] =
	"#C#include \"uffd-common.h\"\n#C#include <sys/prctl.h>\n#C#include \"pgtable_common.h\"\n"
	"#Cint main(void)\n#C{\n#C\tchar *A, *buf;\n"
	"#C\tint fd[2] = { memfd_create(\"fuzz\", 0), open(\".\", O_RDWR | O_TMPFILE, 0600) };\n"
	"#C\tint uffd[2] = { open_uffd(%#llx), open_uffd(%#llx) };\n"
	"#C\tint pagemap = open(\"/proc/self/pagemap\", O_RDONLY);\n#C\n"
	"#C\tif (find_page_sizes() || ftruncate(fd[0], %#lx) || ftruncate(fd[1], %#lx))\n"
	"#C\t\treturn 4;\n#C\tA = reserve_arena(%#lx);\n#C\tbuf = aligned_alloc(%#lx, %#lx);\n"
	"#C\tuse_small_pages();\n#C\tbecome_child();\n";

static unsigned long min(unsigned long a, unsigned long b)
{
	return a < b ? a : b;
}

static uint32_t below(uint64_t *state, uint32_t limit)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ z >> 31) >> 16) % limit;
}

/* A line of the C program. */
static __printf(1, 2) void emit(const char *fmt, ...)
{
	va_list args;

	if (!shared->printing)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
}

/* Only the first one counts. It ends the process, with all of its threads. */
static __noreturn __printf(2, 3) void fail(unsigned long page, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!atomic_exchange(&shared->failed, true)) {
		n = sprintf(shared->text, "%spage %lu of slot %lu: ",
			    in_child ? "in a child: " : "", page % nr_pages, page / nr_pages);
		va_start(args, fmt);
		vsnprintf(shared->text + n, sizeof(shared->text) - n, fmt, args);
		va_end(args);
		emit("#C\tprintf(\"%%d\\n\", peek(A + %#lx));\t/* %s */\n%s", page * page_size,
		     shared->text, in_child ? "#C\texit(0); }\n#C\twait(NULL);\n" : "");
	}
	shared->stop = true;
	_exit(KSFT_FAIL);
}

/* The model */

/* Of a file, each page is written by one worker; the last one of a range is punched. */
static bool is_mine(struct page *m)
{
	return !scene.nr_threads || m->object < 0 || (m->index % nr_pages != nr_pages - 1 &&
		m->index / 3 % (NR_PROCS * scene.nr_threads) == me->id);
}

/* What an access may give. @want: the seed of what is there then, or -1. */
static unsigned int allowed(struct page *m, bool write, int64_t *want)
{
	if (m->vague || (m->own ? scene.lossy : !is_mine(m)))
		*want = -1;
	else
		*want = m->own ? m->seed : m->object < 0 ? 0 : me->files[m->object][m->index];
	if (m->object == NONE || !(m->prot & PROT_READ) || m->guard ||
	    (write && !(m->prot & PROT_WRITE)))
		return SEGV;
	if (m->poison)
		return scene.lossy ? BUS | OK : BUS;
	if (m->vague || m->reg & MINOR || (m->reg & MISSING && *want < 0))
		return OK | BUS;
	if (write && m->wp && m->reg != ASYNC)
		return scene.lossy && m->object == ANON ? BUS | OK : BUS;
	if (m->reg & MISSING && !m->own && !*want)
		return m->object == ANON ? BUS : OK | BUS;
	return OK;
}

static void accessed(struct page *m, bool write, int sig)
{
	struct page *p = m - (m - me->pages) % nr_pages, *end = p + nr_pages;
	int64_t want;

	if (allowed(m, write, &want) == SEGV || m->poison)
		return;
	/* If there is a huge page, the protection of all of it goes. */
	if (!sig && write && m->reg == ASYNC && m->wp) {
		m->wp = false;
		for (; p < end; p++)
			p->vague = p->vague || (p->reg == ASYNC && p->wp);
	}
	if (!sig && !m->own && m->object == ANON) {
		m->own = true;
		m->seed = 0;
	}
	/* It may have been copied before the signal came. */
	if (sig && write && !m->own && m->object != ANON && !m->shared)
		m->vague = true;
}

static void written(struct page *m, uint32_t seed)
{
	if (m->shared) {
		me->files[m->object][m->index] = seed;
		return;
	}
	m->own = true;
	m->seed = seed;
}

static void drop(struct page *m)
{
	m->own = false;
	m->poison = false;
	m->vague = m->vague && m->object != ANON;
}

static void unregister(struct page *m)
{
	m->reg = 0;
	m->wp = false;
}

static void access_page(unsigned long page, bool write, uint32_t seed)
{
	struct page *m = &me->pages[page];
	struct difference diff = { };
	char *addr = arena + page * page_size;
	unsigned int may;
	int64_t want;
	int sig;

	may = allowed(m, write, &want);
	sig = write ? fill_page(addr, seed) :
	      want < 0 ? peek(addr) : compare_page(addr, want, &diff);
	if (sig < 0)
		fail(page, "word %lu is %#lx, but must be %#lx", diff.word, diff.found,
		     diff.expected);
	if (!(may & (!sig ? OK : sig == SIGSEGV ? SEGV : BUS)))
		fail(page, "%s: %s, but must be %s", write ? "write" : "read",
		     !sig ? "success" : strsignal(sig), may == (OK | BUS) ? "success or SIGBUS" :
		     may == OK ? "success" : may == SEGV ? "SIGSEGV" : "SIGBUS");
	accessed(m, write, sig);
	if (write && !sig)
		written(m, seed);
}

static void check_pagemap(unsigned long page, unsigned long nr)
{
	off_t offset = ((uintptr_t)arena / page_size + page) * sizeof(uint64_t);
	uint64_t entries[nr];
	unsigned long i;

	if (pread(pagemap, entries, sizeof(entries), offset) != sizeof(entries))
		fail(page, "pagemap cannot be read");
	for (i = 0; i < nr; i++) {
		struct page *m = &me->pages[page + i];

		if (!(entries[i] & PM_GUARD_REGION) != !m->guard)
			fail(page + i, "pagemap has %s guard region", m->guard ? "no" : "a");
		if (!m->poison && !m->guard && !m->vague && m->object != NONE && is_mine(m) &&
		    !(m->reg == ASYNC && scene.nr_threads) &&
		    !(m->object == ANON && scene.lossy) && !(entries[i] & PM_UFFD_WP) != !m->wp)
			fail(page + i, "pagemap says %sprotected", m->wp ? "not " : "");
	}
}

/* All that is special, and some of the rest. */
static void check_all(void)
{
	unsigned long slot, i;

	for (slot = 0; slot < NR_SLOTS; slot++) {
		check_pagemap(slot * nr_pages + me->lo, me->hi - me->lo);
		for (i = me->lo; i < me->hi; i++) {
			struct page *m = &me->pages[slot * nr_pages + i];

			if ((i % (nr_pages / 8) > 1 || m->object == NONE) && i != me->hi - 1 &&
			    !m->poison && m->guard == m[-1].guard &&
			    !(m->own && m->seed))
				continue;
			access_page(m - me->pages, false, 0);
			check_pagemap(m - me->pages, 1);
		}
	}
}

/* Operations. They return 0, a negative errno, or 1 when there is nothing to do. */

#define CALL(call, fmt, ...) ({						\
	emit("#C\t" fmt ";\n", ##__VA_ARGS__);				\
	(long)(call) == -1 ? -errno : 0;				\
})

/* All arguments are structures of 64-bit numbers; @to: a userfaultfd, or 2 for pagemap. */
#define IOCTL(to, cmd, ...)	do_ioctl(to, cmd, (uint64_t[12]) { __VA_ARGS__ })

static int do_ioctl(int to, unsigned long cmd, uint64_t *arg)
{
	static const char * const fds[] = { "uffd[0]", "uffd[1]", "pagemap" };
	char text[512];
	int i, n = 0;

	for (i = 0; i < (to == 2 ? 12 : 5); i++) {
		if (arg[i] - (uintptr_t)arena <= arena_pages * page_size)
			n += sprintf(text + n, " (uintptr_t)A + %#lx,", (long)arg[i] - (long)arena);
		else if (arg[i] == (uintptr_t)me->buf)
			n += sprintf(text + n, " fill_page(buf, %#x) ?: (uintptr_t)buf,",
				     me->ops[me->at].seed);
		else
			n += sprintf(text + n, " %#llx,", (unsigned long long)arg[i]);
	}
	return CALL(ioctl(to < 2 ? me->uffd[to] : pagemap, cmd, arg) < 0 ? -1 : 0,
		    "ioctl(%s, %#lx /* %s */, (uint64_t[12]){%s })", fds[to], cmd, me->what, text);
}

static int map(unsigned long page, unsigned long nr, int flags, int object, unsigned long index)
{
	static const char * const names[] = { "-1", "-1", "fd[0]", "fd[1]" };
	int prot = object == NONE ? PROT_NONE : RW;
	unsigned long i;
	int ret;

	ret = CALL(mmap(arena + page * page_size, nr * page_size, prot, flags,
			object < 0 ? -1 : files[object], index * page_size),
		   "mmap(A + %#lx, %#lx, %d, %#x, %s, %#lx)", page * page_size, nr * page_size,
		   prot, flags, names[object + 2], index * page_size);
	for (i = 0; i < nr; i++)
		me->pages[page + i] = (struct page){
			.object = object, .shared = flags & MAP_SHARED, .prot = prot,
			.index = object < 0 ? 0 : index + i,
		};
	return ret;
}

static int unmap(unsigned long page, unsigned long nr)
{
	return map(page, nr, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, NONE, 0);
}

static int op_map(struct target *t)
{
	static const int8_t objects[] = { ANON, SHMEM, SHMEM, REGULAR };
	/* In a scene, each slot has one kind of mapping: they have VMAs in common. */
	uint32_t arg = scene.nr_threads ? scene.seed >> 4 * (t->page / nr_pages) : t->op->arg;
	int object = objects[arg / 2 % 4], flags = MAP_FIXED | (object < 0 ? MAP_ANONYMOUS : 0);
	unsigned long range = arg / 8 % NR_RANGES;
	bool askew = range < NR_RANGES - 1 && t->op->arg >> 16 & 1;

	if (t->arg)
		return unmap(t->page, t->nr);
	flags |= object >= 0 && arg & 1 ? MAP_SHARED : MAP_PRIVATE;
	return map(t->page, t->nr, flags, object,
		   range * nr_pages + t->page % nr_pages + (askew ? COLOUR : 0));
}

static int op_access(struct target *t)
{
	unsigned long i;

	for (i = t->page; i < t->page + t->nr; i++) {
		if (t->arg && me->pages[i].shared && (in_child || !is_mine(&me->pages[i])))
			continue;
		if (t->arg)
			emit("#C\tfill_page(A + %#lx, %#x);\n", i * page_size, t->op->seed);
		else
			emit("#C\tpeek(A + %#lx);\n", i * page_size);
		access_page(i, t->arg, t->op->seed);
	}
	return 0;
}

/* A hole in the file; or its last range is truncated, and is a hole then. */
static int op_punch(struct target *t)
{
	unsigned long first = t->arg ? (NR_RANGES - 1) * nr_pages : t->m->index, i;
	unsigned long nr = t->arg ? nr_pages : t->nr;
	int object = t->m->object, ret;

	if (scene.nr_threads || object < 0 || (!t->arg && !(t->m->shared && t->m->prot == RW)))
		return 1;
	if (t->arg)
		ret = CALL(ftruncate(files[object], first * page_size) ?:
			   ftruncate(files[object], NR_RANGES * pmd_size),
			   "ftruncate(fd[%d], %#lx); ftruncate(fd[%d], %#lx)", object,
			   first * page_size, object, NR_RANGES * pmd_size);
	else
		ret = CALL(madvise(t->addr, t->len, MADV_REMOVE),
			   "madvise(A + %#lx, %#lx, MADV_REMOVE)", t->at, t->len);
	memset(me->files[object] + first, 0, nr * sizeof(uint32_t));
	for (i = 0; i < arena_pages; i++) {
		struct page *m = &me->pages[i];

		if (m->object != object || m->index < first || m->index >= first + nr)
			continue;
		/* Protection goes with a page of the file, if that was mapped. */
		m->vague = m->vague || m->wp;
		if (t->arg)
			drop(m);
	}
	return ret;
}

static int op_madvise(struct target *t)
{
	unsigned int may = OK;
	unsigned long i, n;
	int64_t want;
	int ret;

	if (t->arg == MADV_COLLAPSE) {
		if (t->m->object == REGULAR)
			fsync(files[REGULAR]);
		t->at -= t->page % nr_pages * page_size;
		t->len = pmd_size;
		t->page += me->lo - t->page % nr_pages;
		t->m = &me->pages[t->page];
		t->nr = me->hi - me->lo;
	}
	for (n = 0; t->arg == MADV_POPULATE_READ && n < t->nr && may == OK; n++)
		may = allowed(&t->m[n], false, &want);
	ret = CALL(madvise(arena + t->at, t->len, t->arg), "madvise(A + %#lx, %#lx, %ld)", t->at,
		   t->len, t->arg);
	if (t->arg == MADV_POPULATE_READ) {
		if (may == OK ? ret : !ret && !(may & OK))
			fail(t->page, "%s: %s", me->what, strerror(-ret));
		/* The pages before the first one that cannot be read are populated. */
		t->nr = ret ? n - 1 : t->nr;
	} else if (ret) {
		return ret;
	}
	shared->collapses += t->arg == MADV_COLLAPSE;
	for (i = 0; i < t->nr; i++) {
		struct page *m = &t->m[i];

		if (t->arg == MADV_POPULATE_READ || (t->arg == MADV_COLLAPSE && m->object == ANON))
			accessed(m, false, 0);
		if (t->arg == MADV_DONTNEED || t->arg == MADV_GUARD_INSTALL)
			drop(m);
		if (t->arg == MADV_GUARD_INSTALL || (t->arg == MADV_GUARD_REMOVE && m->guard)) {
			m->guard = t->arg == MADV_GUARD_INSTALL;
			m->wp = false;
			m->vague = false;
		} else if (t->arg == MADV_DONTNEED && m->object == ANON) {
			m->wp = false;
		}
	}
	return ret;
}

static int op_protect(struct target *t)
{
	static const uint8_t prots[] = { RW, RW, PROT_READ, PROT_NONE };
	int prot = prots[t->op->arg % 4];
	const char *name = t->op->arg & 1 ? "name" : NULL;
	unsigned long i;

	if (t->arg)
		return CALL(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, t->addr, t->len, name),
			    "prctl(PR_SET_VMA, 0, A + %#lx, %#lx, %s)", t->at, t->len,
			    name ? "\"name\"" : "NULL");
	for (i = 0; i < t->nr; i++)
		t->m[i].prot = prot;
	return CALL(mprotect(t->addr, t->len, prot), "mprotect(A + %#lx, %#lx, %d)", t->at, t->len,
		    prot);
}

/* To another slot, as far into it, or beside that. */
static int op_mremap(struct target *t)
{
	unsigned long to = t->to, i;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED, ret;

	if (t->m->reg) {
		t->nr = 1;
		t->len = page_size;
	}
	if (t->op->arg & 1 && to % nr_pages + COLOUR + t->nr <= me->hi)
		to += COLOUR;
	if (to < t->page + t->nr && t->page < to + t->nr)
		return 1;
	if (!t->m->reg && t->op->arg & 2)
		flags |= MREMAP_DONTUNMAP;
	ret = CALL(mremap(t->addr, t->len, t->len, flags, arena + to * page_size),
		   "mremap(A + %#lx, %#lx, %#lx, %d, A + %#lx)", t->at, t->len, t->len, flags,
		   to * page_size);
	/* Several VMAs: what was there is gone. */
	if (ret) {
		unmap(to, t->nr);
		return ret;
	}
	for (i = 0; i < t->nr; i++) {
		me->pages[to + i] = t->m[i];
		unregister(&me->pages[to + i]);
		drop(&t->m[i]);
		t->m[i].guard = false;
		t->m[i].wp = false;
	}
	return flags & MREMAP_DONTUNMAP ? 0 : unmap(t->page, t->nr);
}

/* A child inherits all but what userfaultfd protects or waits for. */
static int op_fork(struct target *t)
{
	unsigned long i;
	int status;
	pid_t pid;

	emit("#C\tif (!fork()) {\n");
	pid = fork();
	if (!pid) {
		in_child = true;
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		for (i = 0; i < arena_pages; i++)
			unregister(&me->pages[i]);
		check_all();
		op_access(t);
		check_all();
		emit("#C\texit(0); }\n#C\twait(NULL);\n");
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		fail(t->page, "a child ended with status %#x", status);
	return 0;
}

/* For something that there is an operation for, see generate(). */
static const uint8_t modes[] = { MISSING, WP, MISSING | WP, MINOR, ASYNC };

static int op_register(struct target *t)
{
	unsigned int mode = t->arg ? 0 : modes[t->op->arg % ARRAY_SIZE(modes)];
	unsigned long i;
	int ret;

	if (!t->arg && (t->m->reg || (mode == MINOR && !t->m->shared)))
		return 1;
	if (t->arg)
		ret = IOCTL(t->m->reg == ASYNC, UFFDIO_UNREGISTER, (uintptr_t)t->addr, t->len);
	else
		ret = IOCTL(mode == ASYNC, UFFDIO_REGISTER, (uintptr_t)t->addr, t->len,
			    mode == ASYNC ? WP : mode);
	for (i = 0; i < t->nr && !ret; i++) {
		t->m[i].reg = mode;
		t->m[i].vague = t->m[i].vague || (t->m[i].wp && t->m[i].poison);
		t->m[i].wp = false;
	}
	/* Others may have populated it before. */
	if (!ret && mode && scene.nr_threads && t->m->object == ANON) {
		t->arg = MADV_DONTNEED;
		op_madvise(t);
	}
	return ret;
}

/* PAGEMAP_SCAN protects what has been written since the last time, and poison. */
static int op_protect_writes(struct target *t)
{
	bool scan = t->m->reg == ASYNC, on = scan || t->op->arg & 3;
	unsigned long i;
	int ret;

	if (scan)
		ret = IOCTL(2, PAGEMAP_SCAN, sizeof(struct pm_scan_arg),
			    PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, (uintptr_t)t->addr,
			    (uintptr_t)t->addr + t->len, 0, 0, 0, 0, 0, PAGE_IS_WRITTEN, 0,
			    PAGE_IS_WRITTEN);
	else
		ret = IOCTL(0, UFFDIO_WRITEPROTECT, (uintptr_t)t->addr, t->len, on);
	if (ret && (scan || ret != -EAGAIN))
		fail(t->page, "%s: %s", me->what, strerror(-ret));
	for (i = 0; i < t->nr && !ret; i++) {
		if (t->m[i].poison)
			t->m[i].vague = t->m[i].vague || scan;
		else if (!t->m[i].guard)
			t->m[i].wp = on;
	}
	return ret;
}

/* A page, or poison, that must not replace what is there. */
static int op_install(struct target *t)
{
	struct page *m = t->m;
	bool mode = t->arg == UFFDIO_COPY && m->reg & WP && t->op->arg & 1;
	bool none = m->object == ANON && m->reg & MISSING && !m->own, hole;
	uint64_t addr = (uintptr_t)t->addr;
	int ret;

	if (m->shared && !is_mine(m) && t->arg != UFFDIO_POISON && t->arg != UFFDIO_CONTINUE)
		return 1;
	fill_page(me->buf, t->op->seed);
	if (t->arg == UFFDIO_COPY)
		ret = IOCTL(0, UFFDIO_COPY, addr, (uintptr_t)me->buf, page_size,
			    mode ? UFFDIO_COPY_MODE_WP : 0);
	else
		ret = IOCTL(0, t->arg, addr, page_size);
	/* Markers of write protection are replaced, but not by all. */
	none = none && !m->guard && !m->poison && !m->vague && (t->arg == UFFDIO_COPY || !m->wp);
	/* A file may have no page there. */
	hole = t->arg == UFFDIO_CONTINUE && !(is_mine(m) && me->files[m->object][m->index]);
	if (ret && ret != -EAGAIN && (ret != -EEXIST || none) && (ret != -EFAULT || !hole))
		fail(t->page, "%s: %s", me->what, strerror(-ret));
	if (ret)
		return ret;
	if (m->guard)
		fail(t->page, "a guard region was replaced");
	drop(m);
	m->wp = mode;
	if (t->arg == UFFDIO_POISON)
		m->poison = true;
	else if (t->arg != UFFDIO_CONTINUE)
		written(m, t->arg == UFFDIO_COPY ? t->op->seed : 0);
	return 0;
}

static int op_move(struct target *t)
{
	struct page *m = t->m, *src = &me->pages[t->to];
	bool filled = m->own || m->guard || m->poison || m->vague;
	bool marked = m->wp || src->wp || src->vague || src->guard || src->poison;
	int ret;

	if (m == src || m->object != ANON || src->object != ANON || (m->prot & src->prot) != RW)
		return 1;
	ret = IOCTL(0, UFFDIO_MOVE, (uintptr_t)t->addr, (uintptr_t)arena + t->to * page_size,
		    page_size);
	if (!ret ? m->guard || m->poison || m->own || src->guard || src->poison :
	    ret != -EAGAIN && ret != -EBUSY && (ret != -EEXIST || !(filled || m->wp)) &&
	    (ret != -EFAULT || !(filled || marked)) &&
	    (ret != -ENOENT || (src->own && !scene.lossy)))
		fail(t->page, "%s: %s", me->what, strerror(-ret));
	if (ret)
		return ret;
	written(m, src->own ? src->seed : 0);
	m->vague = marked;
	src->vague = src->vague || src->wp;
	src->own = false;
	return 0;
}

enum { MAP, REGISTER, WRITE, POPULATE, COLLAPSE, GUARD, POISON, WRITEPROTECT };	/* the first ones */

/* @max: pages, if not any number; @reg: only where it is registered for one of these. */
static const struct kind {
	const char *name;
	int (*fn)(struct target *t);
	unsigned long arg, max;
	enum { ANY, MAPPED, SAME } where;	/* in mappings, and such as the first one */
	bool may_fail;				/* or @fn knows */
	unsigned int reg;
} kinds[] = {
	{ "map", op_map },
	{ "register", op_register, 0, 0, SAME, true },
	{ "write", op_access, 1, 16, MAPPED },
	{ "populate", op_madvise, MADV_POPULATE_READ, 0, MAPPED, true },
	{ "collapse", op_madvise, MADV_COLLAPSE, 0, MAPPED, true },
	{ "guard", op_madvise, MADV_GUARD_INSTALL, 0, MAPPED },
	{ "poison", op_install, UFFDIO_POISON, 1, SAME, true, MISSING | WP | MINOR },
	{ "writeprotect", op_protect_writes, 0, 0, SAME, true, WP | ASYNC },
	{ "unmap", op_map, 1 },
	{ "read", op_access, 0, 16 },
	{ "punch", op_punch, 0, 16, SAME },
	{ "truncate", op_punch, 1, 1, MAPPED },
	{ "dontneed", op_madvise, MADV_DONTNEED, 0, MAPPED },
	{ "unguard", op_madvise, MADV_GUARD_REMOVE, 0, MAPPED },
	{ "pageout", op_madvise, MADV_PAGEOUT, 0, MAPPED, true },
	{ "mprotect", op_protect, 0, 0, MAPPED },
	{ "name", op_protect, 1, 0, MAPPED, true },
	{ "mremap", op_mremap, 0, 0, SAME, true },
	{ "fork", op_fork, 1, 16, MAPPED },
	{ "unregister", op_register, 1, 0, SAME, false, MISSING | WP | MINOR | ASYNC },
	{ "copy", op_install, UFFDIO_COPY, 1, SAME, true, MISSING | WP },
	{ "zeropage", op_install, UFFDIO_ZEROPAGE, 1, SAME, true, MISSING },
	{ "continue", op_install, UFFDIO_CONTINUE, 1, SAME, true, MINOR },
	{ "move", op_move, 0, 1, SAME, true, MISSING },
};

/* Where an operation is done: at the next place where it can be, if there is one. */
static bool resolve(const struct op *op, struct target *t)
{
	unsigned long n = me->hi - me->lo, at, i;
	const unsigned long points[] = { 0, n / 2, n - 1, n / 4, 1, n / 2 - 1, n - 2, n / 2 + 1 };
	const unsigned long lens[] = { 1, 1, 1, 2, n / 4, n / 2, n, n };
	const struct kind *kind = &kinds[op->kind];
	struct page *m;

	for (i = 0; i < NR_SLOTS * ARRAY_SIZE(points); i++) {
		at = op->len == 7 ? me->lo : me->lo + points[(op->at + i) % ARRAY_SIZE(points)];
		t->page = (op->slot + i / ARRAY_SIZE(points)) % NR_SLOTS * nr_pages + at;
		m = &me->pages[t->page];
		if (!kind->reg || m->reg & kind->reg)
			break;
	}
	t->nr = min(lens[op->len], me->hi - at);
	if (kind->max)
		t->nr = min(t->nr, kind->max);
	for (n = 0; n < t->nr && kind->where != ANY && m[n].object != NONE; n++)
		if (kind->where == SAME && (m[n].object != m->object || m[n].shared != m->shared ||
					    m[n].prot != m->prot || m[n].reg != m->reg))
			break;
	if (kind->where != ANY)
		t->nr = n;
	t->to = op->to % NR_SLOTS * nr_pages + at;
	t->at = t->page * page_size;
	t->len = t->nr * page_size;
	t->addr = arena + t->at;
	t->m = m;
	t->op = op;
	t->arg = kind->arg;
	return t->nr && (!kind->reg || m->reg & kind->reg);
}

/* What fills pages, what is easily lost, perhaps what loses it, and some others. */
static void choose_scene(uint64_t *seed)
{
	unsigned int i;

	scene.nr_slots = 1 + below(seed, NR_SLOTS);
	scene.nr_points = 1 << below(seed, 4);
	scene.kinds = 1 << MAP | 1 << (WRITE + below(seed, 2)) | below(seed, 2) << COLLAPSE |
		      1 << (GUARD + below(seed, 3));
	for (i = 1 + below(seed, 5); i; i--)
		scene.kinds |= 1 << below(seed, ARRAY_SIZE(kinds));
	scene.reg = 0;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (scene.kinds & 1 << i && kinds[i].fn != op_register)
			scene.reg |= kinds[i].reg;
	scene.kinds |= !!scene.reg << REGISTER;
	scene.seed = *seed;
}

static void generate(uint64_t seed)
{
	uint32_t same;
	unsigned int i;

	if (!scene.nr_threads)
		choose_scene(&seed);
	same = below(&seed, 2) ? below(&seed, -1) : 0;
	me->nr = 8 + below(&seed, NR_OPS - 7);
	for (i = 0; i < me->nr; i++) {
		struct op *op = &me->ops[i];

		*op = (struct op){
			.slot = below(&seed, scene.nr_slots), .to = below(&seed, scene.nr_slots),
			.at = below(&seed, scene.nr_points), .len = below(&seed, 8),
			.arg = below(&seed, -1), .seed = below(&seed, -1) | 1,
		};
		/* It begins with a mapping in each slot: often, of one file. */
		if (i < scene.nr_slots)
			op->slot = i;
		else
			do
				op->kind = below(&seed, ARRAY_SIZE(kinds));
			while (!(scene.kinds & 1 << op->kind) ||
			       (op->kind == MAP && below(&seed, 4)));
		if (op->kind == MAP) {
			op->arg = same ?: op->arg;
			op->len = op->len ? 7 : 0;
		}
		while (op->kind == REGISTER && scene.reg &&
		       !(modes[op->arg % ARRAY_SIZE(modes)] & scene.reg))
			op->arg++;
	}
}

/* Also what find_file() calls. */
static int empty_file(int fd, void *arg)
{
	if (ftruncate(fd, 0) || ftruncate(fd, NR_RANGES * pmd_size))
		ksft_exit_fail_perror("ftruncate");
	return fd;
}

/* Nothing is mapped then. Alone, there are no page tables and no pages left either. */
static void reset(void)
{
	unsigned long slot, i;
	long found;

	for (slot = 0; slot < NR_SLOTS; slot++)
		unmap(slot * nr_pages + me->lo, me->hi - me->lo);
	if (scene.nr_threads)
		return;
	for (i = 0; i < NR_FILES; i++)
		memset(me->files[i], 0, NR_RANGES * nr_pages * sizeof(uint32_t));
	empty_file(files[SHMEM], NULL);
	empty_file(files[REGULAR], NULL);
	found = proc_kb("/proc/self/status", "VmPTE:");
	if (me->vmpte && found != me->vmpte)
		fail(0, "VmPTE of nothing: %ld kB, but must be %ld kB", found, me->vmpte);
	me->vmpte = found;
}

static void run_sequence(void)
{
	const struct kind *kind;
	struct target t;
	int ret;

	alarm(shared->replay ? 5 : HANG_SECONDS);
	for (me->at = 0; me->at < me->nr && !shared->stop; me->at++) {
		if (!resolve(&me->ops[me->at], &t))
			continue;
		kind = &kinds[t.op->kind];
		me->what = kind->name;
		ret = kind->fn(&t);
		if (ret < 0 && !kind->may_fail)
			fail(t.page, "%s: %s", kind->name, strerror(-ret));
		shared->done += !ret;
		check_pagemap(t.page, min(t.nr, 4));
	}
	check_all();
	reset();
}

/*
 * Done to all pages of this process, or, if @arg, of another one that maps the file.
 * That changes no pages of the files but the last one of each range.
 */
static void *disturb(void *arg)
{
	static const int advice[] = { MADV_COLLAPSE, MADV_PAGEOUT, MADV_POPULATE_READ };
	uint64_t seed = scene.seed * 7 + getpid();

	while (!shared->stop && now_usecs() < shared->until) {
		unsigned int what = below(&seed, NR_HAZARDS), fd = files[!below(&seed, 4)];
		unsigned long first = below(&seed, nr_pages) * page_size;
		char *addr = arena + below(&seed, arg ? NR_RANGES : scene.nr_slots) * pmd_size;
		pid_t pid;

		if (arg && !below(&seed, 8))
			mmap(arena, NR_RANGES * pmd_size, RW, MAP_SHARED | MAP_FIXED, fd, 0);
		if (arg && below(&seed, 2)) {
			madvise(addr + pmd_size - page_size, page_size, MADV_REMOVE);
			madvise(addr + pmd_size - page_size, page_size, MADV_POPULATE_WRITE);
			fsync(files[REGULAR]);
			shared->collapses += !madvise(addr, pmd_size, MADV_COLLAPSE);
		}
		if (!(scene.hazards & 1 << what))
			continue;
		pid = what == FORKS ? fork() : 0;
		if (what <= POPULATES)
			madvise(addr, pmd_size, advice[what]);
		else if (what == DROPS)
			madvise(addr, pmd_size, MADV_DONTNEED);
		else if (what == SPLITS)
			madvise(addr + first, pmd_size - first,
				below(&seed, 2) ? MADV_DONTDUMP : MADV_DODUMP);
		else if (pid)
			waitpid(pid, NULL, 0);
		else
			_exit(0);
	}
	return NULL;
}

#define WP_FEATURES	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |	\
			 UFFD_FEATURE_WP_UNPOPULATED)
static const unsigned long long features[] = {
	WP_FEATURES | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM |
	UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE,
	WP_FEATURES | UFFD_FEATURE_WP_ASYNC
};

static struct worker *start_worker(unsigned int id, unsigned long lo, unsigned long hi)
{
	unsigned long i;

	me = &shared->workers[id];
	me->id = id;
	me->lo = lo;
	me->hi = hi;
	/* One before, see check_all(). */
	me->pages = (struct page *)calloc(arena_pages + 1, sizeof(*me->pages)) + 1;
	me->buf = aligned_alloc(page_size, page_size);
	for (i = 0; i < NR_FILES; i++)
		me->files[i] = calloc(NR_RANGES * nr_pages, sizeof(uint32_t));
	me->uffd[0] = open_uffd(features[0]);
	me->uffd[1] = open_uffd(features[1]);
	me->vmpte = 0;
	reset();
	return me;
}

static void *work(void *arg)
{
	uint64_t seed;

	me = arg;
	seed = scene.seed + me->id * 1000003;
	do {
		if (!shared->replay)
			generate(scene.nr_threads ? ++seed : ++shared->seed);
		run_sequence();
	} while (!shared->stop && now_usecs() < shared->until);
	return NULL;
}

static void run_process(unsigned int nr)
{
	unsigned int n = scene.nr_threads ?: 1, i;
	bool printing = shared->printing;
	struct worker *w = NULL;
	pthread_t threads[2];

	shared->printing = false;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (i = n; i--;)
		w = start_worker(nr * n + i, i * nr_pages / n, (i + 1) * nr_pages / n);
	/* Upper page tables, and those for signals, come with the first use, and stay. */
	for (i = 0; i < NR_SLOTS && !scene.nr_threads; i++) {
		op_map(&(struct target){ .page = i * nr_pages, .nr = 1, .op = w->ops });
		peek(arena + i * pmd_size);
	}
	check_all();
	w->vmpte = 0;
	reset();
	shared->printing = printing;
	if (scene.nr_threads && (pthread_create(&threads[0], NULL, work, w + 1) ||
				 pthread_create(&threads[1], NULL, disturb, NULL)))
		fail(0, "no threads");
	work(w);
	for (i = 0; i < scene.nr_threads; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* Returns 0, or how one of the processes ended: by SIGALRM if it hung. */
static int run_scene(unsigned long long usecs)
{
	unsigned int nr = scene.nr_threads ? NR_PROCS + 1 : 1, i;
	pid_t pids[NR_PROCS + 1];
	int status, ret = 0;

	shared->until = now_usecs() + usecs;
	shared->stop = false;
	shared->failed = false;
	empty_file(files[SHMEM], NULL);
	empty_file(files[REGULAR], NULL);
	for (i = 0; i < nr; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		become_child();
		if (i < NR_PROCS)
			run_process(i);
		disturb(&scene);
		_exit(0);
	}
	for (i = 0; i < nr; i++) {
		waitpid(pids[i], &status, 0);
		ret = ret ?: status;
	}
	return ret;
}

static int replay(const struct op *list, unsigned int nr)
{
	memcpy(shared->workers[0].ops, list, nr * sizeof(*list));
	shared->workers[0].nr = nr;
	return run_scene(0);
}

/* Leave out whatever it fails without. */
static void shrink(void)
{
	unsigned int nr = min(shared->workers[0].at + 1, shared->workers[0].nr), i;
	struct op list[NR_OPS], all[NR_OPS];

	memcpy(list, shared->workers[0].ops, sizeof(list));
	shared->replay = true;
	for (i = nr; i--;) {
		memcpy(all, list, sizeof(list));
		memcpy(list + i, all + i + 1, (nr - i - 1) * sizeof(*list));
		if (replay(list, nr - 1))
			nr--;
		else
			memcpy(list, all, sizeof(list));
	}
	shared->printing = true;
	emit(prelude, features[0], features[1], NR_RANGES * pmd_size, NR_RANGES * pmd_size,
	     NR_SLOTS * pmd_size, page_size, page_size);
	replay(list, nr);
	emit("#C\treturn 0;\n#C}\n");
	shared->printing = false;
	shared->replay = false;
}

static bool run(bool concurrent, uint64_t seed, unsigned int seconds, bool keep_going)
{
	unsigned long long begin = now_usecs(), until = begin + seconds * 1000000ULL, nr = 0;
	bool good = true;
	int status;

	memset(&scene, 0, sizeof(scene));
	for (shared->seed = seed; now_usecs() < until && (good || keep_going); nr++) {
		if (concurrent) {
			uint64_t state = ++shared->seed;

			scene.nr_threads = 2;
			choose_scene(&state);
			scene.hazards = below(&state, 1 << NR_HAZARDS);
			scene.hazards &= below(&state, 1 << NR_HAZARDS);
			scene.lossy = scene.hazards & 1 << DROPS;
		}
		status = run_scene(concurrent ? SCENE_USECS : until - now_usecs());
		if (!status)
			continue;
		good = false;
		ksft_print_msg("after %.1f s, seed %llu: %s\n", (now_usecs() - begin) / 1e6,
			       (unsigned long long)shared->seed - 1,
			       shared->failed ? shared->text : strsignal(status & 0x7f));
		if (!concurrent)
			shrink();
	}
	ksft_print_msg("%llu seeds, %u operations, %u collapses\n",
		       (unsigned long long)(shared->seed - seed), shared->done, shared->collapses);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	unsigned int seconds = atoi(argc > 2 ? argv[2] : getenv("PGTABLE_FUZZ_SECONDS") ?: "15");
	unsigned int which = argc > 3 ? atoi(argv[3]) : 3, i;
	const char *reason;

	ksft_print_header();
	reason = find_page_sizes() ?: lack_of_memory(16 * pmd_size >> 20);
	if (reason)
		ksft_exit_skip("%s\n", reason);
	use_small_pages();
	nr_pages = pmd_size / page_size;
	arena_pages = NR_SLOTS * nr_pages;
	arena = reserve_arena(NR_SLOTS * pmd_size);
	shared = mmap(NULL, sizeof(*shared), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	files[SHMEM] = memfd_create("pgtable_fuzz", MFD_CLOEXEC);
	files[REGULAR] = find_file(empty_file, NULL);
	if (shared == MAP_FAILED || files[SHMEM] < 0 || files[REGULAR] < 0)
		ksft_exit_fail_perror("making files");
	ksft_set_plan(__builtin_popcount(which & 3));
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < 2; i++)
		if (which & 1 << i)
			ksft_test_result(run(i, seed, seconds, which & 4), "%s\n",
					 i ? "concurrent" : "sequential");
	ksft_finished();
}
