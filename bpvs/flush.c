/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs flush: end connections, all or those of one real server; services and their list stay. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bpvs.h"
#include "verbs.h"

static bool port_read(const char *text, __be16 *ret)
{
	char *end;
	long port = strtol(text, &end, 10);

	*ret = htons((uint16_t)port);
	return *text && !*end && port > 0 && port <= 65535;
}

static bool addr_read(const char *text, struct bpvs_addr *ret)
{
	*ret = (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), 0 } };
	return inet_pton(AF_INET, text, &ret->w[3]) == 1 || inet_pton(AF_INET6, text, ret->b) == 1;
}

/* 10.0.0.1, 10.0.0.1:80, 2001:db8::1, [2001:db8::1]:80 */
static bool dest_read(const char *text, struct bpvs_addr *ret, __be16 *ret_port)
{
	char host[64], *colon;

	*ret_port = 0;
	if (addr_read(text, ret))
		return true;
	if (snprintf(host, sizeof(host), "%s", *text == '[' ? text + 1 : text) >= (int)sizeof(host))
		return false;
	colon = strrchr(host, ':');
	if (!colon || !port_read(colon + 1, ret_port))
		return false;
	*colon = '\0';
	if (*text == '[') {
		if (colon == host || colon[-1] != ']')
			return false;
		colon[-1] = '\0';
	}
	return addr_read(host, ret);
}

static int flush(const char *dest, const struct bpvs_addr *addr, __be16 port)
{
	struct bpvs_instance *in;
	int err = bpvs_open(&in);

	if (err) {
		fprintf(stderr, "bpvs flush: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
		return 1;
	}
	err = dest ? bpvs_conns_flush_dest(in, NULL, addr, port) : bpvs_conns_flush(in);
	bpvs_close(in);
	if (err == -ENOENT)
		fprintf(stderr, "bpvs flush: no such real server: %s\n", dest);
	else if (err)
		fprintf(stderr, "bpvs flush: %s\n", strerror(-err));
	return err ? 1 : 0;
}

int cmd_flush(int argc, char **argv)
{
	struct bpvs_addr addr = { 0 };
	__be16 port = 0;

	if (argc == 1)
		return flush(NULL, &addr, port);
	if (argc != 3 || strcmp(argv[1], "--dest") || !dest_read(argv[2], &addr, &port)) {
		fprintf(stderr, "Usage: bpvs flush [--dest ADDRESS[:PORT]]\n");
		return 2;
	}
	return flush(argv[2], &addr, port);
}
