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
	:: what == POISON && poison_sets_flag ->
		atomic { vma_maybe_guard[OLD] = true; printf("vma_set_atomic_flag(GUARD)\n") }
	:: else
	fi;
	do
	:: /* mfill_establish_pmd() */
#ifdef MFILL_AS_IN_BASE
	   pte_alloc(OLD, i);
	   pmdval = pmd[OLD];
#else
	   do
	   :: pte_alloc(OLD, i);
	      pmdval = pmd[OLD];
	      if
	      :: pmdval != no_table -> break
	      :: atomic { else -> printf("pmd_none(): again\n") }
	      fi
	   od;
#endif
	   if
	   :: pmd_is_table(pmdval)
	   :: else ->
		printf("-EEXIST\n");
		if
		:: pmdval == no_table ->
			printf("VIOLATED: -EEXIST, but nothing is there\n"); assert(false)
		:: else
		fi;
		break
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

#ifdef MOVE_PAGES
/* move_pages_ptes() up to the locks; ret stays false for -EAGAIN */
inline look_at_both(dst, src, src_pmdval, dst_pte, src_pte, orig_src_pte, ret)
{
	if
	:: pmd[dst] == no_table || pmd[src] == no_table ->
#ifdef MOVE_PAGES_AS_IN_BASE
		printf("VIOLATED: -EINVAL, as a table is lost\n"); assert(false)
#else
		skip
#endif
	:: else ->
		spin_lock(pte_lockptr(dst_pte));
		if
		:: ptes[at(dst_pte, 0)] != none -> ret = true	/* -EEXIST */
		:: else
		fi;
		spin_unlock(pte_lockptr(dst_pte));
		if
		:: ret
		:: else ->
			spin_lock(pte_lockptr(src_pte));
			orig_src_pte = ptes[at(src_pte, 0)];
			/* A hole is moved, if it is one */
			ret = (orig_src_pte == none && pmd[src] == src_pmdval);
			spin_unlock(pte_lockptr(src_pte))
		fi
	fi
}

/* With double_pt_lock(): tables are numbered in the order of their locks. */
inline move_present_ptes(dst, src, dst_pmdval, dst_pte, src_pte, orig_src_pte, ret)
{
	if
	:: dst_pte < src_pte ->
		spin_lock(pte_lockptr(dst_pte));
		spin_lock_nested(pte_lockptr(src_pte), pte_lockptr(dst_pte))
	:: else ->
		spin_lock(pte_lockptr(src_pte));
		spin_lock_nested(pte_lockptr(dst_pte), pte_lockptr(src_pte))
	fi;
	if
	/* is_pte_pages_stable() */
	:: ptes[at(src_pte, 0)] == orig_src_pte && ptes[at(dst_pte, 0)] == none &&
	   pmd[dst] == dst_pmdval ->
		pte_clear(src, src_pte, 0);
		set_pte_at(dst, dst_pte, 0, orig_src_pte);
		ret = true
	:: else
	fi;
	spin_unlock(pte_lockptr(dst_pte));
	spin_unlock_nested(pte_lockptr(src_pte), pte_lockptr(dst_pte))
}

/* UFFDIO_MOVE of entry 0, between two ranges of anonymous memory; holes are fine */
proctype move_pages_ptes(byte dst; byte src)
{
	byte dst_pmdval, pmdval, dst_pte, src_pte, orig_src_pte, i;
	bool ret;

	mmap_read_lock();
	do
	:: ret -> break
	:: else ->
		/* move_pages() */
		atomic { dst_pte = 0; src_pte = 0; orig_src_pte = none }
		pte_alloc(src, i);
		pte_alloc(dst, i);
		pte_offset_map_rw_nolock(dst, dst_pmdval, dst_pte);
		if
		:: dst_pte != 0 -> pte_offset_map_rw_nolock(src, pmdval, src_pte)
		:: else
		fi;
		if
		:: src_pte != 0 ->
			look_at_both(dst, src, pmdval, dst_pte, src_pte, orig_src_pte,
				     ret)
		:: else
		fi;
		if
		:: orig_src_pte != none ->
			move_present_ptes(dst, src, dst_pmdval, dst_pte, src_pte,
					  orig_src_pte, ret)
		:: else
		fi;
		if
		:: src_pte != 0 -> pte_unmap(src_pte)
		:: else
		fi;
		if
		:: dst_pte != 0 -> pte_unmap(dst_pte)
		:: else
		fi
	od;
	mmap_read_unlock();
	done()
}
#endif
