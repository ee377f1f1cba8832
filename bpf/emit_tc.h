/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TC can end in many more ways than XDP, so rewriting and sending is a function of its own that the
 * verifier looks at once. It takes what it needs from the scratch memory, and is called when the
 * walk is over: in a tunnel's header there may be a sum of the whole packet, three calls deep.
 */
#pragma once

#include "pipeline.h"
#include "ftp_tc.h"

/* The packet of a flow that has been parsed, up to the end of its network header. */
static __always_inline bool pkt_reopen(pkt_t *pkt, ctx_t *ctx, const struct bpvs_flow *f, __u8 af)
{
	pkt_open(pkt, ctx);
	pkt->af = af;
	pkt->net = pkt->data + (f->l3 & 0xff);
	pkt->trans = pkt->data + (f->l4 & 0x3ff);
	/* Implied by what follows, which clang sees and the verifier does not. */
	if (pkt->data + ETH_HLEN > pkt->end)
		return false;
	return pkt->net + (af == BPVS_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) <=
	       pkt->end;
}

static __always_inline int emit_family(ctx_t *ctx, struct conn_scratch *x,
				       const struct bpvs_dest *d, __u8 af, bool reply)
{
	pkt_t pkt;

	if (!pkt_reopen(&pkt, ctx, &x->flow, af))
		return BPVS_WRITE;
	return emit(&pkt, &x->flow, &x->hit, d, &x->hop, reply);
}

__noinline int HOOK(emit)(ctx_t *ctx, __u32 reply)
{
	struct conn_scratch *x = conn_scratch();
	struct bpvs_dest *d;

	if (!x)
		return BPVS_BUG_MAP;
	d = dest_get(x->hit.dest);
	if (!d)
		return BPVS_BUG_MAP;
	if (x->flow.af == BPVS_V4)
		return reply ? emit_family(ctx, x, d, BPVS_V4, true)
			     : emit_family(ctx, x, d, BPVS_V4, false);
	return reply ? emit_family(ctx, x, d, BPVS_V6, true)
		     : emit_family(ctx, x, d, BPVS_V6, false);
}

static __always_inline int pkt_emit(pkt_t *pkt, struct bpvs_flow *f, const struct conn_hit *hit,
				    const struct bpvs_dest *d, const struct bpvs_hop *hop,
				    bool reply)
{
	struct conn_scratch *x = conn_scratch();

	(void)pkt, (void)d;
	if (!x)
		return BPVS_BUG_MAP;
	if (unlikely(f->flags & FLOW_OUT) && addr_is_loopback(&f->saddr, f->af == BPVS_V6))
		return BPVS_NO_ROUTE;
	x->hit = *hit;
	x->hop = *hop;
	if (unlikely(hit->flags & BPVS_CONN_APP))
		return reply ? LATER_APP_REPLY : LATER_APP;
	return reply ? LATER_EMIT_REPLY : LATER_EMIT;
}

static __always_inline int run_emit(ctx_t *ctx, int v)
{
	__u32 later = v & 0xffff;

	if (unlikely(later >= LATER_APP)) {
		v = HOOK(ftp)(ctx, later == LATER_APP_REPLY);
		if (v != BPVS_GO_ON)
			return v;
		later -= LATER_APP - LATER_EMIT;
	}
	return likely(later >= LATER_EMIT) ? HOOK(emit)(ctx, later == LATER_EMIT_REPLY) : v;
}
