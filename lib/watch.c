/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices as they come and go, by rtnetlink. To open the instance is to cover what has come
 * (engine.c), so that is all that is done at each message, and nothing is known between two of them
 * but where to listen: the instance may go and come meanwhile.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include "engine.h"
#include "lock.h"
#include "netlink.h"

/* Room for what a burst of new devices says while we are at work; one message has some 1.5 KB. */
#define RECEIVE_BYTES (4 << 20)
/* Numbers of devices that went at once. Of more, status tells what is not served. */
#define GONE_MOST 256

struct listener {
	struct mnl_socket *nl;
	int gone[GONE_MOST];
	unsigned int num_gone;
};

static int listen_open(struct listener *l)
{
	int bytes = RECEIVE_BYTES;

	l->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!l->nl)
		return bpvs_fail(-errno, "cannot open rtnetlink: %m");
	if (mnl_socket_bind(l->nl, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		mnl_socket_close(l->nl);
		return bpvs_fail(err, "cannot listen to rtnetlink: %m");
	}
	/* Where it is refused the kernel's default has to do: what is lost is told of. */
	setsockopt(mnl_socket_get_fd(l->nl), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return 0;
}

/* A bridge says of a port that leaves it that it is deleted, too, in a family of its own. */
static int note_gone(const struct nlmsghdr *n, void *data)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(n);
	struct listener *l = data;

	if (n->nlmsg_type == RTM_DELLINK && m->ifi_family == AF_UNSPEC && l->num_gone < GONE_MOST)
		l->gone[l->num_gone++] = m->ifi_index;
	return MNL_CB_OK;
}

/* All that has been said so far; what it is matters less than that there was something. */
static int listen_drain(struct listener *l)
{
	char buf[32768];

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(l->nl, buf, sizeof(buf));

		if (len >= 0)
			mnl_cb_run(buf, (size_t)len, 0, 0, note_gone, l);
		else if (errno == EAGAIN)
			return 0;
		else if (errno != ENOBUFS && errno != EINTR && errno != ENOSPC)
			return bpvs_fail(-errno, "cannot read from rtnetlink: %m");
	}
}

static void forget(struct listener *l, struct bpvs_instance *in)
{
	struct bpvs_programs p = { .tc_id = bpvs_instance_anchor(in)->tc_id };
	int lock;

	if (bpvs_lock_take(&lock))
		return;
	if (!bpvs_lock(in)) {
		while (l->num_gone)
			bpvs_device_forget(&p, in->devs, l->gone[--l->num_gone]);
		bpvs_unlock(in);
	}
	bpvs_lock_drop(lock);
}

/* A number that went may be another device's by now, or the same one's, back from elsewhere. */
static int renew(struct listener *l, bool *ret_named)
{
	struct bpvs_instance *in;
	bool went = l->num_gone;
	int err = bpvs_open(&in);

	if (!err && went) {
		forget(l, in);
		bpvs_close(in);
		err = bpvs_open(&in);
	}
	if (!err) {
		*ret_named = !bpvs_instance_anchor(in)->all_devs;
		bpvs_close(in);
	}
	l->num_gone = 0;
	return err;
}

int bpvs_watch(int stop, void (*tell)(int err, bool named, void *arg), void *arg)
{
	struct listener l = { 0 };
	struct pollfd fds[2];
	int err = listen_open(&l);

	if (err)
		return err;
	fds[0] = (struct pollfd){ .fd = mnl_socket_get_fd(l.nl), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = stop, .events = POLLIN };
	do {
		bool named = false;

		err = renew(&l, &named);
		tell(err, named, arg);
		while (poll(fds, 2, -1) < 0 && errno == EINTR)
			;
		err = listen_drain(&l);
	} while (!err && !fds[1].revents);
	mnl_socket_close(l.nl);
	return err;
}
