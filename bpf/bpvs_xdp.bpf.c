/* SPDX-License-Identifier: GPL-2.0-only */
/* XDP's entry: the fast path. */
#include "pkt_xdp.h"
#include "parse.h"
#include "answer_xdp.h"
#include "pipeline.h"

static __always_inline int pkt_emit(pkt_t *pkt, struct bpvs_flow *f, const struct conn_hit *hit,
				    const struct bpvs_dest *d, const struct bpvs_hop *hop,
				    bool reply)
{
	return emit(pkt, f, hit, d, hop, reply);
}

SEC("xdp.frags")
int bpvs_xdp(struct xdp_md *ctx)
{
	return run(ctx);
}

char _license[] SEC("license") __weak = "GPL";
