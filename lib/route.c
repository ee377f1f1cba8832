/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel's routing says of an address. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tables.h"

struct route_request {
	struct nlmsghdr nl;
	struct rtmsg rt;
	struct rtattr attr;
	__u8 addr[16];
};

/* Asked once for each destination that is added: the sockets are kept. */
static int route_fd = -1, bind_fd = -1;

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void bpvs_route_close(void)
{
	fd_close(&route_fd);
	fd_close(&bind_fd);
}

static int route_socket(void)
{
	static pid_t owner;

	/* A child has to have its own, or it would read its parent's answers. */
	if (owner != getpid())
		fd_close(&route_fd);
	if (route_fd < 0) {
		route_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		owner = getpid();
	}
	return route_fd < 0 ? -errno : route_fd;
}

/*
 * One system call instead of two, and a cheap one: to bind to an address that is not local,
 * multicast or broadcast is refused by this very error. Where all may be bound to
 * (ip_nonlocal_bind), or anything else happens, it tells nothing, and the socket is spent.
 */
static bool surely_unicast(const struct bpvs_addr *addr)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = addr->w[3] };

	if (bind_fd < 0)
		bind_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind_fd >= 0 && bind(bind_fd, (struct sockaddr *)&a, sizeof(a)) &&
	    errno == EADDRNOTAVAIL)
		return true;
	fd_close(&bind_fd);
	return false;
}

static int route_ask(const struct bpvs_addr *addr, __u8 af)
{
	bool v6 = af == BPVS_V6;
	size_t len = v6 ? 16 : 4;
	struct route_request req = {
		.nl = { .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST },
		.rt = { .rtm_family = v6 ? AF_INET6 : AF_INET, .rtm_dst_len = (__u8)(len * 8) },
		.attr = { .rta_type = RTA_DST, .rta_len = (__u16)RTA_LENGTH(len) },
	};
	int fd = route_socket();

	if (fd < 0)
		return fd;
	memcpy(req.addr, v6 ? addr->b : addr->b + 12, len);
	req.nl.nlmsg_len = (__u32)(offsetof(struct route_request, addr) + len);
	return send(fd, &req, req.nl.nlmsg_len, 0) < 0 ? -errno : fd;
}

/* The type that a route look-up finds. Without a route an address is just not ours. */
static int route_lookup(const struct bpvs_addr *addr, __u8 af)
{
	union {
		struct nlmsghdr nl;
		char bytes[4096];
	} answer;
	int fd = route_ask(addr, af);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = recv(fd, &answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(struct rtmsg)) || answer.nl.nlmsg_type != RTM_NEWROUTE)
		return RTN_UNICAST;
	return ((struct rtmsg *)NLMSG_DATA(&answer.nl))->rtm_type;
}

int bpvs_route_type(const struct bpvs_addr *addr, __u8 af)
{
	int type;

	/* These need no table, and a table has no say over them. The rest of 0/8 is unicast. */
	if (af == BPVS_V4 && (addr->w[3] == 0 || addr->w[3] == 0xffffffff))
		return RTN_BROADCAST;
	if (af == BPVS_V4 && (addr->b[12] & 0xf0) == 0xe0)
		return RTN_MULTICAST;
	if (af == BPVS_V4 && surely_unicast(addr))
		return RTN_UNICAST;
	type = route_lookup(addr, af);
	if (type < 0 || type == RTN_LOCAL)
		return type;
	if (af == BPVS_V6)
		return type == RTN_ANYCAST ? RTN_LOCAL : RTN_UNICAST;
	return type == RTN_BROADCAST || type == RTN_MULTICAST ? type : RTN_UNICAST;
}

void bpvs_route_source(const struct bpvs_addr *to, __u8 af, struct bpvs_addr *ret)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} sa = { 0 };
	socklen_t len = af == BPVS_V6 ? sizeof(sa.v6) : sizeof(sa.v4);
	int fd = socket(af == BPVS_V6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(ret, 0, sizeof(*ret));
	if (fd < 0)
		return;
	if (af == BPVS_V6) {
		sa.v6.sin6_family = AF_INET6;
		sa.v6.sin6_port = htons(9);
		memcpy(&sa.v6.sin6_addr, to->b, 16);
	} else {
		sa.v4.sin_family = AF_INET;
		sa.v4.sin_port = htons(9);
		sa.v4.sin_addr.s_addr = to->w[3];
	}
	if (!connect(fd, &sa.any, len) && !getsockname(fd, &sa.any, &len)) {
		if (af == BPVS_V6) {
			memcpy(ret->b, &sa.v6.sin6_addr, 16);
		} else {
			ret->w[2] = htonl(0xffff);
			ret->w[3] = sa.v4.sin_addr.s_addr;
		}
	}
	close(fd);
}
