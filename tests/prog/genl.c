/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sends messages to the generic netlink family "IPVS", as they are, and prints what is answered:
 * the same program for the kernel's family and, under `bpvs run`, for ours. A line of the input is
 * a command's number, the netlink flags and the attributes, all hexadecimal, and how many bytes the
 * message is to claim more or less than it has: "01 0005 0c00... -3". A line of the output is a
 * message: its type (F the family's), flags, and payload; a line of a dot ends an answer.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 65536

static int family;
static int on_message(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *n = nlmsg_hdr(msg);
	const unsigned char *at = (const unsigned char *)NLMSG_DATA(n);

	(void)arg;
	if (n->nlmsg_type == family)
		printf("F");
	else
		printf("%x", n->nlmsg_type);
	printf(" %x ", n->nlmsg_flags);
	for (size_t i = 0; i + NLMSG_HDRLEN < n->nlmsg_len; i++) {
		/* What was sent comes back with an error, and has the family's number in it. */
		if (n->nlmsg_type == NLMSG_ERROR && i >= 8 && i < 20)
			continue;
		printf("%02x", at[i]);
	}
	puts("");
	return NL_SKIP;
}

static int send_one(struct nl_sock *sk, int cmd, int flags, const void *attrs, size_t size,
		    int claim)
{
	static unsigned int seq = 1000;
	struct {
		struct nlmsghdr n;
		struct genlmsghdr g;
		char attrs[ROOM];
	} m = { 0 };
	struct nl_msg *msg;
	int err;

	m.n.nlmsg_type = (__u16)family;
	m.n.nlmsg_flags = (__u16)flags;
	m.n.nlmsg_seq = ++seq;
	m.n.nlmsg_pid = nl_socket_get_local_port(sk);
	m.n.nlmsg_len = (__u32)(sizeof(m.n) + sizeof(m.g) + size);
	m.g.cmd = (__u8)cmd;
	m.g.version = 1;
	memcpy(m.attrs, attrs, size);
	msg = nlmsg_convert(&m.n);
	if (!msg)
		return -NLE_NOMEM;
	nlmsg_hdr(msg)->nlmsg_len += (unsigned int)claim;
	err = nl_send(sk, msg);
	nlmsg_free(msg);
	return err;
}

static int exchange(struct nl_sock *sk, char *line)
{
	static unsigned char attrs[ROOM];
	static char hex[2 * ROOM + 1];
	unsigned int cmd, flags;
	size_t size = 0;
	int claim = 0, err;

	*hex = '\0';
	if (sscanf(line, "%x %x %131072s %d", &cmd, &flags, hex, &claim) < 2)
		return -NLE_INVAL;
	if (*hex != '-')
		for (const char *h = hex; sscanf(h, "%2hhx", &attrs[size]) == 1; h += 2)
			size++;
	err = send_one(sk, (int)cmd, (int)flags, attrs, size, claim);
	/* All is there when sending returns, but for dumps, which go on by receiving. */
	while (err >= 0)
		err = nl_recvmsgs_default(sk);
	puts(".");
	fflush(stdout);
	return err == -NLE_AGAIN ? 0 : err;
}

int main(void)
{
	static char line[2 * ROOM + 64];
	struct nl_sock *sk = nl_socket_alloc();
	int err = sk ? genl_connect(sk) : -NLE_NOMEM;

	if (err >= 0)
		err = family = genl_ctrl_resolve(sk, "IPVS");
	if (err < 0) {
		fprintf(stderr, "genl: %s\n", nl_geterror(err));
		return 1;
	}
	nl_socket_disable_seq_check(sk);
	nl_socket_set_nonblocking(sk);
	nl_socket_modify_cb(sk, NL_CB_MSG_IN, NL_CB_CUSTOM, on_message, NULL);
	while (fgets(line, sizeof(line), stdin)) {
		err = exchange(sk, line);
		if (err < 0) {
			fprintf(stderr, "genl: %s: %s", nl_geterror(err), line);
			return 1;
		}
	}
	nl_socket_free(sk);
	return 0;
}
