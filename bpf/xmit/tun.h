/* SPDX-License-Identifier: GPL-2.0-only */
/* Tunnel: the whole packet in an outer IP header, in all four pairs of families. */
#pragma once

#include "encap.h"
#include "ttl.h"

#define ECN_MASK 3
#define ECN_CE	 3
#define ECN_ECT0 2

static __always_inline __u32 tun_overhead(const struct bpvs_dest *d, __u8 tunnel)
{
	return (d->af == BPVS_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) +
	       tunnel_kind(tunnel)->len;
}

/* The outer header never says "congestion experienced" of its own accord. */
static __always_inline __u8 tun_tos(__u8 inner)
{
	return (inner & ECN_MASK) == ECN_CE ? (inner & ~ECN_MASK) | ECN_ECT0 : inner;
}

static __always_inline __u8 tun_proto(const struct bpvs_flow *f, __u8 tunnel)
{
	return tunnel_kind(tunnel)->proto ?: f->af == BPVS_V4 ? IPPROTO_IPIP : IPPROTO_IPV6;
}

static __always_inline enum bpvs_verdict tun_outer4(pkt_t *pkt, const struct bpvs_flow *f,
						    const struct bpvs_dest *d, __u8 tunnel)
{
	struct iphdr *ip = pkt->data + ETH_HLEN;
	bool df = f->af == BPVS_V4 && (f->flags & FLOW_DF) && READ_ONCE(bpvs_cfg.pmtu_disc);
	__u64 sum = 0;
	__u16 *w;
	int i;

	if ((void *)(ip + 1) > pkt->end)
		return BPVS_WRITE;
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = tun_tos(f->tos);
	ip->tot_len = bpf_htons((__u16)(f->len + tunnel_kind(tunnel)->len + sizeof(*ip)));
	/* A packet that is not fragmented needs no identity (RFC 6864). */
	ip->id = df ? 0 : (__be16)bpf_get_prandom_u32();
	ip->frag_off = df ? bpf_htons(IP_FRAG_DF) : 0;
	ip->ttl = f->ttl - 1;
	ip->protocol = tun_proto(f, tunnel);
	ip->check = 0;
	ip->saddr = d->tun_src.w[3];
	ip->daddr = d->addr.w[3];
	w = (__u16 *)ip;
	for (i = 0; i < 10; i++)
		sum += w[i];
	ip->check = (__u16)~csum_fold32(sum);
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict tun_outer6(pkt_t *pkt, const struct bpvs_flow *f,
						    const struct bpvs_dest *d, __u8 tunnel)
{
	struct ipv6hdr *ip = pkt->data + ETH_HLEN;
	__u8 tos = tun_tos(f->tos);

	if ((void *)(ip + 1) > pkt->end)
		return BPVS_WRITE;
	*(__be32 *)ip = bpf_htonl(6U << 28 | (__u32)tos << 20);
	ip->payload_len = bpf_htons((__u16)(f->len + tunnel_kind(tunnel)->len));
	ip->nexthdr = tun_proto(f, tunnel);
	ip->hop_limit = f->ttl - 1;
	__builtin_memcpy(&ip->saddr, &d->tun_src, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &d->addr, sizeof(ip->daddr));
	return BPVS_GO_ON;
}

/*
 * One hop less inside, room, and the outer header. Where XDP has no room, or the sum of the packet
 * is wanted and not known, the packet goes up to TC as it came, so these steps come first there;
 * `net` has to be found again behind them.
 */
static __always_inline enum bpvs_verdict tun_wrap(pkt_t *pkt, struct bpvs_flow *f,
						  const struct bpvs_dest *d, __u32 id)
{
	__u8 tunnel = tunnel_of(f, d);
	bool outer6 = d->af == BPVS_V6;
	__u32 len = tun_overhead(d, tunnel);
	union tunnel_how how = {};
	enum bpvs_verdict v;

	if (!d->tun_src.d[0] && !d->tun_src.d[1])
		return BPVS_TUN_SOURCE;
	if (unlikely(tunnel)) {
		if (tunnel_no_batch(f, d))
			return BPVS_TUN_BATCH;
		how.tunnel = tunnel;
		how.port = bpf_htons(tunnel_port(f));
		how.l4_len = (__u16)(f->len - (f->l4 - f->l3));
		how.proto = f->proto;
		how.v6 = f->af == BPVS_V6;
		how.known = tunnel & TUNNEL_SUMMED && tunnel_sum_known(pkt, f);
		if (!PKT_COMPLETE && tunnel & TUNNEL_SUMMED && !how.known)
			return BPVS_UP_CSUM;
	}
	v = pkt_push_l3(pkt, f, len, outer6, tunnel);
	if (v != BPVS_GO_ON)
		return v;
	v = outer6 ? tun_outer6(pkt, f, d, tunnel) : tun_outer4(pkt, f, d, tunnel);
	if (v != BPVS_GO_ON)
		return v;
	f->l3 = ETH_HLEN + len;
	pkt->net = pkt->data + ETH_HLEN + len;
	if (pkt->net + (pkt->af == BPVS_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) >
	    pkt->end)
		return BPVS_WRITE;
	ttl_down(pkt);
	return unlikely(tunnel) ? HOOK(tunnel_head)(pkt->ctx, id, f->len, how.word) : BPVS_GO_ON;
}
