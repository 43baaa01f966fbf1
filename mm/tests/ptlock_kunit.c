// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the lock of a PTE table: that pte_lockptr() and the
 * pte_offset_map*() family find it, wherever the pte pointer points to.
 *
 * The tests work on the page tables of a user mm of their own, which are filled by
 * page faults.
 */
#include <linux/hugetlb.h>
#include <linux/pgalloc.h>
#include <linux/swapops.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "ptlock_kunit.h"

#define NR_RANGES	16

/* An anonymous mapping of @nr PTE tables, one page of each faulted in */
static unsigned long map_tables(struct kunit *test, unsigned int nr)
{
	unsigned long base = reserve_ranges(test, nr);
	unsigned int i;

	map_at(test, NULL, base, nr * PMD_SIZE,
	       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	for (i = 0; i < nr; i++) {
		u8 __user *p = (u8 __user *)(base + i * PMD_SIZE);

		KUNIT_ASSERT_EQ(test, 0, put_user(0x5a, p));
	}
	return base;
}

static const struct map_function {
	const char *name;
	enum { MAP, MAP_RO_NOLOCK, MAP_RW_NOLOCK, MAP_LOCK } id;
} map_functions[] = {
	{ "pte_offset_map", MAP },
	{ "pte_offset_map_ro_nolock", MAP_RO_NOLOCK },
	{ "pte_offset_map_rw_nolock", MAP_RW_NOLOCK },
	{ "pte_offset_map_lock", MAP_LOCK },
};

KUNIT_ARRAY_PARAM_DESC(map_function, map_functions, name);

static DEFINE_SPINLOCK(untouched);

/* What one of these functions returned */
struct mapped {
	bool found;
	spinlock_t *ptl;
	spinlock_t *by_pte;
	pmd_t pmdval;
	bool locked;
};

/* Is the lock held by us, as far as can be seen? */
static bool is_locked(spinlock_t *ptl, bool expected)
{
	int i;

	if (IS_ENABLED(CONFIG_LOCKDEP) && debug_locks)
		return lockdep_is_held(ptl);
	if (!IS_ENABLED(CONFIG_SMP))
		return expected;
	/* Another task may hold it for a moment */
	for (i = 0; i < (expected ? 1 : 2000); i++) {
		if (is_unlocked(ptl))
			return false;
		udelay(5);
	}
	return true;
}

static struct mapped map_and_unmap(const struct map_function *function,
				   struct mm_struct *mm, pmd_t *pmd,
				   unsigned long addr)
{
	struct mapped m = { .ptl = &untouched };
	pte_t *pte = NULL;

	switch (function->id) {
	case MAP:
		pte = pte_offset_map(pmd, addr);
		break;
	case MAP_RO_NOLOCK:
		pte = pte_offset_map_ro_nolock(mm, pmd, addr, &m.ptl);
		break;
	case MAP_RW_NOLOCK:
		pte = pte_offset_map_rw_nolock(mm, pmd, addr, &m.pmdval, &m.ptl);
		break;
	case MAP_LOCK:
		pte = pte_offset_map_lock(mm, pmd, addr, &m.ptl);
	}
	if (!pte)
		return m;

	m.found = true;
	m.by_pte = pte_lockptr(mm, pte);
	if (function->id != MAP)
		m.locked = is_locked(m.ptl, function->id == MAP_LOCK);
	if (function->id == MAP_LOCK)
		spin_unlock(m.ptl);
	pte_unmap(pte);
	return m;
}

/*
 * Check that the lock of a table is found from a pointer to any of its entries,
 * and held only after pte_offset_map_lock(). The pmd may be a copy on the stack.
 */
static void ptlock_identity(struct kunit *test)
{
	const struct map_function *function = test->param_value;
	unsigned long addr = map_tables(test, 3), end = addr + 3 * PMD_SIZE;
	struct mm_struct *mm = current->mm;
	struct map_context before, after;
	struct mapped m;
	int copied;

	/* If it is not split, the pointer is not looked at */
	if (!IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS))
		KUNIT_EXPECT_PTR_EQ(test, pte_lockptr(mm, (pte_t *)-1UL),
				    &mm->page_table_lock);
	for (; addr < end; addr += PAGE_SIZE) {
		pmd_t *pmd = find_pmd(test, addr), copy = *pmd;
		spinlock_t *expected = table_lock(mm, pmd);

		for (copied = 0; copied < 2; copied++) {
			before = map_context();
			m = map_and_unmap(function, mm, copied ? &copy : pmd, addr);
			after = map_context();
			KUNIT_ASSERT_TRUE(test, m.found);
			KUNIT_ASSERT_PTR_EQ_MSG(test, m.by_pte, expected, "%#lx", addr);
			if (function->id != MAP)
				KUNIT_ASSERT_PTR_EQ_MSG(test, m.ptl, expected, "%#lx", addr);
			if (function->id == MAP_RW_NOLOCK)
				KUNIT_ASSERT_TRUE(test, pmd_same(m.pmdval, copy));
			KUNIT_ASSERT_EQ(test, m.locked, function->id == MAP_LOCK);
			KUNIT_ASSERT_MEMEQ(test, &before, &after, sizeof(before));
		}
	}
}

/*
 * Check that tables on two pages have two locks, and that tables that share a page
 * share its lock. The PTE lock is the PMD lock exactly when neither is split.
 */
static void ptlock_independence(struct kunit *test)
{
	const bool split = IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS);
	unsigned long base = map_tables(test, NR_RANGES);
	struct mm_struct *mm = current->mm;
	struct page *page[NR_RANGES];
	spinlock_t *ptl[NR_RANGES];
	unsigned int i, j;

	for (i = 0; i < NR_RANGES; i++) {
		unsigned long addr = base + i * PMD_SIZE;
		pmd_t *pmd = find_pmd(test, addr);
		pte_t *pte;

		pte = pte_offset_map_ro_nolock(mm, pmd, addr, &ptl[i]);
		KUNIT_ASSERT_NOT_NULL(test, pte);
		pte_unmap(pte);

		/* m68k's pmd_page() may be a dummy */
		page[i] = pmd_page(*pmd) ?: virt_to_page(pte);
		KUNIT_EXPECT_EQ(test, ptl[i] == pmd_lockptr(mm, pmd), !split);
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_EQ(test, ptl[i] == ptl[j],
					!split || page[i] == page[j]);
	}
}

/* Work on another CPU that wants a lock which the test holds */
struct waiter {
	struct work_struct work;
	bool started, go;
};

/* The work calls it last before the lock: it may not sleep from there on */
static void wait_for_go(struct waiter *w)
{
	WRITE_ONCE(w->started, true);
	while (!READ_ONCE(w->go))
		cond_resched();
}

/*
 * Queue the work, take the lock once it runs, and return when it is seen to wait for
 * the lock, or after half a second. False if it does not run.
 */
static bool lock_before(struct waiter *w, spinlock_t *ptl)
{
	unsigned long begin = jiffies;
	bool started;

	queue_work_on(cpumask_any_but(cpu_online_mask, raw_smp_processor_id()),
		      system_long_wq, &w->work);
	while (!READ_ONCE(w->started) && time_before(jiffies, begin + WAIT_LIMIT))
		msleep(20);
	started = READ_ONCE(w->started);
	spin_lock(ptl);
	begin = jiffies;
	WRITE_ONCE(w->go, true);
	while (started && !is_awaited(ptl, begin))
		cpu_relax();
	return started;
}

/*
 * Check that pte_offset_map_lock(), when it has waited for the lock of a table that
 * *pmd no longer points to, takes that of the other table, or none. The pmd is a
 * copy, to be changed.
 */
struct late_walk {
	struct waiter waiter;
	struct mm_struct *mm;
	pmd_t pmd[2];			/* some archs clear pmds by pairs */
	unsigned long addr;
	struct map_context before, after;
	struct mapped m;
	bool done;
};

static void late_walk(struct work_struct *work)
{
	struct late_walk *w = container_of(work, struct late_walk, waiter.work);

	w->before = map_context();
	wait_for_go(&w->waiter);
	w->m = map_and_unmap(&map_functions[MAP_LOCK], w->mm, w->pmd, w->addr);
	WRITE_ONCE(w->done, true);
	w->after = map_context();
}

static void expect_late_walk(struct kunit *test, bool replaced)
{
	unsigned long addr = map_tables(test, 2);
	pmd_t *pmd = find_pmd(test, addr), *other = find_pmd(test, addr + PMD_SIZE);
	struct late_walk w = { .mm = current->mm, .pmd = { *pmd }, .addr = addr };
	spinlock_t *ptl = table_lock(w.mm, pmd);
	spinlock_t *expected = replaced ? table_lock(w.mm, other) : &untouched;
	bool started, done;

	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");
	if (ptl == expected)
		kunit_skip(test, "the two tables share a lock");

	pin_to_cpu(test, raw_smp_processor_id());
	INIT_WORK_ONSTACK(&w.waiter.work, late_walk);
	started = lock_before(&w.waiter, ptl);
	done = READ_ONCE(w.done);
	if (replaced)
		w.pmd[0] = *other;
	else
		pmd_clear(w.pmd);
	spin_unlock(ptl);
	flush_work(&w.waiter.work);
	destroy_work_on_stack(&w.waiter.work);

	KUNIT_EXPECT_TRUE(test, started);
	KUNIT_EXPECT_FALSE_MSG(test, done, "the lock is not waited for");
	KUNIT_EXPECT_EQ(test, w.m.found, replaced);
	KUNIT_EXPECT_PTR_EQ(test, w.m.ptl, expected);
	KUNIT_EXPECT_MEMEQ(test, &w.before, &w.after, sizeof(w.before));
}

static void ptlock_map_lock_changed(struct kunit *test)
{
	expect_late_walk(test, false);
	expect_late_walk(test, true);
}

/*
 * Check that every function of the family fails where there is no table: it
 * returns NULL, leaves *ptlp alone, and gives back what it took.
 */
static void expect_no_table(struct kunit *test, const char *what, pmd_t pmdval,
			    bool bad, unsigned long addr)
{
	struct map_context before, after;
	struct mapped m;
	pmd_t *pmd;

	/* Only a bad pmd gets cleared: by pairs on some archs */
	pmd = kunit_kcalloc(test, 2, sizeof(*pmd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pmd);
	*pmd = pmdval;
	before = map_context();
	m = map_and_unmap(test->param_value, current->mm, pmd, addr);
	after = map_context();
	KUNIT_EXPECT_FALSE_MSG(test, m.found, "%s", what);
	KUNIT_EXPECT_PTR_EQ_MSG(test, m.ptl, &untouched, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, pmd_same(*pmd, pmdval), !bad, "%s", what);
	KUNIT_EXPECT_MEMEQ(test, &before, &after, sizeof(before));
}

static void ptlock_no_table(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	unsigned long pfn = page_to_pfn(ZERO_PAGE(addr));
	pmd_t table = *find_pmd(test, addr), pmd[2];
	unsigned int bit;

	pmd_clear(pmd);
	expect_no_table(test, "none", *pmd, false, addr);
	if (thp_migration_supported()) {
		*pmd = swp_entry_to_pmd(make_readable_migration_entry(pfn));
		expect_no_table(test, "migration entry", *pmd, false, addr);
	}
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	if (has_transparent_hugepage()) {
		*pmd = pmd_mkhuge(pfn_pmd(pfn, vm_get_page_prot(VM_READ)));
		expect_no_table(test, "leaf", *pmd, false, addr);
	}
#endif
	/* A bad pmd is one bit away from that of a table, if there is one */
	for (bit = 0; bit < BITS_PER_BYTE * sizeof(pmd_t); bit++) {
		pmd_t bad = __pmd(pmd_val(table) ^ (1ULL << bit));

		if (pmd_none(bad) || !pmd_present(bad) ||
		    pmd_trans_huge(bad) || !pmd_bad(bad))
			continue;
		kunit_info(test, "1 line \"bad pmd\" is expected\n");
		expect_no_table(test, "bad", bad, true, addr);
		break;
	}
}

#ifdef CONFIG_HUGETLB_PAGE
/*
 * Check that hugetlb takes the lock that a walker of that level would take, from
 * the first to the last entry of a huge page, for sizes it does not have as well.
 */
static void ptlock_hugetlb(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	struct hstate h = {};

	/* Without HIGHPTE, or else hugetlb has no sizes below PMD_SIZE */
	h.order = IS_ENABLED(CONFIG_HIGHPTE) ? PMD_SHIFT - PAGE_SHIFT : 1;
	for (; huge_page_size(&h) <= PUD_SIZE; h.order++) {
		unsigned long size = huge_page_size(&h);
		spinlock_t *first, *last, *expected;
		pte_t *pte;

		if (size < PMD_SIZE) {
			pte = pte_offset_map(pmd, addr);
			KUNIT_ASSERT_NOT_NULL(test, pte);
			first = huge_pte_lockptr(&h, mm, pte);
			last = huge_pte_lockptr(&h, mm, pte + size / PAGE_SIZE - 1);
			pte_unmap(pte);
			expected = table_lock(mm, pmd);
		} else {
			unsigned long nr = size / PMD_SIZE;
			pmd_t *start = pmd - pmd_index(addr) % nr;

			first = huge_pte_lockptr(&h, mm, (pte_t *)start);
			last = huge_pte_lockptr(&h, mm, (pte_t *)(start + nr - 1));
			expected = size < PUD_SIZE ? pmd_lockptr(mm, pmd) :
						     &mm->page_table_lock;
		}
		KUNIT_EXPECT_PTR_EQ_MSG(test, first, expected, "size %#lx", size);
		KUNIT_EXPECT_PTR_EQ_MSG(test, last, expected, "size %#lx", size);
	}
}
#endif /* CONFIG_HUGETLB_PAGE */

static struct kunit_case ptlock_test_cases[] = {
	KUNIT_CASE_PARAM(ptlock_identity, map_function_gen_params),
	KUNIT_CASE(ptlock_independence),
	KUNIT_CASE(ptlock_map_lock_changed),
	KUNIT_CASE_PARAM(ptlock_no_table, map_function_gen_params),
#ifdef CONFIG_HUGETLB_PAGE
	KUNIT_CASE(ptlock_hugetlb),
#endif
	{}
};

static struct kunit_suite ptlock_test_suite = {
	.name = "ptlock",
	.test_cases = ptlock_test_cases,
};

kunit_test_suite(ptlock_test_suite);
