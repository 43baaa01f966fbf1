/* SPDX-License-Identifier: GPL-2.0 */
/* mm/khugepaged.c: the collapse of a file, and what removes its page tables. */

bool folio_is_huge;	/* what the page cache has for the range */

/*
 * file_backed_vma_is_retractable(). One step: while i_mmap is held, the three are only
 * ever set, so looking at one after the other finds no more than that. (The one that
 * MODIFY_AS_IN_BASE clears is the only one that changes there.)
 */
#ifdef EMPTINESS_ONLY
#define vma_is_retractable(p) true
#else
#define vma_is_retractable(p) \
	(!anon_vma[p] && !vma_uffd_wp[p] && !vma_maybe_guard[p])
#endif

#if defined(VMA_TRYLOCK) || defined(VMA_TRYLOCK_ALL)
#define ONCE_BEFORE
#ifdef VMA_TRYLOCK_ALL
#define needs_vma_lock(p) true
#else
#define needs_vma_lock(p) (!vma_is_retractable(p))
#endif
#define leave_alone(p) (needs_vma_lock(p) && mmap_writer)

/*
 * A trylock of the vma, which mmap_lock stands for. It is one step with the look at the
 * flags: these may be set in between, but not cleared.
 */
inline vma_start_read_rmap(p, vma_locked)
{
	if
	:: needs_vma_lock(p) ->
		mmap_readers++;
		vma_locked = true;
		printf("vma_start_read_rmap()\n")
	:: else -> printf("is the vma retractable? yes\n")
	fi
}

inline vma_end_read_rmap(vma_locked)
{
	if
	:: vma_locked ->
		mmap_readers--;
		vma_locked = false;
		printf("vma_end_read_rmap()\n")
	:: else
	fi
}
#else
#define leave_alone(p) (!vma_is_retractable(p))
#define vma_start_read_rmap(p, vma_locked) printf("is the vma retractable? yes\n")
#define vma_end_read_rmap(vma_locked) skip
#endif

/* What is looked at again once the PTE lock is held. */
#if defined(NO_RECHECK)
#define may_retract(p, table) true
#elif defined(ONCE_BEFORE)
#define may_retract(p, table) table_is_empty(table)
#elif defined(NO_EMPTY_CHECK)
#define may_retract(p, table) vma_is_retractable(p)
#else
#define may_retract(p, table) (vma_is_retractable(p) && table_is_empty(table))
#endif

#ifdef RETRACT_WITHOUT_PTL
#define ptl_lock(table) skip
#define ptl_unlock(table) skip
#else
#define ptl_lock(table) spin_lock_nested(pte_lockptr(table), pml)
#define ptl_unlock(table) spin_unlock_nested(pte_lockptr(table), pml)
#endif

/* The body of the loop of retract_page_tables() */
inline retract_page_table(p, pgt_pmd, pte, success, vma_locked, i)
{
	if
	:: !in_i_mmap[p] -> skip
	/* find_pmd_or_thp_or_none() */
	:: in_i_mmap[p] && !pmd_is_table(pmd[p]) -> skip
	:: in_i_mmap[p] && pmd_is_table(pmd[p]) ->
		if
#ifndef VMA_LOCK_WAITS
		:: leave_alone(p)
#endif
		:: atomic { !leave_alone(p) -> vma_start_read_rmap(p, vma_locked) }
#ifdef I_MMAP_DROPPED
			i_mmap_unlock_read();
			i_mmap_lock_read();
#endif
			pmd_lock();
			pte_offset_map_rw_nolock(p, pgt_pmd, pte);
			if
			:: pte == 0
			:: else ->
				ptl_lock(pte);
				if
				:: atomic { may_retract(p, pte) ->
					use(pte);
					printf("recheck: retract\n") }
#ifdef PTL_DROPPED_BEFORE_CLEAR
					ptl_unlock(pte);
#endif
					/* pmdp_collapse_flush() */
					pmd_clear(p, pgt_pmd);
#ifdef FAIL_IF_RETRACTED
					if
					:: vma_locked ->
						printf("VIOLATED: a table of a locked vma is retracted\n");
						assert(false)
					:: else
					fi;
#endif
					success = true
				:: else
#ifdef PTL_DROPPED_BEFORE_CLEAR
					-> ptl_unlock(pte)
#endif
				fi;
#ifndef PTL_DROPPED_BEFORE_CLEAR
				ptl_unlock(pte);
#endif
				pte_unmap(pte)
			fi;
			spin_unlock(pml);
			if
			:: success -> pte_free_rcu(pgt_pmd, i)
			:: else
			fi
		fi
	fi;
	atomic { vma_end_read_rmap(vma_locked); pgt_pmd = 0; pte = 0; success = false }
}

/* try_to_unmap_one() of what the range has in one page table */
inline try_to_unmap_one(p, pmdval, table)
{
	if
	:: in_i_mmap[p] && pmd_is_table(pmd[p]) ->
		pte_offset_map_lock(p, pmdval, table);
		if
		:: table == 0
		:: else ->
			if
			:: is_file(ptes[at(table, 0)]) -> pte_clear(p, table, 0)
			:: else
			fi;
			if
			:: is_file(ptes[at(table, 1)]) -> pte_clear(p, table, 1)
			:: else
			fi;
			pte_unmap_unlock(table)
		fi
	:: else
	fi;
	atomic { pmdval = 0; table = 0 }
}

#ifdef COLLAPSE
/* The old folios are locked and unmapped, the new one is locked until the end. */
proctype collapse_file()
{
	byte pgt_pmd, pte, i;
	bool success, vma_locked;

	folio_lock();
	i_mmap_lock_read();
	printf("try_to_unmap()\n");
	/* rmap finds a vma before its copy, see move_ptes() */
	try_to_unmap_one(OLD, pgt_pmd, pte);
	try_to_unmap_one(NEW, pgt_pmd, pte);
	i_mmap_unlock_read();
	folio_is_huge = true;

	printf("retract_page_tables()\n");
	i_mmap_lock_read();
	retract_page_table(OLD, pgt_pmd, pte, success, vma_locked, i);
	retract_page_table(NEW, pgt_pmd, pte, success, vma_locked, i);
	i_mmap_unlock_read();

	folio_unlock();
	done()
}
#endif

#define table_is_collapsible(table) \
	((ptes[at(table, 0)] == none || is_file(ptes[at(table, 0)])) && \
	 (ptes[at(table, 1)] == none || is_file(ptes[at(table, 1)])))

/*
 * Step 4 takes the lock of step 2 again, and looks whether the table is still there,
 * and still empty. The base did not do the former without split locks, nor the latter.
 */
#if defined(PML_BEFORE_STEP2)
#define step4_may_clear(pgt_pmd, pte) true
#elif defined(STEP4_AS_IN_BASE)
#define step4_may_clear(pgt_pmd, pte) \
	(pte_lockptr(pte) == pml || pmd[OLD] == pgt_pmd)
#else
#define step4_may_clear(pgt_pmd, pte) \
	(pmd[OLD] == pgt_pmd && table_is_empty(pte))
#endif

/* There is no table any more. The base took pml for ptl, if they are the same lock. */
inline abort_without_table()
{
#ifdef PML_BEFORE_STEP2
#ifdef ABORT_AS_IN_BASE
	spin_unlock_nested(pml, pte_lockptr(1))
#else
	spin_unlock(pml)
#endif
#else
	skip
#endif
}

/* Steps 2 to 4, with the locks of step 2 held */
inline try_collapse_locked(pgt_pmd, pte, success)
{
	if
	:: pmd[OLD] == pgt_pmd && table_is_collapsible(pte) ->
		/* step 2: clear page table */
		if
		:: is_file(ptes[at(pte, 0)]) -> pte_clear(OLD, pte, 0)
		:: else
		fi;
		if
		:: is_file(ptes[at(pte, 1)]) -> pte_clear(OLD, pte, 1)
		:: else
		fi;
		/* step 4: remove empty page table */
#ifdef HELPER
		pte_unmap_unlock(pte);
		remove_pte_table_if_empty(OLD, pgt_pmd, pte, success)
#else
#ifndef PML_BEFORE_STEP2
		spin_unlock(pte_lockptr(pte));
		pmd_lock();
		spin_lock_nested(pte_lockptr(pte), pml);
#endif
		if
		:: step4_may_clear(pgt_pmd, pte) ->
			pmd_clear(OLD, pgt_pmd);
			success = true
		:: else
		fi;
		spin_unlock_nested(pte_lockptr(pte), pml);
		pte_unmap(pte);
		spin_unlock(pml)
#endif
	:: else ->
#ifdef PML_BEFORE_STEP2
		spin_unlock_nested(pte_lockptr(pte), pml);
		pte_unmap(pte);
		spin_unlock(pml)
#else
		pte_unmap_unlock(pte)
#endif
	fi
}

#ifdef COLLAPSE_PTES
/*
 * Of a folio that is huge, and still mapped by ptes. Where the vma is private and
 * registered with userfaultfd, pml is taken before step 2 (PML_BEFORE_STEP2).
 */
proctype try_collapse_pte_mapped_thp()
{
	byte pgt_pmd, pte, i;
	bool success;

	mmap_read_lock();
	if
	:: vma_uffd_wp[OLD]
	:: else ->
	    folio_lock();
	    pte_offset_map_lock(OLD, pgt_pmd, pte);
	    if
	    :: pte == 0
	    :: else ->
		/* step 1: all of it must be ptes of the huge folio */
		success = true;
		if
		:: table_is_collapsible(pte)
		:: else -> success = false
		fi;
		pte_unmap_unlock(pte);
		if
		:: !success
		:: else ->
			success = false;
#ifdef PML_BEFORE_STEP2
			pmd_lock();
#endif
			pte_offset_map_rw_nolock(OLD, pgt_pmd, pte);
			if
			:: pte == 0 -> abort_without_table()
			:: else ->
#ifdef PML_BEFORE_STEP2
				spin_lock_nested(pte_lockptr(pte), pml);
#else
				spin_lock(pte_lockptr(pte));
#endif
				try_collapse_locked(pgt_pmd, pte, success);
				if
				:: success -> pte_free_rcu(pgt_pmd, i)
				:: else
				fi
			fi
		fi
	    fi;
	    folio_unlock()
	fi;
	mmap_read_unlock();
	done()
}
#endif
