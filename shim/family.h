/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the library that is preloaded (small, of the C library alone) and the one that answers
 * (libbpvs and what it needs), which is loaded when something of IPVS is asked for. They are
 * installed together; the version is for those that were not. Not for several threads at once.
 */
#pragma once

#include <linux/netlink.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define BPVS_SHIM_ENGINE  "libbpvs-family.so"
#define BPVS_SHIM_SYMBOL  "bpvs_shim_answers"
#define BPVS_SHIM_VERSION 3

/* The kernel numbers families up to GENL_MAX_ID, 1023. */
#define BPVS_FAMILY_ID 0x4956

/* Of what is in /proc/net. */
#define BPVS_SHIM_MODE 0444

struct bpvs_shim_answer {
	void *data; /* netlink messages; to be freed */
	size_t size;
	bool pass; /* the kernel is to be asked too, and what it says comes after */
};

struct bpvs_shim_answers {
	unsigned int version;
	/*
	 * Answer a generic netlink message of socket `sock`, whose port is `port`, as the kernel
	 * would in the socket's network namespace. Returns 0 or, without memory, -ENOMEM.
	 */
	int (*ask)(int sock, __u32 port, const struct nlmsghdr *msg, struct bpvs_shim_answer *ret);
	/*
	 * What /proc/net/NAME says in the current network namespace: a file to read, or a negative
	 * errno; -ENOENT: not here.
	 */
	int (*view)(const char *name);
	/* Whether view() would not say -ENOENT. */
	bool (*shown)(const char *name);
	/*
	 * The socket options IP_VS_SO_*, up to the last one of each kind, in the socket's network
	 * namespace. 0 or a negative errno, which is the answer.
	 */
	int (*get_option)(int sock, int option, void *value, socklen_t *len);
	int (*set_option)(int sock, int option, const void *value, socklen_t len);
	/* This thread may be in another network namespace than before. Any thread, at any time. */
	void (*moved)(void);
};
