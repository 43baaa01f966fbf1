/* SPDX-License-Identifier: GPL-2.0 */
/* mm/memory.c: the page fault, and MADV_DONTNEED with CONFIG_PT_RECLAIM. */

/* do_set_pmd(): mapped says whether the huge pmd is there. */
inline do_set_pmd(p, mapped)
{
	pmd_lock();
	atomic {
		if
		:: pmd[p] == no_table ->
			pmd[p] = huge_pmd;
			mapped = true;
			printf("set_pmd_at(huge)\n")
		:: else
		fi
	}
	spin_unlock(pml)
}

/* finish_fault(), for a page of the file. NOPAGE: served is as it was. */
inline finish_fault(e, pmdval, table, served, i)
{
	if
	:: pmd[OLD] == no_table && folio_is_huge -> do_set_pmd(OLD, served)
	:: else
	fi;
	if
	:: served
	:: else ->
		pte_alloc(OLD, i);
		pte_offset_map_lock(OLD, pmdval, table);
		if
		:: table == 0
		:: else ->
			/* vmf_pte_changed() */
			if
			:: ptes[at(table, e)] == none ->
				set_pte_at(OLD, table, e, FILE);
				served = true
			:: else
			fi;
			pte_unmap_unlock(table)
		fi
	fi
}

/*
 * The pte was there. It may not be in the table of *pmd any more, but then it has
 * been cleared, which pte_same() finds.
 */
inline fault_on_present_pte(e, table, orig_pte)
{
	spin_lock(pte_lockptr(table));
	if
#ifndef FAULT_WITHOUT_PTE_SAME
	:: atomic { ptes[at(table, e)] != orig_pte -> use(table);
		printf("pte_same()? no\n") }
#endif
	:: else ->
		/* ptep_set_access_flags() */
		set_pte_at(OLD, table, e, FILE_DIRTY)
	fi;
	pte_unmap_unlock(table)
}

/* One access to entry e of the file's mapping, as often as it takes. */
inline handle_pte_fault(e, pmdval, table, orig_pte, served, i)
{
	mmap_read_lock();
	orig_pte = none;
	if
	:: pmd[OLD] == no_table
	:: pmd[OLD] == huge_pmd -> served = true
	:: else ->
		pte_offset_map_rw_nolock(OLD, pmdval, table);
		if
		:: table == 0 -> goto retry	/* return 0 */
		:: else
		fi;
		/* ptep_get_lockless() */
		atomic {
			use(table);
			orig_pte = ptes[at(table, e)];
			printf("ptep_get_lockless(table %d)\n", table)
		}
		if
		:: is_file(orig_pte) ->
			served = true;
			fault_on_present_pte(e, table, orig_pte)
		:: orig_pte == none -> pte_unmap(table)
		:: else ->	/* a marker or a private page */
			served = true;
			pte_unmap(table)
		fi
	fi;
	if
	:: orig_pte == none && !served ->
		/* do_read_fault() */
		folio_lock();
		finish_fault(e, pmdval, table, served, i);
		folio_unlock()
	:: else
	fi;
retry:	mmap_read_unlock()
}

#ifdef FAULT
proctype page_fault(byte e)
{
	byte pmdval, table, orig_pte, i;
	bool served;

	do
	:: !served -> handle_pte_fault(e, pmdval, table, orig_pte, served, i)
	:: else -> break
	od;
	done()
}
#endif

#ifdef PRIVATE_WRITE
/* What is read without a lock: orig_pte, or huge is true; false for "try again" */
inline look_at_pte(e, pmdval, table, orig_pte, huge, found)
{
	atomic { orig_pte = none; huge = false; found = true }
	if
	:: pmd[OLD] == no_table
	:: pmd[OLD] == huge_pmd -> huge = true
	:: else ->
		pte_offset_map_rw_nolock(OLD, pmdval, table);
		if
		:: table == 0 -> found = false
		:: else ->
			atomic {
				use(table);
				orig_pte = ptes[at(table, e)];
				printf("ptep_get_lockless(table %d)\n", table)
			}
			pte_unmap(table)
		fi
	fi
}

/* A private page goes where orig_pte was: do_cow_fault(), wp_page_copy() */
inline install_private_page(e, pmdval, table, orig_pte, served, i)
{
	pte_alloc(OLD, i);
	pte_offset_map_lock(OLD, pmdval, table);
	if
	:: table == 0
	:: else ->
		/* pte_same() */
		if
		:: ptes[at(table, e)] == orig_pte ->
			set_pte_at(OLD, table, e, ANON);
			served = true
		:: else
		fi;
		pte_unmap_unlock(table)
	fi
}

/* A write to entry e of a private mapping of the file */
proctype do_wp_page(byte e)
{
	byte pmdval, table, orig_pte, i;
	bool huge, found, served;

	do
	:: served -> break
	:: else ->
		mmap_read_lock();
		look_at_pte(e, pmdval, table, orig_pte, huge, found);
		/* vmf_anon_prepare() */
		atomic { anon_vma[OLD] = true; printf("anon_vma_prepare()\n") }
		if
		:: !found
		:: found && huge -> clear_huge_pmd(OLD)
		:: found && !huge && orig_pte == none ->
			/* do_cow_fault(), with the page of the file locked */
			folio_lock();
			install_private_page(e, pmdval, table, none, served, i);
			folio_unlock()
		:: found && !huge && is_file(orig_pte) ->
			/* wp_page_copy() */
			install_private_page(e, pmdval, table, orig_pte, served, i)
		:: found && !huge && orig_pte != none && !is_file(orig_pte) ->
			served = true	/* a marker or a private page */
		fi;
		mmap_read_unlock()
	od;
	done()
}
#endif

/* zap_pte_range(): one entry */
inline do_zap_pte(table, e, any_skipped)
{
	if
	:: ptes[at(table, e)] == none
	:: ptes[at(table, e)] != none && drops_on_zap(ptes[at(table, e)]) ->
		pte_clear(OLD, table, e)
	:: else -> any_skipped = true
	fi
}

/* Fast path: the PTE lock is held, pml may not be waited for. */
inline zap_empty_pte_table(table, reclaim, pmdval)
{
	if
	:: pte_lockptr(table) == pml ->
		reclaim = true
#ifdef ZAP_WITHOUT_TRYLOCK
	:: else ->
		spin_lock(pml);
		reclaim = true
#else
	:: atomic { pte_lockptr(table) != pml && !locked[pml] ->
		locked[pml] = true; reclaim = true;
		printf("spin_trylock(pml): taken\n") }
	:: atomic { pte_lockptr(table) != pml && locked[pml] ->
		reclaim = false; printf("spin_trylock(pml): busy\n") }
#endif
	fi;
	if
	:: reclaim ->
		pmd_clear(OLD, pmdval);
		spin_unlock_nested(pml, pte_lockptr(table))
	:: else
	fi
}

#ifdef ZAP
/*
 * MADV_DONTNEED of all of the table. need_resched() may take it out of the loop
 * after the first entry.
 */
proctype zap_pte_range()
{
	byte pmdval, table, i;
	bool any_skipped, reclaim, resched;

	mmap_read_lock();
	if
	/* zap_pmd_range() */
	:: pmd[OLD] == huge_pmd -> clear_huge_pmd(OLD)
	:: pmd[OLD] == no_table
	:: else ->
		pte_offset_map_lock(OLD, pmdval, table);
		if
		:: table == 0 -> goto out
		:: else
		fi;
		do_zap_pte(table, 0, any_skipped);
		if
		:: resched = true;
			pte_unmap_unlock(table);
			pte_offset_map_lock(OLD, pmdval, table);
			if
			:: table == 0 -> goto out
			:: else
			fi
		:: skip
		fi;
		do_zap_pte(table, 1, any_skipped);
		if
		:: !any_skipped && !resched ->
			zap_empty_pte_table(table, reclaim, pmdval)
		:: else
		fi;
		pte_unmap_unlock(table);
		if
		:: !any_skipped && !reclaim ->
			/* Slow path, zap_pte_table_if_empty(): look again */
			remove_pte_table_if_empty(OLD, pmdval, table, reclaim)
		:: else
		fi;
		if
		:: reclaim -> pte_free_rcu(pmdval, i)
		:: else
		fi
	fi;
out:	mmap_read_unlock();
	done()
}
#endif
