/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock between tools: an abstract Unix socket address. Such addresses belong to the network
 * namespace, as an instance does, whatever mounts or process ids a tool sees; and the kernel gives
 * one back when its holder dies. Who finds it taken connects, and is told by the connection's end.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lock.h"

#define LOCK_NAME "bpvs-tables"
/* Ten seconds of refusals. */
#define REFUSED_PAUSE 1000
#define REFUSED_MOST  10000

static socklen_t lock_address(struct sockaddr_un *a)
{
	static const char name[] = LOCK_NAME;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path + 1, name, sizeof(name) - 1);
	return offsetof(struct sockaddr_un, sun_path) + sizeof(name);
}

/* Such an address can be taken by anybody; who is not root is no tool of ours. */
static int holder_check(int fd)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) || !c.uid)
		return 0;
	return bpvs_fail(-EBUSY, "process %d of user %u, not a tool of BPVS, holds the lock '%s'",
			 (int)c.pid, (unsigned int)c.uid, LOCK_NAME);
}

/* Until the holder lets go. A moment between its bind and listen may pass, seconds not. */
static int lock_wait(unsigned int *refused)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(&a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;
	char c;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&a, len)) {
		*refused = 0;
		err = holder_check(fd);
		/* Nobody accepts or sends: reading ends when the holder closes or dies. */
		while (!err && read(fd, &c, 1) < 0 && errno == EINTR)
			;
	} else if (++*refused > REFUSED_MOST) {
		err = bpvs_fail(-EBUSY, "somebody holds the lock '%s' and does not answer",
				LOCK_NAME);
	} else {
		usleep(REFUSED_PAUSE);
	}
	close(fd);
	return err;
}

int bpvs_lock_take(int *ret_fd)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(&a);
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
			err = lock_wait(&refused);
	}
	return err;
}

void bpvs_lock_drop(int fd)
{
	close(fd);
}

int bpvs_lock(struct bpvs_instance *in)
{
	int err = 0;

	if (!in->lock_depth)
		err = bpvs_lock_take(&in->fd_lock);
	if (!err)
		in->lock_depth++;
	return err;
}

void bpvs_unlock(struct bpvs_instance *in)
{
	if (!in->lock_depth || --in->lock_depth)
		return;
	bpvs_lock_drop(in->fd_lock);
	in->fd_lock = -1;
}
