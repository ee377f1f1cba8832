/* SPDX-License-Identifier: GPL-2.0-only */
/* What the decapsulating program of a TUN real server counts: one per-CPU __u64 each. */
#pragma once

enum bpvs_decap_stat {
	BPVS_DECAP_DONE,     /* outer header stripped, inner packet given to the stack */
	BPVS_DECAP_FRAGMENT, /* outer packet in fragments: left to the stack, which has no tunnel */
	BPVS_DECAP_NOT_LOCAL, /* inner packet for a VIP, outer address not this host's: left alone
			       */
	BPVS_DECAP_ECN,	      /* dropped: congestion was marked on a flow that cannot hear of it */
	BPVS_DECAP_ERROR,     /* dropped: the kernel refused to shorten the packet */
	BPVS_DECAP_STATS,
};
