/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: one endpoint is replaced, the checksums follow; one hop is counted. */
#pragma once

#include "ttl.h"

#define TCP_CSUM 16
#define UDP_CSUM 6

/* A UDP datagram without checksum gets one, as in IPVS; is this one? */
static __always_inline bool nat_unsummed(const pkt_t *pkt, const struct bpvs_flow *f)
{
	struct udphdr *uh;

	if (f->proto != IPPROTO_UDP || (f->flags & FLOW_FRAG))
		return false;
	uh = pkt_at(pkt, f->l4, sizeof(*uh));
	return uh && !uh->check;
}

static __always_inline enum bpvs_verdict nat_ip4(pkt_t *pkt, const struct bpvs_flow *f, __be32 to,
						 bool reply)
{
	struct iphdr *ip = pkt_at(pkt, f->l3, sizeof(*ip));
	__be32 *addr;
	__u32 diff;

	if (!ip)
		return BPVS_WRITE;
	addr = reply ? &ip->saddr : &ip->daddr;
	diff = csum_diff32(*addr, to);
	*addr = to;
	ip->check = csum_update(ip->check, diff + ttl_down4(ip));
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict nat_ip6(pkt_t *pkt, const struct bpvs_flow *f,
						 const struct bpvs_addr *to, bool reply)
{
	struct ipv6hdr *ip = pkt_at(pkt, f->l3, sizeof(*ip));

	if (!ip)
		return BPVS_WRITE;
	__builtin_memcpy(reply ? &ip->saddr : &ip->daddr, to, sizeof(*to));
	ip->hop_limit--;
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict nat_rewrite(pkt_t *pkt, const struct bpvs_flow *f,
						     const struct conn_hit *hit, bool reply)
{
	const struct bpvs_addr *old = reply ? &f->saddr : &f->daddr;
	bool udp = f->proto == IPPROTO_UDP, unsummed = nat_unsummed(pkt, f);
	enum bpvs_verdict v;
	__u32 pseudo, port;
	__be16 *ports;

	if (f->af == BPVS_V4) {
		pseudo = csum_diff32(old->w[3], hit->to.w[3]);
		v = nat_ip4(pkt, f, hit->to.w[3], reply);
	} else {
		pseudo = csum_diff_addr(old, &hit->to);
		v = nat_ip6(pkt, f, &hit->to, reply);
	}
	if (v != BPVS_GO_ON || (f->flags & FLOW_FRAG_LATER))
		return v;
	ports = pkt_at(pkt, f->l4, 4);
	if (!ports)
		return BPVS_WRITE;
	port = csum_diff16(ports[!reply], hit->to_port);
	ports[!reply] = hit->to_port;
	if (unlikely(unsummed))
		return pkt_udp_csum(pkt, f, reply ? &hit->to : &f->saddr, reply ? &f->daddr : &hit->to);
	return pkt_csum_l4(pkt, f->l4 + (udp ? UDP_CSUM : TCP_CSUM), pseudo, port, udp) ? BPVS_WRITE :
											  BPVS_GO_ON;
}
