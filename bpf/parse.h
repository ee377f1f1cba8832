/* SPDX-License-Identifier: GPL-2.0-only */
/* From bytes to a flow. Every read is checked; nothing here writes to the packet. */
#pragma once

#include "flow.h"
#include "sctp.h"
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* <linux/icmp.h> draws in the C library, which has no BPF flavour; these are all that is needed. */
#define ICMP4_DEST_UNREACH  3
#define ICMP4_SOURCE_QUENCH 4
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PORT_UNREACH  3
#define ICMP4_FRAG_NEEDED   4

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be16 unused;
	__be16 mtu; /* ICMPv6 has 32 bits of it, from `unused` on */
};

/* No IPv6 path is narrower, whatever an error says. */
#define IPV6_MIN_MTU 1280

#define IP_FRAG_OFFSET 0x1fff
#define IP_FRAG_MORE   0x2000
#define IP_FRAG_DF     0x4000

/* IPv6 extension headers walked before giving up. */
#define EXT_HEADERS 6

struct ext_header {
	__u8 next;
	__u8 len; /* in 8 bytes, less one */
};

struct frag_header {
	__u8 next;
	__u8 reserved;
	__be16 off; /* 13 bits offset, 2 reserved, 1 more */
	__be32 id;
};

/*
 * The protocol, to branch on: a copy that the verifier does not know to be one, for it would follow
 * each protocol to the walk's end.
 */
static __always_inline __u64 proto_of(const struct bpvs_flow *f)
{
	__u64 proto = f->proto;

	asm volatile("%0 &= 255" : "+r"(proto));
	return proto;
}

static __always_inline enum bpvs_verdict parse_link(pkt_t *pkt, struct bpvs_flow *f,
						    __be16 *ret_proto)
{
	struct ethhdr *eth = pkt->data;
	struct vlan_tag *tag;

	if (pkt->data + sizeof(*eth) > pkt->end)
		return BPVS_SHORT;
	*ret_proto = *(__be16 *)(pkt->data + offsetof(struct ethhdr, h_proto));
	f->l3 = sizeof(*eth);
	if (unlikely(*ret_proto == bpf_htons(ETH_P_8021Q))) {
		tag = pkt->data + sizeof(*eth);
		if (pkt->data + sizeof(*eth) + sizeof(*tag) > pkt->end)
			return BPVS_SHORT;
		*ret_proto = tag->proto;
		f->flags |= FLOW_VLAN;
		f->l3 += sizeof(*tag);
	}
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict parse_ip4(pkt_t *pkt, struct bpvs_flow *f)
{
	struct iphdr *ip = pkt->net = pkt->data + f->l3;
	__u16 frag;

	if (pkt->net + sizeof(*ip) > pkt->end || ip->version != 4 || ip->ihl < 5)
		return BPVS_SHORT;
	f->len = pkt_l3_len(pkt, f->l3, bpf_ntohs(ip->tot_len));
	if (f->len < ip->ihl * 4U)
		return BPVS_SHORT;
	addr_map4(&f->saddr, ip->saddr);
	addr_map4(&f->daddr, ip->daddr);
	f->proto = ip->protocol;
	f->ttl = ip->ttl;
	f->tos = ip->tos;
	f->l4 = f->l3 + ip->ihl * 4;
	frag = ip->frag_off;
	if (frag & bpf_htons(IP_FRAG_DF))
		f->flags |= FLOW_DF;
	if (unlikely(frag & bpf_htons(IP_FRAG_MORE | IP_FRAG_OFFSET))) {
		f->flags |= FLOW_FRAG;
		if (frag & bpf_htons(IP_FRAG_OFFSET))
			f->flags |= FLOW_FRAG_LATER;
		f->frag_id = ip->id;
	}
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict parse_ext6(pkt_t *pkt, struct bpvs_flow *f)
{
	struct frag_header *frag;
	struct ext_header *ext;
	int i;

	for (i = 0; i < EXT_HEADERS; i++) {
		switch (f->proto) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			ext = pkt_at(pkt, f->l4, sizeof(*ext));
			if (!ext)
				return BPVS_SHORT;
			f->proto = ext->next;
			f->l4 += (ext->len + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			frag = pkt_at(pkt, f->l4, sizeof(*frag));
			if (!frag)
				return BPVS_SHORT;
			f->proto = frag->next;
			f->l4 += sizeof(*frag);
			f->frag_id = frag->id;
			f->flags |= FLOW_FRAG;
			if (frag->off & bpf_htons(0xfff8)) {
				f->flags |= FLOW_FRAG_LATER;
				return BPVS_GO_ON;
			}
			break;
		default:
			return BPVS_GO_ON;
		}
		if (f->l4 > 0x300)
			return BPVS_SHORT;
	}
	return BPVS_SHORT;
}

static __always_inline enum bpvs_verdict parse_ip6(pkt_t *pkt, struct bpvs_flow *f)
{
	struct ipv6hdr *ip = pkt->net = pkt->data + f->l3;
	__u64 proto;

	if (pkt->net + sizeof(*ip) > pkt->end || ip->version != 6)
		return BPVS_SHORT;
	f->len = pkt_l3_len(pkt, f->l3, bpf_ntohs(ip->payload_len) + sizeof(*ip));
	__builtin_memcpy(&f->saddr, &ip->saddr, sizeof(f->saddr));
	__builtin_memcpy(&f->daddr, &ip->daddr, sizeof(f->daddr));
	f->proto = ip->nexthdr;
	f->ttl = ip->hop_limit;
	f->tos = (__u8)(ip->priority << 4 | ip->flow_lbl[0] >> 4);
	f->l4 = f->l3 + sizeof(*ip);
	f->flags |= FLOW_DF;
	proto = proto_of(f);
	if (likely(proto == IPPROTO_TCP || proto == IPPROTO_UDP))
		return BPVS_GO_ON;
	return parse_ext6(pkt, f);
}

/*
 * The chunks at `at` as a flow's flags (sctp.h). Behind `end` stands what pads the frame, no chunk.
 * Global, so that the verifier follows no flag through the walk.
 */
__noinline int HOOK(sctp_flags)(ctx_t *ctx, __u32 at, __u32 end)
{
	struct sctp_chunk c = {};
	__u32 type;

	if (at + sizeof(c) > end || PKT_LOAD(ctx, at, &c, sizeof(c)))
		return FLOW_NOTHING;
	type = c.type > 14 ? 0 : c.type;
	if (type == SCTP_COOKIE_ECHO || type == SCTP_COOKIE_ACK) {
		at += (bpf_ntohs(c.len) + 3U) & ~3U;
		if (bpf_ntohs(c.len) >= sizeof(c) && at + sizeof(c) <= end &&
		    !PKT_LOAD(ctx, at, &c, sizeof(c)) && c.type == SCTP_ABORT)
			type = SCTP_ABORT_BEHIND;
	}
	/* What clang knows of it now, the verifier does not always. */
	asm volatile("" : "+r"(type));
	return sctp_flags[type & 15];
}

static __always_inline enum bpvs_verdict parse_sctp(pkt_t *pkt, struct bpvs_flow *f)
{
	struct sctp_header *sh = pkt->trans;

	if ((void *)(sh + 1) > pkt->end)
		return BPVS_SHORT;
	f->sport = sh->source;
	f->dport = sh->dest;
	f->tcp_flags = (__u8)HOOK(sctp_flags)(pkt->ctx, f->l4 + sizeof(*sh), f->l3 + f->len);
	return BPVS_GO_ON;
}

/* Ports and flags; for anything but TCP, UDP and SCTP the caller decides by f->proto. */
static __always_inline enum bpvs_verdict parse_l4(pkt_t *pkt, struct bpvs_flow *f)
{
	__u64 proto = proto_of(f);

	if (f->flags & FLOW_FRAG_LATER) {
		f->tcp_flags = FLOW_NOTHING;
		return BPVS_GO_ON;
	}
	pkt->trans = pkt->data + (f->l4 & 0x3ff);
	if (proto == IPPROTO_TCP) {
		struct tcphdr *th = pkt->trans;

		if (pkt->trans + sizeof(*th) > pkt->end)
			return BPVS_SHORT;
		f->sport = th->source;
		f->dport = th->dest;
		f->tcp_flags = ((__u8 *)th)[13] & TH_MASK;
	} else if (proto == IPPROTO_UDP) {
		struct udphdr *uh = pkt->trans;

		if (pkt->trans + sizeof(*uh) > pkt->end)
			return BPVS_SHORT;
		f->sport = uh->source;
		f->dport = uh->dest;
	} else if (proto == IPPROTO_SCTP) {
		return parse_sctp(pkt, f);
	} else {
		return BPVS_PROTO;
	}
	return BPVS_GO_ON;
}

/* The types that are about another packet and that IPVS relates to a connection. */
static __always_inline bool icmp_is_error(__u8 af, __u8 type)
{
	if (af == BPVS_V6)
		return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
	return type == ICMP4_DEST_UNREACH || type == ICMP4_SOURCE_QUENCH ||
	       type == ICMP4_TIME_EXCEEDED;
}
