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

static socklen_t lock_address(struct sockaddr_un *a)
{
	static const char name[] = "bpvs-tables";

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path + 1, name, sizeof(name) - 1);
	return offsetof(struct sockaddr_un, sun_path) + sizeof(name);
}

static void lock_wait(void)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(&a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char c;

	if (fd < 0)
		return;
	/* Nobody accepts or sends: reading ends when the holder closes or dies. */
	if (!connect(fd, (struct sockaddr *)&a, len)) {
		ssize_t n;

		do
			n = read(fd, &c, 1);
		while (n < 0 && errno == EINTR);
	} else if (errno == EAGAIN || errno == ECONNREFUSED) {
		/* Between bind and listen, or the queue of waiters is full. */
		usleep(500);
	}
	close(fd);
}

int bpvs_lock_take(int *ret_fd)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(&a);

	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		if (!bind(fd, (struct sockaddr *)&a, len)) {
			listen(fd, 1024);
			*ret_fd = fd;
			return 0;
		}
		close(fd);
		if (errno != EADDRINUSE)
			return -errno;
		lock_wait();
	}
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
