/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of page tables and their retraction have in common. */
#ifndef __PGTABLE_COMMON_H__
#define __PGTABLE_COMMON_H__

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* Where regular files are made; else here, in /tmp and in /var/tmp. */
#define DIR_VARIABLE	"PGTABLE_TEST_DIR"

enum backing {
	BACKED_BY_SHMEM,
	BACKED_BY_FILE,
};

/* The machine. What returns a text returns NULL, or why nothing can be tested. */

/* Set by find_page_sizes(). */
extern unsigned long page_size;
extern unsigned long pmd_size;

const char *find_page_sizes(void);
const char *lack_of_memory(unsigned long mb);
void use_small_pages(void);
unsigned long long now_usecs(void);
long proc_kb(const char *path, const char *name);

/* Processes and their address space */

void become_child(void);
char *reserve_arena(size_t len);
bool reserve(char *addr, size_t len);

/*
 * A page of ours holds what follows from one number, its seed: word i is
 * seed + 2 * i, and 0 in a page whose seed is 0. The functions return 0 or the
 * signal that came of the access, compare_page() also -1 for a difference.
 */
struct difference {
	unsigned long word;
	unsigned long expected;
	unsigned long found;
};

unsigned long page_seed(unsigned long index, unsigned long version);
int fill_page(char *addr, unsigned long seed);
int compare_page(char *addr, unsigned long seed, struct difference *diff);
int peek(char *addr);
int poke(char *addr);

/* Files. Functions that return a number give it as a negative errno. */

int find_file(int (*prepare)(int fd, void *arg), void *arg);
void defragment(void);
int try_collapse(char *addr, size_t len);

/* userfaultfd */

int open_uffd(__u64 features);
int uffd_copy(int uffd, char *to, char *from);
int uffd_poison(int uffd, char *addr);
int uffd_protect(int uffd, char *addr, size_t len, bool protect);
bool read_pagemap(int pagemap, char *addr, __u64 *entry);
const char *lost_protection(int pagemap, char *addr, bool async);

#endif
