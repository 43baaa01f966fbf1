// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the retraction of page tables: that khugepaged holds the locks
 * of a PTE table, and leaves nothing behind, when it removes the table.
 *
 * A shmem file is mapped in two mms, and collapsed. One of them has a page table,
 * which is watched. An MMU notifier tells when it is about to be removed, after
 * the first checks and before the locks are taken, and when that is over.
 */
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/khugepaged.h>
#include <linux/kthread.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/pgalloc.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "ptlock_kunit.h"

#define TABLE_BYTES	((long)(PTRS_PER_PTE * sizeof(pte_t)))

/* Of any flush, by mmu_notifier_arch_invalidate_secondary_tlbs() */
#define TELLS_OF_FLUSHES	(IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_ARM64))

enum outcome { KEPT, REMOVED, HUGE };

/*
 * The ways to remove a table: retract_page_tables(), when the file is collapsed in
 * the other mm, and try_collapse_pte_mapped_thp(), when it already is a huge page.
 */
static const struct way {
	const char *name;
	bool own, install;
	unsigned long map_flags, vm_flags;
	enum outcome outcome;
} ways[] = {
	{ "other mm", false, true, MAP_SHARED, 0, REMOVED },
	{ "other mm, private", false, true, MAP_PRIVATE, 0, REMOVED },
	{ "own", true, true, MAP_SHARED, 0, HUGE },
	{ "own, private", true, true, MAP_PRIVATE, 0, HUGE },
	{ "own, private, armed", true, true, MAP_PRIVATE, VM_UFFD_MISSING, HUGE },
	{ "uprobe", true, false, MAP_SHARED, 0, REMOVED },
};

enum { OTHER_MM, OTHER_PRIVATE, OWN, OWN_PRIVATE, OWN_ARMED, UPROBE };

KUNIT_ARRAY_PARAM_DESC(way, ways, name);

struct retract {
	struct kunit *test;
	const struct way *way;
	struct mm_struct *mm, *other_mm;
	struct file *file;
	unsigned long addr;		/* in both mms */
	pmd_t *pmd;
	struct page *table;
	spinlock_t *pml, *ptl;

	struct mmu_notifier mn, mn_flush;
	struct task_struct *collapser;	/* only its notifications count */
	int nr_open, nr_windows, nr_unlocked;
	bool window_over;
	pmd_t pmd_at_end;
	int nr_flushed_empty, nr_flushed_none, nr_flushed_unlocked;

	/* What another thread does in the window */
	int (*in_window)(struct retract *r);
	struct work_struct work;
	bool started;
	struct completion ready;
	int result;
};

/* How many entries are pages of @folio, or none if that is NULL? */
static int count_entries(pte_t *pte, struct folio *folio)
{
	int i, nr = 0;

	for (i = 0; pte && i < PTRS_PER_PTE; i++) {
		pte_t entry = ptep_get(pte + i);

		nr += !folio ? pte_none(entry) : pte_present(entry) &&
		      page_folio(pte_page(entry)) == folio;
	}
	return nr;
}

static int count_mapped(struct retract *r, struct folio *folio)
{
	pte_t *pte = pte_offset_map(r->pmd, r->addr);
	int nr = count_entries(pte, folio);

	if (pte)
		pte_unmap(pte);
	return nr;
}

static void window_work(struct work_struct *work)
{
	struct retract *r = container_of(work, struct retract, work);

	kthread_use_mm(r->mm);
	r->result = r->in_window(r);
	kthread_unuse_mm(r->mm);
	complete_all(&r->ready);
}

/* Run in_window() once, in another thread, on another CPU if there is one */
static void start_work(struct retract *r)
{
	int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());

	if (r->started)
		return;
	r->started = true;
	queue_work_on(cpu < nr_cpu_ids ? cpu : raw_smp_processor_id(), system_long_wq,
		      &r->work);
	if (!wait_for_completion_timeout(&r->ready, WAIT_LIMIT))
		KUNIT_FAIL(r->test, "the other thread does not get ready");
}

static int notify_start(struct mmu_notifier *mn,
			const struct mmu_notifier_range *range)
{
	struct retract *r = container_of(mn, struct retract, mn);
	struct address_space *mapping = r->file->f_mapping;

	if (current != r->collapser)
		return 0;
	r->nr_open++;
	if (range->start != r->addr || range->end != r->addr + PMD_SIZE)
		return 0;
	r->nr_windows++;
	r->nr_unlocked += !r->way->own && !rwsem_is_locked(&mapping->i_mmap_rwsem);
	if (r->in_window)
		start_work(r);
	return 0;
}

static void notify_end(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct retract *r = container_of(mn, struct retract, mn);

	if (current != r->collapser)
		return;
	r->nr_open--;
	if (range->start != r->addr || range->end != r->addr + PMD_SIZE)
		return;
	r->pmd_at_end = *r->pmd;
	WRITE_ONCE(r->window_over, true);
}

/* Some architectures tell of a flush of the TLB, where locks should be held */
static void notify_flush(struct mmu_notifier *mn, struct mm_struct *mm,
			 unsigned long start, unsigned long end)
{
	struct retract *r = container_of(mn, struct retract, mn_flush);

	/* In the window, the table may be replaced, and its lock freed */
	if (current != r->collapser || r->in_window || !r->nr_windows ||
	    r->window_over || start > r->addr || end < r->addr + PMD_SIZE)
		return;
	if (pmd_none(*r->pmd)) {
		r->nr_flushed_none++;
		r->nr_flushed_unlocked += is_unlocked(r->ptl) || is_unlocked(r->pml);
	} else if (count_mapped(r, NULL) == PTRS_PER_PTE) {
		r->nr_flushed_empty++;
		r->nr_flushed_unlocked += is_unlocked(r->ptl);
	}
}

static const struct mmu_notifier_ops retract_ops = {
	.invalidate_range_start = notify_start,
	.invalidate_range_end = notify_end,
};

static const struct mmu_notifier_ops retract_flush_ops = {
	.arch_invalidate_secondary_tlbs = notify_flush,
};

static void retract_cleanup(void *data)
{
	struct retract *r = data;

	WRITE_ONCE(r->window_over, true);
	cancel_work_sync(&r->work);
	if (r->mn_flush.mm)
		mmu_notifier_unregister(&r->mn_flush, r->mm);
	if (r->mn.mm)
		mmu_notifier_unregister(&r->mn, r->mm);
	if (r->table)
		put_page(r->table);
	if (r->other_mm)
		mmput(r->other_mm);
	if (!IS_ERR_OR_NULL(r->file))
		fput(r->file);
}

static void change_flags(struct retract *r, unsigned long set, unsigned long clear)
{
	mmap_write_lock(r->mm);
	vm_flags_mod(vma_lookup(r->mm, r->addr), set, clear);
	mmap_write_unlock(r->mm);
}

/*
 * Collapse the file by its mapping in @mm, with the other mm in use: what should look
 * at the mm of the table must not take current->mm instead.
 */
static int collapse(struct retract *r, struct mm_struct *mm, bool install)
{
	int ret = 0;

	switch_mm_to(r->other_mm);
	if (install) {
		ret = collapse_range(mm, r->addr);
	} else {
		mmap_read_lock(mm);
		collapse_pte_mapped_thp(mm, r->addr, false);
		mmap_read_unlock(mm);
	}
	switch_mm_to(r->mm);
	return ret;
}

/* Read a few pages at @addr, the first and last included */
static void fill(struct kunit *test, unsigned long addr)
{
	unsigned long offsets[] = { 0, PAGE_SIZE, PMD_SIZE / 2, PMD_SIZE - PAGE_SIZE };
	int i;
	u8 byte;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		u8 __user *p = (u8 __user *)(addr + offsets[i]);

		KUNIT_ASSERT_EQ(test, 0, get_user(byte, p));
	}
}

/* Have a table with pages of the file */
static struct retract *retract_setup(struct kunit *test, const struct way *way)
{
	unsigned long hole;
	struct retract *r;
	struct page *page;
	int ret;

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	r->test = test;
	r->way = way;
	r->collapser = current;
	r->mn.ops = &retract_ops;
	r->mn_flush.ops = &retract_flush_ops;
	init_completion(&r->ready);
	INIT_WORK(&r->work, window_work);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, retract_cleanup, r));

	r->file = shmem_kernel_file_setup("retract", PMD_SIZE,
					  mk_vma_flags(VMA_NORESERVE_BIT));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, r->file);
	if (!(shmem_allowable_huge_orders(file_inode(r->file), NULL, 0, 0, true) &
	      BIT(PMD_ORDER)))
		kunit_skip(test, "no huge pages of shmem on this machine");
	r->other_mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, r->other_mm);
	r->other_mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(r->other_mm, &current->signal->rlim[RLIMIT_STACK]);

	/* With the last entry of a PMD table: the next one has another lock */
	r->addr = reserve_ranges(test, PTRS_PER_PMD + 5) | (PUD_SIZE - PMD_SIZE);
	r->mm = current->mm;
	switch_mm_to(r->other_mm);
	ret = vm_mmap(r->file, r->addr, PMD_SIZE, PROT_READ | PROT_WRITE,
		      MAP_FIXED | MAP_SHARED, 0) != r->addr;
	switch_mm_to(r->mm);
	KUNIT_ASSERT_EQ(test, 0, ret);
	if (way->own) {
		/* An empty file is not collapsed */
		page = shmem_read_mapping_page(r->file->f_mapping, 0);
		KUNIT_ASSERT_FALSE(test, IS_ERR(page));
		put_page(page);
		ret = collapse(r, r->other_mm, true);
		if (ret == -ENOMEM)
			kunit_skip(test, "no huge page to be had");
		KUNIT_ASSERT_EQ(test, 0, ret);
	}

	map_at(test, r->file, r->addr, PMD_SIZE, way->map_flags);
	fill(test, r->addr);
	/* All of a huge page may be mapped: have a hole, first or before the last page */
	hole = r->addr + (way->install ? PMD_SIZE - 2 * PAGE_SIZE : 0);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(r->mm, hole, PAGE_SIZE, MADV_DONTNEED));
	r->pmd = find_pmd(test, r->addr);
	KUNIT_ASSERT_FALSE(test, pmd_none(*r->pmd));
	KUNIT_ASSERT_FALSE(test, pmd_leaf(*r->pmd));
	r->pml = pmd_lockptr(r->mm, r->pmd);
	r->ptl = table_lock(r->mm, r->pmd);
	/* With a reference, the page is not used again when freed */
	r->table = pmd_page(*r->pmd);
	get_page(r->table);

	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&r->mn, r->mm));
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&r->mn_flush, r->mm));
	pin_to_cpu(test, raw_smp_processor_id());
	return r;
}

/* Check that the counts of the file's pages agree with what is mapped */
static void expect_counts(struct retract *r)
{
	struct folio *folio = filemap_get_folio(r->file->f_mapping, 0);
	bool huge = pmd_leaf(*r->pmd);
	int i, nr = count_mapped(r, folio);
	struct kunit *test = r->test;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, folio);
	KUNIT_EXPECT_EQ(test, get_mm_counter_sum(r->mm, MM_SHMEMPAGES),
			huge ? HPAGE_PMD_NR : nr);
	/* The other mm maps all of it once */
	KUNIT_EXPECT_EQ(test, folio_mapcount(folio), nr + huge + 1);
	/* Others may have a reference for a moment, or until the LRU is drained */
	for (i = 0; i < 100; i++) {
		if (folio_ref_count(folio) == folio_expected_ref_count(folio) + 1)
			break;
		lru_add_drain_all();
		msleep(20);
	}
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio),
			folio_expected_ref_count(folio) + 1);
	folio_put(folio);
}

/*
 * Collapse, and check what is the same for each outcome: nothing is left locked or
 * mapped, nothing is lost or counted wrongly.
 */
static void retract_run(struct retract *r, int nr_windows, enum outcome outcome)
{
	long bytes = mm_pgtables_bytes(r->mm);
	const struct way *way = r->way;
	struct map_context before, after;
	struct kunit *test = r->test;
	int ret, i;

	change_flags(r, way->vm_flags, way->own ? VM_NOHUGEPAGE : 0);
	before = map_context();
	ret = collapse(r, way->own ? r->mm : r->other_mm, way->install);
	after = map_context();
	flush_work(&r->work);
	change_flags(r, 0, way->vm_flags);
	if (ret == -ENOMEM && !r->nr_windows)
		kunit_skip(test, "no huge page to be had");
	KUNIT_ASSERT_EQ_MSG(test, r->nr_windows, nr_windows,
			    "collapse returned %d", ret);
	KUNIT_EXPECT_EQ(test, r->result, 0);
	KUNIT_EXPECT_EQ(test, ret, way->own && way->install && outcome != HUGE ?
			-EINVAL : 0);
	KUNIT_EXPECT_MEMEQ(test, &before, &after, sizeof(before));
	KUNIT_EXPECT_EQ(test, r->nr_open, 0);
	/* The VMAs are found under the i_mmap lock */
	KUNIT_EXPECT_EQ(test, r->nr_unlocked, 0);
	expect_released(test, r->pml);
	KUNIT_ASSERT_EQ(test, pmd_none(*r->pmd), outcome == REMOVED);
	KUNIT_ASSERT_EQ(test, pmd_leaf(*r->pmd), outcome == HUGE);
	if (nr_windows)
		KUNIT_EXPECT_EQ(test, pmd_none(r->pmd_at_end), outcome != KEPT);
	if (outcome != KEPT)
		bytes -= TABLE_BYTES;
	if (outcome == HUGE && arch_needs_pgtable_deposit())
		bytes += TABLE_BYTES;
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(r->mm), bytes);
	expect_counts(r);
	if (outcome == KEPT) {
		KUNIT_EXPECT_PTR_EQ(test, pmd_page(*r->pmd), r->table);
		expect_released(test, r->ptl);
		return;
	}
	/* powerpc keeps a page until all the tables in it are free */
	rcu_barrier();
	for (i = 0; i < 100 && page_count(r->table) > 1 && !IS_ENABLED(CONFIG_PPC); i++)
		msleep(20);
	if (!IS_ENABLED(CONFIG_PPC)) {
		KUNIT_EXPECT_EQ(test, page_count(r->table), 1);
		KUNIT_EXPECT_FALSE(test, folio_test_pgtable(page_folio(r->table)));
	}
}

/*
 * Check that a table is removed, and that no other task gets its lock until the
 * TLB has been flushed: when the table is empty, and when the pmd is cleared.
 */
static void retract_table(struct kunit *test)
{
	const struct way *way = test->param_value;
	struct retract *r = retract_setup(test, way);

	retract_run(r, 1, way->outcome);
	if (!IS_ENABLED(CONFIG_SMP) || !TELLS_OF_FLUSHES)
		return;
	KUNIT_EXPECT_GT(test, r->nr_flushed_none, 0);
	/* If armed, no lock is dropped in between, and one flush is enough */
	KUNIT_EXPECT_EQ(test, r->nr_flushed_empty > 0, way->own && !way->vm_flags);
	KUNIT_EXPECT_EQ(test, r->nr_flushed_unlocked, 0);
}

/* Check that *pmd does not change while another task holds the lock of the table */
static int hold_lock(struct retract *r)
{
	unsigned long begin;
	spinlock_t *ptl;
	pmd_t pmdval;
	pte_t *pte;
	int ret = 0;

	pte = pte_offset_map_lock(r->mm, r->pmd, r->addr, &ptl);
	if (!pte)
		return -ENOENT;
	pmdval = pmdp_get_lockless(r->pmd);
	complete(&r->ready);
	begin = jiffies;
	while (!ret && !is_awaited(ptl, begin)) {
		cpu_relax();
		if (READ_ONCE(r->window_over))
			ret = -EBUSY;
	}
	if (!pmd_same(pmdval, pmdp_get_lockless(r->pmd)))
		ret = -EAGAIN;
	pte_unmap_unlock(pte, ptl);
	return ret;
}

/*
 * Check that a task that has the table mapped when it is removed can still lock it,
 * and finds it empty, because it is not freed before an RCU grace period has passed.
 */
static int lock_removed(struct retract *r)
{
	unsigned long begin = jiffies;
	spinlock_t *ptl;
	int ret = 0;
	pmd_t pmdval;
	pte_t *pte;

	pte = pte_offset_map_rw_nolock(r->mm, r->pmd, r->addr, &pmdval, &ptl);
	if (!pte)
		return -ENOENT;
	complete(&r->ready);
	/* In an RCU read-side critical section, so do not sleep */
	while (!READ_ONCE(r->window_over) || !spin_trylock(ptl)) {
		cpu_relax();
		if (time_after(jiffies, begin + WAIT_LIMIT)) {
			pte_unmap(pte);
			return -ETIMEDOUT;
		}
	}
	/* If the table is freed too early, let that happen */
	mdelay(20);
	if (!folio_test_pgtable(page_folio(r->table)))
		ret = -EFAULT;
	else if (pmd_same(pmdval, *r->pmd))
		ret = -EEXIST;
	else if (count_entries(pte, NULL) != PTRS_PER_PTE)
		ret = -ENOTEMPTY;
	pte_unmap_unlock(pte, ptl);
	return ret;
}

/* Check that a table may have been reclaimed before the locks are taken ... */
static int reclaim_table(struct retract *r)
{
	int ret = do_madvise(r->mm, r->addr, PMD_SIZE, MADV_DONTNEED);

	return ret ?: pmd_none(*r->pmd) ? 0 : -EBUSY;
}

/* ... and replaced by another, which is then removed instead */
static int replace_table(struct retract *r)
{
	return reclaim_table(r) ?: pte_alloc(r->mm, r->pmd) ? -ENOMEM : 0;
}

static void removed_beside(struct kunit *test, int (*in_window)(struct retract *r),
			   bool reclaim)
{
	const struct way *way = test->param_value;
	struct retract *r;

	if (!reclaim && num_online_cpus() < 2)
		kunit_skip(test, "requires two CPUs");
	if (reclaim && !IS_ENABLED(CONFIG_PT_RECLAIM))
		kunit_skip(test, "requires CONFIG_PT_RECLAIM");
	r = retract_setup(test, way);
	r->in_window = in_window;
	retract_run(r, 1, in_window == reclaim_table ? REMOVED : way->outcome);
}

static void retract_waits_for_lock(struct kunit *test)
{
	removed_beside(test, hold_lock, false);
}

static void retract_grace_period(struct kunit *test)
{
	removed_beside(test, lock_removed, false);
}

static void retract_table_gone(struct kunit *test)
{
	removed_beside(test, reclaim_table, true);
}

static void retract_table_replaced(struct kunit *test)
{
	removed_beside(test, replace_table, true);
}

static struct kunit_case retract_test_cases[] = {
	KUNIT_CASE_PARAM(retract_table, way_gen_params),
	KUNIT_CASE_PARAM(retract_waits_for_lock, way_gen_params),
	KUNIT_CASE_PARAM(retract_grace_period, way_gen_params),
	KUNIT_CASE_PARAM(retract_table_gone, way_gen_params),
	KUNIT_CASE_PARAM(retract_table_replaced, way_gen_params),
	{}
};

static struct kunit_suite retract_test_suite = {
	.name = "retract",
	.test_cases = retract_test_cases,
};

kunit_test_suite(retract_test_suite);
