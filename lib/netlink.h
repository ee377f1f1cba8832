/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to rtnetlink, each over a socket of its own. */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

/* Ask for a dump, with the request's own header, and have each message called back. */
int bpvs_nl_dump(__u16 type, const void *header, size_t size, mnl_cb_t cb, void *arg);

/* A request in the making, with room for its attributes. */
struct bpvs_nl {
	struct nlmsghdr *n;
	char buf[1024];
};

void bpvs_nl_begin(struct bpvs_nl *r, __u16 type, __u16 flags, const void *header, size_t size);
/* Send it and wait for what the kernel says: 0 or its errno, negative. */
int bpvs_nl_send(struct bpvs_nl *r);
