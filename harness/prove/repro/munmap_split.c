// SPDX-License-Identifier: GPL-2.0
/*
 * Bug: munmap() of a part of a file mapping may sleep with interrupts disabled, on arm.
 * Fixed-by: mm/vma: split huge pages before interrupts are disabled
 * Fails: in the first round, on a cell with CONFIG_DEBUG_ATOMIC_SLEEP; it is no race
 */
#include "repro.h"

int main(void)
{
	char *addr = reserve(1);
	int fd = memfd();

	while (another_round()) {
		need(map_pmd(addr, fd) == addr && !addr[0]);
		need(!munmap(addr + page_size, page_size));
	}
	return passed();
}
