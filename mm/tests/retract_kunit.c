// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the retraction of page tables: that khugepaged holds the lock
 * of a PTE table, and leaves nothing behind, when it removes the table.
 *
 * The tests work on the page tables of a user mm of their own, which are filled by
 * page faults and retracted by collapsing a shmem file.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swapops.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "../internal.h"
#include "ptlock_kunit.h"

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
 * If the collapse waits for a lock that it holds itself, the test hangs.
 * Report that from another CPU, if there is one.
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

	file = shmem_kernel_file_setup("retract", PMD_SIZE,
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

	task = kthread_create(other_thread, r, "retract_kunit");
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
 * A table is only retracted when every entry is none: neither poison is lost, nor
 * any other entry that the VMA does not tell of.
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

static void keeps_marker(struct kunit *test, pte_marker marker)
{
	struct retraction *r = retraction_setup(test);
	spinlock_t *expected, *ptl;
	pte_t *pte, entry;

	retraction_fill(r);
	expected = table_lock(r->mm, r->pmd);
	r->marker = marker;
	r->in_window = leave_marker;
	retraction_run(r);
	retraction_expect_kept(r, expected);
	pte = pte_offset_map_lock(r->mm, r->pmd, r->addr + PAGE_SIZE, &ptl);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	entry = ptep_get(pte);
	pte_unmap_unlock(pte, ptl);
	KUNIT_EXPECT_TRUE(test, pte_same(entry, make_pte_marker(marker)));
}

static void retract_keeps_poison(struct kunit *test)
{
	keeps_marker(test, PTE_MARKER_POISONED);
}

/* Left by a write-protection that is over: this VMA has none */
static void retract_wp_leftover(struct kunit *test)
{
	keeps_marker(test, PTE_MARKER_UFFD_WP);
}

/* A guard region, of which the VMA knows nothing */
static void retract_check_empty(struct kunit *test)
{
	keeps_marker(test, PTE_MARKER_GUARD);
}

/*
 * While another thread holds the lock of the table, *pmd does not change.
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
 * No other task gets the lock before the pmd is cleared: it is still held when
 * the TLB is flushed afterwards. Some architectures notify of that flush.
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
 * A task that has the table mapped when it is retracted can still lock it, and
 * finds it empty: it is not freed before an RCU grace period has passed.
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
	/* If the table is freed too early, let that happen now */
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
	bool walked = false;
	int ret = 0, i;

	do {
		spinlock_t *ptl;
		pte_t *pte;

		pte = pte_offset_map_lock(r->mm, r->pmd, r->addr, &ptl);
		if (!walked)
			complete(&r->other_ready);
		if (!pte)
			return walked ? 0 : -ENOENT;
		walked = true;
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
		task = kthread_create(walk_until_stopped, w, "retract_kunit/%d", cpu);
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

static struct kunit_case retract_test_cases[] = {
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

static struct kunit_suite retract_test_suite = {
	.name = "retract",
	.test_cases = retract_test_cases,
};

kunit_test_suite(retract_test_suite);
