/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who installs ptes and markers with the PTE lock alone, neither holding up the
 * collapse of a file nor held up by it: userfaultfd, madvise().
 */

#ifdef UFFD_WRITEPROTECT
/* UFFDIO_REGISTER with MODE_WP, then UFFDIO_WRITEPROTECT of entry e */
proctype change_pmd_range(byte e)
{
	byte pmdval, table, i;
	bool protected;

	/* userfaultfd_register() */
	mmap_write_lock();
	atomic { vma_uffd_wp[OLD] = true; printf("vm_flags |= VM_UFFD_WP\n") }
	mmap_write_unlock();

	mmap_read_lock();
	do
	:: /* change_pmd_prepare() */
	   pte_alloc(OLD, i);
	   if
	   :: atomic { pmd[OLD] == no_table -> printf("pmd_none(): skip it or again\n") }
#ifdef SKIP_IF_PMD_NONE
		break
#endif
	   :: atomic { pmd[OLD] != no_table -> pmdval = pmd[OLD] }
		if
		:: pmdval == huge_pmd ->
			/* __split_huge_pmd() */
			clear_huge_pmd(OLD);
			pte_alloc(OLD, i)
		:: else
		fi;
		/* change_pte_range() */
		pte_offset_map_lock(OLD, pmdval, table);
		if
		:: table == 0
		:: else ->
			if
			:: ptes[at(table, e)] == none ->
				set_pte_at(OLD, table, e, UFFD_WP)
			:: else
			fi;
			protected = true;
			pte_unmap_unlock(table);
			break
		fi
	   fi
	od;
	atomic {
		printf("UFFDIO_WRITEPROTECT returns 0\n");
		if
		:: !protected ->
			printf("VIOLATED: nothing is write-protected\n"); assert(false)
		:: else
		fi
	}
	mmap_read_unlock();
	done()
}
#endif

#ifdef GUARD_INSTALL
/* MADV_GUARD_INSTALL of entry e */
proctype madvise_guard_install(byte e)
{
	byte pmdval, table, i;

	mmap_read_lock();
	atomic { vma_maybe_guard[OLD] = true; printf("vma_set_atomic_flag(GUARD)\n") }
	do
	:: /* walk_pmd_range() */
	   pte_alloc(OLD, i);
	   if
	   /* guard_install_pmd_entry(), then zap_vma_range() */
	   :: pmd[OLD] == huge_pmd -> clear_huge_pmd(OLD)
	   :: else ->
		/* walk_pte_range() */
		pte_offset_map_lock(OLD, pmdval, table);
		if
		:: table == 0	/* ACTION_AGAIN */
		:: else ->
			set_pte_at(OLD, table, e, GUARD);
			pte_unmap_unlock(table);
			break
		fi
	   fi
	od;
	mmap_read_unlock();
	done()
}
#endif

#ifdef MFILL
/* UFFDIO_COPY into a private mapping, UFFDIO_POISON into a shared one: entry e */
proctype mfill_atomic(byte e; byte what)
{
	byte pmdval, table, i;

	mmap_read_lock();
	if
	/* uffd_lock_vma() */
	:: what == ANON ->
		atomic { anon_vma[OLD] = true; printf("anon_vma_prepare()\n") }
	:: else
	fi;
	do
	:: /* mfill_establish_pmd() */
	   if
	   :: atomic { pmd[OLD] == no_table -> i = 0; pmdval = no_table }
		__pte_alloc(OLD, i)
	   :: else -> pmdval = huge_pmd
	   fi;
	   if
	   :: atomic { pmd[OLD] == huge_pmd -> printf("-EEXIST\n") }
		break
	   :: atomic { pmd[OLD] == no_table -> printf("-EEXIST, nothing there\n") }
#ifdef CHECK_EEXIST
		atomic { printf("VIOLATED: -EEXIST, but nothing is there\n"); assert(false) }
#endif
		break
	   :: else
	   fi;
	   /* mfill_atomic_install_pte(), mfill_atomic_pte_poison() */
	   pte_offset_map_lock(OLD, pmdval, table);
	   if
	   :: table == 0	/* -EAGAIN */
	   :: else ->
		if
		:: ptes[at(table, e)] == none -> set_pte_at(OLD, table, e, what)
		:: else
		fi;
		pte_unmap_unlock(table);
		break
	   fi
	od;
	mmap_read_unlock();
	done()
}
#endif
