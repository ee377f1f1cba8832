/* SPDX-License-Identifier: GPL-2.0-only */
/* What parsing leaves behind: the packet's addresses and where its headers are. */
#pragma once

#include "base.h"
#include <bpvs/addr.h>

#define FLOW_FRAG	0x01 /* a fragment */
#define FLOW_FRAG_LATER 0x02 /* without the transport header; ports come from the first one */
#define FLOW_DF		0x04 /* must not be fragmented by a router */
#define FLOW_VLAN	0x08 /* one 802.1Q tag in front of the network header */
#define FLOW_GSO	0x10 /* to be cut into segments later: no MTU applies */
#define FLOW_OUT	0x20 /* made on this host, and met as it leaves (local_tc.h) */
#define FLOW_QUOTED	0x40 /* read off the reply that an error is about (icmp_tc.h) */

/* Bits of TCP's flag byte. */
#define TH_FIN	0x01
#define TH_SYN	0x02
#define TH_RST	0x04
#define TH_ACK	0x10
#define TH_MASK 0x1f /* with PSH, which says nothing */

/*
 * A sender's MAC that no frame on lo has: a destination's id follows (local_tc.h), with a bit for
 * its neighbour being the kernel's to find.
 */
#define BPVS_OUT_TAG	 0x7062
#define BPVS_OUT_RESOLVE 0x80000000U

/* Stands for no flags at all, nor a chunk: what a packet without a transport header has. */
#define FLOW_NOTHING 0xa0

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* Where the transport headers have their checksum. */
#define TCP_CSUM  16
#define UDP_CSUM  6
#define SCTP_CSUM 8

struct bpvs_flow {
	struct bpvs_addr saddr;
	struct bpvs_addr daddr;
	__be16 sport; /* 0 where the protocol has none */
	__be16 dport;
	__u8 proto;
	__u8 af; /* enum bpvs_family */
	__u8 flags;
	__u8 tcp_flags; /* TCP's lower five; for SCTP what sctp.h makes of its chunks */
	__u16 l3;	/* offset of the network header */
	__u16 l4;	/* offset of the transport header */
	__u32 len;	/* bytes from the network header on, as IPVS counts them */
	__u32 frag_id;
	__u32 mark; /* firewall mark; 0 where it is not known yet, in front of netfilter */
	__u8 ttl;   /* or hop limit */
	__u8 tos;   /* or traffic class */
};

/*
 * Link addresses, as a 32 and a 16 bit word each: through the packed struct ethhdr the compiler
 * would go byte by byte. A frame starts at an even address; BPF asks no more of any access here.
 */
static __always_inline void mac_write(void *to, __u64 mac)
{
	*(__u32 *)to = (__u32)mac;
	*(__u16 *)(to + 4) = (__u16)(mac >> 32);
}

static __always_inline bool mac_eq(const void *a, const void *b)
{
	return *(const __u32 *)a == *(const __u32 *)b &&
	       *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

static __always_inline bool addr_eq(const struct bpvs_addr *a, const struct bpvs_addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

static __always_inline void addr_map4(struct bpvs_addr *a, __be32 v4)
{
	a->d[0] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

static __always_inline bool addr_is_loopback(const struct bpvs_addr *a, bool v6)
{
	if (!v6)
		return (a->w[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !a->d[0] && !a->w[2] && a->w[3] == bpf_htonl(1);
}
