/* SPDX-License-Identifier: GPL-2.0-only */
/* The stages that only TC can do; each hook's file says how (answer_xdp.h hands up). */
#pragma once

/* No usable destination for x->flow: port unreachable. */
static int answer_no_dest(struct conn_scratch *x, __u32 counts);

/* `why` is TTL, TOO_BIG (mtu says to what) or FRAG_DROP; `from` is the answer's source. */
static int answer_refused(const struct bpvs_flow *f, enum bpvs_verdict why,
			  const struct bpvs_addr *from, __u32 mtu, __u32 counts);

/* ICMP: translate or pass on errors about connections, leave the rest. */
static int icmp_related(pkt_t *pkt, struct bpvs_flow *f);

/*
 * x->flow is a fragment: learn the ports from the first, know them for the others. `started`:
 * x->hit says where it goes.
 */
static int fragment(bool started);

/* Read the Call-ID of x->flow into x->call: 0, or the verdict that hands up. */
static int call_read(ctx_t *ctx, struct conn_scratch *x);

/* Begin a connection of x->flow, which is from a real server: BPVS_GO_ON, or there is none. */
static int call_out(ctx_t *ctx, struct conn_scratch *x);

/* The flow of a connection without a destination, into x->hit: LATER_BYPASS, or up. */
static int conn_bypass(const struct bpvs_flow *f, const struct conn_hit *hit);

/* Forward what LATER_BYPASS stands for. */
static int run_bypass(ctx_t *ctx);

/* What LATER_ICMP, LATER_STRAY, LATER_OUT, LATER_HERE, its REPLY and LATER_ANSWER stand for. */
static int run_special(ctx_t *ctx, struct conn_scratch *x, int later);

/* To the real server that is this host. */
static int pkt_local(pkt_t *pkt, const struct bpvs_flow *f, const struct conn_hit *hit,
		     const struct bpvs_dest *d);

/* To or from a process on this host: LATER_HERE or LATER_HERE_REPLY. */
static int emit_here(const struct conn_hit *hit, bool reply);

/* emit(), or LATER_EMIT: from where the hook's verifier budget and the stack allow it. */
static int pkt_emit(pkt_t *pkt, struct bpvs_flow *f, const struct conn_hit *hit,
		    const struct bpvs_dest *d, const struct bpvs_hop *hop, bool reply);

/* What a walk returned; LATER_EMIT is done. */
static int run_emit(ctx_t *ctx, int v);
