/* SPDX-License-Identifier: GPL-2.0 */
/* mm/vma.c: what becomes of VMA_MAYBE_GUARD when vmas change. */

#ifdef MERGE
/*
 * A vma without guard regions, of the same file, grows over the range of OLD, whose vma
 * goes. From vma_set_range() on, the flag that is kept for OLD here is that of the
 * target.
 */
proctype commit_merge()
{
	bool sticky, target;

	/* with vma_start_write() of both */
	mmap_write_lock();
	sticky = vma_maybe_guard[OLD];
	/* vma_prepare() */
	i_mmap_lock_write();
#ifndef MERGE_AS_IN_BASE
	target = sticky;
#endif
	atomic { vma_maybe_guard[OLD] = target; printf("vma_set_range()\n") }
	/* vma_complete() */
	i_mmap_unlock_write();
#ifdef MERGE_AS_IN_BASE
	atomic { vma_maybe_guard[OLD] = sticky; printf("vma_set_flags_mask(sticky)\n") }
#endif
	mmap_write_unlock();
	done()
}
#endif

#ifdef MODIFY
/*
 * mprotect(), mlock(), madvise() that change the flags of a vma. They have the mmap
 * lock, which does not keep out who holds the vma lock: mmap_lock is taken where the
 * vma is locked. __split_vma() copies the flags as these read them.
 */
proctype vma_modify_flags()
{
	bool flags;

#ifdef MODIFY_AS_IN_BASE
	atomic { flags = vma_maybe_guard[OLD]; printf("new flags = vma->flags\n") }
	mmap_write_lock();
#else
	mmap_write_lock();
	atomic { flags = vma_maybe_guard[OLD]; printf("new flags = vma->flags\n") }
#endif
	atomic { vma_maybe_guard[OLD] = flags; printf("vma->flags = new flags\n") }
	mmap_write_unlock();
	done()
}
#endif
