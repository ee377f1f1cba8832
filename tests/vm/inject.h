/* SPDX-License-Identifier: GPL-2.0-only */
/* What the injector's programs and its user side agree on. */
#pragma once

#include <linux/types.h>

#define INJECT_FRAME 60 /* the shortest Ethernet frame, less its checksum */
#define INJECT_WORDS                                                                               \
	7 /* eight bytes each, the headers and a little more: written anew in each one */
/*
 * More headroom than the 256 bytes of a live frame: XDP on veth copies an skb that has less, so
 * that whoever adds a header on the way would be charged for our sink.
 */
#define INJECT_ROOM  64
#define INJECT_PORTS 1024 /* flows of one client address */
#define INJECT_PORT0 20000

/*
 * Where the frames come from: a template whose client address and port are zero, with the sums of
 * what its checksums cover otherwise. Written before a run, only read by the program.
 */
struct inject_spec {
	__u64 words[INJECT_WORDS];
	__u32 ip_sum; /* 16-bit words as they lie in memory, added up */
	__u32 l4_sum;
	__u32 client; /* first client address, host order */
	__u32 flows;  /* start again at `first` after this many; 0: never */
	__u32 first;
	__u8 udp;   /* else TCP */
	__u8 reply; /* the client is the destination */
};
