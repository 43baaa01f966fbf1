/* SPDX-License-Identifier: GPL-2.0 */
/* mm/mremap.c: the page table of OLD, or what is in it, moves to NEW. */

/* move_normal_pmd(), with the locks of move_pgt_entry() */
inline move_normal_pmd(pmdval, moved)
{
	i_mmap_lock_write();
	pmd_lock();
	atomic {
		pmdval = pmd[OLD];
		if
		:: pmd_is_table(pmdval) ->
			wanted[at(NEW, 0)] = wanted[at(OLD, 0)];
			wanted[at(NEW, 1)] = wanted[at(OLD, 1)];
			wanted[at(OLD, 0)] = none;
			wanted[at(OLD, 1)] = none;
			pmd[OLD] = no_table;
			moved = true;
			printf("pmd_clear(): table %d\n", pmdval)
		:: else
		fi
	}
	if
	:: moved -> atomic { pmd[NEW] = pmdval; printf("pmd_populate()\n") }
	:: else
	fi;
	spin_unlock(pml);
	i_mmap_unlock_write()
}

inline move_pte(e, old_pte, new_pte, pte)
{
	if
	:: ptes[at(old_pte, e)] == none
	:: else ->
		pte = ptes[at(old_pte, e)];
		pte_clear(OLD, old_pte, e);
		set_pte_at(NEW, new_pte, e, pte);
		pte = none
	fi
}

#ifdef MOVE_PTES_AS_IN_BASE
#define new_pmd_same(pmdval) true
#else
#define new_pmd_same(pmdval) (pmd[NEW] == (pmdval))
#endif

/* moved stays false for -EAGAIN */
inline move_ptes(pmdval, old_pte, new_pte, pte, moved)
{
	pte_offset_map_lock(OLD, pmdval, old_pte);
	if
	:: old_pte == 0
	:: else ->
		pte_offset_map_rw_nolock(NEW, pmdval, new_pte);
		if
		:: new_pte == 0
		:: else ->
			spin_lock_nested(pte_lockptr(new_pte), pte_lockptr(old_pte));
			if
			:: new_pmd_same(pmdval) ->
				move_pte(0, old_pte, new_pte, pte);
				move_pte(1, old_pte, new_pte, pte);
				moved = true
			:: else
			fi;
			spin_unlock_nested(pte_lockptr(new_pte), pte_lockptr(old_pte));
			pte_unmap(new_pte)
		fi;
		pte_unmap_unlock(old_pte)
	fi
}

#ifdef MREMAP
proctype move_page_tables()
{
	byte pmdval, old_pte, new_pte, pte, i;
	bool moved, need_rmap_locks;

	mmap_write_lock();
	/* copy_vma(), which adds the copy to the mapping's i_mmap */
	i_mmap_lock_write();
	atomic {
		in_i_mmap[NEW] = true;
		anon_vma[NEW] = anon_vma[OLD];
		vma_uffd_wp[NEW] = vma_uffd_wp[OLD];
		vma_maybe_guard[NEW] = vma_maybe_guard[OLD];
		printf("vma_link(): the copy is in i_mmap\n")
	}
	i_mmap_unlock_write();
	if
	:: need_rmap_locks = true
	:: skip
	fi;
	do
	:: moved -> break
	:: !moved && pmd[OLD] == no_table -> break
	/* split_huge_pmd() */
	:: !moved && pmd[OLD] == huge_pmd -> clear_huge_pmd(OLD)
	:: !moved && pmd_is_table(pmd[OLD]) ->
		if
		/* CONFIG_HAVE_MOVE_PMD, and a whole PMD moves */
		:: pmd[NEW] == no_table -> move_normal_pmd(pmdval, moved)
		:: true ->
			pte_alloc(NEW, i);
			if
			:: need_rmap_locks -> i_mmap_lock_write()
			:: else
			fi;
			move_ptes(pmdval, old_pte, new_pte, pte, moved);
			if
			:: need_rmap_locks -> i_mmap_unlock_write()
			:: else
			fi
		fi
	od;
	mmap_write_unlock();
	done()
}
#endif
