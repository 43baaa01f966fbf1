// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to map and lock a page table, and to look up its lock, in
 * instructions: see bench.sh, which builds this into the kernels that it compares, and
 * only into these.
 *
 * PTE_LOCKPTR_ARG is what pte_lockptr() takes there: pmd (the base), or pte (the
 * series).
 *
 * Each case says in the form of bench.c what a call cost, the loop around it included,
 * which is the same in both kernels:
 *
 *	# pte_map_lock: unit=call n=25 min=31.0 median=31.0 max=31.2
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include "../internal.h"

#define REPETITIONS	25
#define WARMUP		3		/* not counted */
#define CALLS		1000UL

struct table {
	struct mm_struct *mm;
	unsigned long addr;
	pmd_t *pmd;
	pte_t *pte;
	spinlock_t *ptl;		/* that was found: for the compiler */
};

static noinline void loop_map_lock(struct table *t)
{
	unsigned long i;
	spinlock_t *ptl;
	pte_t *pte;

	for (i = 0; i < CALLS; i++) {
		pte = pte_offset_map_lock(t->mm, t->pmd, t->addr, &ptl);
		pte_unmap_unlock(pte, ptl);
	}
}

static noinline void loop_map(struct table *t)
{
	unsigned long i;

	for (i = 0; i < CALLS; i++)
		pte_unmap(pte_offset_map(t->pmd, t->addr));
}

static noinline void loop_lookup(struct table *t)
{
	struct mm_struct *mm = t->mm;
	pmd_t *pmd = t->pmd;
	pte_t *pte = t->pte;
	unsigned long i;

	for (i = 0; i < CALLS; i++) {
		OPTIMIZER_HIDE_VAR(pmd);
		OPTIMIZER_HIDE_VAR(pte);
		WRITE_ONCE(t->ptl, pte_lockptr(mm, PTE_LOCKPTR_ARG));
	}
}

static noinline void loop_kfree(struct table *t)
{
	unsigned long i;

	for (i = 0; i < CALLS; i++)
		kfree(kmalloc(64, GFP_NOWAIT));
}

static void find_table(struct kunit *test, struct table *t)
{
	KUNIT_ASSERT_EQ(test, 0, kunit_attach_mm());
	t->mm = current->mm;
	t->addr = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, 0);
	KUNIT_ASSERT_LT(test, t->addr, (unsigned long)TASK_SIZE);
	KUNIT_ASSERT_EQ(test, 0, put_user(1, (int __user *)t->addr));
	t->pmd = mm_find_pmd(t->mm, t->addr);
	KUNIT_ASSERT_NOT_NULL(test, t->pmd);
}

static int compare(const void *a, const void *b)
{
	const unsigned long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Tenths of a nanosecond a call, which are tenths of an instruction under -icount. */
static void measure(struct kunit *test, void (*loop)(struct table *), struct table *t)
{
	unsigned long tenths[REPETITIONS], flags;
	u64 begin, end;
	int i;

	for (i = -WARMUP; i < REPETITIONS; i++) {
		local_irq_save(flags);
		begin = ktime_get_ns();
		loop(t);
		end = ktime_get_ns();
		local_irq_restore(flags);
		if (i >= 0)
			tenths[i] = (unsigned long)(end - begin) / (CALLS / 10);
	}
	sort(tenths, REPETITIONS, sizeof(tenths[0]), compare, NULL);
	kunit_info(test, "unit=call n=%d min=%lu.%lu median=%lu.%lu max=%lu.%lu\n",
		   REPETITIONS, tenths[0] / 10, tenths[0] % 10,
		   tenths[REPETITIONS / 2] / 10, tenths[REPETITIONS / 2] % 10,
		   tenths[REPETITIONS - 1] / 10, tenths[REPETITIONS - 1] % 10);
}

static void pte_map_lock(struct kunit *test)
{
	struct table t;

	find_table(test, &t);
	measure(test, loop_map_lock, &t);
}

static void pte_map(struct kunit *test)
{
	struct table t;

	find_table(test, &t);
	measure(test, loop_map, &t);
}

/* The lookup alone. With CONFIG_HIGHPTE, of a table that kmap_local has mapped */
static void pte_lookup(struct kunit *test)
{
	struct table t;

	find_table(test, &t);
	t.pte = pte_offset_map(t.pmd, t.addr);
	KUNIT_ASSERT_NOT_NULL(test, t.pte);
	measure(test, loop_lookup, &t);
	pte_unmap(t.pte);
}

/* ... and of one that lies in the linear map: any page there will do */
static void pte_lookup_linear(struct kunit *test)
{
	struct table t;

	if (!IS_ENABLED(CONFIG_HIGHPTE))
		kunit_skip(test, "requires CONFIG_HIGHPTE");
	find_table(test, &t);
	t.pte = (pte_t *)__get_free_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t.pte);
	measure(test, loop_lookup, &t);
	free_page((unsigned long)t.pte);
}

/* kfree() looks up the page of an address, too: riscv's virt_to_page() is changed */
static void kmalloc_kfree(struct kunit *test)
{
	measure(test, loop_kfree, NULL);
}

static struct kunit_case pgtable_bench_cases[] = {
	KUNIT_CASE(pte_map_lock),
	KUNIT_CASE(pte_map),
	KUNIT_CASE(pte_lookup),
	KUNIT_CASE(pte_lookup_linear),
	KUNIT_CASE(kmalloc_kfree),
	{}
};

static struct kunit_suite pgtable_bench_suite = {
	.name = "pgtable_bench",
	.test_cases = pgtable_bench_cases,
};

kunit_test_suite(pgtable_bench_suite);

MODULE_DESCRIPTION("What it costs to map and lock a page table");
MODULE_LICENSE("GPL");
