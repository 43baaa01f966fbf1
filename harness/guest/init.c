// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1 of the guest: mount what the tests need, hand out the results of the
 * KUnit suites that ran at boot, run the userspace tests, say how it went.
 *
 * All of it goes to a virtio port of its own, named "result", so that nothing
 * that the kernel prints can be taken for a result, nor a result be torn apart
 * by it. Lines of ours begin with "guest: ", everything between them is KTAP:
 *
 *	guest: fact KEY=VALUE
 *	guest: kunit SUITE | guest: missing SUITE
 *	guest: selftest NAME
 *	guest: timeout NAME
 *	guest: seconds NAME N
 *	guest: exit NAME STATUS
 *	guest: tainted FLAGS
 *	guest: success | guest: failure
 *
 * What has to run is in two files of the initramfs: /suites, one name a line,
 * and /selftests with lines of words:
 *
 *	NAME [SECONDS [COMMAND [ARG]...]]
 *
 * The command is NAME if none is given. After that many seconds, should it run
 * for so long, it is killed; without SECONDS, or with 0, it may take for ever.
 * Whatever a test leaves running is killed after it.
 *
 * "guest: success" is said last, and only when all of that ran and ended well
 * as far as can be seen from here; reading the results and the console is the
 * job of verdict.py.
 *
 * With a script /shell in the initramfs, that is run instead, on the console.
 *
 * The machine is left by a reboot, which QEMU is told to take as the end.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORTS	"/sys/class/virtio-ports"
#define KUNIT	"/sys/kernel/debug/kunit"
#define SHELL	"/shell"
#define WORDS	24

static int port = -1;
static bool failed;
static volatile sig_atomic_t time_is_up;

/* The port may be what is broken, so complaints go to the console as well. */
static void say(const char *fmt, ...)
{
	char buf[512] = "guest: ";
	size_t len = strlen(buf);
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf + len, sizeof(buf) - len - 1, fmt, args);
	va_end(args);
	strcat(buf, "\n");
	if (port >= 0 && write(port, buf, strlen(buf)) < 0)
		failed = true;
	fputs(buf, stdout);
	fflush(stdout);
}

static void leave(void)
{
	sync();
#ifdef __sparc__
	/* What answers for the firmware in QEMU cannot reboot. */
	reboot(RB_POWER_OFF);
#endif
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void die(const char *what)
{
	say("cannot %s: %s", what, strerror(errno));
	leave();
}

static void mount_or_die(const char *dev, const char *dir, const char *type)
{
	mkdir(dir, 0755);
	if (mount(dev, dir, type, 0, NULL)) {
		say("cannot mount %s: %s", dir, strerror(errno));
		leave();
	}
}

static void mount_all(void)
{
	/* The kernel may have mounted devtmpfs already; twice does no harm. */
	mount_or_die("dev", "/dev", "devtmpfs");
	mount_or_die("proc", "/proc", "proc");
	mount_or_die("sys", "/sys", "sysfs");
	mount_or_die("debug", "/sys/kernel/debug", "debugfs");
	mount_or_die("tmp", "/tmp", "tmpfs");
}

/*
 * The file system under test, and something to swap to; which is which is a
 * matter of the order of probing. A cell without userspace tests has neither,
 * and most have no swap.
 */
static void use_disk(const char *dev)
{
	if (!access(dev, F_OK) && mount(dev, "/mnt", "ext4", 0, NULL) &&
	    swapon(dev, 0)) {
		say("cannot mount or swap to %s: %s", dev, strerror(errno));
		leave();
	}
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		say("cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Device names are given out in the order of probing; the port's name is ours. */
static bool open_port_named(const char *dev)
{
	char path[300], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), PORTS "/%s/name", dev);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	if (strcmp(name, "result\n"))
		return false;
	snprintf(path, sizeof(path), "/dev/%s", dev);
	port = open(path, O_WRONLY | O_CLOEXEC);
	return port >= 0;
}

static void open_port(void)
{
	struct dirent *entry;
	DIR *dir;

	/* The name arrives in a message of the host's, after the device. */
	for (int tries = 0; tries < 600 && port < 0; tries++) {
		dir = opendir(PORTS);
		while (dir && port < 0 && (entry = readdir(dir)))
			open_port_named(entry->d_name);
		if (dir)
			closedir(dir);
		if (port < 0)
			usleep(50000);
	}
	if (port < 0)
		die("find the port named result");
}

static void copy(int from)
{
	char buf[4096];
	ssize_t len;

	while ((len = read(from, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, part; done < len; done += part) {
			part = write(port, buf + done, len - done);
			if (part < 0)
				die("write to the port");
		}
}

/* How many CPUs came up, and, where the kernel says it, which MMU it uses. */
static void report_machine(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256], mmu[32];

	say("fact cpus=%ld", sysconf(_SC_NPROCESSORS_ONLN));
	while (file && fgets(line, sizeof(line), file))
		if (!strncasecmp(line, "mmu", 3) &&
		    sscanf(line + 3, " : %31s", mmu) == 1) {
			say("fact mmu=%s", mmu);
			break;
		}
	if (file)
		fclose(file);
}

static void report_suite(char *name)
{
	char path[256];
	int fd;

	if (!name[0])
		return;
	snprintf(path, sizeof(path), KUNIT "/%s/results", name);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		say("missing %s", name);
		failed = true;
		return;
	}
	say("kunit %s", name);
	copy(fd);
	close(fd);
}

static void exec_selftest(char **command, int out)
{
	char path[256];

	snprintf(path, sizeof(path), "/bin/%s", command[0]);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	/* A test of regular files makes them where it is started. */
	if (chdir("/mnt"))
		_exit(127);
	execv(path, command);
	_exit(127);
}

/* Everybody but this process, which is the only one that is not a test's. */
static void on_alarm(int sig)
{
	(void)sig;
	time_is_up = 1;
	kill(-1, SIGKILL);
}

/* Waits for the test; what it left behind is killed, and waited for as well. */
static int wait_for_test(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("wait for a test");
	kill(-1, SIGKILL);
	while (wait(NULL) > 0)
		;
	/* 128 and the signal: as a shell has it. */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_command(const char *name, unsigned int seconds, char **command)
{
	time_t begin = time(NULL);
	int out[2], status;
	pid_t pid;

	say("selftest %s", name);
	if (pipe2(out, O_CLOEXEC))
		die("make a pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		exec_selftest(command, out[1]);
	close(out[1]);
	time_is_up = 0;
	alarm(seconds);
	copy(out[0]);
	close(out[0]);
	status = wait_for_test(pid);
	alarm(0);
	if (time_is_up)
		say("timeout %s", name);
	say("seconds %s %ld", name, (long)(time(NULL) - begin));
	say("exit %s %d", name, status);
	/* 4 is kselftest's "skipped"; whether it may is not decided here. */
	if (status && status != 4)
		failed = true;
}

static void run_selftest(char *line)
{
	char *words[WORDS + 1] = { NULL };
	int n = 0;

	for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
		if (n == WORDS) {
			errno = E2BIG;
			die("run a test");
		}
		words[n++] = word;
	}
	if (n)
		run_command(words[0], n > 1 ? atoi(words[1]) : 0,
			    n > 2 ? words + 2 : words);
}

static void for_each_line(const char *path, void (*fn)(char *line))
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		die("open the list of what to run");
	while (getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		fn(line);
	}
	free(line);
	fclose(file);
}

/* A session of its own, with the console as its terminal: for Ctrl-C, and jobs. */
static void run_shell(void)
{
	pid_t pid = fork(), gone;

	if (pid < 0)
		die("fork");
	if (!pid) {
		int console;

		setsid();
		console = open("/dev/console", O_RDWR);
		ioctl(console, TIOCSCTTY, 0);
		for (int fd = 0; fd < 3; fd++)
			dup2(console, fd);
		/* Not by its first line, which tinyconfig's kernel does not read. */
		execl("/bin/busybox", "sh", SHELL, NULL);
		die("run the shell");
	}
	do
		gone = wait(NULL);
	while (gone != pid && gone > 0);
}

static void report_taint(void)
{
	char buf[32] = "unknown";
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");

	if (file && fscanf(file, "%31s", buf) != 1)
		strcpy(buf, "unknown");
	if (file)
		fclose(file);
	say("tainted %s", buf);
}

int main(void)
{
	setenv("HOME", "/tmp", 1);
	setenv("PATH", "/bin", 1);
	signal(SIGALRM, on_alarm);
	mount_all();
	if (access(SHELL, F_OK))
		open_port();
	mkdir("/mnt", 0755);
	use_disk("/dev/vda");
	use_disk("/dev/vdb");
	if (port < 0) {
		run_shell();
		leave();
	}
	/* Everything the kernel has to say, on the console. */
	write_file("/proc/sys/kernel/printk", "8");
	report_machine();
	for_each_line("/suites", report_suite);
	for_each_line("/selftests", run_selftest);
	report_taint();
	say(failed ? "failure" : "success");
	leave();
}
