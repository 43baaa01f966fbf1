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

inline move_pte(from, to, e, from_pte, to_pte, pte)
{
	if
	:: ptes[at(from_pte, e)] == none
	:: else ->
		pte = ptes[at(from_pte, e)];
		pte_clear(from, from_pte, e);
		set_pte_at(to, to_pte, e, pte);
		pte = none
	fi
}

#ifdef MOVE_PTES_AS_IN_BASE
#define new_pmd_same(to, pmdval) true
#else
#define new_pmd_same(to, pmdval) (pmd[to] == (pmdval))
#endif

/* moved stays false for -EAGAIN */
inline move_ptes(from, to, pmdval, from_pte, to_pte, pte, moved)
{
	pte_offset_map_lock(from, pmdval, from_pte);
	if
	:: from_pte == 0
	:: else ->
		pte_offset_map_rw_nolock(to, pmdval, to_pte);
		if
		:: to_pte == 0
		:: else ->
			spin_lock_nested(pte_lockptr(to_pte), pte_lockptr(from_pte));
			if
			:: new_pmd_same(to, pmdval) ->
				move_pte(from, to, 0, from_pte, to_pte, pte);
				move_pte(from, to, 1, from_pte, to_pte, pte);
				moved = true
			:: else
			fi;
			spin_unlock_nested(pte_lockptr(to_pte), pte_lockptr(from_pte));
			pte_unmap(to_pte)
		fi;
		pte_unmap_unlock(from_pte)
	fi
}

/*
 * copy_vma_and_data(): there is no memory for a second page table, so what has been
 * moved is moved back, and the copy of the vma is unmapped. The table that it came
 * from cannot be allocated again.
 */
inline move_back(pmdval, old_pte, new_pte, pte, moved)
{
	atomic { moved = false; printf("-ENOMEM: move back\n") }
	do
	:: moved || pmd[NEW] == no_table -> break
	:: atomic { !moved && pmd[NEW] != no_table && pmd[OLD] == no_table ->
		printf("pte_alloc(): -ENOMEM, the copy is unmapped\n");
		if
		:: (wanted[at(NEW, 0)] != none && !is_file(wanted[at(NEW, 0)])) ||
		   (wanted[at(NEW, 1)] != none && !is_file(wanted[at(NEW, 1)])) ->
			printf("VIOLATED: no memory to move entries back\n"); assert(false)
		:: else
		fi;
		break }
	:: !moved && pmd[NEW] != no_table && pmd[OLD] != no_table ->
		i_mmap_lock_write();
		move_ptes(NEW, OLD, pmdval, new_pte, old_pte, pte, moved);
		i_mmap_unlock_write()
	od
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
#ifndef MREMAP_FAILS
		/*
		 * CONFIG_HAVE_MOVE_PMD, and a whole PMD moves. It moves back in
		 * the same way, if need be: this takes no memory.
		 */
		:: pmd[NEW] == no_table -> move_normal_pmd(pmdval, moved)
#endif
		:: true ->
			pte_alloc(NEW, i);
			if
			:: need_rmap_locks -> i_mmap_lock_write()
			:: else
			fi;
			move_ptes(OLD, NEW, pmdval, old_pte, new_pte, pte, moved);
			if
			:: need_rmap_locks -> i_mmap_unlock_write()
			:: else
			fi
		fi
	od;
#ifdef MREMAP_FAILS
	if
	:: moved -> move_back(pmdval, old_pte, new_pte, pte, moved)
	:: skip
	fi;
#endif
	mmap_write_unlock();
	done()
}
#endif
