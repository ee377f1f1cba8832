/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cache_bypass: what a firewall mark's service has no server for goes where the client meant it to,
 * when that is another host: a farm of web caches that is down must not take the web with it. Such
 * a connection has no destination, and is TC's alone.
 */
#pragma once

#include "emit_tc.h"

static __always_inline int bypass_emit(ctx_t *ctx, struct conn_scratch *x, __u8 af)
{
	int act;
	pkt_t pkt;

	if (!pkt_reopen(&pkt, ctx, &x->flow, af))
		return BPVS_WRITE;
	ttl_down(&pkt);
	/* It has its route. */
	if (x->flow.flags & FLOW_OUT)
		return TC_ACT_OK << 16 | BPVS_BYPASSED;
	act = pkt_send(&pkt, &x->flow, &x->hop, af == BPVS_V6);
	return act < 0 ? BPVS_WRITE : act << 16 | BPVS_BYPASSED;
}

/*
 * No way for x->flow. To IPVS that makes it no connection, and it is refused; but in IPv6, where
 * any address but multicast's makes one, whose packets end here.
 */
static __always_inline int bypass_none(struct conn_scratch *x, enum bpvs_verdict why)
{
	if (x->hit.idx != ~0U)
		return (int)why;
	if (x->flow.af == BPVS_V4 || (bpf_ntohl(x->flow.daddr.w[0]) >> 24) == 0xff)
		return answer_no_dest(x, 0);
	if (!bpvs_bypass_make(x))
		return BPVS_TABLE_FULL;
	conn_touch(&x->hit, &x->flow, clock_now(), false);
	return (int)why;
}

/* The packet x->flow of the connection x->hit; where that has no slot it is to be made. */
__noinline int HOOK(bypass)(ctx_t *ctx)
{
	struct conn_scratch *x = conn_scratch();
	enum bpvs_verdict v;
	struct hop_query q = {};

	if (!x)
		return BPVS_BUG_MAP;
	q.to = &x->flow.daddr;
	q.v6 = x->flow.af == BPVS_V6;
	fib_fill(&x->fib, &q);
	/* An address of this host has none, nor has one that is nobody's alone. */
	v = hop_outcome(x, hop_lookup(ctx, x));
	if (v != BPVS_GO_ON)
		return bypass_none(x, v);
	if (x->hit.idx == ~0U && !bpvs_bypass_make(x))
		return BPVS_TABLE_FULL;
	/* Nothing of a one-packet service else tells that the later ones go there, too. */
	if (x->flow.flags & FLOW_FRAG)
		HOOK(fragment)(true);
	conn_touch(&x->hit, &x->flow, clock_now(), false);
	v = refused(&x->flow, x->hop.mtu, false);
	if (v != BPVS_GO_ON)
		return answer_refused(&x->flow, v, &x->flow.daddr, x->hop.mtu, 0);
	return q.v6 ? bypass_emit(ctx, x, BPVS_V6) : bypass_emit(ctx, x, BPVS_V4);
}

static __always_inline int run_bypass(ctx_t *ctx)
{
	return HOOK(bypass)(ctx);
}
