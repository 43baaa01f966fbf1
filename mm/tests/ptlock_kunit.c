// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the lock of a PTE table: that pte_lockptr() and the
 * pte_offset_map*() family find it, whatever the pte pointer looks like.
 *
 * The tests work on the page tables of a user mm of their own, which are filled by
 * page faults.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/hugetlb.h>
#include <linux/kasan.h>
#include <linux/kdebug.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgalloc.h>
#include <linux/swapops.h>
#include <linux/uaccess.h>
#include "../internal.h"
#include "ptlock_kunit.h"

#define NR_RANGES	16

/* Is the lock held by us, as far as that can be seen? */
static bool is_locked(spinlock_t *ptl)
{
	if (IS_ENABLED(CONFIG_LOCKDEP) && !lockdep_is_held(ptl))
		return false;
	if (!IS_ENABLED(CONFIG_SMP))
		return true;
	if (!spin_trylock(ptl))
		return true;
	spin_unlock(ptl);
	return false;
}

/* Wait for a task that holds it for a moment only. Does not sleep. */
static bool is_unlocked_soon(spinlock_t *ptl)
{
	int i;

	for (i = 0; i < 2000 && !is_unlocked(ptl); i++)
		udelay(5);
	return i < 2000;
}

static void touch(struct kunit *test, unsigned long addr)
{
	KUNIT_ASSERT_EQ(test, 0, put_user(0x5a, (u8 __user *)addr));
}

/* An anonymous mapping of @nr PTE tables, one page of each faulted in */
static unsigned long map_tables(struct kunit *test, unsigned int nr)
{
	unsigned long base = reserve_ranges(test, nr);
	unsigned int i;

	map_at(test, NULL, base, nr * PMD_SIZE,
	       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	no_huge_faults(test, base);
	for (i = 0; i < nr; i++)
		touch(test, base + i * PMD_SIZE);
	return base;
}

/*
 * The lock of the table at *pmd is found from a pointer to any of its entries,
 * and handed out with it.
 */
static void expect_identity(struct kunit *test, pmd_t *pmd, unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	spinlock_t *expected = table_lock(mm, pmd);
	unsigned int i;
	pte_t *pte;

	for (i = 0; i < PTRS_PER_PTE; i++) {
		spinlock_t *ptl, *by_pte;

		pte = pte_offset_map_ro_nolock(mm, pmd, addr + i * PAGE_SIZE,
					       &ptl);
		KUNIT_ASSERT_NOT_NULL(test, pte);
		by_pte = pte_lockptr(mm, pte);
		pte_unmap(pte);
		KUNIT_ASSERT_PTR_EQ_MSG(test, by_pte, expected, "slot %u", i);
		KUNIT_ASSERT_PTR_EQ_MSG(test, ptl, expected, "slot %u", i);
	}
}

/*
 * The address of a page may have a tag, which no pointer that comes from a pmd
 * entry has: the lookup does not depend on it.
 */
static void ptlock_tagged(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	pmd_t *pmd = find_pmd(test, addr);
	spinlock_t *first, *last;
	struct page *page;
	pte_t *pte;

	if (!IS_ENABLED(CONFIG_KASAN_SW_TAGS))
		kunit_skip(test, "requires CONFIG_KASAN_SW_TAGS");

	page = pmd_page(*pmd);
	pte = page_address(page);
	if (pte == kasan_reset_tag(pte))
		kunit_skip(test, "the page of the table has no tag");

	first = pte_lockptr(current->mm, pte);
	last = pte_lockptr(current->mm, pte + PTRS_PER_PTE - 1);
	KUNIT_EXPECT_PTR_EQ(test, first, table_lock(current->mm, pmd));
	KUNIT_EXPECT_PTR_EQ(test, last, table_lock(current->mm, pmd));
}

/* The levels in use: an architecture may fold some of them at run time */
static int pgtable_levels(struct mm_struct *mm)
{
	return 5 - mm_p4d_folded(mm) - mm_pud_folded(mm) - mm_pmd_folded(mm);
}

static void ptlock_identity(struct kunit *test)
{
	unsigned long base = map_tables(test, NR_RANGES);
	unsigned int i;

	kunit_info(test, "config: levels=%d\n", pgtable_levels(current->mm));
	for (i = 0; i < NR_RANGES; i++) {
		unsigned long addr = base + i * PMD_SIZE;

		expect_identity(test, find_pmd(test, addr), addr);
	}
}

/* Without split locks it is the mm's lock, and the pointer is not looked at. */
static void ptlock_unsplit(struct kunit *test)
{
	struct mm_struct *mm;

	if (IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS))
		kunit_skip(test, "PTE locks are split");

	KUNIT_ASSERT_EQ(test, 0, kunit_attach_mm());
	mm = current->mm;
	KUNIT_EXPECT_PTR_EQ(test, pte_lockptr(mm, NULL), &mm->page_table_lock);
	KUNIT_EXPECT_PTR_EQ(test, pte_lockptr(mm, (pte_t *)-1UL),
			    &mm->page_table_lock);
}

/*
 * Tables on two pages have two locks, tables that share a page share its lock.
 * The PTE lock is the PMD lock exactly when neither is split.
 */
static void ptlock_independence(struct kunit *test)
{
	unsigned long base = map_tables(test, NR_RANGES);
	struct mm_struct *mm = current->mm;
	spinlock_t *ptl[NR_RANGES], *pml;
	struct page *page[NR_RANGES];
	unsigned int i, j, most = 1;
	pmd_t *pmd;
	pte_t *pte;

	for (i = 0; i < NR_RANGES; i++) {
		unsigned long addr = base + i * PMD_SIZE;

		pmd = find_pmd(test, addr);
		pte = pte_offset_map_ro_nolock(mm, pmd, addr, &ptl[i]);
		KUNIT_ASSERT_NOT_NULL(test, pte);
		pte_unmap(pte);

		/* m68k's pmd_page() may be a dummy */
		page[i] = pmd_page(*pmd) ?: virt_to_page(pte);
		pml = pmd_lockptr(mm, pmd);
		if (IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS))
			KUNIT_EXPECT_PTR_NE(test, ptl[i], pml);
		else
			KUNIT_EXPECT_PTR_EQ(test, ptl[i], pml);
	}

	for (i = 0; i < NR_RANGES; i++) {
		unsigned int sharing = 1;

		for (j = 0; j < i; j++) {
			bool same = page[i] == page[j];

			sharing += same;
			if (same || !IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS))
				KUNIT_EXPECT_PTR_EQ(test, ptl[i], ptl[j]);
			else
				KUNIT_EXPECT_PTR_NE(test, ptl[i], ptl[j]);
		}
		most = max(most, sharing);
	}
	kunit_info(test, "config: tables_in_a_page=%u\n", most);
}

/* pte_offset_map_lock() returns with the table's lock held. */
static void ptlock_map_lock(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	struct map_context before = map_context();
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	spinlock_t *ptl, *by_pte;
	bool locked;
	pte_t *pte;

	pte = pte_offset_map_lock(mm, pmd, addr, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	by_pte = pte_lockptr(mm, pte);
	locked = is_locked(ptl);
	pte_unmap_unlock(pte, ptl);

	KUNIT_EXPECT_TRUE(test, locked);
	KUNIT_EXPECT_PTR_EQ(test, ptl, by_pte);
	KUNIT_EXPECT_PTR_EQ(test, ptl, table_lock(mm, pmd));
	expect_released(test, ptl);
	expect_map_context(test, before);
}

/*
 * The _nolock() variants return the same lock, not held, and the pmd value that
 * the pte was derived from.
 */
static void ptlock_map_nolock(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	struct map_context before = map_context();
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	pmd_t pmdval = __pmd(0);
	spinlock_t *ptl = NULL;
	bool unlocked;
	pte_t *pte;

	pte = pte_offset_map_ro_nolock(mm, pmd, addr, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	unlocked = is_unlocked_soon(ptl);
	pte_unmap(pte);
	KUNIT_EXPECT_PTR_EQ(test, ptl, table_lock(mm, pmd));
	KUNIT_EXPECT_TRUE(test, unlocked);

	ptl = NULL;
	pte = pte_offset_map_rw_nolock(mm, pmd, addr, &pmdval, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	unlocked = is_unlocked_soon(ptl);
	pte_unmap(pte);
	KUNIT_EXPECT_PTR_EQ(test, ptl, table_lock(mm, pmd));
	KUNIT_EXPECT_TRUE(test, pmd_same(pmdval, *pmd));
	KUNIT_EXPECT_TRUE(test, unlocked);
	expect_map_context(test, before);
}

/* It is all the same with a pmd value that was copied to the stack. */
static void ptlock_stack_pmd(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	struct map_context before = map_context();
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	pmd_t copy = *pmd, pmdval;
	spinlock_t *ptl;
	bool locked;
	pte_t *pte;

	expect_identity(test, &copy, addr);

	pte = pte_offset_map_lock(mm, &copy, addr, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	locked = is_locked(ptl);
	pte_unmap_unlock(pte, ptl);
	KUNIT_EXPECT_TRUE(test, locked);
	KUNIT_EXPECT_PTR_EQ(test, ptl, table_lock(mm, pmd));

	pte = pte_offset_map_rw_nolock(mm, &copy, addr, &pmdval, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	pte_unmap(pte);
	KUNIT_EXPECT_PTR_EQ(test, ptl, table_lock(mm, pmd));
	KUNIT_EXPECT_TRUE(test, pmd_same(pmdval, copy));
	expect_map_context(test, before);
}

/*
 * If *pmd changes while a walker waits for the lock of the table, it takes
 * the lock of the new table.  The pmd is a copy, to be changed at will.
 */
struct late_walker {
	struct mm_struct *mm;
	pmd_t pmd;
	unsigned long addr;
	bool started;
	spinlock_t *ptl;
	struct completion done;
};

static int late_walker(void *data)
{
	struct late_walker *w = data;
	spinlock_t *ptl = NULL;
	pte_t *pte;

	WRITE_ONCE(w->started, true);
	pte = pte_offset_map_lock(w->mm, &w->pmd, w->addr, &ptl);
	if (pte)
		pte_unmap_unlock(pte, ptl);
	w->ptl = ptl;
	complete(&w->done);
	return 0;
}

static void ptlock_map_lock_changed(struct kunit *test)
{
	unsigned long addr = map_tables(test, 2);
	pmd_t *pmd = find_pmd(test, addr);
	pmd_t *other = find_pmd(test, addr + PMD_SIZE);
	struct mm_struct *mm = current->mm;
	spinlock_t *ptl = table_lock(mm, pmd);
	struct task_struct *task;
	struct late_walker *w;
	bool started;
	int cpu, i;

	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");
	if (ptl == table_lock(mm, other))
		kunit_skip(test, "the two tables share a lock");

	pin_to_cpu(test, raw_smp_processor_id());
	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	w->mm = mm;
	w->pmd = *pmd;
	w->addr = addr;
	init_completion(&w->done);
	task = kthread_create(late_walker, w, "ptlock_kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	kthread_bind(task, cpu);

	spin_lock(ptl);
	wake_up_process(task);
	/* Not every kind of lock tells that a task waits for it */
	for (i = 0; i < 500 && !spin_is_contended(ptl); i++)
		mdelay(1);
	started = READ_ONCE(w->started);
	if (started)
		w->pmd = *other;
	spin_unlock(ptl);
	wait_for_completion(&w->done);

	if (!started)
		kunit_skip(test, "the other CPU was too late");
	KUNIT_EXPECT_PTR_EQ(test, w->ptl, table_lock(mm, other));
}

/*
 * Every function of the family fails on this pmd value: it returns NULL, leaves
 * *ptlp alone, and gives back what it took.
 */
static void expect_no_table(struct kunit *test, const char *what, pmd_t pmdval,
			    unsigned long addr)
{
	struct map_context before = map_context();
	struct mm_struct *mm = current->mm;
	spinlock_t untouched, *ptl = &untouched;
	pmd_t *pmd, out;
	pte_t *pte;

	/* A bad pmd gets cleared: by pairs, and in a page table, on some archs */
	pmd = kunit_kcalloc(test, 2, sizeof(*pmd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pmd);

	*pmd = pmdval;
	pte = pte_offset_map(pmd, addr);
	if (pte)
		pte_unmap(pte);
	KUNIT_EXPECT_NULL_MSG(test, pte, "%s", what);

	*pmd = pmdval;
	pte = pte_offset_map_lock(mm, pmd, addr, &ptl);
	if (pte)
		pte_unmap_unlock(pte, ptl);
	KUNIT_EXPECT_NULL_MSG(test, pte, "%s", what);

	*pmd = pmdval;
	pte = pte_offset_map_ro_nolock(mm, pmd, addr, &ptl);
	if (pte)
		pte_unmap(pte);
	KUNIT_EXPECT_NULL_MSG(test, pte, "%s", what);

	*pmd = pmdval;
	pte = pte_offset_map_rw_nolock(mm, pmd, addr, &out, &ptl);
	if (pte)
		pte_unmap(pte);
	KUNIT_EXPECT_NULL_MSG(test, pte, "%s", what);

	KUNIT_EXPECT_PTR_EQ_MSG(test, ptl, &untouched, "%s", what);
	expect_map_context(test, before);
}

static void ptlock_no_table(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	unsigned long pfn = page_to_pfn(ZERO_PAGE(addr));
	pmd_t *none;

	/* Not zero everywhere, and some archs clear pmds by pairs */
	none = kunit_kcalloc(test, 2, sizeof(*none), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, none);
	pmd_clear(none);
	KUNIT_ASSERT_TRUE(test, pmd_none(*none));
	expect_no_table(test, "none", *none, addr);

	if (thp_migration_supported())
		expect_no_table(test, "migration entry",
				swp_entry_to_pmd(make_readable_migration_entry(pfn)),
				addr);
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	if (has_transparent_hugepage())
		expect_no_table(test, "leaf",
				pmd_mkhuge(pfn_pmd(pfn, vm_get_page_prot(VM_READ))),
				addr);
#endif
}

/*
 * A bad pmd is one bit away from that of a table; which bit is up to the arch.
 * The kernel complains about each that it is shown.
 */
static void ptlock_bad_pmd(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	pmd_t table = *find_pmd(test, addr);
	unsigned int bit;

	for (bit = 0; bit < BITS_PER_BYTE * sizeof(pmd_t); bit++) {
		pmd_t bad = __pmd(pmd_val(table) ^ (1ULL << bit));

		if (pmd_none(bad) || !pmd_present(bad) ||
		    pmd_trans_huge(bad) || !pmd_bad(bad))
			continue;

		kunit_info(test, "4 lines \"bad pmd\" are expected\n");
		expect_no_table(test, "bad", bad, addr);
		return;
	}
	kunit_skip(test, "no pmd value is bad on this architecture");
}

#if defined(CONFIG_PPC64) && defined(CONFIG_DEBUG_VM) && \
	defined(CONFIG_SMP) && defined(CONFIG_BUG)
/* Count the BUG_ON()s of a task, which goes on after each of them */
struct bug_counter {
	struct notifier_block nb;
	struct task_struct *task;
	int nr;
};

static int count_bug(struct notifier_block *nb, unsigned long why, void *data)
{
	struct bug_counter *bugs = container_of(nb, struct bug_counter, nb);
	struct die_args *args = data;

	if (why != DIE_BPT || current != bugs->task || user_mode(args->regs))
		return NOTIFY_DONE;
	bugs->nr++;
	regs_add_return_ip(args->regs, 4);
	return NOTIFY_STOP;
}

/* A pte is only changed with the lock of its table held: powerpc asserts that. */
static void ptlock_assert_locked(struct kunit *test)
{
	struct bug_counter bugs = {
		.nb.notifier_call = count_bug,
		.task = current,
	};
	unsigned long addr = map_tables(test, 1);
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	int locked, unlocked;
	spinlock_t *ptl;
	pte_t *pte;

	KUNIT_ASSERT_EQ(test, 0, register_die_notifier(&bugs.nb));
	pte = pte_offset_map_lock(mm, pmd, addr, &ptl);
	if (pte) {
		assert_pte_locked(mm, addr);
		assert_pte_locked(mm, addr + PMD_SIZE - PAGE_SIZE);
		locked = bugs.nr;
		spin_unlock(ptl);
		assert_pte_locked(mm, addr);
		unlocked = bugs.nr - locked;
		pte_unmap(pte);
	}
	unregister_die_notifier(&bugs.nb);

	KUNIT_ASSERT_NOT_NULL(test, pte);
	KUNIT_EXPECT_EQ_MSG(test, locked, 0, "the lock is held");
	KUNIT_EXPECT_EQ_MSG(test, unlocked, 1, "the lock is not held");
}
#else
static void ptlock_assert_locked(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_PPC64, CONFIG_DEBUG_VM, CONFIG_SMP and CONFIG_BUG");
}
#endif

/*
 * hugetlb takes the lock that a walker of that level would take, from the first
 * to the last entry of a huge page.
 */
static void ptlock_hugetlb(struct kunit *test)
{
#ifdef CONFIG_HUGETLB_PAGE
	struct mm_struct *mm;
	unsigned long addr;
	struct hstate *h;
	int nr = 0;
	pmd_t *pmd;
	pte_t *pte;

	if (!hugepages_supported() || !hugetlb_max_hstate)
		kunit_skip(test, "no hugetlb page sizes");

	addr = map_tables(test, 1);
	mm = current->mm;
	pmd = find_pmd(test, addr);
	for_each_hstate(h) {
		unsigned long size = huge_page_size(h), n;
		spinlock_t *first, *last, *expected;

		if (size >= PUD_SIZE)
			continue;	/* PUD tables have no locks of their own */
		if (size >= PMD_SIZE) {
			n = size / PMD_SIZE;
			pte = (pte_t *)(pmd - pmd_index(addr) % n);
			first = huge_pte_lockptr(h, mm, pte);
			pte = (pte_t *)((pmd_t *)pte + n - 1);
			last = huge_pte_lockptr(h, mm, pte);
			expected = pmd_lockptr(mm, pmd);
		} else {
			n = size / PAGE_SIZE;
			pte = pte_offset_map(pmd, addr);
			KUNIT_ASSERT_NOT_NULL(test, pte);
			first = huge_pte_lockptr(h, mm, pte);
			last = huge_pte_lockptr(h, mm, pte + n - 1);
			pte_unmap(pte);
			expected = table_lock(mm, pmd);
		}
		kunit_info(test, "%lu kB: %lu entries\n", size / 1024, n);
		KUNIT_EXPECT_PTR_EQ(test, first, expected);
		KUNIT_EXPECT_PTR_EQ(test, last, expected);
		nr++;
	}
	if (!nr)
		kunit_skip(test, "no hugetlb page sizes below PUD_SIZE");
#else
	kunit_skip(test, "requires CONFIG_HUGETLB_PAGE");
#endif
}

#ifdef CONFIG_HIGHMEM
static struct page *alloc_highmem_page(struct kunit *test)
{
	struct page *page = alloc_page(GFP_HIGHUSER | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, put_page_action, page));
	if (!PageHighMem(page))
		kunit_skip(test, "no highmem page to be had");
	/* A kmap() of it that is over may linger on, and be reused */
	kmap_flush_unused();
	return page;
}

/* The outermost kmap_local_page() on CPU 0 is at the very end of the area. */
static void kmap_local_first_slot(struct kunit *test)
{
	struct page *page = alloc_highmem_page(test), *found;
	bool is_kmap, is_kmap_end;
	void *addr;

	pin_to_cpu(test, 0);
	addr = kmap_local_page(page);
	if (IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL) ||
	    (unsigned long)addr != __fix_to_virt(FIX_KMAP_BEGIN)) {
		kunmap_local(addr);
		kunit_skip(test, "the first slot is not used here");
	}

	is_kmap = is_kmap_addr(addr);
	is_kmap_end = is_kmap_addr(addr + PAGE_SIZE - 1);
	found = NULL;
	/* It deprecates itself */
	kunit_warning_suppress(test)
		found = kmap_to_page(addr);
	kunmap_local(addr);

	KUNIT_EXPECT_TRUE(test, is_kmap);
	KUNIT_EXPECT_TRUE(test, is_kmap_end);
	KUNIT_EXPECT_PTR_EQ(test, found, page);
}
#else
static void kmap_local_first_slot(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_HIGHMEM");
}
#endif /* CONFIG_HIGHMEM */

#ifdef CONFIG_HIGHPTE
/* Where does a pte pointer point? */
enum pte_kind { PTE_LINEAR, PTE_KMAP_LOCAL, PTE_PKMAP };

static enum pte_kind pte_kind(pte_t *pte)
{
	unsigned long addr = (unsigned long)pte & PAGE_MASK;

	if (addr >= PKMAP_ADDR(0) && addr < PKMAP_ADDR(LAST_PKMAP))
		return PTE_PKMAP;
	if (addr >= __fix_to_virt(FIX_KMAP_END) &&
	    addr <= __fix_to_virt(FIX_KMAP_BEGIN))
		return PTE_KMAP_LOCAL;
	return PTE_LINEAR;
}

/* Map one table that is in highmem; skip if none is */
static unsigned long map_highmem_table(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);

	if (!PageHighMem(pmd_page(*find_pmd(test, addr))))
		kunit_skip(test, "no PTE table in highmem: too little memory?");
	kmap_flush_unused();
	return addr;
}

static int kmap_slot(pte_t *pte)
{
	return __virt_to_fix((unsigned long)pte & PAGE_MASK) - FIX_KMAP_BEGIN;
}

/*
 * Any kmap_local slot will do: of every CPU, at every depth, the first slot of
 * CPU 0 among them, and with the guard slots of CONFIG_DEBUG_KMAP_LOCAL.
 */
static void highpte_kmap_local(struct kunit *test)
{
	unsigned long addr = map_highmem_table(test);
	struct page *filler = alloc_highmem_page(test);
	const int incr = IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL) ? 2 : 1;
	const int max_depth = KM_MAX_IDX / incr - 2;
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	spinlock_t *expected = table_lock(mm, pmd);
	void *nest[KM_MAX_IDX];
	bool first_slot = false;
	int cpu, depth, nr = 0;

	for_each_online_cpu(cpu) {
		pin_to_cpu(test, cpu);
		for (depth = 0; depth < max_depth; depth++) {
			spinlock_t *first, *last;
			enum pte_kind kind;
			pte_t *pte;
			int i, slot;

			for (i = 0; i < depth; i++)
				nest[i] = kmap_local_page(filler);
			pte = pte_offset_map(pmd, addr);
			if (pte) {
				kind = pte_kind(pte);
				slot = kmap_slot(pte);
				first = pte_lockptr(mm, pte);
				last = pte_lockptr(mm, pte + PTRS_PER_PTE - 1);
				pte_unmap(pte);
			}
			while (i--)
				kunmap_local(nest[i]);

			KUNIT_ASSERT_NOT_NULL(test, pte);
			KUNIT_ASSERT_EQ(test, kind, PTE_KMAP_LOCAL);
			KUNIT_ASSERT_EQ(test, slot, cpu * KM_MAX_IDX +
					(depth + 1) * incr - 1);
			KUNIT_ASSERT_PTR_EQ_MSG(test, first, expected,
						"CPU %d depth %d", cpu, depth);
			KUNIT_ASSERT_PTR_EQ_MSG(test, last, expected,
						"CPU %d depth %d", cpu, depth);
			first_slot |= slot == 0;
			nr++;
		}
	}
	if (!IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL))
		KUNIT_EXPECT_TRUE(test, first_slot);
	kunit_info(test, "pte pointers in %d kmap_local slots, the first of CPU 0 %sincluded\n",
		   nr, first_slot ? "" : "not ");
}

/* The mapping is restored after a context switch, and so is the lookup. */
static void highpte_context_switch(struct kunit *test)
{
	unsigned long addr = map_highmem_table(test);
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	unsigned long before, after;
	enum pte_kind kind;
	spinlock_t *ptl;
	pte_t *pte;

	/* As pte_offset_map() does it, but for RCU: the table won't go away */
	pte = (pte_t *)kmap_local_page(pmd_page(*pmd)) + pte_index(addr);
	kind = pte_kind(pte);

	before = current->nvcsw;
	msleep(20);
	after = current->nvcsw;

	ptl = pte_lockptr(mm, pte);
	kunmap_local(pte);
	KUNIT_EXPECT_EQ(test, kind, PTE_KMAP_LOCAL);
	KUNIT_EXPECT_GT(test, after, before);
	KUNIT_EXPECT_PTR_EQ(test, ptl, table_lock(mm, pmd));
}

/* If the page of the table is mapped by kmap(), that mapping may be reused. */
static void highpte_pkmap(struct kunit *test)
{
	unsigned long addr = map_highmem_table(test);
	pmd_t *pmd = find_pmd(test, addr);
	struct mm_struct *mm = current->mm;
	struct page *page = pmd_page(*pmd);
	spinlock_t *first, *last;
	enum pte_kind kind;
	pte_t *pte;

	kmap(page);
	pte = pte_offset_map(pmd, addr);
	if (pte) {
		kind = pte_kind(pte);
		first = pte_lockptr(mm, pte);
		last = pte_lockptr(mm, pte + PTRS_PER_PTE - 1);
		pte_unmap(pte);
	}
	kunmap(page);

	KUNIT_ASSERT_NOT_NULL(test, pte);
	KUNIT_EXPECT_PTR_EQ(test, first, table_lock(mm, pmd));
	KUNIT_EXPECT_PTR_EQ(test, last, table_lock(mm, pmd));
	if (kind != PTE_PKMAP)
		kunit_skip(test, "kmap_local_page() does not reuse a kmap() here");
	kunit_info(test, "pte pointer in PKMAP\n");
}

/* A table may be in lowmem all the same. */
static void highpte_linear(struct kunit *test)
{
	unsigned long addr = map_tables(test, 1);
	struct mm_struct *mm = current->mm;
	spinlock_t *first, *last;
	enum pte_kind kind;
	pgtable_t table;
	pmd_t *pmd;
	pte_t *pte;

	/*
	 * Install a lowmem table where there was none before.  Hardware is not
	 * going to walk it, so there is no need to clean it from the caches.
	 */
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PMD_SIZE));
	map_at(test, NULL, addr, PMD_SIZE, MAP_PRIVATE | MAP_ANONYMOUS);
	pmd = find_pmd(test, addr);
	KUNIT_ASSERT_TRUE(test, pmd_none(*pmd));
	table = __pte_alloc_one(mm, GFP_PGTABLE_USER);
	KUNIT_ASSERT_NOT_NULL(test, table);
	pmd_install(mm, pmd, &table);

	pte = pte_offset_map(pmd, addr);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	kind = pte_kind(pte);
	first = pte_lockptr(mm, pte);
	last = pte_lockptr(mm, pte + PTRS_PER_PTE - 1);
	pte_unmap(pte);

	KUNIT_EXPECT_EQ(test, kind, PTE_LINEAR);
	KUNIT_EXPECT_PTR_EQ(test, first, table_lock(mm, pmd));
	KUNIT_EXPECT_PTR_EQ(test, last, table_lock(mm, pmd));
	kunit_info(test, "pte pointer in the linear map\n");
}
#else
static void highpte_kmap_local(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_HIGHPTE");
}

static void highpte_context_switch(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_HIGHPTE");
}

static void highpte_pkmap(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_HIGHPTE");
}

static void highpte_linear(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_HIGHPTE");
}
#endif /* CONFIG_HIGHPTE */

static int ptlock_suite_init(struct kunit_suite *suite)
{
	/* The configuration, to compare the results of several kernels */
	kunit_log(KERN_INFO, suite,
		  "# ptlock: config: PAGE_SIZE=%lu PGTABLE_LEVELS=%d PTRS_PER_PTE=%lu PMD_SIZE=%luK pte_t=%zu pmd_t=%zu\n",
		  PAGE_SIZE, CONFIG_PGTABLE_LEVELS,
		  (unsigned long)PTRS_PER_PTE, PMD_SIZE / 1024,
		  sizeof(pte_t), sizeof(pmd_t));
	kunit_log(KERN_INFO, suite,
		  "# ptlock: config: split_pte=%d split_pmd=%d ptl=%s highpte=%d highmem=%d thp=%d pt_reclaim=%d cpus=%u\n",
		  IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS),
		  IS_ENABLED(CONFIG_SPLIT_PMD_PTLOCKS),
		  !IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS) ? "mm" :
		  ALLOC_SPLIT_PTLOCKS ? "allocated" : "embedded",
		  IS_ENABLED(CONFIG_HIGHPTE), IS_ENABLED(CONFIG_HIGHMEM),
		  IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE),
		  IS_ENABLED(CONFIG_PT_RECLAIM), num_online_cpus());
	return 0;
}

static struct kunit_case ptlock_test_cases[] = {
	KUNIT_CASE(ptlock_identity),
	KUNIT_CASE(ptlock_tagged),
	KUNIT_CASE(ptlock_unsplit),
	KUNIT_CASE(ptlock_independence),
	KUNIT_CASE(ptlock_map_lock),
	KUNIT_CASE(ptlock_map_lock_changed),
	KUNIT_CASE(ptlock_map_nolock),
	KUNIT_CASE(ptlock_stack_pmd),
	KUNIT_CASE(ptlock_no_table),
	KUNIT_CASE(ptlock_bad_pmd),
	KUNIT_CASE(ptlock_assert_locked),
	KUNIT_CASE(ptlock_hugetlb),
	KUNIT_CASE(kmap_local_first_slot),
	KUNIT_CASE(highpte_kmap_local),
	KUNIT_CASE(highpte_context_switch),
	KUNIT_CASE(highpte_pkmap),
	KUNIT_CASE(highpte_linear),
	{}
};

static struct kunit_suite ptlock_test_suite = {
	.name = "ptlock",
	.suite_init = ptlock_suite_init,
	.test_cases = ptlock_test_cases,
};

kunit_test_suite(ptlock_test_suite);
