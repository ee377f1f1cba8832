/* SPDX-License-Identifier: GPL-2.0-only */
/* What `bpvs realserver` and the decapsulating program of a TUN real server say to each other. */
#pragma once

#include <linux/types.h>

/* The key of an end of a tunnel: the protocol in the outer header, and GUE's port. */
static inline __u32 bpvs_decap_end(__u8 proto, __u16 port)
{
	return (__u32)proto << 16 | port;
}

/* Counters: one per-CPU __u64 each. */
enum bpvs_decap_stat {
	BPVS_DECAP_DONE,     /* outer header stripped, inner packet given to the stack */
	BPVS_DECAP_FRAGMENT, /* outer packet in fragments: left to the stack, which has no tunnel */
	BPVS_DECAP_NOT_LOCAL, /* inner packet for a VIP, outer address not this host's: left alone
			       */
	BPVS_DECAP_ECN,	      /* dropped: congestion was marked on a flow that cannot hear of it */
	/*
	 * dropped: the kernel refused to shorten the packet, or the checksum left to us would not
	 * be made of what is behind the inner header, or put there
	 */
	BPVS_DECAP_ERROR,
	BPVS_DECAP_UNKNOWN, /* GUE or GRE with what we do not know in the header: left alone */
	BPVS_DECAP_STATS,
};
