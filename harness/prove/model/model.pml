/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The processes that a check starts, each selected by a macro (checks.tsv), and
 * what must hold when all are done. What must hold at each step is asserted there.
 */

#if defined(UFFD_COPY) || defined(UFFD_POISON)
#define MFILL
#endif
#if defined(UFFD_MOVE_TO) || defined(UFFD_MOVE_FROM)
#define MOVE_PAGES
#endif
#include "mm.pml"
#include "khugepaged.pml"
#include "memory.pml"
#include "alloc.pml"
#include "install.pml"
#include "mremap.pml"
#include "vma.pml"

#define connected(p, table) (pmd[p] == (table))
#define kept(p, i) (wanted[at(p, i)] == none || (pmd_is_table(pmd[p]) && \
	ptes[at(pmd[p], i)] == wanted[at(p, i)]))

/* What the table has at the start */
#ifndef ENTRY0
#define ENTRY0 none
#endif
#ifndef ENTRY1
#define ENTRY1 none
#endif

init {
	byte i;

	atomic {
		state[pml] = in_use;
		in_i_mmap[OLD] = true;
#ifndef NO_TABLE
		state[1] = in_use;
		nr_ptes = 1;
		pmd[OLD] = 1;
		ptes[at(1, 0)] = ENTRY0;
		ptes[at(1, 1)] = ENTRY1;
		wanted[at(OLD, 0)] = ENTRY0;
		wanted[at(OLD, 1)] = ENTRY1;
#ifdef HAS_ANON_VMA
		anon_vma[OLD] = true;	/* private pages elsewhere */
#else
		anon_vma[OLD] = (ENTRY0 == ANON || ENTRY1 == ANON);
#endif
		vma_uffd_wp[OLD] = (ENTRY0 == UFFD_WP || ENTRY1 == UFFD_WP);
		vma_maybe_guard[OLD] = (ENTRY0 == GUARD || ENTRY1 == GUARD ||
			(poison_sets_flag && (ENTRY0 == POISON || ENTRY1 == POISON)));
#endif
#ifdef COLLAPSE
		running++; run collapse_file();
#endif
#ifdef COLLAPSE_PTES
		folio_is_huge = true;
		running++; run try_collapse_pte_mapped_thp();
#endif
#ifdef FAULT
		running++; run page_fault(0);
#endif
#ifdef ZAP
		running++; run zap_pte_range();
#endif
#ifdef UFFD_WRITEPROTECT
		running++; run change_pmd_range(1);
#endif
#ifdef GUARD_INSTALL
		running++; run madvise_guard_install(1);
#endif
#ifdef UFFD_COPY
		running++; run mfill_atomic(0, ANON);
#endif
#ifdef UFFD_POISON
		running++; run mfill_atomic(1, POISON);
#endif
#ifdef PRIVATE_WRITE
		running++; run do_wp_page(0);
#endif
#ifdef INSERT_PAGE
		running++; run insert_page(0);
#endif
#ifdef UFFD_MOVE_TO
		/* from NEW, which has a private page */
		state[2] = in_use;
		nr_ptes++;
		pmd[NEW] = 2;
		ptes[at(2, 0)] = ANON;
		wanted[at(NEW, 0)] = ANON;
		running++; run move_pages_ptes(OLD, NEW);
#endif
#ifdef UFFD_MOVE_FROM
		running++; run move_pages_ptes(NEW, OLD);
#endif
#ifdef FORK
		running++; run copy_pte_range();
#endif
#ifdef MREMAP
		running++; run move_page_tables();
#endif
#ifdef MERGE
		running++; run commit_merge();
#endif
#ifdef MODIFY
		running++; run vma_modify_flags();
#endif
		run rcu_core();	/* the last one: never a reader */
	}

	atomic {
		running == 0;
		/* No entry is lost. */
		if
		:: kept(OLD, 0) && kept(OLD, 1) && kept(NEW, 0) && kept(NEW, 1)
		:: else -> printf("VIOLATED: an entry is lost\n"); assert(false)
		fi;
		/* Each table is connected, or has been or will be freed. */
		i = 1;
		do
		:: i <= TABLES ->
			if
			:: locked[i] || locked[pml] ->
				printf("VIOLATED: a lock is not released\n"); assert(false)
			:: else
			fi;
			if
			:: state[i] == in_use && !connected(OLD, i) && !connected(NEW, i) ->
				printf("VIOLATED: a table is leaked\n"); assert(false)
			:: state[i] != in_use && (connected(OLD, i) || connected(NEW, i)) ->
				printf("VIOLATED: use after free\n"); assert(false)
			:: else
			fi;
			nr_ptes = nr_ptes - (state[i] == in_use);
			i++
		:: else -> break
		od;
		if
		:: nr_ptes != 0 -> printf("VIOLATED: nr_ptes is wrong\n"); assert(false)
		:: else
		fi
	}
}
