/* SPDX-License-Identifier: GPL-2.0 */
/* A memory cgroup in which the OOM killer finds no task to kill. */
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define CGROUP	"/tmp/repro-cgroup"

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	need(fd >= 0 && write(fd, text, strlen(text)) > 0);
	close(fd);
}

/* Moves this task into one, and returns what its limit is to be written to. */
static int memory_max(void)
{
	int fd;

	mkdir(CGROUP, 0755);
	need(!mount("none", CGROUP, "cgroup2", 0, NULL));
	put(CGROUP "/cgroup.subtree_control", "+memory");
	mkdir(CGROUP "/a", 0755);
	/* Nothing of it can be reclaimed, either. */
	if (!access(CGROUP "/a/memory.swap.max", F_OK))
		put(CGROUP "/a/memory.swap.max", "0");
	put("/proc/self/oom_score_adj", "-1000");
	klogctl(8, NULL, 1);		/* what the OOM killer says is no news */
	put(CGROUP "/a/cgroup.procs", "0");
	fd = open(CGROUP "/a/memory.max", O_WRONLY);
	need(fd >= 0);
	return fd;
}

static MAYBE_UNUSED long memory_current(void)
{
	char text[32] = "";
	int fd = open(CGROUP "/a/memory.current", O_RDONLY);

	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atol(text);
}
