/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers for KUnit tests of page tables and their locks. The tests work on a user
 * mm of their own, in PMD-sized ranges, each of which has a PTE table to itself.
 *
 * What a test observes while something is mapped or locked is judged afterwards: a
 * failing expectation may sleep, and a failing assertion does not come back.
 */
#ifndef __MM_TESTS_PTLOCK_KUNIT_H
#define __MM_TESTS_PTLOCK_KUNIT_H

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include "../internal.h"

/* For loops that only end early in a broken kernel */
#define WAIT_LIMIT	(60 * HZ)

/* What a mapping of a PTE table takes and must give back again */
struct map_context {
	int preempt, rcu, kmap;
};

static inline struct map_context map_context(void)
{
	return (struct map_context) {
		.preempt = preempt_count(),
		.rcu = rcu_preempt_depth(),
#ifdef CONFIG_KMAP_LOCAL
		.kmap = current->kmap_ctrl.idx,
#endif
	};
}

/*
 * The lock that belongs to the PTE table at *pmd, found by another way than the
 * code under test finds it: by the page that the pmd entry points to.
 */
static inline spinlock_t *table_lock(struct mm_struct *mm, pmd_t *pmd)
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

static inline bool is_unlocked(spinlock_t *ptl)
{
	if (!spin_trylock(ptl))
		return false;
	spin_unlock(ptl);
	return true;
}

/* The lock is not kept: others, rmap walks for one, may hold it for a moment */
static inline void expect_released(struct kunit *test, spinlock_t *ptl)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (is_unlocked(ptl))
			return;
		msleep(20);
	}
	KUNIT_FAIL(test, "a lock was left held");
}

/*
 * Is the lock, which the caller holds, waited for? Not every lock tells: then a task
 * that wants it has had time to come.
 */
static inline bool is_awaited(spinlock_t *ptl, unsigned long since)
{
	return spin_is_contended(ptl) || time_after(jiffies, since + HZ / 2);
}

/* Reserve @nr PMD-sized and -aligned ranges of user address space, unmapped */
static inline unsigned long reserve_ranges(struct kunit *test, unsigned int nr)
{
	unsigned long addr;

	if (nr + 1 > TASK_SIZE / 2 / PMD_SIZE)
		kunit_skip(test, "no address space for %u PMD ranges", nr);
	addr = kunit_vm_mmap(test, NULL, 0, (nr + 1) * PMD_SIZE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0);
	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_ASSERT_LT(test, addr, (unsigned long)TASK_SIZE);
	return ALIGN(addr, PMD_SIZE);
}

/* Page faults map pages there, never a huge one */
static inline void map_at(struct kunit *test, struct file *file,
			  unsigned long addr, unsigned long len,
			  unsigned long flags)
{
	struct mm_struct *mm = current->mm;

	KUNIT_ASSERT_EQ(test, addr, vm_mmap(file, addr, len,
					    PROT_READ | PROT_WRITE,
					    MAP_FIXED | flags, 0));
	mmap_write_lock(mm);
	vm_flags_set(vma_lookup(mm, addr), VM_NOHUGEPAGE);
	mmap_write_unlock(mm);
}

static inline pmd_t *find_pmd(struct kunit *test, unsigned long addr)
{
	pmd_t *pmd = mm_find_pmd(current->mm, addr);

	KUNIT_ASSERT_NOT_NULL(test, pmd);
	return pmd;
}

static inline void pin_to_cpu(struct kunit *test, int cpu)
{
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
}

#endif /* __MM_TESTS_PTLOCK_KUNIT_H */
