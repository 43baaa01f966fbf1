/* SPDX-License-Identifier: GPL-2.0 */
/* What pgtable_fuzz and the programs that it prints have in common. */
#ifndef __PGTABLE_COMMON_H__
#define __PGTABLE_COMMON_H__

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include "vm_util.h"

/* Set by set_up_machine(). */
extern unsigned long page_size, pmd_size;

const char *set_up_machine(void);
void become_child(void);
char *reserve_arena(size_t len);
int create_file(void);
long proc_kb(const char *path, const char *name);
unsigned long long now_usecs(void);

/*
 * A page of ours holds what follows from one number, its seed: word i is
 * seed + 2 * i, and 0 in a page whose seed is 0. The functions return 0 or the
 * signal that came of the access, compare_page() also -1 for a difference.
 */
struct difference {
	unsigned long word, expected, found;
};

int fill_page(char *addr, unsigned long seed);
int compare_page(char *addr, unsigned long seed, struct difference *diff);
int peek(char *addr);

#endif
