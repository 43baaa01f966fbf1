/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In place of libnuma's numa.h and numaif.h, for the mm selftests: Debian's cross
 * compilers have no libnuma. Only what those tests use, in libnuma's words, for
 * as many nodes as a long has bits.
 */
#ifndef REGRESS_NUMA_H
#define REGRESS_NUMA_H

#include <linux/mempolicy.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NUMA_BITS	(8 * (int)sizeof(long))

struct bitmask {
	unsigned long bits;
};

static inline int numa_available(void)
{
	return syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0);
}

static inline struct bitmask *numa_all_nodes(void)
{
	static struct bitmask mask;

	syscall(SYS_get_mempolicy, NULL, &mask.bits, NUMA_BITS, NULL,
		MPOL_F_MEMS_ALLOWED);
	return &mask;
}

#define numa_all_nodes_ptr numa_all_nodes()

static inline int numa_bitmask_isbitset(const struct bitmask *mask,
					unsigned int node)
{
	return mask->bits >> node & 1;
}

static inline unsigned int numa_bitmask_weight(const struct bitmask *mask)
{
	return __builtin_popcountl(mask->bits);
}

static inline int numa_max_possible_node(void)
{
	return NUMA_BITS - 1;
}

static inline int numa_max_node(void)
{
	return NUMA_BITS - 1 - __builtin_clzl(numa_all_nodes()->bits | 1);
}

static inline int numa_num_task_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static inline long move_pages(int pid, unsigned long count, void **pages,
			      const int *nodes, int *status, int flags)
{
	return syscall(SYS_move_pages, pid, count, pages, nodes, status, flags);
}

static inline long long numa_node_size(int node, long long *free)
{
	long long kib = -1;
	char path[64];
	FILE *file;

	(void)free;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node);
	file = fopen(path, "r");
	if (!file)
		return -1;
	if (fscanf(file, "Node %*d MemTotal: %lld kB", &kib) != 1)
		kib = -1;
	fclose(file);
	return kib < 0 ? -1 : kib * 1024;
}

static inline void *numa_alloc_onnode(size_t size, int node)
{
	unsigned long mask = 1UL << node;
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	syscall(SYS_mbind, mem, size, MPOL_BIND, &mask, NUMA_BITS, 0);
	return mem;
}

static inline void numa_free(void *mem, size_t size)
{
	munmap(mem, size);
}

#endif
