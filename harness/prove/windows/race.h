/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests have in common: rounds, in each of which another thread does
 * something at a random time near a window (see widen.patch).  They go on for
 * REPRO_SECONDS (40), or until one fails.  On a kernel that was not widened it
 * takes luck.
 */
#include "kselftest_harness.h"
#include "../repro/repro.h"

#define WINDOWS "/sys/kernel/debug/ptlock_window/"

static struct race {
	const char *window;
	unsigned int us;	/* how long the window is made */
	void (*other)(void);
	char *addr;		/* what the other thread works on */
	int uffd;
	atomic_bool stop;	/* the round is over, should it ask */
} race;

static bool set_window(const char *file, unsigned int value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), WINDOWS "%s", file);
	f = fopen(path, "w");
	if (!f)
		return false;
	fprintf(f, "%u\n", value);
	return !fclose(f);
}

static int counter(const char *name)
{
	char path[128];
	int nr = 0;
	FILE *f;

	snprintf(path, sizeof(path), WINDOWS "%s/%s", race.window, name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &nr) != 1)
		nr = 0;
	if (f)
		fclose(f);
	return nr;
}

static void stretch(unsigned int us)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/delay_us", race.window);
	if (!set_window("tgid", getpid()) || !set_window(file, us))
		printf("# no window %s: was this kernel widened?\n", race.window);
}

static void stretch_window(void)
{
	stretch(race.us);
}

/* The other thread is there before the first round: its stack counts in VmPTE. */
static bool another_race(void)
{
	if (!rounds) {
		go(stretch_window);
		meet();
	}
	return another_round();
}

static void other_side(void)
{
	usleep(rand() % (2 * race.us));
	race.other();
}

static void start(void)
{
	atomic_store(&race.stop, false);
	go(other_side);
}

static void finish(void)
{
	atomic_store(&race.stop, true);
	meet();
}

/* To be called by the teardown: it has to be said after a failure, too. */
static void report(void)
{
	if (!rounds)
		return;
	stretch(0);
	printf("# window %s: %d hits, stretched %d times in %lu rounds\n",
	       race.window, counter("hits"), counter("stretched"), rounds);
	fflush(stdout);
}

/* Makes all pages of a file small, and returns it. */
static MAYBE_UNUSED int small_pages(int fd)
{
	size_t i;

	need(!ftruncate(fd, 0) && !ftruncate(fd, pmd_size));
	for (i = 0; i < pmd_size; i += page_size)
		need(pwrite(fd, "x", 1, i) == 1);
	return fd;
}

static MAYBE_UNUSED void touch(const char *addr)
{
	size_t i;

	for (i = 0; i < pmd_size; i += page_size)
		*(volatile const char *)(addr + i);
}

/* For code that starts over whenever the page table has gone: it would do so for ever. */
static MAYBE_UNUSED void drop_once(void)
{
	madvise(race.addr, pmd_size, MADV_DONTNEED);
}

/* The most common of what another thread does */
static MAYBE_UNUSED void drop(void)
{
	do {
		drop_once();
	} while (!atomic_load(&race.stop));
}
