/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: one endpoint is replaced, the checksums follow; one hop is counted. */
#pragma once

#include "ttl.h"

/*
 * A UDP datagram without checksum gets one, as in IPVS, and SCTP's may be still to be made by the
 * device that sends it: is this one of them?
 */
static __always_inline bool nat_unsummed(const pkt_t *pkt, const struct bpvs_flow *f)
{
	struct sctp_header *sh = pkt->trans;
	struct udphdr *uh = pkt->trans;

	if (likely(f->proto == IPPROTO_TCP) || (f->flags & FLOW_FRAG))
		return false;
	if (f->proto == IPPROTO_UDP)
		return (void *)(uh + 1) <= pkt->end && !uh->check;
	return (void *)(sh + 1) <= pkt->end && !sh->check;
}

/*
 * SCTP's checksum covers no address, and it covers what a fragment has not: with another port a
 * fragment would be as good as lost, so it is dropped.
 */
static __always_inline enum bpvs_verdict nat_sctp(pkt_t *pkt, const struct bpvs_flow *f,
						  __be16 to_port, bool reply, bool unsummed)
{
	struct sctp_header *sh = pkt->trans;
	__be16 *port = reply ? &sh->source : &sh->dest;
	__u32 diff = f->sport ^ to_port;

	if (!reply)
		diff = (__u32)(f->dport ^ to_port) << 16;
	if (!diff)
		return BPVS_GO_ON;
	if (f->flags & FLOW_FRAG)
		return BPVS_FRAG_SUM;
	if ((void *)(sh + 1) > pkt->end)
		return BPVS_WRITE;
	*port = to_port;
	if (unlikely(unsummed) && pkt_sctp_pending(pkt, f))
		return BPVS_GO_ON;
	diff = bpvs_crc32c_diff(diff, f->len - (f->l4 - f->l3));
	sh = pkt_at(pkt, f->l4, sizeof(*sh));
	if (!sh)
		return BPVS_WRITE;
	sh->check ^= diff;
	return BPVS_GO_ON;
}

static __always_inline void nat_ip4(pkt_t *pkt, __be32 to, bool reply)
{
	struct iphdr *ip = pkt->net;
	__be32 *addr = reply ? &ip->saddr : &ip->daddr;
	__u32 diff = csum_diff32(*addr, to);

	*addr = to;
	ip->check = csum_update(ip->check, diff + ttl_down4(ip));
}

static __always_inline void nat_ip6(pkt_t *pkt, const struct bpvs_addr *to, bool reply)
{
	struct ipv6hdr *ip = pkt->net;

	__builtin_memcpy(reply ? &ip->saddr : &ip->daddr, to, sizeof(*to));
	ip->hop_limit--;
}

static __always_inline enum bpvs_verdict nat_rewrite(pkt_t *pkt, const struct bpvs_flow *f,
						     const struct conn_hit *hit, bool reply)
{
	const struct bpvs_addr *old = reply ? &f->saddr : &f->daddr;
	bool udp = f->proto == IPPROTO_UDP, unsummed = nat_unsummed(pkt, f);
	__u32 pseudo, port;
	__be16 *ports;

	if (pkt->af == BPVS_V4) {
		pseudo = csum_diff32(old->w[3], hit->to.w[3]);
		nat_ip4(pkt, hit->to.w[3], reply);
	} else {
		pseudo = csum_diff_addr(old, &hit->to);
		nat_ip6(pkt, &hit->to, reply);
	}
	if (unlikely(f->proto == IPPROTO_SCTP))
		return nat_sctp(pkt, f, hit->to_port, reply, unsummed);
	if (unlikely(f->flags & FLOW_FRAG_LATER))
		return BPVS_GO_ON;
	ports = pkt->trans;
	if ((void *)(ports + 2) > pkt->end)
		return BPVS_WRITE;
	port = csum_diff16(ports[!reply], hit->to_port);
	ports[!reply] = hit->to_port;
	if (unlikely(unsummed))
		return pkt_udp_csum(pkt, f, reply ? &hit->to : &f->saddr,
				    reply ? &f->daddr : &hit->to);
	return pkt_csum_l4(pkt, f, pseudo, port, udp) ? BPVS_WRITE : BPVS_GO_ON;
}
