/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What keeps an instance alive without a process: pins in a BPF file system of our own at
 * /run/bpvs, one directory a network namespace, named by its cookie. `ip netns exec` and the like
 * give a process a mount namespace that ends with it, and a mount made there would end too; so all
 * is done in the mount namespace of process 1 or, if there is no way into that, of the farthest
 * ancestor that lets us in.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "engine.h"
#include "proc.h"

#define HOLD_DIR    "/run/bpvs"
#define PROGENITORS 64
/* The directory, a cookie or a name of the file system's length, one of ours. */
#define HOLD_PATH 1024

static int ns_cookie(unsigned long long *ret)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;
	socklen_t len = sizeof(*ret);

	if (fd < 0)
		return -errno;
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len))
		err = -errno;
	close(fd);
	return err;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512], *p;
	pid_t parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* The name in parentheses may hold anything; the parent is the second word after it. */
	if (fgets(line, sizeof(line), f)) {
		p = strrchr(line, ')');
		if (p)
			sscanf(p + 1, " %*c %d", &parent);
	}
	fclose(f);
	return parent;
}

static int mounts_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The id of the first mount that a process sees, of which no other namespace has one; or -1. */
static int first_mount(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	return bpvs_proc_read(path);
}

/*
 * The mount namespace of process 1, by way of another that is in it, or -1. Who is allowed more
 * than we are, as process 1 may be, does not let us in; what it has mounted may be read by all.
 */
static int first_mounts(void)
{
	int wanted = first_mount(1), fd = -1;
	DIR *proc = wanted < 0 ? NULL : opendir("/proc");
	struct dirent *e;

	if (!proc)
		return -1;
	while (fd < 0 && (e = readdir(proc))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && first_mount(pid) == wanted)
			fd = mounts_of(pid);
	}
	closedir(proc);
	return fd;
}

/* The mount namespace to work in, or -1 for our own. */
static int outer_mounts(void)
{
	int best = mounts_of(1), n;
	pid_t pid = getpid();

	if (best < 0)
		best = first_mounts();
	if (best >= 0)
		return best;
	for (n = 0; n < PROGENITORS && pid > 0; n++) {
		int fd = mounts_of(pid);

		if (fd >= 0) {
			if (best >= 0)
				close(best);
			best = fd;
		}
		pid = parent_of(pid);
	}
	return best;
}

static bool is_bpffs(const char *path)
{
	struct statfs s;

	return !statfs(path, &s) && (unsigned int)s.f_type == BPF_FS_MAGIC;
}

static int hold_mount(void)
{
	if (mkdir(HOLD_DIR, 0700) && errno != EEXIST)
		return -errno;
	if (is_bpffs(HOLD_DIR))
		return 0;
	return mount("bpvs", HOLD_DIR, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700")
		       ? -errno
		       : 0;
}

static void drop_dir(const char *dir)
{
	char path[HOLD_PATH];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

/* Did the namespace of these pins end? (bpf/anchor.bpf.c says how that shows.) */
static bool is_orphan(const char *dir)
{
	char path[HOLD_PATH + 8];
	__u32 zero = 0, value;
	bool gone;
	int fd;

	snprintf(path, sizeof(path), "%s/alive", dir);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT;
	gone = bpf_map_lookup_elem(fd, &zero, &value) && errno == ENOENT;
	close(fd);
	return gone;
}

/* Remove orphans, and the mount with the last of all. */
static void hold_tidy(void)
{
	char path[HOLD_PATH];
	struct dirent *e;
	DIR *d;
	int left = 0;

	if (!is_bpffs(HOLD_DIR))
		return;
	d = opendir(HOLD_DIR);
	if (!d)
		return;
	while ((e = readdir(d))) {
		/* Some kernels put files of their own into a new BPF file system. */
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/%s", HOLD_DIR, e->d_name);
		if (is_orphan(path))
			drop_dir(path);
		else
			left++;
	}
	closedir(d);
	if (!left && !umount(HOLD_DIR))
		rmdir(HOLD_DIR);
}

struct hold_job {
	const struct bpvs_pin *pins; /* NULL: remove */
	size_t num;
	unsigned long long cookie;
};

static int hold_work(const struct hold_job *job)
{
	char dir[64], path[128];
	int err;

	snprintf(dir, sizeof(dir), "%s/%llu", HOLD_DIR, job->cookie);
	if (!job->pins) {
		if (is_bpffs(HOLD_DIR))
			drop_dir(dir);
		hold_tidy();
		return 0;
	}
	hold_tidy();
	err = hold_mount();
	if (err)
		return err;
	drop_dir(dir);
	if (mkdir(dir, 0700))
		return -errno;
	for (size_t i = 0; i < job->num; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, job->pins[i].name);
		if (bpf_obj_pin(job->pins[i].fd, path)) {
			err = -errno;
			drop_dir(dir);
			return err;
		}
	}
	return 0;
}

/* In a child, for setns() is for the whole process. */
static int hold_child(const struct hold_job *job)
{
	int mounts = outer_mounts(), lock;

	if (mounts >= 0 && setns(mounts, CLONE_NEWNS))
		close(mounts);
	/* Tools of different network namespaces meet only here. */
	lock = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock >= 0)
		flock(lock, LOCK_EX);
	return hold_work(job);
}

static int hold_fork(const struct hold_job *job)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(-hold_child(job) & 0xff);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status))
		return -EINTR;
	return -WEXITSTATUS(status);
}

/* Where SIGCHLD is ignored, as a parent may have left it, a child leaves no status. */
static int hold_run(struct hold_job *job)
{
	struct sigaction usual = { .sa_handler = SIG_DFL }, before;
	int err = ns_cookie(&job->cookie);

	if (err)
		return bpvs_fail(err,
				 "the network namespace has no cookie: kernel older than 5.14");
	sigaction(SIGCHLD, NULL, &before);
	if (before.sa_handler == SIG_IGN || before.sa_flags & SA_NOCLDWAIT)
		sigaction(SIGCHLD, &usual, NULL);
	err = hold_fork(job);
	sigaction(SIGCHLD, &before, NULL);
	return err;
}

int bpvs_hold(const struct bpvs_pin *pins, size_t num)
{
	struct hold_job job = { .pins = pins, .num = num };
	int err = hold_run(&job);

	if (err)
		bpvs_fail(err, "cannot keep BPF objects in " HOLD_DIR " (a BPF file system): %s",
			  strerror(-err));
	return err;
}

int bpvs_unhold(void)
{
	struct hold_job job = { 0 };

	return hold_run(&job);
}
