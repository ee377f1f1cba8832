/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services by firewall mark. Netfilter marks a packet behind TC ingress, so that is too early for
 * them: a routing rule sends what bears a service's mark out by the device bpvs0 (lib/mark.c),
 * which takes it in again, and at its ingress it is walked. (Not at the egress: there it still has
 * its route, and with that the wrong neighbour, should the right one have to be resolved.)
 *
 * Once a connection exists it is found by its addresses, as in IPVS, which looks for one before it
 * asks for the mark. So the address goes into the filter of VIPs, and the connection's next packets
 * are served at the ingress of the device they come by. What is the stack's after all goes on from
 * bpvs0, from where no rule leads back here.
 */
#pragma once

#include "pipeline.h"

/*
 * A marked service's packets to this host itself, all by the same device: were they left to be
 * routed to bpvs0 with the mark, the stack would find their socket first, and then drop what is to
 * be forwarded and has one.
 */
static __always_inline int mark_local(pkt_t *pkt, const struct bpvs_dest *d, enum bpvs_verdict v)
{
	static const __u8 mac[8] = BPVS_MARK_MAC;
	__u32 dev = READ_ONCE(bpvs_cfg.mark_ifindex);
	struct bpvs_svc *svc;

	if (likely(!dev) || pkt->ctx->ifindex == dev)
		return v;
	svc = svc_get(d->svc);
	if (!svc || !svc->key.fwmark)
		return v;
	if (pkt->data + ETH_HLEN > pkt->end)
		return BPVS_WRITE;
	/* What a device takes in for the host is addressed to it. */
	mac_write(pkt->data, *(const __u64 *)mac);
	pkt->ctx->mark = 0;
	return sent((int)bpf_redirect(dev, BPF_F_INGRESS), BPVS_LOCAL_MARK);
}

/* The stack has counted a hop on the way to here; IPVS counts one in all. */
static __always_inline void mark_hop_back(ctx_t *ctx)
{
	pkt_t pkt;

	pkt_open(&pkt, ctx);
	pkt.af = ctx->protocol == bpf_htons(ETH_P_IP) ? BPVS_V4 : BPVS_V6;
	pkt.net = pkt.data + ETH_HLEN;
	if (pkt.net + (pkt.af == BPVS_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) <=
	    pkt.end)
		ttl_up(&pkt);
}

static __always_inline void mark_learn(int v)
{
	struct conn_scratch *x = conn_scratch();
	__u32 bit, word;

	if (!x || (v != BPVS_NAT_IN && v != BPVS_DR && v != BPVS_TUN && v != BPVS_LOCAL &&
		   v != BPVS_LOCAL_NAT && v != BPVS_BYPASSED))
		return;
	bit = bpvs_filter_bit(&x->flow.daddr);
	word = bit / 64 & (BPVS_FILTER_BITS / 64 - 1);
	if (!(READ_ONCE(bpvs_filter.vip[word]) >> (bit & 63) & 1))
		fetch_or64(&bpvs_filter.vip[word], 1ULL << (bit & 63));
}

/* Egress of bpvs0. */
static __always_inline int run_mark_out(ctx_t *ctx)
{
	/* Unmarked, made on this host, or in by bpvs0 before: a rule is missing. */
	if (!ctx->mark || !ctx->ingress_ifindex || ctx->ingress_ifindex == ctx->ifindex) {
		count(BPVS_MARK_STRAY);
		return TC_ACT_SHOT;
	}
	mark_hop_back(ctx);
	return (int)bpf_redirect(ctx->ifindex, BPF_F_INGRESS);
}

/* Ingress of bpvs0. Without a mark it is of pkt_local(). */
static __always_inline int run_marked(ctx_t *ctx)
{
	int v;

	if (!ctx->mark)
		return PKT_PASS;
	v = run_walks(ctx, LOOK_MARK);
	mark_learn(v & 0xffff);
	return finish(v);
}
