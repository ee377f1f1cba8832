/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "IPVS" for programs that use libnl: sending and receiving of a socket
 * go through here from genl_connect() on. What is not for the family goes the way it always went.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/errno.h>
#include <netlink/genl/genl.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include "preload.h"

/* The kernel's largest datagram of a dump. */
#define SLICE 32768

/* libnl is the program's; whichever version it is, these are in it. */
#define LIBNL(X)                                                                                   \
	X(genl_connect)                                                                            \
	X(nl_socket_get_cb)                                                                        \
	X(nl_socket_get_fd)                                                                        \
	X(nl_socket_get_local_port)                                                                \
	X(nl_cb_overwrite_recv)                                                                    \
	X(nl_cb_overwrite_send)                                                                    \
	X(nl_cb_put)                                                                               \
	X(nl_recv)                                                                                 \
	X(nl_send_iovec)                                                                           \
	X(nlmsg_hdr)

static struct {
#define X(name) __typeof__(name) *name;
	LIBNL(X)
#undef X
} nl;

static bool libnl_find(void)
{
#define X(name)                                                                                    \
	if (!nl.name && !(nl.name = (__typeof__(nl.name))bpvs_shim_next(#name)))                   \
		return false;
	LIBNL(X)
#undef X
	return true;
}

/* ---- answers that wait to be received ---- */

/* Kept for good: there are as many as the program has had sockets at the same time. */
struct queue {
	struct queue *next;
	const struct nl_sock *sk;
	char *data;
	size_t begin, end;
};

static struct queue *queues;

static struct queue *queue_of(const struct nl_sock *sk)
{
	struct queue *q = queues;

	while (q && q->sk != sk)
		q = q->next;
	return q;
}

/* A socket at an address where another was has none of that one's answers. */
static bool queue_reset(const struct nl_sock *sk)
{
	struct queue *q = queue_of(sk);

	if (!q) {
		q = calloc(1, sizeof(*q));
		if (!q)
			return false;
		q->sk = sk;
		q->next = queues;
		queues = q;
	}
	free(q->data);
	q->data = NULL;
	q->begin = q->end = 0;
	return true;
}

static int queue_put(struct queue *q, const void *data, size_t size)
{
	size_t left = q->end - q->begin;
	char *both = malloc(left + size + 1);

	if (!both)
		return -ENOMEM;
	if (left)
		memcpy(both, q->data + q->begin, left);
	if (size)
		memcpy(both + left, data, size);
	free(q->data);
	q->data = both;
	q->begin = 0;
	q->end = left + size;
	return 0;
}

/*
 * As the kernel divides them: parts of a dump, as many as go in, and all others alone. libnl drops
 * the rest of a datagram when a callback says that it has seen enough, and waits for the ACK then.
 */
static size_t queue_slice(const struct queue *q)
{
	size_t size = 0;

	while (q->begin + size < q->end) {
		const struct nlmsghdr *n = (const struct nlmsghdr *)(q->data + q->begin + size);

		bool part = n->nlmsg_flags & NLM_F_MULTI && n->nlmsg_type != NLMSG_DONE;

		if (size && (!part || size + NLMSG_ALIGN(n->nlmsg_len) > SLICE))
			break;
		size += NLMSG_ALIGN(n->nlmsg_len);
		if (!part)
			break;
	}
	return size;
}

static int queue_take(struct queue *q, unsigned char **ret)
{
	size_t size = queue_slice(q);

	*ret = malloc(size);
	if (!*ret)
		return -NLE_NOMEM;
	memcpy(*ret, q->data + q->begin, size);
	q->begin += size;
	if (q->begin == q->end) {
		free(q->data);
		q->data = NULL;
		q->begin = q->end = 0;
	}
	return (int)size;
}

/* ---- the socket's functions ---- */

/* Those that look for a family might mean ours: that is for the library that answers to see. */
static bool for_family(const struct nlmsghdr *n)
{
	const struct genlmsghdr *g = NLMSG_DATA(n);

	if (n->nlmsg_type == BPVS_FAMILY_ID)
		return true;
	if (n->nlmsg_type != GENL_ID_CTRL || n->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return false;
	return g->cmd == CTRL_CMD_GETFAMILY &&
	       ((n->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP || memmem(n, n->nlmsg_len, "IPVS", 5));
}

/* 0: answered. 1: the kernel is to be asked. */
static int answer(struct nl_sock *sk, const struct nlmsghdr *n)
{
	const struct bpvs_shim_answers *engine = bpvs_shim_engine();
	struct queue *q = queue_of(sk);
	struct bpvs_shim_answer a = { 0 };
	int err;

	if (!engine || !q)
		return 1;
	err = engine->ask(nl.nl_socket_get_fd(sk), nl.nl_socket_get_local_port(sk), n, &a);
	if (!err && a.size)
		err = queue_put(q, a.data, a.size);
	free(a.data);
	return err ? -NLE_NOMEM : a.pass;
}

static int on_send(struct nl_sock *sk, struct nl_msg *msg)
{
	struct nlmsghdr *n = nl.nlmsg_hdr(msg);
	struct iovec iov = { .iov_base = n, .iov_len = n->nlmsg_len };
	int pass = 1;

	if (for_family(n)) {
		bpvs_shim_lock();
		pass = answer(sk, n);
		bpvs_shim_unlock();
	}
	if (pass < 0)
		return pass;
	return pass ? nl.nl_send_iovec(sk, msg, &iov, 1) : (int)n->nlmsg_len;
}

static int on_recv(struct nl_sock *sk, struct sockaddr_nl *nla, unsigned char **buf,
		   struct ucred **creds)
{
	struct queue *q;
	int size = 0;

	bpvs_shim_lock();
	q = queue_of(sk);
	if (q && q->begin < q->end)
		size = queue_take(q, buf);
	bpvs_shim_unlock();
	if (!size)
		return nl.nl_recv(sk, nla, buf, creds);
	memset(nla, 0, sizeof(*nla));
	nla->nl_family = AF_NETLINK;
	return size;
}

INTERPOSED int genl_connect(struct nl_sock *sk)
{
	struct nl_cb *cb;
	bool ready;
	int err;

	if (!libnl_find())
		return -NLE_FAILURE;
	err = nl.genl_connect(sk);
	if (err < 0)
		return err;
	bpvs_shim_lock();
	ready = queue_reset(sk);
	bpvs_shim_unlock();
	cb = nl.nl_socket_get_cb(sk);
	if (!cb || !ready)
		return -NLE_NOMEM;
	nl.nl_cb_overwrite_send(cb, on_send);
	nl.nl_cb_overwrite_recv(cb, on_recv);
	nl.nl_cb_put(cb);
	return err;
}
