/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the walkers of page tables share: pmd entries, PTE tables, their locks,
 * RCU, and the helpers of mm/pgtable-generic.c and mm/memory.c.
 *
 * One mm, one file. Two pmd entries: OLD, of the vma that everybody works on, and
 * NEW, of the vma that mremap() moves it to. PTE tables 1 .. TABLES with ENTRIES
 * entries each; 0 is none. A freed table is never used again for something else,
 * so that any use of it is caught.
 *
 * A step is one access to memory that others see, or one lock operation. In an
 * atomic { } is what is one step; printf() is for the trace, and costs nothing
 * while states are searched.
 */

#define OLD 0
#define NEW 1
#define PMDS 2
#define TABLES 5
#define ENTRIES 2
#define PROCS 9

/* A pmd entry: no_table, huge, or the number of a PTE table */
#define no_table 0
#define huge_pmd 15
byte pmd[PMDS];
#define pmd_is_table(val) ((val) != no_table && (val) != huge_pmd)

/* A pte. UFFD_WP, GUARD and POISON are markers, ANON is a private page. */
#define none 0
#define FILE 1
#define FILE_DIRTY 2
#define ANON 3
#define UFFD_WP 4
#define GUARD 5
#define POISON 6
#define is_file(pte) ((pte) == FILE || (pte) == FILE_DIRTY)
#define drops_on_zap(pte) ((pte) != UFFD_WP && (pte) != GUARD)

#define at(table, i) ((table) * ENTRIES + (i))
byte ptes[at(TABLES + 1, 0)];

/* What was installed at a pmd's entry, and not removed on purpose. */
byte wanted[PMDS * ENTRIES];

#define unused 0
#define in_use 1
#define waiting 2	/* handed to call_rcu() */
#define freed 3
byte state[TABLES + 1];
byte nr_ptes;

/* The vma of each pmd entry: whether rmap finds it, and what a collapse asks. */
bool in_i_mmap[PMDS];
bool anon_vma[PMDS];
bool vma_uffd_wp[PMDS];
bool vma_maybe_guard[PMDS];

/*
 * In a private mapping, UFFDIO_POISON leaves an anon_vma instead, which has the same
 * effect here as the flag. Memory failure leaves neither.
 */
#ifdef POISON_AS_IN_BASE
#define poison_sets_flag false
#else
#define poison_sets_flag true
#endif

byte running;		/* processes that are not done yet */


/* A table that was freed must not be used, nor the lock in its ptdesc. */
inline use(table)
{
	if
	:: state[table] == freed ->
		printf("VIOLATED: use after free\n"); assert(false)
	:: else
	fi
}

/*
 * Spinlocks. pml is the lock of the PMD table, both pmd entries are in. Each PTE
 * table has its own; without split locks all are one.
 */
#define pml 0
#ifdef UNSPLIT
#define pte_lockptr(table) pml
#else
#define pte_lockptr(table) (table)
#endif
bool locked[TABLES + 1];

inline spin_lock(l)
{
	atomic {
		!locked[l] || state[l] == freed;
		use(l);
		locked[l] = true;
		if
		:: l == pml -> printf("spin_lock(pml)\n")
		:: else -> printf("spin_lock(ptl of table %d)\n", l)
		fi
	}
}

inline __spin_unlock(l)
{
	use(l);
	locked[l] = false;
	if
	:: l == pml -> printf("spin_unlock(pml)\n")
	:: else -> printf("spin_unlock(ptl of table %d)\n", l)
	fi
}

inline spin_unlock(l)
{
	atomic {
		__spin_unlock(l)
	}
}

#define pmd_lock() spin_lock(pml)

/* The second lock of two: not if it is the first one. */
inline spin_lock_nested(l, first)
{
#ifdef NESTED_WHEN_EQUAL
	spin_lock(l)
#else
	if
	:: l != first -> spin_lock(l)
	:: else
	fi
#endif
}

inline spin_unlock_nested(l, first)
{
	if
	:: l != first -> spin_unlock(l)
	:: else
	fi
}

/*
 * Sleeping locks. mmap_lock stands for the lock of the mm and that of the vma:
 * a writer has both, a reader has one of them.
 */
byte mmap_readers, i_mmap_readers;
bool mmap_writer, i_mmap_writer, folio_locked;

#define mmap_read_lock() atomic { !mmap_writer; mmap_readers++; \
		printf("mmap_read_lock()\n") }
#define mmap_read_unlock() atomic { mmap_readers--; printf("mmap_read_unlock()\n") }
#define mmap_write_lock() atomic { !mmap_writer && mmap_readers == 0; \
		mmap_writer = true; printf("mmap_write_lock()\n") }
#define mmap_write_unlock() atomic { mmap_writer = false; \
		printf("mmap_write_unlock()\n") }
#define i_mmap_lock_read() atomic { !i_mmap_writer; i_mmap_readers++; \
		printf("i_mmap_lock_read()\n") }
#define i_mmap_unlock_read() atomic { i_mmap_readers--; \
		printf("i_mmap_unlock_read()\n") }
#define i_mmap_lock_write() atomic { !i_mmap_writer && i_mmap_readers == 0; \
		i_mmap_writer = true; printf("i_mmap_lock_write()\n") }
#define i_mmap_unlock_write() atomic { i_mmap_writer = false; \
		printf("i_mmap_unlock_write()\n") }
#define folio_lock() atomic { !folio_locked; folio_locked = true; \
		printf("folio_lock()\n") }
#define folio_unlock() atomic { folio_locked = false; printf("folio_unlock()\n") }

/*
 * RCU. call_rcu() remembers who is inside a read-side critical section; the table
 * is freed at some time after each of them has left it.
 */
byte rcu_nesting[PROCS];
byte readers[TABLES + 1];	/* a bit for each process waited for */
#define bit_of(pid) (1 << ((pid) - 1))

#define rcu_read_lock() rcu_nesting[_pid]++

inline rcu_read_unlock()
{
	rcu_nesting[_pid]--;
	if
	:: rcu_nesting[_pid] == 0 ->
		readers[1] = readers[1] & ~bit_of(_pid);
		readers[2] = readers[2] & ~bit_of(_pid);
		readers[3] = readers[3] & ~bit_of(_pid);
		readers[4] = readers[4] & ~bit_of(_pid);
		readers[5] = readers[5] & ~bit_of(_pid)
	:: else
	fi
}

/* pte_free_defer() and, for PT_RECLAIM, pte_free_tlb() */
inline pte_free_rcu(table, i)
{
	atomic {
		if
		:: state[table] != in_use ->
			printf("VIOLATED: freed twice\n"); assert(false)
		:: else
		fi;
		nr_ptes--;
		i = 1;
#ifdef NO_GRACE_PERIOD
		state[table] = freed;
		printf("table %d is freed at once\n", table);
#else
		readers[table] = 0;
		state[table] = waiting;
		do
		:: i < PROCS && rcu_nesting[i] > 0 ->
			readers[table] = readers[table] | bit_of(i);
			i++
		:: i < PROCS && rcu_nesting[i] == 0 -> i++
		:: else -> break
		od;
		printf("call_rcu(table %d)\n", table);
#endif
		i = 0
	}
}

#define grace_period_over(table) \
	atomic { \
		state[table] == waiting && readers[table] == 0; \
		state[table] = freed; \
		printf("grace period over, table %d is freed\n", table) \
	}

proctype rcu_core()
{
end:	do
	:: grace_period_over(1)
	:: grace_period_over(2)
	:: grace_period_over(3)
	:: grace_period_over(4)
	:: grace_period_over(5)
	od
}

/*
 * mm/pgtable-generic.c. Entering the RCU section is one step with the read of the
 * pmd, leaving it one with the unlock: no process can see the difference, as
 * nothing of the table is used in between.
 */

/* table is 0 for NULL */
inline __pte_offset_map(p, pmdval, table)
{
	atomic {
		pmdval = pmd[p];
		if
		:: pmd_is_table(pmdval) ->
			rcu_read_lock();
			use(pmdval);
			table = pmdval;
			printf("__pte_offset_map(): table %d\n", table)
		:: else ->
			table = 0;
			printf("__pte_offset_map(): NULL\n")
		fi
	}
}

#define pte_offset_map_rw_nolock(p, pmdval, table) __pte_offset_map(p, pmdval, table)

inline pte_unmap(table)
{
	atomic {
		rcu_read_unlock();
		printf("pte_unmap(table %d)\n", table)
	}
}

inline pte_unmap_unlock(table)
{
	atomic {
		__spin_unlock(pte_lockptr(table));
		rcu_read_unlock()
	}
}

inline pte_offset_map_lock(p, pmdval, table)
{
	do
	:: __pte_offset_map(p, pmdval, table);
	   if
	   :: table == 0 -> break
	   :: else
	   fi;
	   spin_lock(pte_lockptr(table));
#ifdef WALKER_WITHOUT_PMD_SAME
	   break
#else
	   if
	   :: atomic { pmd[p] == pmdval -> printf("pmd_same()? yes\n"); break }
	   :: atomic { else -> printf("pmd_same()? no, again\n") }
	   fi;
	   pte_unmap_unlock(table)
#endif
	od
}

/* mm/memory.c */

/* The table of the process that comes second is never seen: it is left out. */
inline pmd_install(p, i)
{
	pmd_lock();
	atomic {
		if
		:: pmd[p] == no_table ->
			i = 1;
			do
			:: i <= TABLES && state[i] != unused -> i++
			:: else -> break
			od;
			if
			:: i > TABLES -> printf("VIOLATED: the model has too few tables\n"); assert(false)
			:: else
			fi;
			state[i] = in_use;
			nr_ptes++;
			pmd[p] = i;
			printf("pmd_install(table %d)\n", i);
			i = 0
		:: else -> printf("pmd_install(): there is one\n")
		fi
	}
	spin_unlock(pml)
}

#define __pte_alloc(p, i) pmd_install(p, i)

inline pte_alloc(p, i)
{
	if
	:: pmd[p] == no_table -> __pte_alloc(p, i)
	:: else
	fi
}

/*
 * The caller takes NULL for -ENOMEM. There is enough memory here: then there has to
 * be something else in the pmd, which pmdval says.
 */
inline pte_alloc_map_lock(p, pmdval, table, i)
{
	do
	:: pte_alloc(p, i);
	   pte_offset_map_lock(p, pmdval, table);
#ifdef ALLOC_MAP_LOCK_AS_IN_BASE
	   break
#else
	   if
	   :: table == 0 -> pmdval = pmd[p]
	   :: else
	   fi;
	   if
	   :: table != 0 || pmdval == huge_pmd -> break
	   :: else
	   fi
#endif
	od;
	if
	:: table == 0 && pmdval != huge_pmd ->
		printf("VIOLATED: -ENOMEM, but there is memory\n"); assert(false)
	:: else
	fi
}

/* Entries of tables. What goes into a table has to be where *pmd leads to. */

inline __set_pte(p, table, i, val)
{
	use(table);
	if
	:: pmd[p] != table ->
		printf("VIOLATED: write to a disconnected table\n"); assert(false)
	:: else
	fi;
	ptes[at(table, i)] = val;
	wanted[p * ENTRIES + i] = val
}

inline set_pte_at(p, table, i, val)
{
	atomic {
		printf("set_pte_at(table %d)\n", table);
		__set_pte(p, table, i, val)
	}
}

inline pte_clear(p, table, i)
{
	atomic {
		printf("pte_clear(table %d)\n", table);
		__set_pte(p, table, i, none)
	}
}

/* A page table is disconnected: that must not take entries with it. */
inline pmd_clear(p, pgt_pmd)
{
	atomic {
		pgt_pmd = pmd[p];
		printf("pmd_clear(): table %d is disconnected\n", pgt_pmd);
		if
		:: !pmd_is_table(pgt_pmd) ->
			printf("VIOLATED: no table to disconnect\n"); assert(false)
		:: wanted[p * ENTRIES] != none || wanted[p * ENTRIES + 1] != none ->
			printf("VIOLATED: an entry is lost with its table\n"); assert(false)
		:: else
		fi;
		pmd[p] = no_table
	}
}

#define table_is_empty(table) \
	(ptes[at(table, 0)] == none && ptes[at(table, 1)] == none)

#ifdef NO_RECHECK
#define table_may_be_removed(table) true
#else
#define table_may_be_removed(table) table_is_empty(table)
#endif

/*
 * Removes the page table if it is empty, also if it is another one than before. The
 * caller frees it.
 */
inline remove_pte_table_if_empty(p, pgt_pmd, table, removed)
{
	pmd_lock();
	pte_offset_map_rw_nolock(p, pgt_pmd, table);
	if
	:: table == 0
	:: else ->
		spin_lock_nested(pte_lockptr(table), pml);
		if
		:: atomic { table_may_be_removed(table) -> use(table) }
			pmd_clear(p, pgt_pmd);
			removed = true
		:: else
		fi;
		spin_unlock_nested(pte_lockptr(table), pml);
		pte_unmap(table)
	fi;
	spin_unlock(pml)
}

/* A huge pmd of a file is dropped, to be faulted in again. */
inline clear_huge_pmd(p)
{
	pmd_lock();
	atomic {
		if
		:: pmd[p] == huge_pmd ->
			pmd[p] = no_table;
			printf("pmdp_huge_clear_flush()\n")
		:: else
		fi
	}
	spin_unlock(pml)
}

inline done()
{
	atomic {
		assert(rcu_nesting[_pid] == 0);
		running--;
		printf("done\n")
	}
}
