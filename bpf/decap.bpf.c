/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decapsulation for a TUN real server whose kernel has no modules for tunnels (ipip, fou, ip_gre).
 *
 * Sits at TC ingress (Ethernet devices only) and does what tunl0 would do: an IPv4 or IPv6 packet
 * inside an outer IPv4 or IPv6 header addressed to this host, with GUE's or GRE's header between
 * the two if need be, loses the outer headers and goes on into the stack on the same device. Unlike
 * tunl0 it strips a packet only if the inner destination is one of the configured VIPs, so that it
 * cannot be used to smuggle packets for other addresses.
 *
 * The outer checksum of GUE and GRE may be there or not, and is not looked at: the client's packet
 * has its own, which the stack checks. (On a virtual device that one may be still to be made, and
 * then the outer one fits only the packet that it will be.)
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
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
#define IP_OFFSET_MASK	 0x1fff
#define IP6_OFFSET_MASK	 0xfff8

/* GRE, RFC 2784 and 2890: each of these puts 4 bytes behind the header. */
#define GRE_CSUM  0x8000
#define GRE_KEY	  0x2000
#define GRE_SEQ	  0x1000
#define GRE_KNOWN (GRE_CSUM | GRE_KEY | GRE_SEQ)

/* GUE, draft-ietf-intarea-gue, and remote checksums, draft-herbert-remotecsumoffload. */
/* Of the first byte: options, in words. Above it are control and version. */
#define GUE_HLEN	 0x1f
#define GUE_PRIVATE	 0x0001
#define GUE_PRIV_REMCSUM 0x80000000

/* Sums are made of pieces; 64 KB are so many of them. */
#define SUM_PIECE  512
#define SUM_PIECES 129

/* VIPs as 16 bytes, IPv4 ones mapped; written by `bpvs realserver` only */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct in6_addr);
	__type(value, __u8);
} bpvs_rs_vips SEC(".maps");

/* Which tunnels end here, by bpvs_decap_end(). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u8);
} bpvs_rs_ends SEC(".maps");

struct piece {
	__u64 words[SUM_PIECE / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct piece);
} bpvs_rs_piece SEC(".maps");

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
	bool later; /* not the first one */
};

/* What has been left to us to sum up, in bytes from the inner header on; where is 0: nothing. */
struct remote_sum {
	__u16 start;
	__u16 where;
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
	h->later = ip.frag_off & bpf_htons(IP_OFFSET_MASK);
	return true;
}

/* ip6tnl puts a destination options header (the encapsulation limit) before the payload. */
static __always_inline bool skip_v6_option(struct __sk_buff *skb, struct header *h)
{
	struct ipv6_opt_hdr opt;
	__be16 off = 0;

	if (h->proto != IPPROTO_DSTOPTS && h->proto != IPPROTO_FRAGMENT)
		return true;
	if (bpf_skb_load_bytes(skb, h->off + h->len, &opt, sizeof(opt)))
		return false;
	h->fragment = h->proto == IPPROTO_FRAGMENT;
	if (h->fragment && bpf_skb_load_bytes(skb, h->off + h->len + 2, &off, sizeof(off)))
		return false;
	h->later = off & bpf_htons(IP6_OFFSET_MASK);
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

/* Does such a tunnel end here? */
static __always_inline bool is_end(__u8 proto, __be16 port)
{
	__u32 key = bpvs_decap_end(proto, bpf_ntohs(port));

	return bpf_map_lookup_elem(&bpvs_rs_ends, &key);
}

/* Has remote checksums alone of what GUE may have for options. */
static __always_inline bool gue_options(struct __sk_buff *skb, __u32 off, __u8 words, __be16 flags,
					struct remote_sum *sum)
{
	struct {
		__be32 private;
		__be16 start;
		__be16 where;
	} o;

	if (!words && !flags)
		return true;
	if (words != sizeof(o) / 4 || flags != bpf_htons(GUE_PRIVATE) ||
	    bpf_skb_load_bytes(skb, off, &o, sizeof(o)) || o.private != bpf_htonl(GUE_PRIV_REMCSUM))
		return false;
	sum->start = bpf_ntohs(o.start);
	sum->where = bpf_ntohs(o.where);
	return true;
}

static __always_inline bool open_gue(struct __sk_buff *skb, struct header *h,
				     struct remote_sum *sum)
{
	struct {
		struct udphdr udp;
		__u8 version_control_len;
		__u8 proto;
		__be16 flags;
	} gue;
	__u32 off = h->off + h->len;
	__u8 words;

	if (bpf_skb_load_bytes(skb, off, &gue, sizeof(gue)))
		return false;
	words = gue.version_control_len & GUE_HLEN;
	if (gue.version_control_len != words ||
	    !gue_options(skb, off + sizeof(gue), words, gue.flags, sum))
		return false;
	h->len += sizeof(gue) + words * 4;
	h->proto = gue.proto;
	return true;
}

static __always_inline bool open_gre(struct __sk_buff *skb, struct header *h)
{
	struct {
		__be16 flags;
		__be16 proto;
	} gre;
	__u16 flags;

	if (bpf_skb_load_bytes(skb, h->off + h->len, &gre, sizeof(gre)))
		return false;
	flags = bpf_ntohs(gre.flags);
	if (flags & ~GRE_KNOWN)
		return false;
	h->len += sizeof(gre) +
		  4 * (!!(flags & GRE_CSUM) + !!(flags & GRE_KEY) + !!(flags & GRE_SEQ));
	h->proto = gre.proto == bpf_htons(ETH_P_IP)	? IPPROTO_IPIP
		   : gre.proto == bpf_htons(ETH_P_IPV6) ? IPPROTO_IPV6
							: 0;
	return true;
}

/*
 * From the outer IP header to the inner: as if all between the two were the outer one's. Returns
 * what is to be counted, BPVS_DECAP_DONE where there is an end of a tunnel, or negative: none.
 */
static __always_inline int open_tunnel(struct __sk_buff *skb, struct header *h,
				       struct remote_sum *sum)
{
	__u8 proto = h->proto;
	__be16 port = 0;

	if (proto == IPPROTO_IPV6)
		proto = IPPROTO_IPIP;
	else if (proto != IPPROTO_IPIP && proto != IPPROTO_UDP && proto != IPPROTO_GRE)
		return -1;
	if (proto == IPPROTO_UDP &&
	    (h->later || bpf_skb_load_bytes(skb, h->off + h->len + offsetof(struct udphdr, dest),
					    &port, sizeof(port))))
		return -1;
	if (!is_end(proto, port))
		return -1;
	if (h->fragment)
		return BPVS_DECAP_FRAGMENT;
	if ((proto == IPPROTO_UDP && !open_gue(skb, h, sum)) ||
	    (proto == IPPROTO_GRE && !open_gre(skb, h)))
		return BPVS_DECAP_UNKNOWN;
	return h->proto == IPPROTO_IPIP || h->proto == IPPROTO_IPV6 ? BPVS_DECAP_DONE
								    : BPVS_DECAP_UNKNOWN;
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

struct summing {
	struct __sk_buff *skb;
	__u32 off;
	__wsum sum;
	long failed;
};

/* A callback: as a plain loop it would be looked at for each number of pieces. */
static long sum_piece(__u32 i, struct summing *s)
{
	__u32 zero = 0, len = s->skb->len - s->off;
	struct piece *p = bpf_map_lookup_elem(&bpvs_rs_piece, &zero);

	(void)i;
	if (!p || s->off >= s->skb->len)
		return 1;
	if (len > SUM_PIECE)
		len = SUM_PIECE;
	/* Whole words are summed: what is behind the end counts as nothing. */
	if (len < SUM_PIECE)
		__builtin_memset(p, 0, sizeof(*p));
	/* From 1 to a piece it is already; 6.1's verifier has to be shown that it is not 0. */
	len--;
	asm volatile("" : "+r"(len));
	len = (len & (SUM_PIECE - 1)) + 1;
	s->failed = bpf_skb_load_bytes(s->skb, s->off, p, len);
	s->sum = (__wsum)bpf_csum_diff(NULL, 0, (__be32 *)p, SUM_PIECE, s->sum);
	s->off += len;
	return s->failed ? 1 : 0;
}

/* The bytes from `off` on, folded and inverted; 0: could not, as that stands for no checksum. */
static __always_inline __u16 sum_from(struct __sk_buff *skb, __u32 off)
{
	struct summing s = { .skb = skb, .off = off };
	__u32 sum;

	if (bpf_loop(SUM_PIECES, sum_piece, &s, 0) < 0 || s.failed)
		return 0;
	sum = (s.sum & 0xffff) + (s.sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum ?: 0xffff;
}

/*
 * Make the checksum that the tunnel's sender has left to us: where it goes stands the pseudo
 * header's sum. (What is put together of several packets has it made by whoever cuts it.) Start and
 * place are the sender's word, and so is the sum, by what is summed up: they have to be behind the
 * inner header, or its destination could be changed after it was compared with the VIPs.
 */
static __always_inline bool finish_sum(struct __sk_buff *skb, const struct header *inner,
				       const struct remote_sum *sum)
{
	__u16 value;

	if (!sum->where || skb->gso_size)
		return true;
	if (sum->start < inner->len || sum->where < sum->start)
		return false;
	value = sum_from(skb, inner->off + sum->start);
	return value && !bpf_skb_store_bytes(skb, inner->off + sum->where, &value, sizeof(value),
					     BPF_F_RECOMPUTE_CSUM);
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
	struct remote_sum sum = {};
	int tunnel;

	if (skb->pkt_type != PACKET_HOST || !parse_outer(skb, &outer))
		return TC_ACT_UNSPEC;
	tunnel = open_tunnel(skb, &outer, &sum);
	if (tunnel < 0)
		return TC_ACT_UNSPEC;
	if (tunnel != BPVS_DECAP_DONE)
		return pass(tunnel);
	if (!parse_inner(skb, &outer, &inner) || !bpf_map_lookup_elem(&bpvs_rs_vips, &inner.dst))
		return TC_ACT_UNSPEC;
	if (!is_local(skb, &outer))
		return pass(BPVS_DECAP_NOT_LOCAL);
	if (!merge_ecn(skb, &outer, &inner))
		return drop(BPVS_DECAP_ECN);
	if (!finish_sum(skb, &inner, &sum) || strip(skb, &outer, &inner))
		return drop(BPVS_DECAP_ERROR);
	return pass(BPVS_DECAP_DONE);
}

char bpvs_license[] SEC("license") = "GPL";
