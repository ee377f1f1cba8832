/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket options of kernel IPVS, IP_VS_SO_*: what programs use that know no netlink or do not
 * find the family. All other options, and sockets that do not take these, go the way they always
 * went.
 */
#include <errno.h>
#include <linux/ip_vs.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "preload.h"

typedef int (*getsockopt_fn)(int sock, int level, int name, void *value, socklen_t *len);
typedef int (*setsockopt_fn)(int sock, int level, int name, const void *value, socklen_t len);

static getsockopt_fn getsockopt_next(void)
{
	static getsockopt_fn next;

	if (!next)
		next = (getsockopt_fn)bpvs_shim_next("getsockopt");
	return next;
}

static int number(int sock, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt_next()(sock, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

/* IPv4's options are IPv6's, too, but for raw sockets. */
static bool takes_options(int sock)
{
	int before = errno, domain = number(sock, SO_DOMAIN);
	bool takes = domain == AF_INET || (domain == AF_INET6 && number(sock, SO_TYPE) != SOCK_RAW);

	errno = before;
	return takes;
}

static bool for_ipvs(int sock, int level, int name, int last)
{
	return level == SOL_IP && name >= IP_VS_BASE_CTL && name <= last && takes_options(sock);
}

static int result(int err)
{
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

/* 1: the kernel is to be asked. */
static int answer_get(int sock, int name, void *value, socklen_t *len)
{
	const struct bpvs_shim_answers *engine;
	int err = 1;

	bpvs_shim_lock();
	engine = bpvs_shim_engine();
	if (engine)
		err = engine->get_option(sock, name, value, len);
	bpvs_shim_unlock();
	return err;
}

static int answer_set(int sock, int name, const void *value, socklen_t len)
{
	const struct bpvs_shim_answers *engine;
	int err = 1;

	bpvs_shim_lock();
	engine = bpvs_shim_engine();
	if (engine)
		err = engine->set_option(sock, name, value, len);
	bpvs_shim_unlock();
	return err;
}

INTERPOSED int getsockopt(int sock, int level, int name, void *value, socklen_t *len)
{
	int err = 1;

	if (for_ipvs(sock, level, name, IP_VS_SO_GET_MAX))
		err = answer_get(sock, name, value, len);
	return err > 0 ? getsockopt_next()(sock, level, name, value, len) : result(err);
}

INTERPOSED int setsockopt(int sock, int level, int name, const void *value, socklen_t len)
{
	static setsockopt_fn next;
	int err = 1;

	if (for_ipvs(sock, level, name, IP_VS_SO_SET_MAX))
		err = answer_set(sock, name, value, len);
	if (err <= 0)
		return result(err);
	if (!next)
		next = (setsockopt_fn)bpvs_shim_next("setsockopt");
	return next(sock, level, name, value, len);
}
