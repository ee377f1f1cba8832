/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a socket to the instance of its network namespace. A daemon may open its socket in another
 * namespace than the one it runs in, so it is the socket that is asked.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "call.h"
#include "engine.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* How long an instance is used without looking for devices that have come, or where we are. */
#define FRESH_NS 1000000000LL

static struct {
	struct bpvs_instance *in;
	__u64 cookie;
	long long opened;
} held;

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static bool held_fresh(void)
{
	return held.in && now_ns() - held.opened <= FRESH_NS;
}

/* ---- where we are ---- */

static __u64 cookie_of(int sock)
{
	__u64 cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) ? 0 : cookie;
}

/* The namespace that this thread is in; 0: to be asked for. */
static __thread __u64 here_cookie;

void place_moved(void)
{
	here_cookie = 0;
}

/* A socket in the namespace that this thread is in. */
static int here_open(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* A daemon sends thousands of messages from one place: the second asks for nothing. */
static int here_find(void)
{
	int here;

	if (here_cookie && held_fresh())
		return 0;
	here = here_open();
	if (here < 0)
		return -errno;
	here_cookie = cookie_of(here);
	close(here);
	return 0;
}

/* To where the socket is. */
static int move(int sock, int *ret_back)
{
	int here = here_open(), there = -1, back = -1, err = 0;

	if (here < 0)
		return -errno;
	back = ioctl(here, SIOCGSKNS);
	there = back < 0 ? -1 : ioctl(sock, SIOCGSKNS);
	if (there < 0 || setns(there, CLONE_NEWNET))
		err = -errno;
	place_moved();
	if (there >= 0)
		close(there);
	close(here);
	if (err && back >= 0)
		close(back);
	else if (!err)
		*ret_back = back;
	return err;
}

int place_enter(int sock, int *ret_back)
{
	int err = here_find();

	if (err)
		return err;
	*ret_back = -1;
	return cookie_of(sock) == here_cookie ? 0 : move(sock, ret_back);
}

void place_leave(int back)
{
	if (back < 0)
		return;
	/* Nothing that could be done about a failure would be better than to stay. */
	if (setns(back, CLONE_NEWNET))
		fprintf(stderr, "BPVS: cannot return to the network namespace: %m\n");
	place_moved();
	close(back);
}

/* ---- the instance ---- */

/* What the kernel asks for, whatever the engine needs besides. */
static bool permitted(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };

	return !syscall(SYS_capget, &head, caps) && (caps[0].effective & (1U << CAP_NET_ADMIN));
}

/* Somebody may have taken it down, and up again, since. */
static bool held_usable(__u64 cookie)
{
	const struct bpvs_anchor *a;

	if (!held_fresh() || held.cookie != cookie)
		return false;
	a = bpvs_instance_anchor(held.in);
	return __atomic_load_n(&a->ready, __ATOMIC_ACQUIRE);
}

/* Netlink has no words for it; who starts a program is to see them once. */
static void complain(int err)
{
	static int said;

	if (err == said || err == -EPERM || err == -ENOENT)
		return;
	said = err;
	fprintf(stderr, "BPVS: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
}

int instance_get(bool up, struct bpvs_instance **ret)
{
	int err = permitted() ? here_find() : -EPERM;

	if (err)
		return err;
	if (!held_usable(here_cookie)) {
		bpvs_close(held.in);
		held.in = NULL;
		err = up ? bpvs_open_or_up(&held.in) : bpvs_open(&held.in);
		if (err) {
			held.in = NULL;
			err = err == -EACCES ? -EPERM : err;
			complain(err);
			return err;
		}
		held.cookie = here_cookie;
		held.opened = now_ns();
	}
	*ret = held.in;
	return 0;
}
