/* SPDX-License-Identifier: GPL-2.0 */
/* What pgtable_fuzz and the programs that it prints have in common. */
#ifndef __PGTABLE_COMMON_H__
#define __PGTABLE_COMMON_H__

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* Where regular files are made; else here, in /tmp and in /var/tmp. */
#define DIR_VARIABLE	"PGTABLE_TEST_DIR"

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

int fill_page(char *addr, unsigned long seed);
int compare_page(char *addr, unsigned long seed, struct difference *diff);
int peek(char *addr);

/* Files. Functions that return a number give it as a negative errno. */

int find_file(int (*prepare)(int fd, void *arg), void *arg);

/* userfaultfd */

int open_uffd(__u64 features);

#endif
