/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors of our own, and fragments. The answer quotes the packet that caused it and goes back
 * the way it came; its source is the virtual address that the packet concerned. A tunnel's errors
 * are passed on by it, too (icmp_tc.h).
 */
#pragma once

#include "conn.h"
#include "nexthop.h"
#include "parse.h"
#include "schedule.h"

/* As much of the packet as fits: 576 bytes in all for IPv4, the minimum MTU for IPv6. */
#define QUOTE_V4 (576 - 20 - 8)
#define QUOTE_V6 (IPV6_MIN_MTU - 40 - 8)

struct icmp_bucket {
	__u32 second;
	__u32 sent;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct icmp_bucket);
} bpvs_icmp SEC(".maps");

/* Errors are answered at a bounded rate, or we would be an amplifier's work horse. */
static __always_inline bool icmp_allowed(void)
{
	__u32 zero = 0, second = clock_now() / (bpvs_ro.clock_hz ? bpvs_ro.clock_hz : 1);
	struct icmp_bucket *b = bpf_map_lookup_elem(&bpvs_icmp, &zero);

	if (!b)
		return false;
	if (b->second != second) {
		b->second = second;
		b->sent = 0;
	}
	return b->sent++ < READ_ONCE(bpvs_cfg.icmp_rate);
}

static __always_inline void answer_ip4(struct iphdr *ip, const struct bpvs_flow *f,
				       const struct icmp_answer *a, __u32 quote)
{
	const __u8 *quoted = (const __u8 *)(ip + 1) + sizeof(struct icmp_header);
	__u64 sum = 0;
	int i;

	ip->version = 4;
	ip->ihl = 5;
	/* Internetwork control, as routers mark errors; the rest as in what it is about. */
	ip->tos = 0xc0 | (quoted[1] & 0x1e);
	ip->tot_len = bpf_htons((__u16)(sizeof(*ip) + 8 + quote));
	ip->id = (__be16)bpf_get_prandom_u32();
	ip->frag_off = 0;
	ip->ttl = 64;
	ip->protocol = IPPROTO_ICMP;
	ip->check = 0;
	ip->saddr = a->from.w[3];
	ip->daddr = f->saddr.w[3];
	for (i = 0; i < 10; i++)
		sum += ((__u16 *)ip)[i];
	ip->check = (__u16)~csum_fold32(sum);
}

static __always_inline void answer_ip6(struct ipv6hdr *ip, const struct bpvs_flow *f,
				       const struct icmp_answer *a, __u32 quote)
{
	*(__be32 *)ip = bpf_htonl(6U << 28);
	ip->payload_len = bpf_htons((__u16)(8 + quote));
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = 64;
	__builtin_memcpy(&ip->saddr, &a->from, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &f->saddr, sizeof(ip->daddr));
}

/* ICMPv6 sums a pseudo header too. */
static __always_inline __u32 answer_pseudo(const struct bpvs_flow *f, const struct icmp_answer *a,
					   __u32 len)
{
	__u64 sum = bpf_htons((__u16)len) + bpf_htons(IPPROTO_ICMPV6);
	int i;

	for (i = 0; i < 4; i++)
		sum += (__u64)a->from.w[i] + f->saddr.w[i];
	return csum_fold32(sum);
}

static __always_inline int answer_headers(pkt_t *pkt, const struct bpvs_flow *f,
					  const struct icmp_answer *a, __u32 quote, __u32 outer)
{
	struct icmp_header *icmp;
	struct ethhdr *eth, *old;
	void *ip;

	/* The larger of the two, which the smallest quoted IPv4 packet still fills up. */
	eth = pkt_at(pkt, 0, ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(*icmp));
	if (!eth)
		return -1;
	ip = eth + 1;
	old = pkt_at(pkt, outer, sizeof(*old));
	if (!old)
		return -1;
	__builtin_memcpy(eth->h_dest, old->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, old->h_dest, ETH_ALEN);
	eth->h_proto = f->af == BPVS_V4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (f->af == BPVS_V4) {
		answer_ip4(ip, f, a, quote);
		icmp = ip + sizeof(struct iphdr);
	} else {
		answer_ip6(ip, f, a, quote);
		icmp = ip + sizeof(struct ipv6hdr);
	}
	icmp->type = a->type;
	icmp->code = a->code;
	icmp->check = 0;
	icmp->unused = a->rest;
	icmp->mtu = bpf_htons(a->mtu);
	return 0;
}

static int let_in_from(ctx_t *ctx, struct conn_scratch *x, const struct bpvs_addr *from);

/*
 * Back the way it came. What came by bpvs0 has left that way behind, and what is passed on came by
 * another: these are routed.
 */
static __always_inline int answer_out(ctx_t *ctx)
{
	struct conn_scratch *x = conn_scratch();
	struct hop_query q;
	pkt_t pkt;

	if (!x)
		return -1;
	if (x->flow.flags & FLOW_OUT || (x->why == BPVS_ICMP_OUT && x->hit.word & BPVS_WORD_HERE))
		return let_in_from(ctx, x, &x->answer.from);
	if (likely(ctx->ifindex != READ_ONCE(bpvs_cfg.mark_ifindex) && x->why != BPVS_ICMP_OUT))
		return (int)bpf_redirect(ctx->ifindex, 0);
	q.to = &x->flow.saddr;
	q.from = &x->answer.from;
	q.v6 = x->flow.af == BPVS_V6;
	fib_fill(&x->fib, &q);
	if (hop_lookup(ctx, x) == BPVS_NO_ROUTE)
		return -1;
	x->hop.resolve = true;
	pkt_open(&pkt, ctx);
	return pkt_send(&pkt, &x->flow, &x->hop, q.v6);
}

static __noinline int icmp_answer(ctx_t *ctx, const struct bpvs_flow *f,
				  const struct icmp_answer *a)
{
	bool v6 = f->af == BPVS_V6;
	__u32 outer =
		(v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + sizeof(struct icmp_header);
	__u32 most = v6 ? QUOTE_V6 : QUOTE_V4, quote = f->len < most ? f->len : most;
	__u32 at = ETH_HLEN + outer - sizeof(struct icmp_header);
	struct icmp_header *icmp;
	pkt_t pkt;
	__s64 sum;

	/* Room in front moves the link header there too; it becomes the answer's after swapping. */
	if (bpf_skb_change_tail(ctx, f->l3 + quote, 0) || bpf_skb_change_head(ctx, outer, 0))
		return -1;
	bpf_skb_pull_data(ctx, ETH_HLEN + outer + sizeof(struct iphdr));
	pkt_open(&pkt, ctx);
	if (answer_headers(&pkt, f, a, quote, outer))
		return -1;
	sum = bpvs_sum(ctx, at, sizeof(*icmp) + quote,
		       v6 ? answer_pseudo(f, a, sizeof(*icmp) + quote) : 0);
	if (sum < 0)
		return -1;
	pkt_open(&pkt, ctx);
	icmp = pkt_at(&pkt, at, sizeof(*icmp));
	if (!icmp)
		return -1;
	icmp->check = (__u16)~csum_fold32((__u64)sum);
	return answer_out(ctx);
}

/*
 * IPVS sees the errors that its host sends, too, and counts them as packets of the connection, but
 * for NAT, where it looks for the real server's address in what they quote.
 */
static __always_inline void answer_count(const struct conn_scratch *x)
{
	bool v6 = x->flow.af == BPVS_V6;
	__u32 most = v6 ? QUOTE_V6 : QUOTE_V4, len = x->flow.len < most ? x->flow.len : most;
	struct bpvs_dest *d = x->counts ? dest_get(x->counts) : NULL;

	len += sizeof(struct icmp_header) + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	/* Of one that was removed nothing is counted. */
	if (d && (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE))
		account(d, x->counts, len, true);
}

/* Send x->answer about x->flow. */
static __always_inline int answer_send(ctx_t *ctx, struct conn_scratch *x)
{
	int act;

	/* Never about a later fragment, as the RFCs have it. */
	if ((x->flow.flags & FLOW_FRAG_LATER) || !icmp_allowed())
		return BPVS_ICMP_LIMIT;
	act = icmp_answer(ctx, &x->flow, &x->answer);
	if (act < 0)
		return BPVS_WRITE;
	answer_count(x);
	return act << 16 | x->why;
}

static __always_inline int answer_no_dest(struct conn_scratch *x, __u32 counts)
{
	bool v4 = x->flow.af == BPVS_V4;

	x->answer.from = x->flow.daddr;
	x->answer.type = v4 ? ICMP4_DEST_UNREACH : ICMPV6_DEST_UNREACH;
	x->answer.code = v4 ? ICMP4_PORT_UNREACH : ICMPV6_PORT_UNREACH;
	x->answer.mtu = 0;
	x->answer.rest = 0;
	x->why = BPVS_NO_DEST;
	x->counts = counts;
	return LATER_ANSWER;
}

/*
 * nat_icmp_send: tell a NAT real server that nobody knows the connection of its packet x->flow. Not
 * about what ends a connection, nor what the stack will not forward either. The source is the
 * address that we speak to the server from.
 */
static __always_inline int answer_stray(struct conn_scratch *x)
{
	struct bpvs_dest *d;
	__u32 id;

	/* An ABORT is marked, too. */
	if (!READ_ONCE(bpvs_cfg.nat_icmp_send) || x->flow.tcp_flags & TH_RST || x->flow.ttl <= 1)
		return BPVS_NO_REPLY;
	id = (__u32)bpvs_reply_dest(&x->flow);
	d = id ? dest_get(id) : NULL;
	if (!d)
		return BPVS_NO_REPLY;
	answer_no_dest(x, 0);
	x->answer.from = d->tun_src;
	x->why = BPVS_STRAY;
	return LATER_ANSWER;
}

static __always_inline int conn_bypass(const struct bpvs_flow *f, const struct conn_hit *hit)
{
	struct conn_scratch *x = conn_scratch();

	if (!x)
		return BPVS_BUG_MAP;
	pkt_keep_flow(x, f);
	x->hit = *hit;
	return LATER_BYPASS;
}

static __always_inline int answer_refused(const struct bpvs_flow *f, enum bpvs_verdict why,
					  const struct bpvs_addr *from, __u32 mtu, __u32 counts)
{
	struct conn_scratch *x = conn_scratch();
	bool v4 = f->af == BPVS_V4;

	if (why == BPVS_FRAG_DROP || !x)
		return why;
	pkt_keep_flow(x, f);
	x->why = why;
	x->counts = counts;
	x->answer.from = *from;
	x->answer.code = 0;
	x->answer.mtu = 0;
	x->answer.rest = 0;
	if (why == BPVS_TTL) {
		x->answer.type = v4 ? ICMP4_TIME_EXCEEDED : ICMPV6_TIME_EXCEED;
	} else {
		x->answer.type = v4 ? ICMP4_DEST_UNREACH : ICMPV6_PKT_TOOBIG;
		x->answer.code = v4 ? ICMP4_FRAG_NEEDED : 0;
		x->answer.mtu = (__u16)(!v4 && mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu);
	}
	return LATER_ANSWER;
}

/* Global, for the verifier to look at once; x->flow is the fragment. */
__noinline int HOOK(fragment)(__u32 started)
{
	struct conn_scratch *x = conn_scratch();
	struct frag_first *known;
	struct frag_key key = {};
	bool keep;

	if (!x)
		return BPVS_BUG_MAP;
	key.saddr = x->flow.saddr;
	key.daddr = x->flow.daddr;
	key.id = x->flow.frag_id;
	key.proto = x->flow.proto;
	if (!(x->flow.flags & FLOW_FRAG_LATER)) {
		x->frag.sport = x->flow.sport;
		x->frag.dport = x->flow.dport;
		keep = started && x->hit.idx == ~0U;
		x->frag.dest = keep ? x->hit.dest : 0;
		x->frag.flags = keep ? x->hit.flags : 0;
		x->frag.at = x->n.key.now;
		x->frag.to = x->hit.to;
		bpf_map_update_elem(&bpvs_frags, &key, &x->frag, BPF_ANY);
		return BPVS_GO_ON;
	}
	known = bpf_map_lookup_elem(&bpvs_frags, &key);
	if (!known)
		return BPVS_FRAGMENT;
	x->frag = *known;
	x->flow.sport = known->sport;
	x->flow.dport = known->dport;
	return BPVS_GO_ON;
}

static __always_inline int fragment(bool started)
{
	return HOOK(fragment)(started);
}
