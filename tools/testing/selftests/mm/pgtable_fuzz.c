// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on page tables, against a model of what must be true: struct page,
 * for each page of a small address space, says what an access gives, and whether pagemap
 * has a guard region.
 *
 * A seed makes a sequence of operations, the same one everywhere, which begins with
 * nothing mapped, and leaves no page table.
 *
 * Only some kinds of operations occur in a sequence, so that each combination of a few of
 * them occurs often. Arguments: the seed, and the seconds (or PGTABLE_FUZZ_SECONDS).
 */
#include <sys/param.h>
#include <sys/shm.h>
#include "pgtable_common.h"

#define NR_SLOTS	4	/* of PMD size, in the address space */
#define NR_RANGES	3	/* of PMD size, in a file; the last one is truncated */
#define NR_OPS		32	/* at most, in a sequence */
#define HANG_SECONDS	20
#define RW		(PROT_READ | PROT_WRITE)
#define COLOUR		((SHMLBA + page_size - 1) / page_size)	/* so that caches do not alias */

enum { NONE, ANON, SHMEM, REGULAR, NR_OBJECTS };	/* what is mapped */
enum { OK = 1, SEGV = 2, BUS = 4 };			/* what an access may give */
static const char * const outcomes[] = { [OK] = "success", [SEGV] = "SIGSEGV", [BUS] = "SIGBUS" };

struct page {
	uint8_t object, prot;
	bool shared, guard;
	bool own;		/* a private page; of anonymous memory, any page */
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
	bool failed;
	unsigned int done, collapses;
	uint64_t seed;				/* of the sequence */
	char text[256];
	struct worker {
		unsigned int nr, at;
		struct op ops[NR_OPS];
		struct page *pages;
		uint32_t *files[NR_OBJECTS];	/* seeds of what their pages contain */
	} worker;
} *shared;

/* What occurs in a sequence. */
static struct scene {
	unsigned int nr_slots, nr_points, kinds;
} scene;

static unsigned long nr_pages, arena_pages;
static char *arena;
static int files[NR_OBJECTS] = { -1, -1 }, pagemap;
static unsigned long long deadline;
static long vmpte;			/* when nothing is mapped */
static bool in_child;
static struct worker *me;

static uint32_t below(uint64_t *state, uint32_t limit)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ z >> 31) >> 16) % limit;
}

/* Only the first one counts. */
static __noreturn __printf(2, 3) void fail(unsigned long page, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!shared->failed) {
		shared->failed = true;
		n = sprintf(shared->text, "%spage %lu of slot %lu: ",
			    in_child ? "in a child: " : "", page % nr_pages, page / nr_pages);
		va_start(args, fmt);
		vsnprintf(shared->text + n, sizeof(shared->text) - n, fmt, args);
		va_end(args);
	}
	_exit(KSFT_FAIL);
}

/* The model */

/* What an access gives. @want: the seed of what is there then. */
static unsigned int allowed(struct page *m, bool write, uint32_t *want)
{
	*want = m->own ? m->seed : me->files[m->object][m->index];
	if (m->object == NONE || !(m->prot & PROT_READ) || m->guard ||
	    (write && !(m->prot & PROT_WRITE)))
		return SEGV;
	return OK;
}

static void accessed(struct page *m, bool write)
{
	uint32_t want;

	if (allowed(m, write, &want) == OK && !m->own && m->object == ANON) {
		m->own = true;
		m->seed = 0;
	}
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

static void access_page(unsigned long page, bool write, uint32_t seed)
{
	struct page *m = &me->pages[page];
	struct difference diff = { };
	char *addr = arena + page * page_size;
	unsigned int may, got;
	uint32_t want;
	int sig;

	may = allowed(m, write, &want);
	sig = write ? fill_page(addr, seed) : compare_page(addr, want, &diff);
	got = !sig ? OK : sig == SIGSEGV ? SEGV : BUS;
	if (sig < 0)
		fail(page, "word %lu is %#lx, but must be %#lx", diff.word, diff.found,
		     diff.expected);
	if (may != got)
		fail(page, "%s: %s, but must be %s", write ? "write" : "read", outcomes[got],
		     outcomes[may]);
	accessed(m, write);
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
	}
}

/* All that is special, and some of the rest. */
static void check_all(void)
{
	unsigned long slot, i;

	for (slot = 0; slot < NR_SLOTS; slot++) {
		check_pagemap(slot * nr_pages, nr_pages);
		for (i = 0; i < nr_pages; i++) {
			struct page *m = &me->pages[slot * nr_pages + i];

			if (i == nr_pages - 1 || (i % (nr_pages / 8) < 2 && m->object != NONE) ||
			    (i && m->guard != m[-1].guard) || (m->own && m->seed)) {
				access_page(m - me->pages, false, 0);
				check_pagemap(m - me->pages, 1);
			}
		}
	}
}

/* Operations. They return 0, a negative errno, or 1 when there is nothing to do. */

#define CALL(call)	((long)(call) == -1 ? -errno : 0)

static int map(unsigned long page, unsigned long nr, int flags, int object, unsigned long index)
{
	int prot = object == NONE ? PROT_NONE : RW;
	unsigned long i;
	int ret;

	ret = CALL(mmap(arena + page * page_size, nr * page_size, prot, flags,
			files[object], index * page_size));
	for (i = 0; i < nr; i++)
		me->pages[page + i] = (struct page){
			.object = object, .shared = flags & MAP_SHARED, .prot = prot,
			.index = index + i,
		};
	return ret;
}

static int unmap(unsigned long page, unsigned long nr)
{
	return map(page, nr, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, NONE, 0);
}

static int op_map(struct target *t)
{
	static const uint8_t objects[] = { ANON, SHMEM, SHMEM, REGULAR };
	uint32_t arg = t->op->arg;
	int object = objects[arg / 2 % 4], flags = MAP_FIXED | (object == ANON ? MAP_ANONYMOUS : 0);
	unsigned long range = arg / 8 % NR_RANGES;
	bool askew = range < NR_RANGES - 1 && arg >> 16 & 1;

	if (t->arg)
		return unmap(t->page, t->nr);
	flags |= object != ANON && arg & 1 ? MAP_SHARED : MAP_PRIVATE;
	return map(t->page, t->nr, flags, object,
		   range * nr_pages + t->page % nr_pages + (askew ? COLOUR : 0));
}

static int op_access(struct target *t)
{
	unsigned long i;

	for (i = t->page; i < t->page + t->nr; i++) {
		if (t->arg && me->pages[i].shared && in_child)
			continue;
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

	if (object < SHMEM || (!t->arg && !(t->m->shared && t->m->prot == RW)))
		return 1;
	if (t->arg)
		ret = CALL(ftruncate(files[object], first * page_size) ?:
			   ftruncate(files[object], NR_RANGES * pmd_size));
	else
		ret = CALL(madvise(t->addr, t->len, MADV_REMOVE));
	memset(me->files[object] + first, 0, nr * sizeof(uint32_t));
	for (i = 0; t->arg && i < arena_pages; i++)
		if (me->pages[i].object == object && me->pages[i].index >= first)
			me->pages[i].own = false;
	return ret;
}

static int op_madvise(struct target *t)
{
	unsigned int may = OK;
	unsigned long i, n;
	uint32_t want;
	int ret;

	if (t->arg == MADV_COLLAPSE) {
		if (t->m->object == REGULAR)
			fsync(files[REGULAR]);
		t->at -= t->page % nr_pages * page_size;
		t->len = pmd_size;
		t->page -= t->page % nr_pages;
		t->m = &me->pages[t->page];
		t->nr = nr_pages;
	}
	for (n = 0; t->arg == MADV_POPULATE_READ && n < t->nr && may == OK; n++)
		may = allowed(&t->m[n], false, &want);
	ret = CALL(madvise(arena + t->at, t->len, t->arg));
	if (t->arg == MADV_POPULATE_READ) {
		if (may == OK ? ret : !ret)
			fail(t->page, "populate: %s", strerror(-ret));
		/* The pages before the first one that cannot be read are populated. */
		t->nr = ret ? n - 1 : t->nr;
	} else if (ret) {
		return ret;
	}
	shared->collapses += t->arg == MADV_COLLAPSE;
	for (i = 0; i < t->nr; i++) {
		struct page *m = &t->m[i];

		if (t->arg == MADV_POPULATE_READ || (t->arg == MADV_COLLAPSE && m->object == ANON))
			accessed(m, false);
		if (t->arg == MADV_DONTNEED || t->arg == MADV_GUARD_INSTALL)
			m->own = false;
		if (t->arg == MADV_GUARD_INSTALL || t->arg == MADV_GUARD_REMOVE)
			m->guard = t->arg == MADV_GUARD_INSTALL;
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
		return CALL(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, t->addr, t->len, name));
	for (i = 0; i < t->nr; i++)
		t->m[i].prot = prot;
	return CALL(mprotect(t->addr, t->len, prot));
}

/* To another slot, as far into it, or beside that. */
static int op_mremap(struct target *t)
{
	unsigned long to = t->to, i;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED, ret;

	if (t->op->arg & 1 && to % nr_pages + COLOUR + t->nr <= nr_pages)
		to += COLOUR;
	if (to < t->page + t->nr && t->page < to + t->nr)
		return 1;
	if (t->op->arg & 2)
		flags |= MREMAP_DONTUNMAP;
	ret = CALL(mremap(t->addr, t->len, t->len, flags, arena + to * page_size));
	/* Several VMAs: what was there is gone. */
	if (ret) {
		unmap(to, t->nr);
		return ret;
	}
	for (i = 0; i < t->nr; i++) {
		me->pages[to + i] = t->m[i];
		t->m[i].own = false;
		t->m[i].guard = false;
	}
	return flags & MREMAP_DONTUNMAP ? 0 : unmap(t->page, t->nr);
}

static int op_fork(struct target *t)
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(HANG_SECONDS);
		in_child = true;
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		check_all();
		op_access(t);
		check_all();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		fail(t->page, "a child ended with status %#x", status);
	return 0;
}

enum { MAP, FORK, WRITE, POPULATE, COLLAPSE, GUARD };	/* the first ones */

/* @max: pages, if not any number. */
static const struct kind {
	const char *name;
	int (*fn)(struct target *t);
	unsigned long arg, max;
	enum { ANY, MAPPED, SAME } where;	/* in mappings, and in one as the first page */
	bool may_fail;				/* or @fn knows */
} kinds[] = {
	{ "map", op_map },
	{ "fork", op_fork, 1, 16, MAPPED },
	{ "write", op_access, 1, 16, MAPPED },
	{ "populate", op_madvise, MADV_POPULATE_READ, 0, MAPPED, true },
	{ "collapse", op_madvise, MADV_COLLAPSE, 0, MAPPED, true },
	{ "guard", op_madvise, MADV_GUARD_INSTALL, 0, MAPPED },
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
};

/* Where an operation is done, if it can be there. */
static bool resolve(const struct op *op, struct target *t)
{
	unsigned long n = nr_pages, at;
	const unsigned long points[] = { 0, n / 2, n - 1, n / 4, 1, n / 2 - 1, n - 2, n / 2 + 1 };
	const unsigned long lens[] = { 1, 1, 1, 2, n / 4, n / 2, n, n };
	const struct kind *kind = &kinds[op->kind];
	struct page *m;

	at = op->len == 7 ? 0 : points[op->at];
	t->page = op->slot * nr_pages + at;
	m = &me->pages[t->page];
	t->nr = MIN(lens[op->len], nr_pages - at);
	if (kind->max)
		t->nr = MIN(t->nr, kind->max);
	for (n = 0; n < t->nr && kind->where != ANY && m[n].object != NONE; n++)
		if (kind->where == SAME && (m[n].index - m->index != n ||
					    m[n].object != m->object || m[n].shared != m->shared ||
					    m[n].prot != m->prot))
			break;
	if (kind->where != ANY)
		t->nr = n;
	t->to = op->to * nr_pages + at;
	t->at = t->page * page_size;
	t->len = t->nr * page_size;
	t->addr = arena + t->at;
	t->m = m;
	t->op = op;
	t->arg = kind->arg;
	return t->nr;
}

/* Kinds that fill pages, that leave what is easily lost, that may lose it, and others. */
static void choose_scene(uint64_t *seed)
{
	unsigned int i;

	scene.nr_slots = 1 + below(seed, NR_SLOTS);
	scene.nr_points = 1 << below(seed, 4);
	scene.kinds = 1 << MAP | 1 << (WRITE + below(seed, 2)) | below(seed, 2) << COLLAPSE |
		      1 << GUARD;
	for (i = 1 + below(seed, 5); i; i--)
		scene.kinds |= 1 << below(seed, ARRAY_SIZE(kinds));
}

static void generate(uint64_t seed)
{
	uint32_t same;
	unsigned int i;

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
	}
	/* A child shows whether the flags of the VMAs are right. */
	if (below(&seed, 2))
		me->ops[me->nr - 1].kind = FORK;
}

/* Nothing is mapped then, and there are no page tables and no pages left. */
static void reset(void)
{
	unsigned long slot, i;
	long found;

	for (slot = 0; slot < NR_SLOTS; slot++)
		unmap(slot * nr_pages, nr_pages);
	for (i = SHMEM; i < NR_OBJECTS; i++) {
		memset(me->files[i], 0, NR_RANGES * nr_pages * sizeof(uint32_t));
		if (ftruncate(files[i], 0) || ftruncate(files[i], NR_RANGES * pmd_size))
			ksft_exit_fail_perror("ftruncate");
	}
	found = proc_kb("/proc/self/status", "VmPTE:");
	if (vmpte && found != vmpte)
		fail(0, "VmPTE of nothing: %ld kB, but must be %ld kB", found, vmpte);
	vmpte = found;
}

static void run_sequence(void)
{
	const struct kind *kind;
	struct target t;
	int ret;

	alarm(HANG_SECONDS);
	for (me->at = 0; me->at < me->nr; me->at++) {
		if (!resolve(&me->ops[me->at], &t))
			continue;
		kind = &kinds[t.op->kind];
		ret = kind->fn(&t);
		if (ret < 0 && !kind->may_fail)
			fail(t.page, "%s: %s", kind->name, strerror(-ret));
		shared->done += !ret;
		check_pagemap(t.page, MIN(t.nr, 4));
	}
	check_all();
	reset();
}

static void run_process(void)
{
	unsigned int i;

	me = &shared->worker;
	me->pages = calloc(arena_pages, sizeof(*me->pages));
	for (i = 0; i < NR_OBJECTS; i++)
		me->files[i] = calloc(NR_RANGES * nr_pages, sizeof(uint32_t));
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	/* Upper page tables, and those for signals, come with the first use, and stay. */
	for (i = 0; i < NR_SLOTS; i++) {
		map(i * nr_pages, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ANON, 0);
		peek(arena + i * pmd_size);
	}
	check_all();
	reset();
	do {
		generate(++shared->seed);
		run_sequence();
	} while (now_usecs() < deadline);
	_exit(0);
}

/* Returns 0, or how the process ended: by SIGALRM if it hung. */
static int run_child(unsigned long long until)
{
	int status = -1;
	pid_t pid;

	deadline = until;
	shared->failed = false;
	strcpy(shared->text, "a process could not go on");
	pid = fork();
	if (!pid) {
		become_child();
		run_process();
	}
	waitpid(pid, &status, 0);
	return status;
}

static bool run(uint64_t seed, unsigned int seconds)
{
	unsigned long long begin = now_usecs();
	int status;

	shared->seed = seed;
	status = run_child(begin + seconds * 1000000ULL);
	if (status)
		ksft_print_msg("after %.1f s, seed %llu: %s\n", (now_usecs() - begin) / 1e6,
			       (unsigned long long)shared->seed - 1,
			       shared->failed || !WIFSIGNALED(status) ?
			       shared->text : strsignal(WTERMSIG(status)));
	ksft_print_msg("%llu seeds, %u operations, %u collapses\n",
		       (unsigned long long)(shared->seed - seed), shared->done, shared->collapses);
	return !status;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	unsigned int seconds = atoi(argc > 2 ? argv[2] : getenv("PGTABLE_FUZZ_SECONDS") ?: "15");
	const char *reason;

	ksft_print_header();
	reason = set_up_machine();
	if (reason)
		ksft_exit_skip("%s\n", reason);
	nr_pages = pmd_size / page_size;
	arena_pages = NR_SLOTS * nr_pages;
	arena = reserve_arena(NR_SLOTS * pmd_size);
	shared = mmap(NULL, sizeof(*shared), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	files[SHMEM] = memfd_create("pgtable_fuzz", MFD_CLOEXEC);
	files[REGULAR] = create_file();
	if (files[REGULAR] < 0)
		ksft_exit_skip("no directory for a file, but of tmpfs: set PGTABLE_TEST_DIR\n");
	if (shared == MAP_FAILED || files[SHMEM] < 0)
		ksft_exit_fail_perror("making files");
	ksft_set_plan(1);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	ksft_test_result(run(seed, seconds), "sequential\n");
	ksft_finished();
}
