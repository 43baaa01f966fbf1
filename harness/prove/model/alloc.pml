/* SPDX-License-Identifier: GPL-2.0 */
/* mm/memory.c: those who allocate a page table and lock it in one go. */

#ifdef INSERT_PAGE
/* A driver's fault handler inserts entry e, with the vma locked for reading. */
proctype insert_page(byte e)
{
	byte pmdval, table, i;

	mmap_read_lock();
	/* get_locked_pte() */
	pte_alloc_map_lock(OLD, pmdval, table, i);
	if
	:: table == 0
	:: else ->
		if
		:: ptes[at(table, e)] == none -> set_pte_at(OLD, table, e, FILE)
		:: else		/* -EBUSY */
		fi;
		pte_unmap_unlock(table)
	fi;
	mmap_read_unlock();
	done()
}
#endif

#ifdef FORK
#define vma_needs_copy (anon_vma[OLD] || vma_uffd_wp[NEW] || vma_maybe_guard[OLD])

inline copy_present_pte(e, src_pte, dst_pte)
{
	if
	:: ptes[at(src_pte, e)] == none
	:: else -> set_pte_at(NEW, dst_pte, e, ptes[at(src_pte, e)])
	fi
}

/*
 * copy_pmd_range() reads the pmd of the source without a lock, and then again, as
 * pmd_bad() takes none for bad on some architectures.
 */
inline pmd_none_or_clear_bad(skipped)
{
	if
	:: pmd[OLD] == no_table -> skipped = true
	/* copy_huge_pmd() copies no huge page of a file */
	:: pmd[OLD] == huge_pmd -> skipped = true
	:: else
	fi;
#ifndef FORK_READS_PMD_ONCE
	if
	:: !skipped && pmd[OLD] == no_table ->
		printf("VIOLATED: a pmd that is none is called bad\n"); assert(false)
	:: else
	fi
#endif
}

/*
 * dup_mmap(), of OLD in the parent to NEW in the child. mmap_lock stands for that of
 * both, pml too: fork takes the latter only alone, to allocate a table.
 */
proctype copy_pte_range()
{
	byte pmdval, dst_pte, src_pte, e, i;
	bool skipped;

	mmap_write_lock();
	i_mmap_lock_write();
	atomic {
		in_i_mmap[NEW] = true;
		anon_vma[NEW] = anon_vma[OLD];
		vma_uffd_wp[NEW] = vma_uffd_wp[OLD];
		vma_maybe_guard[NEW] = vma_maybe_guard[OLD];
		printf("dup_mmap(): the child's vma is in i_mmap\n")
	}
	i_mmap_unlock_write();
	if
	:: vma_needs_copy -> pmd_none_or_clear_bad(skipped)
	:: else -> skipped = true
	fi;
	do
	:: skipped || e == ENTRIES -> break
	:: else ->
		pte_alloc_map_lock(NEW, pmdval, dst_pte, i);
		/* the source's pmd is not compared */
		pte_offset_map_rw_nolock(OLD, pmdval, src_pte);
		if
		:: src_pte == 0 -> e = ENTRIES
		:: else ->
			spin_lock(pte_lockptr(src_pte));
			atomic { use(src_pte) }
			do
			:: e < ENTRIES ->
				copy_present_pte(e, src_pte, dst_pte);
				e++
			/* need_resched() */
			:: e > 0 -> break
			od;
			spin_unlock(pte_lockptr(src_pte));
			pte_unmap(src_pte)
		fi;
		pte_unmap_unlock(dst_pte)
	od;
	atomic {
		i = 0;
		do
		:: i < ENTRIES ->
			if
			:: wanted[at(OLD, i)] != none && !is_file(wanted[at(OLD, i)]) &&
			   wanted[at(NEW, i)] != wanted[at(OLD, i)] ->
				printf("VIOLATED: fork leaves out an entry\n"); assert(false)
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
	mmap_write_unlock();
	done()
}
#endif
