/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmark's programs and the tool that runs them share. */
#pragma once

#include <linux/types.h>

/* Longest template; the restored head of it is BENCH_HEAD4 or BENCH_HEAD6 bytes. */
#define BENCH_TEMPLATE 80
#define BENCH_LEN4     64
#define BENCH_LEN6     80
#define BENCH_HEAD4    56 /* Ethernet, IPv4, TCP: 54 bytes */
#define BENCH_HEAD6    80 /* Ethernet, IPv6, TCP: 74 bytes */

/* Clients of 10.64.0.0/10 and 2001:db8:64::/96 take turns on this many ports each. */
#define BENCH_PORTS 16
#define BENCH_PORT0 2000

/* Places of the program arrays. */
enum bench_target {
	BENCH_PRODUCT,
	BENCH_AT_ONCE, /* XDP_TX or TC_ACT_OK */
	BENCH_GROW4,   /* the same after making room for an outer header */
	BENCH_GROW6,
	BENCH_MARKED, /* what marked packets come to */
	BENCH_TARGETS
};

#define BENCH_NEXT(x) ((x) * 1664525U + 1013904223U)

/*
 * What the wrapper injects. Flows are visited by x = BENCH_NEXT(x) mod 2^32, of which the low bits
 * that `mask` leaves are the flow: each of mask + 1 flows once, in an order that no prefetcher
 * follows.
 */
struct bench_ctl {
	__u32 target;
	__u32 len; /* of a frame */
	__u32 v6;
	__u32 reply; /* the client is the destination */
	__u32 fixed; /* one flow: only restore the packet */
	__u32 x;
	__u32 mask;
	__u32 base;   /* added to the flow's number */
	__u32 ip_sum; /* of the IPv4 header without its checksum and the client's address */
	__u32 mark;   /* of an skb */
	__u64 tmpl[BENCH_TEMPLATE / 8];
};
