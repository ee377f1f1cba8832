/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs flush: end connections, all or those of one real server; services and their list stay. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "endpoint.h"
#include "verbs.h"

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
	__u8 af;

	if (argc == 1)
		return flush(NULL, &addr, port);
	if (argc != 3 || strcmp(argv[1], "--dest") || !endpoint_read(argv[2], &addr, &af, &port)) {
		fprintf(stderr, "Usage: bpvs flush [--dest ADDRESS[:PORT]]\n");
		return 2;
	}
	return flush(argv[2], &addr, port);
}
