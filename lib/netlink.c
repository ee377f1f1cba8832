/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to rtnetlink (netlink.h). */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>
#include "netlink.h"

static int run(struct nlmsghdr *n, mnl_cb_t cb, void *arg)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buf[32768];
	ssize_t len = -1;
	int r = -1, err;

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) >= 0)
		len = mnl_socket_sendto(nl, n, n->nlmsg_len);
	while (len >= 0) {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			break;
		r = mnl_cb_run(buf, (size_t)len, n->nlmsg_seq, mnl_socket_get_portid(nl), cb, arg);
		if (r <= MNL_CB_STOP)
			break;
	}
	err = len < 0 || r < 0 ? -errno : 0;
	mnl_socket_close(nl);
	return err;
}

void bpvs_nl_begin(struct bpvs_nl *r, __u16 type, __u16 flags, const void *header, size_t size)
{
	r->n = mnl_nlmsg_put_header(r->buf);
	r->n->nlmsg_type = type;
	r->n->nlmsg_flags = NLM_F_REQUEST | flags;
	r->n->nlmsg_seq = (__u32)time(NULL);
	memcpy(mnl_nlmsg_put_extra_header(r->n, size), header, size);
}

int bpvs_nl_send(struct bpvs_nl *r)
{
	r->n->nlmsg_flags |= NLM_F_ACK;
	return run(r->n, NULL, NULL);
}

int bpvs_nl_dump(__u16 type, const void *header, size_t size, mnl_cb_t cb, void *arg)
{
	struct bpvs_nl r;

	bpvs_nl_begin(&r, type, NLM_F_DUMP, header, size);
	return run(r.n, cb, arg);
}
