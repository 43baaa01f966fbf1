// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the lock of a PTE table: that pte_lockptr() and the
 * pte_offset_map*() family find it, whatever the pte pointer looks like, and
 * that khugepaged holds it, and leaves nothing behind, when it retracts a table.
 *
 * The tests work on the page tables of a user mm of their own, which are filled by
 * page faults and retracted by collapsing a shmem file.  Whatever they observe
 * while something is mapped or locked is judged afterwards: a failing expectation
 * may sleep, and a failing assertion does not come back.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/hugetlb.h>
#include <linux/kasan.h>
#include <linux/kdebug.h>
#include <linux/kthread.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/pgalloc.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swapops.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "../internal.h"

#define NR_RANGES	16

/* What a mapping of a PTE table takes and must give back again */
struct map_context {
	int preempt;
	int rcu;
	int rcu_held;			/* always 1 without lockdep */
	int kmap;
};

static struct map_context map_context(void)
{
	return (struct map_context) {
		.preempt = preempt_count(),
		.rcu = rcu_preempt_depth(),
		.rcu_held = rcu_read_lock_held(),
#ifdef CONFIG_KMAP_LOCAL
		.kmap = current->kmap_ctrl.idx,
#endif
	};
}

static void expect_map_context(struct kunit *test, struct map_context before)
{
	struct map_context now = map_context();

	KUNIT_EXPECT_EQ(test, now.preempt, before.preempt);
	KUNIT_EXPECT_EQ(test, now.rcu, before.rcu);
	KUNIT_EXPECT_EQ(test, now.rcu_held, before.rcu_held);
	KUNIT_EXPECT_EQ(test, now.kmap, before.kmap);
}

/*
 * The lock that belongs to the PTE table at *pmd, found by another way than the
 * code under test finds it: by the page that the pmd entry points to.
 */
static spinlock_t *table_lock(struct mm_struct *mm, pmd_t *pmd)
{
#ifdef CONFIG_SPLIT_PTE_PTLOCKS
	struct ptdesc *ptdesc = page_ptdesc(pmd_page(*pmd));

#if ALLOC_SPLIT_PTLOCKS
	return ptdesc->ptl;
#else
	return &ptdesc->ptl;
#endif
#else
	return &mm->page_table_lock;
#endif
}

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

static bool is_unlocked(spinlock_t *ptl)
{
	if (!spin_trylock(ptl))
		return false;
	spin_unlock(ptl);
	return true;
}

/* The same where nobody may sleep: somebody else may hold it for a moment. */
static bool is_unlocked_soon(spinlock_t *ptl)
{
	int i;

	for (i = 0; i < 2000 && !is_unlocked(ptl); i++)
		udelay(5);
	return i < 2000;
}

/* Nobody keeps the lock: others, rmap walks for one, may hold it for a moment */
static void expect_released(struct kunit *test, spinlock_t *ptl)
{
	int i;

	for (i = 0; i < 10; i++) {
		if (is_unlocked(ptl))
			return;
		msleep(20);
	}
	KUNIT_FAIL(test, "a lock was left held");
}

/* Reserve @nr PMD-sized and -aligned ranges of user address space, unmapped */
static unsigned long reserve_ranges(struct kunit *test, unsigned int nr)
{
	unsigned long len = (nr + 1) * PMD_SIZE;
	unsigned long addr;

	if (nr + 1 > TASK_SIZE / 2 / PMD_SIZE)
		kunit_skip(test, "no address space for %u PMD ranges", nr);

	addr = kunit_vm_mmap(test, NULL, 0, len, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0);
	KUNIT_ASSERT_NE_MSG(test, addr, 0, "no user mm");
	KUNIT_ASSERT_LT_MSG(test, addr, (unsigned long)TASK_SIZE,
			    "no user address space: error %ld", (long)addr);
	return ALIGN(addr, PMD_SIZE);
}

static void map_at(struct kunit *test, struct file *file, unsigned long addr,
		   unsigned long len, unsigned long flags)
{
	KUNIT_ASSERT_EQ(test, addr, vm_mmap(file, addr, len,
					    PROT_READ | PROT_WRITE,
					    MAP_FIXED | flags, 0));
}

/* Have page faults at @addr map pages, never a huge one */
static void no_huge_faults(struct kunit *test, unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	mmap_write_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma)
		vm_flags_set(vma, VM_NOHUGEPAGE);
	mmap_write_unlock(mm);
	KUNIT_ASSERT_NOT_NULL(test, vma);
}

static void touch(struct kunit *test, unsigned long addr)
{
	KUNIT_ASSERT_EQ(test, 0, put_user(0x5a, (u8 __user *)addr));
}

static pmd_t *find_pmd(struct kunit *test, unsigned long addr)
{
	pmd_t *pmd = mm_find_pmd(current->mm, addr);

	KUNIT_ASSERT_NOT_NULL(test, pmd);
	return pmd;
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

static void pin_to_cpu(struct kunit *test, int cpu)
{
	KUNIT_ASSERT_EQ(test, 0,
			set_cpus_allowed_ptr(current, cpumask_of(cpu)));
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
 * Whoever has waited for the lock of a table that *pmd no longer points to takes
 * that of the other table.  The pmd is a copy, to be changed at will.
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
	/* Not every kind of lock tells that somebody waits for it */
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
		assert_pte_locked(mm, pte);
		assert_pte_locked(mm, pte + PTRS_PER_PTE - 1);
		locked = bugs.nr;
		spin_unlock(ptl);
		assert_pte_locked(mm, pte);
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
	kunit_skip(test, "requires CONFIG_PPC64, CONFIG_DEBUG_VM and CONFIG_SMP");
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

#if defined(CONFIG_HIGHMEM) || defined(CONFIG_MMU_NOTIFIER)
static void put_page_action(void *page)
{
	put_page(page);
}
#endif

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

#ifdef CONFIG_MMU_NOTIFIER
/*
 * Retraction of page tables: a shmem file is mapped twice.  The collapse of its
 * first PMD range is asked for through one mapping, which has no table, and the
 * other one, which has one, is watched: its table is for retract_page_tables()
 * to deal with.  An MMU notifier tells when that is about to happen, after its
 * first checks and before it takes the locks, and when it is over.
 */
struct retraction {
	struct kunit *test;
	struct mm_struct *mm;
	struct file *file;
	unsigned long by;		/* address of the mapping collapsed first */
	unsigned long addr;		/* address of the watched mapping */
	pmd_t *pmd;			/* of the watched mapping */
	struct mmu_notifier mn;
	bool registered;
	struct task_struct *collapser;	/* only its notifications count */
	int nr_start, nr_end;		/* all of them */
	int nr_windows;			/* those of the retraction */
	struct delayed_work stuck;	/* if a collapse has no end */
	void (*in_window)(struct retraction *r);
	pte_marker marker;		/* for in_window() to leave behind */

	/* Another thread, on another CPU if there is one, if a test has it */
	int (*other)(struct retraction *r);
	struct task_struct *other_task;
	struct completion other_go, other_ready, other_done;
	bool other_abandoned;
	bool other_stuck;
	bool window_over;
	int other_result;
};

static bool is_retraction(struct retraction *r,
			  const struct mmu_notifier_range *range)
{
	return range->start == r->addr && range->end == r->addr + PMD_SIZE;
}

static int retraction_start(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct retraction *r = container_of(mn, struct retraction, mn);

	if (current != r->collapser)
		return 0;
	r->nr_start++;
	if (!is_retraction(r, range))
		return 0;

	r->nr_windows++;
	if (r->in_window)
		r->in_window(r);
	return 0;
}

static void retraction_end(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct retraction *r = container_of(mn, struct retraction, mn);

	if (current != r->collapser)
		return;
	r->nr_end++;
	if (is_retraction(r, range))
		WRITE_ONCE(r->window_over, true);
}

static const struct mmu_notifier_ops retraction_ops = {
	.invalidate_range_start = retraction_start,
	.invalidate_range_end = retraction_end,
};

static void retraction_cleanup(void *data)
{
	struct retraction *r = data;

	if (r->other_task) {
		WRITE_ONCE(r->other_abandoned, true);
		complete_all(&r->other_go);
		wait_for_completion(&r->other_done);
	}
	if (r->registered)
		mmu_notifier_unregister(&r->mn, r->mm);
	if (r->file)
		fput(r->file);
}

/*
 * Whoever waits for a lock that it holds itself cannot tell.  Nor can anybody
 * help: this is all that will be heard of the test, if another CPU can say it.
 */
static void retraction_stuck(struct work_struct *work)
{
	struct retraction *r = container_of(work, struct retraction, stuck.work);

	KUNIT_FAIL(r->test, "the collapse does not come to an end");
}

static struct retraction *retraction_setup(struct kunit *test)
{
	struct retraction *r;
	struct file *file;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ||
	    !IS_ENABLED(CONFIG_SHMEM))
		kunit_skip(test, "requires CONFIG_TRANSPARENT_HUGEPAGE and CONFIG_SHMEM");
	if (!has_transparent_hugepage())
		kunit_skip(test, "no transparent huge pages on this machine");
	if (PMD_ORDER > MAX_PAGECACHE_ORDER)
		kunit_skip(test, "a huge page is too large for the page cache");

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	r->test = test;
	r->mn.ops = &retraction_ops;
	INIT_DELAYED_WORK(&r->stuck, retraction_stuck);
	r->collapser = current;
	init_completion(&r->other_go);
	init_completion(&r->other_ready);
	init_completion(&r->other_done);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, retraction_cleanup, r));

	/* In one PMD table, lest the collapse has to allocate another */
	r->by = reserve_ranges(test, 3);
	if ((r->by ^ (r->by + PMD_SIZE)) & PUD_MASK)
		r->by += PMD_SIZE;
	r->addr = r->by + PMD_SIZE;
	r->mm = current->mm;

	file = shmem_kernel_file_setup("ptlock", PMD_SIZE,
				       mk_vma_flags(VMA_NORESERVE_BIT));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	r->file = file;
	map_at(test, file, r->by, PMD_SIZE, MAP_SHARED);
	map_at(test, file, r->addr, PMD_SIZE, MAP_SHARED);
	no_huge_faults(test, r->addr);

	return r;
}

/* Read a few pages through the watched mapping, the first and last included */
static void retraction_fill(struct retraction *r)
{
	struct kunit *test = r->test;
	unsigned int i;
	u8 byte;

	for (i = 0; i < 4; i++) {
		unsigned long offset = i < 3 ? i * (PMD_SIZE / 4) : PMD_SIZE - 1;

		KUNIT_ASSERT_EQ(test, 0,
				get_user(byte, (u8 __user *)(r->addr + offset)));
		KUNIT_ASSERT_EQ(test, byte, 0);
	}

	r->pmd = find_pmd(test, r->addr);
	KUNIT_ASSERT_FALSE(test, pmd_none(*r->pmd));
	KUNIT_ASSERT_FALSE(test, pmd_leaf(*r->pmd));
}

static int other_thread(void *data)
{
	struct retraction *r = data;

	wait_for_completion(&r->other_go);
	if (!READ_ONCE(r->other_abandoned)) {
		kthread_use_mm(r->mm);
		r->other_result = r->other(r);
		kthread_unuse_mm(r->mm);
	}
	mmput(r->mm);
	complete_all(&r->other_done);
	return 0;
}

/* Have the thread ready before the window, where no memory may be allocated */
static void create_other(struct retraction *r)
{
	int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	struct task_struct *task;

	task = kthread_create(other_thread, r, "ptlock_kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(r->test, task);
	if (cpu < nr_cpu_ids)
		kthread_bind(task, cpu);
	r->other_result = -ESRCH;
	mmget(r->mm);
	r->other_task = task;
	wake_up_process(task);
}

static void wait_for_other(struct retraction *r, struct completion *what)
{
	if (!wait_for_completion_timeout(what, 30 * HZ))
		r->other_stuck = true;
}

/* For in_window(): let the other thread do all of its work there ... */
static void other_in_window(struct retraction *r)
{
	complete(&r->other_go);
	wait_for_other(r, &r->other_done);
}

/* ... or have it under way when the window closes */
static void other_ready_in_window(struct retraction *r)
{
	complete(&r->other_go);
	wait_for_other(r, &r->other_ready);
}

/* MADV_COLLAPSE at @addr; some other user of a page may be in the way at times */
static int retraction_collapse(struct retraction *r, unsigned long addr)
{
	struct vm_area_struct *vma;
	int windows = r->nr_windows;
	bool lock_dropped;
	int tries, ret;

	for (tries = 0; tries < 20; tries++) {
		/* Longer than wait_for_other(), for which the window is held open */
		mod_delayed_work(system_dfl_wq, &r->stuck, 45 * HZ);
		mmap_read_lock(r->mm);
		vma = vma_lookup(r->mm, addr);
		lock_dropped = false;
		ret = madvise_collapse(vma, addr, addr + PMD_SIZE, &lock_dropped);
		mmap_read_unlock(r->mm);
		if (ret != -EAGAIN || r->nr_windows != windows)
			break;
		msleep(20);
	}
	cancel_delayed_work_sync(&r->stuck);
	return ret;
}

/*
 * Collapse at @addr, with the other thread beside it if a test has one.  Whatever
 * comes of the watched table: the notifications are paired, no lock is left held,
 * and nothing left mapped.
 */
static int retraction_collapse_watched(struct retraction *r, unsigned long addr)
{
	struct kunit *test = r->test;
	struct map_context before;
	int ret;

	if (r->other)
		create_other(r);

	before = map_context();
	ret = retraction_collapse(r, addr);
	expect_map_context(test, before);

	if (ret == -ENOMEM && !r->nr_windows)
		kunit_skip(test, "no huge page to be had");
	KUNIT_ASSERT_EQ_MSG(test, r->nr_windows, 1, "collapse returned %d", ret);
	if (r->other)
		wait_for_other(r, &r->other_done);
	KUNIT_ASSERT_FALSE_MSG(test, r->other_stuck,
			       "the other thread does not come to an end");
	KUNIT_EXPECT_EQ(test, r->nr_start, r->nr_end);
	expect_released(test, pmd_lockptr(r->mm, r->pmd));
	return ret;
}

/* Collapse by the mapping that has no table */
static void retraction_run(struct retraction *r)
{
	struct kunit *test = r->test;

	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&r->mn, r->mm));
	r->registered = true;
	KUNIT_ASSERT_EQ_MSG(test, retraction_collapse_watched(r, r->by), 0,
			    "collapse failed");
}

static void retraction_expect_retracted(struct retraction *r)
{
	KUNIT_EXPECT_TRUE_MSG(r->test, pmd_none(*r->pmd),
			      "the table was not retracted");
}

static void retraction_expect_kept(struct retraction *r, spinlock_t *ptl)
{
	struct kunit *test = r->test;

	KUNIT_ASSERT_FALSE_MSG(test, pmd_none(*r->pmd),
			       "the table was retracted");
	KUNIT_EXPECT_FALSE(test, pmd_leaf(*r->pmd));
	KUNIT_EXPECT_PTR_EQ(test, table_lock(r->mm, r->pmd), ptl);
	expect_released(test, ptl);
}

/*
 * One table less than @before.  Where a huge pmd has a table deposited, one may
 * have come: @deposited is how many.
 */
static void expect_one_table_less(struct retraction *r, unsigned long before,
				  unsigned int deposited)
{
	const unsigned long table = PTRS_PER_PTE * sizeof(pte_t);

	if (arch_needs_pgtable_deposit())
		before += deposited * table;
	KUNIT_EXPECT_EQ(r->test, before - mm_pgtables_bytes(r->mm), table);
}

/*
 * A retracted table leaves the pmd none, and the mm with one table less.
 */
static void retract_table(struct kunit *test)
{
	struct retraction *r = retraction_setup(test);
	unsigned long before;
	pte_t *pte;

	retraction_fill(r);
	before = mm_pgtables_bytes(r->mm);
	retraction_run(r);

	retraction_expect_retracted(r);
	expect_one_table_less(r, before, 1);
	pte = pte_offset_map(r->pmd, r->addr);
	if (pte)
		pte_unmap(pte);
	KUNIT_EXPECT_NULL(test, pte);
}

/* Another thread changes the table in the window: the mm has one less in the end */
static void retract_changed(struct kunit *test,
			    int (*change)(struct retraction *r))
{
	struct retraction *r = retraction_setup(test);
	unsigned long before;

	if (!IS_ENABLED(CONFIG_PT_RECLAIM) || !IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "requires CONFIG_PT_RECLAIM and CONFIG_ADVISE_SYSCALLS");

	retraction_fill(r);
	r->other = change;
	r->in_window = other_in_window;
	before = mm_pgtables_bytes(r->mm);
	retraction_run(r);

	KUNIT_ASSERT_EQ(test, r->other_result, 0);
	retraction_expect_retracted(r);
	expect_one_table_less(r, before, 1);
}

static int advise(struct retraction *r, unsigned long addr, size_t len,
		  int advice)
{
	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		return -EOPNOTSUPP;
	return do_madvise(r->mm, addr, len, advice);
}

/*
 * A table may have been reclaimed before the locks are taken.
 */
static int reclaim_table(struct retraction *r)
{
	return advise(r, r->addr, PMD_SIZE, MADV_DONTNEED);
}

static void retract_table_gone(struct kunit *test)
{
	retract_changed(test, reclaim_table);
}

/*
 * And it may have been replaced by another, which is then retracted instead.
 */
static int replace_table(struct retraction *r)
{
	int ret = advise(r, r->addr, PMD_SIZE, MADV_DONTNEED);

	if (!ret && !pmd_none(*r->pmd))
		ret = -EBUSY;
	if (!ret && pte_alloc(r->mm, r->pmd))
		ret = -ENOMEM;
	return ret;
}

static void retract_table_replaced(struct kunit *test)
{
	retract_changed(test, replace_table);
}

/*
 * A guard region that is installed after the first check is not lost: the table
 * is kept, and the marker in it.
 */
static int install_guard(struct retraction *r)
{
	return advise(r, r->addr + PAGE_SIZE, PAGE_SIZE, MADV_GUARD_INSTALL);
}

static void retract_late_guard(struct kunit *test)
{
	struct retraction *r = retraction_setup(test);
	spinlock_t *expected, *ptl;
	pte_t *pte, entry;

	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "requires CONFIG_ADVISE_SYSCALLS");

	retraction_fill(r);
	expected = table_lock(r->mm, r->pmd);
	r->other = install_guard;
	r->in_window = other_in_window;
	retraction_run(r);

	KUNIT_ASSERT_EQ(test, r->other_result, 0);
	retraction_expect_kept(r, expected);
	pte = pte_offset_map_lock(r->mm, r->pmd, r->addr + PAGE_SIZE, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	entry = ptep_get(pte);
	pte_unmap_unlock(pte, ptl);
	KUNIT_EXPECT_TRUE(test, softleaf_is_guard_marker(softleaf_from_pte(entry)));
}

/*
 * A table is only retracted when every entry is none: poison is not lost, and nor
 * is what nobody has accounted for, of which CONFIG_DEBUG_VM warns.
 */
static void leave_marker(struct retraction *r)
{
	spinlock_t *ptl;
	pte_t *pte;

	pte = pte_offset_map_lock(r->mm, r->pmd, r->addr + PAGE_SIZE, &ptl);
	if (!pte)
		return;
	set_pte_at(r->mm, r->addr + PAGE_SIZE, pte, make_pte_marker(r->marker));
	pte_unmap_unlock(pte, ptl);
}

static void keeps_marker(struct kunit *test, pte_marker marker, int warnings)
{
	struct retraction *r = retraction_setup(test);
	spinlock_t *ptl;

	retraction_fill(r);
	ptl = table_lock(r->mm, r->pmd);
	r->marker = marker;
	r->in_window = leave_marker;
	kunit_warning_suppress(test) {
		retraction_run(r);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, warnings);
	}
	retraction_expect_kept(r, ptl);
}

static void retract_keeps_poison(struct kunit *test)
{
	keeps_marker(test, PTE_MARKER_POISONED, 0);
}

/* Left by a write-protection that is over: this VMA has none */
static void retract_wp_leftover(struct kunit *test)
{
	keeps_marker(test, PTE_MARKER_UFFD_WP, 0);
}

static void retract_check_empty(struct kunit *test)
{
	int warnings = IS_ENABLED(CONFIG_DEBUG_VM) && IS_ENABLED(CONFIG_BUG);
#ifndef __WARN_FLAGS
	/* Here, a suppressed WARN_ON_ONCE() is over, too */
	static bool warned;

	if (warned)
		warnings = 0;
	warned = true;
#endif

	/* A guard region, of which the VMA knows nothing */
	keeps_marker(test, PTE_MARKER_GUARD, warnings);
}

/*
 * While somebody holds the lock of the table, *pmd does not change.
 */
static int hold_lock(struct retraction *r)
{
	spinlock_t *ptl;
	pmd_t pmdval;
	pte_t *pte;
	int i, ret = 0;

	pte = pte_offset_map_lock(r->mm, r->pmd, r->addr, &ptl);
	if (!pte) {
		complete(&r->other_ready);
		return -ENOENT;
	}
	pmdval = *r->pmd;
	complete(&r->other_ready);
	for (i = 0; i < 50; i++) {
		mdelay(1);
		if (!pmd_same(pmdval, pmdp_get_lockless(r->pmd)))
			ret = -EAGAIN;
		if (READ_ONCE(r->window_over))
			ret = -EBUSY;
	}
	pte_unmap_unlock(pte, ptl);
	return ret;
}

static void retract_waits_for_lock(struct kunit *test)
{
	struct retraction *r = retraction_setup(test);

	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");

	pin_to_cpu(test, raw_smp_processor_id());
	retraction_fill(r);
	r->other = hold_lock;
	r->in_window = other_ready_in_window;
	retraction_run(r);

	KUNIT_EXPECT_EQ_MSG(test, r->other_result, 0,
			    "the table was retracted under its lock");
	retraction_expect_retracted(r);
}

/*
 * Nobody else gets the lock before the pmd is cleared: it is still held when the
 * TLB is flushed afterwards, of which some architectures notify.
 */
struct flush_watch {
	struct mmu_notifier mn;
	struct retraction *r;
	spinlock_t *ptl;
	int nr, nr_unlocked;
};

static void watch_flush(struct mmu_notifier *mn, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	struct flush_watch *w = container_of(mn, struct flush_watch, mn);
	struct retraction *r = w->r;

	if (current != r->collapser || !r->nr_windows || r->window_over ||
	    start > r->addr || end < r->addr + PMD_SIZE || !pmd_none(*r->pmd))
		return;
	w->nr++;
	w->nr_unlocked += is_unlocked(w->ptl);
}

static const struct mmu_notifier_ops flush_ops = {
	.arch_invalidate_secondary_tlbs = watch_flush,
};

static void unwatch_flush(void *data)
{
	struct flush_watch *w = data;

	mmu_notifier_unregister(&w->mn, w->r->mm);
}

static void retract_clears_locked(struct kunit *test)
{
	struct retraction *r = retraction_setup(test);
	struct flush_watch *w;

	if (!IS_ENABLED(CONFIG_SMP))
		kunit_skip(test, "requires CONFIG_SMP");

	retraction_fill(r);
	w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	w->r = r;
	w->ptl = table_lock(r->mm, r->pmd);
	w->mn.ops = &flush_ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&w->mn, r->mm));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, unwatch_flush, w));
	retraction_run(r);

	retraction_expect_retracted(r);
	if (!w->nr && !IS_ENABLED(CONFIG_X86) && !IS_ENABLED(CONFIG_ARM64))
		kunit_skip(test, "TLB flushes are not notified of here");
	KUNIT_EXPECT_GT(test, w->nr, 0);
	KUNIT_EXPECT_EQ_MSG(test, w->nr_unlocked, 0, "the lock was not held");
}

/*
 * Whoever has the table mapped when it is retracted can still lock it, and find
 * it empty: it is not freed before an RCU grace period has passed.
 */
static int lock_retracted(struct retraction *r)
{
	unsigned long timeout = jiffies + 10 * HZ;
	spinlock_t *ptl;
	int ret = 0, i;
	pmd_t pmdval;
	pte_t *pte;

	pte = pte_offset_map_rw_nolock(r->mm, r->pmd, r->addr, &pmdval, &ptl);
	complete(&r->other_ready);
	if (!pte)
		return -ENOENT;

	/* In an RCU read-side critical section, so do not sleep */
	while (!READ_ONCE(r->window_over)) {
		if (time_after(jiffies, timeout)) {
			ret = -ETIMEDOUT;
			goto out;
		}
		cpu_relax();
	}
	/* Let whoever frees the table too early do so */
	mdelay(20);

	for (i = 0; !spin_trylock(ptl); i++) {
		if (i == 100) {
			ret = -EDEADLK;
			goto out;
		}
		mdelay(1);
	}
	if (!folio_test_pgtable(page_folio(pmd_page(pmdval))))
		ret = -EFAULT;
	else if (pmd_same(pmdval, *r->pmd))
		ret = -EEXIST;
	for (i = 0; !ret && i < PTRS_PER_PTE; i++)
		if (!pte_none(ptep_get(pte + i)))
			ret = -ENOTEMPTY;
	spin_unlock(ptl);
out:
	pte_unmap(pte);
	return ret;
}

static void retract_grace_period(struct kunit *test)
{
	struct retraction *r = retraction_setup(test);
	struct page *page;

	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");

	pin_to_cpu(test, raw_smp_processor_id());
	retraction_fill(r);
	/* With a reference, the page is not used again when freed */
	page = pmd_page(*r->pmd);
	get_page(page);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, put_page_action, page));

	r->other = lock_retracted;
	r->in_window = other_ready_in_window;
	retraction_run(r);
	KUNIT_EXPECT_EQ(test, r->other_result, 0);
	retraction_expect_retracted(r);

	rcu_barrier();
	/* powerpc keeps a page until all the tables in it are free */
	if (IS_ENABLED(CONFIG_PPC))
		return;
	KUNIT_EXPECT_FALSE_MSG(test, folio_test_pgtable(page_folio(page)),
			       "the table was not freed");
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
}

/*
 * A walker with the lock held never has a table that *pmd no longer points to,
 * and finds none when it is gone.
 */
static int walk_until_gone(struct retraction *r)
{
	unsigned long timeout = jiffies + 10 * HZ;
	int ret = 0, i;

	complete(&r->other_ready);
	do {
		spinlock_t *ptl;
		pte_t *pte;

		pte = pte_offset_map_lock(r->mm, r->pmd, r->addr, &ptl);
		if (!pte)
			return 0;
		/* Stay for a while, to be waited for */
		for (i = 0; i < 1000; i++) {
			pmd_t pmdval = pmdp_get_lockless(r->pmd);

			if (pmd_none(pmdval) || table_lock(r->mm, &pmdval) != ptl)
				ret = -ESTALE;
		}
		pte_unmap_unlock(pte, ptl);
		cond_resched();
	} while (!ret && time_before(jiffies, timeout));
	return ret ?: -ETIMEDOUT;
}

static void retract_walker(struct kunit *test)
{
	struct retraction *r = retraction_setup(test);

	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");

	pin_to_cpu(test, raw_smp_processor_id());
	retraction_fill(r);
	r->other = walk_until_gone;
	r->in_window = other_ready_in_window;
	retraction_run(r);
	KUNIT_EXPECT_EQ(test, r->other_result, 0);
	retraction_expect_retracted(r);
}

static void allow_huge_pages(struct retraction *r)
{
	mmap_write_lock(r->mm);
	vm_flags_clear(vma_lookup(r->mm, r->addr), VM_NOHUGEPAGE);
	mmap_write_unlock(r->mm);
}

/*
 * The table of the mapping that MADV_COLLAPSE is called for is removed by other
 * code, try_collapse_pte_mapped_thp(), which maps the huge page in its place.
 * Have such a table, and the next collapse be of that mapping.
 */
static struct retraction *own_table_setup(struct kunit *test,
					  unsigned long map_flags)
{
	struct retraction *r = retraction_setup(test);

	retraction_fill(r);
	retraction_run(r);
	retraction_expect_retracted(r);

	if (map_flags != MAP_SHARED) {
		map_at(test, r->file, r->addr, PMD_SIZE, map_flags);
		no_huge_faults(test, r->addr);
	}
	/* Map pages of the huge page, the first and last included */
	retraction_fill(r);
	allow_huge_pages(r);

	r->nr_windows = 0;
	WRITE_ONCE(r->window_over, false);
	return r;
}

static void retract_own_table(struct kunit *test)
{
	struct retraction *r = own_table_setup(test, MAP_SHARED);
	unsigned long before = mm_pgtables_bytes(r->mm);

	KUNIT_EXPECT_EQ(test, retraction_collapse_watched(r, r->addr), 0);
	KUNIT_EXPECT_TRUE(test, pmd_leaf(*r->pmd));
	expect_one_table_less(r, before, 1);
}

/*
 * A marker that is installed after the table was emptied, and before it is
 * removed, is not lost.  Between the two, the PMD lock is taken: it is withheld.
 */
static bool table_is_empty(struct retraction *r)
{
	unsigned int i, nr = 0;
	spinlock_t *ptl;
	pte_t *pte;

	pte = pte_offset_map_ro_nolock(r->mm, r->pmd, r->addr, &ptl);
	for (i = 0; pte && i < PTRS_PER_PTE; i++)
		nr += pte_none(ptep_get(pte + i));
	if (pte)
		pte_unmap(pte);
	return nr == PTRS_PER_PTE;
}

static int mark_when_empty(struct retraction *r)
{
	spinlock_t *pml = pmd_lock(r->mm, r->pmd), *ptl;
	unsigned long timeout = jiffies + 10 * HZ;
	int ret = -ETIMEDOUT;
	pmd_t pmdval;
	pte_t *pte;

	complete(&r->other_ready);
	while (!table_is_empty(r)) {
		if (time_after(jiffies, timeout))
			goto out;
		cpu_relax();
	}

	ret = -ENOENT;
	pte = pte_offset_map_rw_nolock(r->mm, r->pmd, r->addr, &pmdval, &ptl);
	if (!pte)
		goto out;
	spin_lock_nested(ptl, SINGLE_DEPTH_NESTING);
	set_pte_at(r->mm, r->addr, pte, make_pte_marker(PTE_MARKER_POISONED));
	pte_unmap_unlock(pte, ptl);
	ret = 0;
out:
	spin_unlock(pml);
	return ret;
}

static void retract_own_late_marker(struct kunit *test)
{
	struct retraction *r;
	spinlock_t *ptl;
	pte_t *pte, entry;

	if (!IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS))
		kunit_skip(test, "PTE lock and PMD lock are one");
	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");

	pin_to_cpu(test, raw_smp_processor_id());
	r = own_table_setup(test, MAP_SHARED);
	r->other = mark_when_empty;
	r->in_window = other_ready_in_window;
	KUNIT_EXPECT_EQ(test, retraction_collapse_watched(r, r->addr), -EINVAL);

	KUNIT_ASSERT_EQ(test, r->other_result, 0);
	KUNIT_ASSERT_FALSE_MSG(test, pmd_leaf(*r->pmd),
			       "the marker was removed with the table");
	pte = pte_offset_map_lock(r->mm, r->pmd, r->addr, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	entry = ptep_get(pte);
	pte_unmap_unlock(pte, ptl);
	KUNIT_EXPECT_TRUE(test, softleaf_is_poison_marker(softleaf_from_pte(entry)));
}

/*
 * Where the PMD lock is taken before the table is looked up again, because of
 * userfaultfd, it is released when the table has been reclaimed meanwhile.  (That
 * it was not could only be seen where the PTE lock and the PMD lock are one.)
 */
static void set_armed(struct retraction *r, bool armed)
{
	struct vm_area_struct *vma;

	mmap_write_lock(r->mm);
	vma = vma_lookup(r->mm, r->addr);
	if (armed)
		vm_flags_set(vma, VM_UFFD_MISSING);
	else
		vm_flags_clear(vma, VM_UFFD_MISSING);
	mmap_write_unlock(r->mm);
}

static void retract_own_table_gone(struct kunit *test)
{
	struct retraction *r;
	unsigned long before;
	int ret;

	if (!IS_ENABLED(CONFIG_PT_RECLAIM) || !IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "requires CONFIG_PT_RECLAIM and CONFIG_ADVISE_SYSCALLS");
	if (!IS_ENABLED(CONFIG_USERFAULTFD))
		kunit_skip(test, "requires CONFIG_USERFAULTFD");

	r = own_table_setup(test, MAP_PRIVATE);
	r->other = reclaim_table;
	r->in_window = other_in_window;
	set_armed(r, true);
	before = mm_pgtables_bytes(r->mm);
	ret = retraction_collapse_watched(r, r->addr);
	set_armed(r, false);

	KUNIT_ASSERT_EQ(test, r->other_result, 0);
	KUNIT_EXPECT_EQ(test, ret, -EINVAL);
	KUNIT_EXPECT_TRUE(test, pmd_none(*r->pmd));
	expect_one_table_less(r, before, 0);
}

/*
 * The same again and again, with a walker on each of the other CPUs: with the lock
 * held, the table is always the one that *pmd points to.
 */
#define NR_ROUNDS	30
#define MAX_WALKERS	3

struct walkers {
	struct retraction *r;
	unsigned int nr;
	struct task_struct *task[MAX_WALKERS];
	atomic_long_t found;		/* tables locked */
	atomic_long_t stale;		/* that *pmd did not point to */
};

static int walk_until_stopped(void *data)
{
	struct walkers *w = data;
	struct retraction *r = w->r;
	unsigned int i;

	while (!kthread_should_stop()) {
		bool stale = false;
		spinlock_t *ptl;
		pte_t *pte;

		pte = pte_offset_map_lock(r->mm, r->pmd, r->addr, &ptl);
		if (pte) {
			for (i = 0; i < 100; i++) {
				pmd_t pmdval = pmdp_get_lockless(r->pmd);

				if (pmd_none(pmdval) || pmd_leaf(pmdval) ||
				    table_lock(r->mm, &pmdval) != ptl)
					stale = true;
			}
			pte_unmap_unlock(pte, ptl);
			atomic_long_inc(&w->found);
			if (stale)
				atomic_long_inc(&w->stale);
		}
		cond_resched();
	}
	return 0;
}

static void stop_walkers(void *data)
{
	struct walkers *w = data;

	while (w->nr)
		kthread_stop_put(w->task[--w->nr]);
	mmput(w->r->mm);
}

static void start_walkers(struct kunit *test, struct walkers *w)
{
	int cpu, this_cpu = raw_smp_processor_id();

	/* They may outlive the mm of a test that fails */
	mmget(w->r->mm);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop_walkers, w));
	for_each_online_cpu(cpu) {
		struct task_struct *task;

		if (cpu == this_cpu || w->nr == MAX_WALKERS)
			continue;
		task = kthread_create(walk_until_stopped, w, "ptlock_kunit/%d", cpu);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		kthread_bind(task, cpu);
		w->task[w->nr++] = get_task_struct(task);
		wake_up_process(task);
	}
}

static void retract_many_walkers(struct kunit *test)
{
	struct walkers *w;
	struct retraction *r;
	unsigned int i;

	if (num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");
	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "requires CONFIG_ADVISE_SYSCALLS");

	pin_to_cpu(test, raw_smp_processor_id());
	r = own_table_setup(test, MAP_SHARED);
	w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	w->r = r;
	start_walkers(test, w);
	/* Their CPUs may be late on a busy host */
	for (i = 0; i < 500 && !atomic_long_read(&w->found); i++)
		msleep(20);

	for (i = 0; i < NR_ROUNDS; i++) {
		KUNIT_ASSERT_EQ(test, 0, retraction_collapse(r, r->addr));
		KUNIT_ASSERT_TRUE(test, pmd_leaf(*r->pmd));
		KUNIT_ASSERT_EQ(test, 0, advise(r, r->addr, PMD_SIZE, MADV_DONTNEED));
		no_huge_faults(test, r->addr);
		retraction_fill(r);
		allow_huge_pages(r);
	}

	kunit_release_action(test, stop_walkers, w);
	KUNIT_EXPECT_GT(test, atomic_long_read(&w->found), 0);
	KUNIT_EXPECT_EQ_MSG(test, atomic_long_read(&w->stale), 0,
			    "of %ld tables locked", atomic_long_read(&w->found));
}

#else
#define SKIPPED(name)						\
static void name(struct kunit *test)				\
{								\
	kunit_skip(test, "requires CONFIG_MMU_NOTIFIER");	\
}

SKIPPED(retract_table)
SKIPPED(retract_table_gone)
SKIPPED(retract_table_replaced)
SKIPPED(retract_late_guard)
SKIPPED(retract_keeps_poison)
SKIPPED(retract_wp_leftover)
SKIPPED(retract_check_empty)
SKIPPED(retract_waits_for_lock)
SKIPPED(retract_clears_locked)
SKIPPED(retract_grace_period)
SKIPPED(retract_walker)
SKIPPED(retract_own_table)
SKIPPED(retract_own_late_marker)
SKIPPED(retract_own_table_gone)
SKIPPED(retract_many_walkers)
#endif /* CONFIG_MMU_NOTIFIER */

static int ptlock_suite_init(struct kunit_suite *suite)
{
	/* What this kernel can show, for whoever compares the results of several */
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
	KUNIT_CASE(retract_table),
	KUNIT_CASE(retract_table_gone),
	KUNIT_CASE(retract_table_replaced),
	KUNIT_CASE(retract_late_guard),
	KUNIT_CASE(retract_keeps_poison),
	KUNIT_CASE(retract_wp_leftover),
	KUNIT_CASE(retract_check_empty),
	KUNIT_CASE(retract_waits_for_lock),
	KUNIT_CASE(retract_clears_locked),
	KUNIT_CASE(retract_grace_period),
	KUNIT_CASE(retract_walker),
	KUNIT_CASE(retract_own_table),
	KUNIT_CASE(retract_own_late_marker),
	KUNIT_CASE(retract_own_table_gone),
	KUNIT_CASE(retract_many_walkers),
	{}
};

static struct kunit_suite ptlock_test_suite = {
	.name = "ptlock",
	.suite_init = ptlock_suite_init,
	.test_cases = ptlock_test_cases,
};

kunit_test_suite(ptlock_test_suite);
