/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The locks between tools, which the kernel gives back when their holder dies.
 *
 * For up and down, that is where there may be no instance, an abstract Unix socket address, and
 * another for who waits long (flush.c). Such addresses belong to the network namespace, as an
 * instance does, whatever mounts or process ids a tool sees. Who finds it taken connects, and is
 * told by the connection's end.
 *
 * For changes of the tables a mutex in the instance's anchor: a daemon that is told of its servers
 * one by one takes it for each, without a system call.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lock.h"

#define LOCK_NAME  "bpvs-tables"
#define FLUSH_NAME "bpvs-flush"
/* Ten seconds of refusals. */
#define REFUSED_PAUSE 1000
#define REFUSED_MOST  10000

static socklen_t lock_address(const char *name, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path + 1, name, strlen(name));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* Such an address can be taken by anybody; who is not root is no tool of ours. */
static int holder_check(const char *name, int fd)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) || !c.uid)
		return 0;
	return bpvs_fail(-EBUSY, "process %d of user %u, not a tool of BPVS, holds the lock '%s'",
			 (int)c.pid, (unsigned int)c.uid, name);
}

/* Until the holder lets go. A moment between its bind and listen may pass, seconds not. */
static int lock_wait(const char *name, unsigned int *refused)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(name, &a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;
	char c;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&a, len)) {
		*refused = 0;
		err = holder_check(name, fd);
		/* Nobody accepts or sends: reading ends when the holder closes or dies. */
		while (!err && read(fd, &c, 1) < 0 && errno == EINTR)
			;
	} else if (++*refused > REFUSED_MOST) {
		err = bpvs_fail(-EBUSY, "somebody holds the lock '%s' and does not answer", name);
	} else {
		usleep(REFUSED_PAUSE);
	}
	close(fd);
	return err;
}

static int lock_take(const char *name, int *ret_fd)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(name, &a);
	unsigned int refused = 0;
	int err = 0;

	while (!err) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		if (!bind(fd, (struct sockaddr *)&a, len)) {
			listen(fd, 1024);
			*ret_fd = fd;
			return 0;
		}
		err = errno == EADDRINUSE ? 0 : -errno;
		close(fd);
		if (!err)
			err = lock_wait(name, &refused);
	}
	return err;
}

int bpvs_lock_take(int *ret_fd)
{
	return lock_take(LOCK_NAME, ret_fd);
}

int bpvs_flush_lock_take(int *ret_fd)
{
	return lock_take(FLUSH_NAME, ret_fd);
}

void bpvs_lock_drop(int fd)
{
	close(fd);
}

/* ---- the lock of the tables ---- */

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct bpvs_anchor *)0)->lock), "it fits");

/* How often a taken lock is tried again, in microseconds. */
#define PAUSE_FIRST 50
#define PAUSE_MOST  1600

static pthread_mutex_t *mutex_of(struct bpvs_anchor *a)
{
	return (pthread_mutex_t *)(void *)a->lock;
}

/* In memory that processes share; who dies with it hands it on. */
int bpvs_tables_lock_init(struct bpvs_anchor *a)
{
	pthread_mutexattr_t attr;
	int err = pthread_mutexattr_init(&attr);

	if (err)
		return -err;
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	err = pthread_mutex_init(mutex_of(a), &attr);
	pthread_mutexattr_destroy(&attr);
	return -err;
}

int bpvs_tables_lock_take(struct bpvs_anchor *a)
{
	unsigned int pause = PAUSE_FIRST;
	int err;

	/* To sleep on it is refused: the kernel has no futex in the memory of a map (EFAULT). */
	while ((err = pthread_mutex_trylock(mutex_of(a))) == EBUSY) {
		usleep(pause);
		pause = pause < PAUSE_MOST ? 2 * pause : pause;
	}
	/* What a dead holder left half done BPVS_TOOL_CHANGING tells. */
	return err == EOWNERDEAD ? -pthread_mutex_consistent(mutex_of(a)) : -err;
}

void bpvs_tables_lock_drop(struct bpvs_anchor *a)
{
	pthread_mutex_unlock(mutex_of(a));
}

int bpvs_lock(struct bpvs_instance *in)
{
	int err;

	if (in->lock_depth++)
		return 0;
	err = bpvs_tables_lock_take(in->anchor);
	if (!err && !in->anchor->ready) {
		bpvs_tables_lock_drop(in->anchor);
		err = bpvs_fail(-ESTALE, "the instance was taken down");
	}
	if (err)
		in->lock_depth = 0;
	return err;
}

void bpvs_unlock(struct bpvs_instance *in)
{
	if (in->lock_depth && !--in->lock_depth)
		bpvs_tables_lock_drop(in->anchor);
}
