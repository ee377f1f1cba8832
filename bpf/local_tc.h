/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients and real servers on the director itself. What this host sends is met at egress, lo's and
 * the devices' (lib/out.c says when), and walked as what comes in is:
 *
 *   a client's request   made a packet to its real server, it goes in at lo, marked by its link
 *                        header, and from there out (bpvs_let_out): so it loses the route that the
 *                        stack gave it, which the kernel would ask for a neighbour once more
 *   the answer to one    comes in by a device; with the virtual address on it is let in where that
 *                        address is reached, so that reverse path filters find nothing wrong: by
 *                        lo, when it is an address of ours
 *   a server's answer    gets the virtual address, and goes on as it was routed
 *
 * What came in by a device has been looked at there, and is known by skb->skb_iif.
 */
#pragma once

#include "mark_tc.h"

#define LO_IFINDEX 1

static __always_inline int emit_here(const struct conn_hit *hit, bool reply)
{
	struct conn_scratch *x = conn_scratch();

	if (!x)
		return BPVS_BUG_MAP;
	x->hit = *hit;
	return reply ? LATER_HERE_REPLY : LATER_HERE;
}

static __always_inline int pkt_local(pkt_t *pkt, const struct bpvs_flow *f,
				     const struct conn_hit *hit, const struct bpvs_dest *d)
{
	if ((hit->flags & BPVS_CONN_FWD) == BPVS_FWD_LOCAL_NAT)
		return emit_here(hit, false);
	if (unlikely(f->flags & FLOW_OUT))
		/* Without a new address it would leave for the host that has the old one. */
		return pkt->ctx->ifindex == LO_IFINDEX ? BPVS_LOCAL : BPVS_NO_ROUTE;
	return mark_local(pkt, d, BPVS_LOCAL);
}

/* In by the device that x->fib's destination, the packet's source, is reached by. */
__noinline int HOOK(let_in)(ctx_t *ctx)
{
	struct conn_scratch *x = conn_scratch();
	__u32 to = LO_IFINDEX, i;
	struct bpvs_dev *dev;
	__u64 mac = 0;
	pkt_t pkt;

	if (!x)
		return -1;
	if (hop_lookup(ctx, x) != BPVS_NO_ROUTE) {
		i = x->hop.ifindex % BPVS_DEVS;
		dev = bpf_map_lookup_elem(&bpvs_devs, &i);
		if (dev && dev->ifindex == x->hop.ifindex) {
			to = dev->ifindex;
			/* What a device takes in for the host is addressed to it. */
			__builtin_memcpy(&mac, dev->mac, sizeof(dev->mac));
		}
	}
	pkt_open(&pkt, ctx);
	if (pkt.data + ETH_HLEN > pkt.end)
		return -1;
	mac_write(pkt.data, mac);
	return (int)bpf_redirect(to, BPF_F_INGRESS);
}

/* As what comes from `from`. */
static __always_inline int let_in_from(ctx_t *ctx, struct conn_scratch *x,
				       const struct bpvs_addr *from)
{
	struct hop_query q = { .to = from, .v6 = x->flow.af == BPVS_V6 };

	fib_fill(&x->fib, &q);
	return HOOK(let_in)(ctx);
}

/* NAT without a hop: nothing is forwarded. */
static __always_inline enum bpvs_verdict here_rewrite(ctx_t *ctx, struct conn_scratch *x, __u8 af,
						      bool reply)
{
	const struct bpvs_addr *old = reply ? &x->flow.saddr : &x->flow.daddr;
	enum bpvs_verdict v;
	pkt_t pkt;

	if (!pkt_reopen(&pkt, ctx, &x->flow, af))
		return BPVS_WRITE;
	ttl_up(&pkt);
	v = nat_rewrite(&pkt, &x->flow, &x->hit, reply);
	/*
	 * Where a device has summed the whole packet up: its IPv6 addresses and checksum have
	 * changed by the same, of which the helper for the checksum knows one half.
	 */
	if (af == BPVS_V6 && v == BPVS_GO_ON && !(x->flow.flags & FLOW_FRAG_LATER))
		bpf_csum_update(ctx, csum_diff_addr(old, &x->hit.to));
	return v;
}

static __always_inline int here_request(ctx_t *ctx, struct conn_scratch *x,
					const struct bpvs_dest *d)
{
	pkt_t pkt;

	if (!(x->flow.flags & FLOW_OUT)) {
		pkt_open(&pkt, ctx);
		return mark_local(&pkt, d, BPVS_LOCAL_NAT);
	}
	if (ctx->ifindex == LO_IFINDEX)
		return BPVS_LOCAL_NAT;
	/* To an address that is not ours, it would have left. */
	return sent(let_in_from(ctx, x, &x->flow.saddr), BPVS_LOCAL_IN);
}

/* LATER_HERE and LATER_HERE_REPLY. */
__noinline int HOOK(here)(ctx_t *ctx, __u32 reply)
{
	struct conn_scratch *x = conn_scratch();
	struct bpvs_dest *d = x ? dest_get(x->hit.dest) : NULL;
	int v;

	if (!x || !d)
		return BPVS_BUG_MAP;
	v = x->flow.af == BPVS_V4 ? here_rewrite(ctx, x, BPVS_V4, reply)
				  : here_rewrite(ctx, x, BPVS_V6, reply);
	if (v != BPVS_GO_ON)
		return v;
	if (!reply)
		return here_request(ctx, x, d);
	return x->flow.flags & FLOW_OUT ? BPVS_LOCAL_REPLY
					: sent(let_in_from(ctx, x, &x->hit.to), BPVS_LOCAL_IN);
}

/*
 * LATER_OUT. By NAT the answer has the real server's endpoint, else the virtual one, of whatever
 * address the server is: IPVS finds those, too.
 */
__noinline int HOOK(out_reply)(void)
{
	struct conn_scratch *x = conn_scratch();
	struct bpvs_dest *d;
	__u32 now = clock_now();

	if (!x)
		return BPVS_BUG_MAP;
	key_reply(&x->n.key, &x->flow, now);
	if (!out_find(x, true) && !reply_stateless(&x->flow, now, &x->hit)) {
		x->n.key.reply = 0;
		if (!out_find(x, false))
			return READ_ONCE(bpvs_cfg.nat_icmp_send) ? LATER_STRAY : BPVS_NO_REPLY;
	}
	d = dest_get(x->hit.dest);
	if (!d)
		return BPVS_BUG_MAP;
	if (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE)
		account(d, x->hit.dest, x->flow.len, true);
	conn_touch(&x->hit, &x->flow, now, true);
	return x->n.key.reply ? LATER_HERE_REPLY : BPVS_LOCAL_REPLY;
}

static __always_inline int run_here(ctx_t *ctx, int later)
{
	int v;

	if (later == LATER_OUT)
		later = HOOK(out_reply)();
	if (later != LATER_HERE && later != LATER_HERE_REPLY)
		return later;
	/* As run_emit() does with what is forwarded; it asks itself, to spare the verifier that. */
	if (later == LATER_HERE_REPLY) {
		v = HOOK(ftp)(ctx, true);
		if (v != BPVS_GO_ON)
			return v;
	}
	return HOOK(here)(ctx, later == LATER_HERE_REPLY);
}

/* bpvs_out_walk, which bpvs_out goes on to: filled by the engine, pinned as long as it is there. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bpvs_out_next SEC(".maps");

/*
 * In skb->tc_index, which begins as 0: what leaves by a macvlan or ipvlan device leaves by the one
 * below it, too. Nothing else uses that field any more but GRED, and of it the last four bits.
 */
#define OUT_SEEN 0x7060

static __always_inline bool out_marked(const ctx_t *ctx)
{
	return unlikely(ctx->mark && READ_ONCE(bpvs_cfg.mark_ifindex));
}

static __always_inline bool out_ours(ctx_t *ctx)
{
	struct bpvs_flow f = {};
	__be16 proto = 0;
	pkt_t pkt;

	pkt_open(&pkt, ctx);
	if (pkt_vlan_stripped(&pkt) || parse_link(&pkt, &f, &proto) != BPVS_GO_ON)
		return false;
	if (proto == bpf_htons(ETH_P_IP))
		return look4(&pkt, f.l3, true);
	return proto == bpf_htons(ETH_P_IPV6) && look6(&pkt, f.l3, true);
}

/*
 * Egress. A program apart that writes to no packet: of one that does the kernel has each packet's
 * header copied first, for TCP's are shared with its queue. What is not ours is not counted: no
 * packet that came in has been here.
 */
static __always_inline int run_out(ctx_t *ctx)
{
	if (!ctx->ingress_ifindex && ctx->tc_index != OUT_SEEN &&
	    (out_marked(ctx) || out_ours(ctx)))
		bpf_tail_call(ctx, &bpvs_out_next, 0);
	return PKT_PASS;
}

static __always_inline int run_out_walk(ctx_t *ctx)
{
	__u32 how = out_marked(ctx) ? LOOK_OUT | LOOK_MARK : LOOK_OUT;
	int v = run_walks(ctx, how);

	if (!ctx->tc_index)
		ctx->tc_index = OUT_SEEN;
	if (how & LOOK_MARK)
		mark_learn(v & 0xffff);
	return finish(v);
}

/*
 * The next hop with its gateway, which is not kept: at egress it was this packet's turn to have the
 * neighbour confirmed, but that can only be done here.
 */
static __always_inline enum bpvs_verdict out_hop(ctx_t *ctx, const struct hop_query *q,
						 struct bpvs_hop *hop)
{
	struct conn_scratch *x = conn_scratch();
	enum bpvs_verdict v;

	if (!x)
		return BPVS_BUG_MAP;
	fib_fill(&x->fib, q);
	v = hop_outcome(x, hop_lookup(ctx, x));
	*hop = x->hop;
	return v;
}

/*
 * lo's ingress: what pkt_send_out() sent this way, to the destination `id`, perhaps with
 * BPVS_OUT_RESOLVE.
 */
__noinline int bpvs_let_out(struct __sk_buff *ctx, __u32 id)
{
	struct bpvs_dest *d = dest_get(id & ~BPVS_OUT_RESOLVE);
	struct hop_query q = {};
	enum bpvs_verdict v;
	struct bpvs_hop hop;
	pkt_t pkt;
	int act;

	if (!d)
		return TC_ACT_SHOT;
	q.to = &d->addr;
	q.v6 = d->af == BPVS_V6;
	pkt_open(&pkt, ctx);
	v = id & BPVS_OUT_RESOLVE ? out_hop(ctx, &q, &hop)
				  : hop_get(&pkt, &d->nh, &q, clock_now(), &hop);
	pkt_open(&pkt, ctx);
	act = v == BPVS_GO_ON ? pkt_to_hop(&pkt, &hop) : -1;
	if (act >= 0)
		return act;
	count(v == BPVS_GO_ON ? BPVS_WRITE : v);
	return TC_ACT_SHOT;
}
