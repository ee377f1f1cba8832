/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decapsulation for a TUN real server whose kernel has no ipip module.
 *
 * Sits at TC ingress (Ethernet devices only) and does what tunl0 would do: an IPv4 or IPv6 packet
 * inside an outer IPv4 or IPv6 header addressed to this host loses the outer header and goes on
 * into the stack on the same device. Unlike tunl0 it strips a packet only if the inner destination
 * is one of the configured VIPs, so that it cannot be used to smuggle packets for other addresses.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpvs/decap.h"

#define IP_FRAGMENT_MASK 0x3fff /* more fragments, or an offset */
#define ECN_MASK	 3
#define ECN_NOT_ECT	 0
#define ECN_ECT_1	 1
#define ECN_CE		 3
#define AF_INET		 2
#define AF_INET6	 10

/* VIPs as 16 bytes, IPv4 ones mapped; written by `bpvs realserver` only */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct in6_addr);
	__type(value, __u8);
} bpvs_rs_vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BPVS_DECAP_STATS);
	__type(key, __u32);
	__type(value, __u64);
} bpvs_rs_stats SEC(".maps");

/* One IP header of either family, as far as decapsulation cares for it. */
struct header {
	struct in6_addr src; /* IPv4 as v4-mapped */
	struct in6_addr dst;
	__u32 off; /* from the start of the frame */
	__u32 len; /* with options, up to the payload */
	__u8 family;
	__u8 proto; /* of the payload */
	__u8 ecn;
	bool fragment;
};

static __always_inline void count(enum bpvs_decap_stat stat)
{
	__u32 key = stat;
	__u64 *value = bpf_map_lookup_elem(&bpvs_rs_stats, &key);

	if (value)
		*value += 1;
}

static __always_inline void map_v4(struct in6_addr *to, __be32 addr)
{
	to->s6_addr32[0] = 0;
	to->s6_addr32[1] = 0;
	to->s6_addr32[2] = bpf_htonl(0xffff);
	to->s6_addr32[3] = addr;
}

static __always_inline bool parse_v4(struct __sk_buff *skb, __u32 off, struct header *h)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	map_v4(&h->src, ip.saddr);
	map_v4(&h->dst, ip.daddr);
	h->off = off;
	h->len = ip.ihl * 4;
	h->family = AF_INET;
	h->proto = ip.protocol;
	h->ecn = ip.tos & ECN_MASK;
	h->fragment = ip.frag_off & bpf_htons(IP_FRAGMENT_MASK);
	return true;
}

/* ip6tnl puts a destination options header (the encapsulation limit) before the payload. */
static __always_inline bool skip_v6_option(struct __sk_buff *skb, struct header *h)
{
	struct ipv6_opt_hdr opt;

	if (h->proto != IPPROTO_DSTOPTS && h->proto != IPPROTO_FRAGMENT)
		return true;
	if (bpf_skb_load_bytes(skb, h->off + h->len, &opt, sizeof(opt)))
		return false;
	h->fragment = h->proto == IPPROTO_FRAGMENT;
	h->proto = opt.nexthdr;
	h->len += (opt.hdrlen + 1) * 8;
	return true;
}

static __always_inline bool parse_v6(struct __sk_buff *skb, __u32 off, struct header *h)
{
	struct ipv6hdr ip6;

	if (bpf_skb_load_bytes(skb, off, &ip6, sizeof(ip6)) || ip6.version != 6)
		return false;
	h->src = ip6.saddr;
	h->dst = ip6.daddr;
	h->off = off;
	h->len = sizeof(ip6);
	h->family = AF_INET6;
	h->proto = ip6.nexthdr;
	h->ecn = ip6.flow_lbl[0] >> 4 & ECN_MASK;
	return skip_v6_option(skb, h);
}

static __always_inline bool parse_outer(struct __sk_buff *skb, struct header *h)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return parse_v4(skb, ETH_HLEN, h);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return parse_v6(skb, ETH_HLEN, h);
	return false;
}

static __always_inline bool parse_inner(struct __sk_buff *skb, const struct header *outer,
					struct header *h)
{
	__u32 off = outer->off + outer->len;

	if (outer->proto == IPPROTO_IPIP)
		return parse_v4(skb, off, h);
	return parse_v6(skb, off, h);
}

/*
 * The routing table knows, also after this host's addresses have changed. It gives no answer while
 * forwarding is off, but then the stack would drop what is not ours: nothing is lost by taking it.
 */
static __always_inline bool is_local(struct __sk_buff *skb, const struct header *outer)
{
	struct bpf_fib_lookup fib = { .family = outer->family, .ifindex = skb->ifindex };
	long ret;

	if (outer->family == AF_INET) {
		fib.ipv4_src = outer->src.s6_addr32[3];
		fib.ipv4_dst = outer->dst.s6_addr32[3];
	} else {
		__builtin_memcpy(fib.ipv6_src, &outer->src, sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, &outer->dst, sizeof(fib.ipv6_dst));
	}
	ret = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	return ret == BPF_FIB_LKUP_RET_NOT_FWDED || ret == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline long set_ecn_v4(struct __sk_buff *skb, __u32 off, __u8 ecn)
{
	__be16 old, new;
	long ret;

	if (bpf_skb_load_bytes(skb, off, &old, sizeof(old)))
		return -1;
	new = (old & bpf_htons(0xffff & ~ECN_MASK)) | bpf_htons(ecn);
	ret = bpf_l3_csum_replace(skb, off + offsetof(struct iphdr, check), old, new, sizeof(new));
	return ret ?: bpf_skb_store_bytes(skb, off, &new, sizeof(new), 0);
}

static __always_inline long set_ecn_v6(struct __sk_buff *skb, __u32 off, __u8 ecn)
{
	__u8 byte; /* the second one: its upper half is the lower half of the traffic class */

	if (bpf_skb_load_bytes(skb, off + 1, &byte, sizeof(byte)))
		return -1;
	byte = (byte & ~(ECN_MASK << 4)) | ecn << 4;
	return bpf_skb_store_bytes(skb, off + 1, &byte, sizeof(byte), BPF_F_RECOMPUTE_CSUM);
}

/* RFC 6040 section 4.2, with what it leaves to choice chosen as Linux tunnels do. */
static __always_inline bool merge_ecn(struct __sk_buff *skb, const struct header *outer,
				      const struct header *inner)
{
	__u8 ecn = outer->ecn;
	long ret;

	if (inner->ecn == ECN_NOT_ECT)
		return ecn != ECN_CE;
	if ((ecn != ECN_CE && ecn != ECN_ECT_1) || inner->ecn == ECN_CE || inner->ecn == ecn)
		return true;
	if (inner->family == AF_INET)
		ret = set_ecn_v4(skb, inner->off, ecn);
	else
		ret = set_ecn_v6(skb, inner->off, ecn);
	return !ret;
}

/*
 * Where the families differ skb->protocol has to follow, or the packet reaches the wrong stack.
 * Linux has BPF_F_ADJ_ROOM_DECAP_L3_* for it since 6.3. bpf_skb_change_proto() does it on all
 * kernels: it is made to translate headers and so adds or removes the 20 bytes in which they
 * differ, which is no more than a correction to what is to be cut off here.
 */
static __always_inline long strip(struct __sk_buff *skb, const struct header *outer,
				  const struct header *inner)
{
	const __s32 differ = sizeof(struct ipv6hdr) - sizeof(struct iphdr);
	__be16 proto = bpf_htons(inner->family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	__s32 len = outer->len;
	long ret;

	if (outer->family != inner->family) {
		ret = bpf_skb_change_proto(skb, proto, 0);
		if (ret)
			return ret;
		len += inner->family == AF_INET6 ? differ : -differ;
		ret = bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &proto,
					  sizeof(proto), 0);
		if (ret)
			return ret;
	}
	/* the segments of a GSO packet keep their size: only headers go */
	return bpf_skb_adjust_room(skb, -len, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

static __always_inline int drop(enum bpvs_decap_stat why)
{
	count(why);
	return TC_ACT_SHOT;
}

/* TC_ACT_UNSPEC lets other filters of the device have their turn. */
static __always_inline int pass(enum bpvs_decap_stat why)
{
	count(why);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int bpvs_decap(struct __sk_buff *skb)
{
	struct header outer = {}, inner = {};

	if (skb->pkt_type != PACKET_HOST || !parse_outer(skb, &outer))
		return TC_ACT_UNSPEC;
	if (outer.proto != IPPROTO_IPIP && outer.proto != IPPROTO_IPV6)
		return TC_ACT_UNSPEC;
	if (outer.fragment)
		return pass(BPVS_DECAP_FRAGMENT);
	if (!parse_inner(skb, &outer, &inner) || !bpf_map_lookup_elem(&bpvs_rs_vips, &inner.dst))
		return TC_ACT_UNSPEC;
	if (!is_local(skb, &outer))
		return pass(BPVS_DECAP_NOT_LOCAL);
	if (!merge_ecn(skb, &outer, &inner))
		return drop(BPVS_DECAP_ECN);
	if (strip(skb, &outer, &inner))
		return drop(BPVS_DECAP_ERROR);
	return pass(BPVS_DECAP_DONE);
}

char bpvs_license[] SEC("license") = "GPL";
