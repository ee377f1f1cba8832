/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about our connections. The packet inside tells the connection; it was on its way to
 * whom the error now goes, so its source and destination are the reverse of a packet's from there.
 *
 *   from the client's side, about a reply:    inner VIP -> client, goes to the real server
 *   from the real server's side, about a request (NAT): inner client -> RIP, goes to the client
 *
 *   from a tunnel's end or a router on the way, about the outer packet: goes to the client, about
 *    the request in it
 *
 * For NAT the outer address, the inner address and the inner port change. The inner transport
 * checksum is left as it is, for IPVS leaves it, and often it is not quoted at all.
 */
#pragma once

#include "pipeline.h"

/* The packet inside, beside what struct conn_scratch has for the one around it. */
struct icmp_scratch {
	struct bpvs_flow in;
	struct bpvs_flow client; /* the packet in the tunnel, when `in` is an outer one */
	struct bpvs_flow outer;	 /* the error's own, while its connection is scheduled */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct icmp_scratch);
} bpvs_inner SEC(".maps");

/* A director that only keeps another's connections sends nothing to servers (lib/filter.c). */
static __always_inline bool backup_only(void)
{
	return READ_ONCE(bpvs_cfg.backup_runs) && READ_ONCE(bpvs_cfg.backup_only);
}

/* The network header at `l3` of the packet inside an error. */
static __always_inline enum bpvs_verdict icmp_inner_ip(pkt_t *pkt, __u8 af, __u16 l3,
						       struct bpvs_flow *in)
{
	in->af = af;
	in->l3 = l3;
	if (af == BPVS_V4) {
		struct iphdr *ip = pkt_at(pkt, in->l3, sizeof(*ip));

		if (!ip || ip->version != 4 || ip->ihl < 5 ||
		    (ip->frag_off & bpf_htons(IP_FRAG_OFFSET)))
			return BPVS_ICMP_OTHER;
		addr_map4(&in->saddr, ip->saddr);
		addr_map4(&in->daddr, ip->daddr);
		in->proto = ip->protocol;
		in->l4 = in->l3 + ip->ihl * 4;
	} else {
		struct ipv6hdr *ip = pkt_at(pkt, in->l3, sizeof(*ip));

		if (!ip || ip->version != 6)
			return BPVS_ICMP_OTHER;
		__builtin_memcpy(&in->saddr, &ip->saddr, sizeof(in->saddr));
		__builtin_memcpy(&in->daddr, &ip->daddr, sizeof(in->daddr));
		in->proto = ip->nexthdr;
		in->l4 = in->l3 + sizeof(*ip);
	}
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict icmp_inner_ports(pkt_t *pkt, struct bpvs_flow *in)
{
	__be16 *ports;

	if (in->proto != IPPROTO_TCP && in->proto != IPPROTO_UDP && in->proto != IPPROTO_SCTP)
		return BPVS_ICMP_OTHER;
	ports = pkt_at(pkt, in->l4, 4);
	if (!ports)
		return BPVS_ICMP_OTHER;
	in->sport = ports[0];
	in->dport = ports[1];
	return BPVS_GO_ON;
}

/* The outer header again, in a packet opened anew. */
static __always_inline int icmp_open(pkt_t *pkt, const struct bpvs_flow *f)
{
	pkt->af = f->af;
	pkt->net = pkt->data + (f->l3 & 0xff);
	pkt->trans = pkt->net; /* of no use, but a pointer */
	/* An IPv4 error with what it quotes is longer than an IPv6 header too. */
	return pkt->net + sizeof(struct ipv6hdr) > pkt->end ? -1 : 0;
}

/* Routers must not talk us into less than the kernel would believe for its own packets. */
#define PMTU_LEAST_V4 552

/* The MTU that an error tells of; 0 if it is about something else. */
static __always_inline __u32 icmp_mtu(pkt_t *pkt, const struct bpvs_flow *f)
{
	struct icmp_header *icmp = pkt_at(pkt, f->l4, sizeof(*icmp));
	bool v4 = f->af == BPVS_V4;
	__u32 mtu, least = v4 ? PMTU_LEAST_V4 : IPV6_MIN_MTU;

	if (!icmp || icmp->type != (v4 ? ICMP4_DEST_UNREACH : ICMPV6_PKT_TOOBIG) ||
	    icmp->code != (v4 ? ICMP4_FRAG_NEEDED : 0))
		return 0;
	mtu = bpf_ntohs(icmp->mtu);
	if (!v4 && icmp->unused)
		return 0;
	return mtu < least ? least : mtu;
}

/* The path's MTU is kept in the destination; a larger one than is known says nothing. */
static __always_inline void pmtu_learn(struct bpvs_dest *d, __u32 mtu, __u32 now)
{
	__u32 known = pmtu_get(d, now);

	if (known && known < mtu)
		return;
	WRITE_ONCE(d->pmtu_at, now);
	WRITE_ONCE(d->pmtu, (__u16)mtu);
}

/*
 * Tell the client what became of its packet in the tunnel (i->client): the error is made anew about
 * that packet, of which as much is quoted as the error has. One about its size is for a client that
 * asked for it, and tells what the tunnel leaves.
 */
static __always_inline int icmp_relay(pkt_t *pkt, struct conn_scratch *x, struct icmp_scratch *i,
				      const struct bpvs_dest *d, __u32 now)
{
	struct icmp_header *icmp = pkt_at(pkt, x->flow.l4, sizeof(*icmp));
	struct iphdr *ip = pkt_at(pkt, i->client.l3, sizeof(*ip));
	__u32 l3 = i->client.l3 & 0x3ff, quote = x->flow.len - (l3 - x->flow.l3);
	__s64 sum;

	if (!icmp || !ip)
		return BPVS_ICMP_OTHER;
	x->answer.type = icmp->type;
	x->answer.code = icmp->code;
	x->answer.rest = icmp->unused;
	x->answer.mtu = bpf_ntohs(icmp->mtu);
	if (icmp_mtu(pkt, &x->flow)) {
		if (!(ip->frag_off & bpf_htons(IP_FRAG_DF)))
			return BPVS_ICMP_PMTU;
		x->answer.rest = 0;
		x->answer.mtu = (__u16)tun_room(d, READ_ONCE(d->nh.mtu), now);
	}
	/* What is wrong stays so, for it gets a new sum. It is of this length, too, then. */
	sum = bpvs_sum(pkt->ctx, x->flow.l4, x->flow.len - (x->flow.l4 - x->flow.l3), 0);
	if (sum < 0 || csum_fold32((__u64)sum) != 0xffff || quote < i->client.l4 - l3 + 4U)
		return BPVS_ICMP_OTHER;
	if (bpf_skb_adjust_room(pkt->ctx, ETH_HLEN - (int)l3, BPF_ADJ_ROOM_MAC, 0))
		return BPVS_WRITE;
	account(d, x->hit.dest, quote, true);
	x->flow = i->client;
	x->flow.l3 = ETH_HLEN;
	x->flow.len = quote;
	x->flow.flags = 0;
	x->answer.from = i->client.daddr;
	x->counts = x->hit.dest;
	x->why = BPVS_ICMP_OUT;
	return LATER_ANSWER;
}

/*
 * Where the packet in i->in begins, if that is a tunnel's: its offset, or 0; and of what kind.
 * Like the kernel, of what a header may have we know what we send.
 */
static __always_inline __u16 tunnel_in(pkt_t *pkt, const struct bpvs_flow *in, __u8 *ret_tunnel,
				       __be16 *ret_port, __u8 *ret_af)
{
	struct gre_header *gre = pkt_at(pkt, in->l4, GRE_LEN);
	struct gue_packet *gue = pkt_at(pkt, in->l4, sizeof(*gue));

	*ret_port = 0;
	*ret_af = BPVS_V4;
	*ret_tunnel = BPVS_TUNNEL_IPIP;
	switch (in->proto) {
	case IPPROTO_IPV6:
		*ret_af = BPVS_V6;
		return in->l4;
	case IPPROTO_IPIP:
		return in->l4;
	case IPPROTO_UDP:
		*ret_tunnel = BPVS_TUNNEL_GUE;
		if (!gue || gue->gue.version_control_len > 0x1f ||
		    (gue->gue.proto != IPPROTO_IPIP && gue->gue.proto != IPPROTO_IPV6))
			return 0;
		if (gue->gue.proto == IPPROTO_IPV6)
			*ret_af = BPVS_V6;
		*ret_port = gue->udp.dest;
		return in->l4 + GUE_LEN + gue->gue.version_control_len * 4;
	case IPPROTO_GRE:
		*ret_tunnel = BPVS_TUNNEL_GRE;
		if (!gre || (gre->flags & ~bpf_htons(GRE_CSUM)) ||
		    (gre->proto != bpf_htons(ETH_P_IP) && gre->proto != bpf_htons(ETH_P_IPV6)))
			return 0;
		if (gre->proto == bpf_htons(ETH_P_IPV6))
			*ret_af = BPVS_V6;
		return in->l4 + (gre->flags ? GRE_CSUM_LEN : GRE_LEN);
	}
	return 0;
}

/*
 * About a packet (i->in) that we sent to a tunnel's end, from there or from a router on the way. A
 * path's MTU is learnt (see room_in()). IPVS looks into tunnels of IPv4 in IPv4 only, so only their
 * clients are told. GO_ON when it is of no tunnel of ours.
 */
static __always_inline int icmp_tunnel(pkt_t *pkt, struct conn_scratch *x, struct icmp_scratch *i,
				       __u32 now)
{
	__u32 mtu = icmp_mtu(pkt, &x->flow);
	struct bpvs_dest *d;
	__u8 tunnel, af;
	__be16 port;
	__u16 l3;

	l3 = tunnel_in(pkt, &i->in, &tunnel, &port, &af);
	if (!l3 || icmp_inner_ip(pkt, af, l3, &i->client) != BPVS_GO_ON ||
	    icmp_inner_ports(pkt, &i->client) != BPVS_GO_ON)
		return BPVS_GO_ON;
	key_request(&x->n.key, &i->client, now);
	if (!bpvs_conn_find(&x->n.key, &x->hit) ||
	    (x->hit.flags & BPVS_CONN_FWD) != BPVS_FWD_TUNNEL)
		return BPVS_GO_ON;
	d = dest_get(x->hit.dest);
	if (!d || !addr_eq(&d->addr, &i->in.daddr) || !addr_eq(&d->tun_src, &i->in.saddr) ||
	    (d->tunnel & BPVS_TUNNEL_TYPE) != tunnel ||
	    (tunnel == BPVS_TUNNEL_GUE && d->tun_port != port))
		return BPVS_GO_ON;
	if (mtu)
		pmtu_learn(d, mtu, now);
	if (x->flow.af == BPVS_V4 && i->client.af == BPVS_V4 && !backup_only() &&
	    addr_eq(&x->flow.daddr, &i->in.saddr) && d->fwd == BPVS_FWD_TUNNEL &&
	    (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE))
		return icmp_relay(pkt, x, i, d, now);
	return mtu ? BPVS_ICMP_PMTU : BPVS_ICMP_OTHER;
}

/* Inner header: the address at one end, its header checksum, the port. */
static __always_inline int icmp_nat_inner(pkt_t *pkt, const struct bpvs_flow *in,
					  const struct conn_hit *hit, bool out)
{
	__be16 *ports;

	if (in->af == BPVS_V4) {
		struct iphdr *ip = pkt_at(pkt, in->l3, sizeof(*ip));
		__be32 *addr;

		if (!ip)
			return -1;
		addr = out ? &ip->daddr : &ip->saddr;
		ip->check = csum_update(ip->check, csum_diff32(*addr, hit->to.w[3]));
		*addr = hit->to.w[3];
	} else {
		struct ipv6hdr *ip = pkt_at(pkt, in->l3, sizeof(*ip));

		if (!ip)
			return -1;
		__builtin_memcpy(out ? &ip->daddr : &ip->saddr, &hit->to, sizeof(hit->to));
	}
	ports = pkt_at(pkt, in->l4, 4);
	if (!ports)
		return -1;
	ports[out] = hit->to_port;
	return 0;
}

/*
 * ICMP's checksum covers the inner packet: the port shows in it; an IPv4 address does not, since
 * the inner header checksum balances it; IPv6 has none, and a pseudo header with the outer address.
 */
static __noinline enum bpvs_verdict icmp_nat(ctx_t *ctx, const struct bpvs_flow *f,
					     const struct bpvs_flow *in, const struct conn_hit *hit,
					     bool out)
{
	const struct bpvs_addr *outer = out ? &f->saddr : &f->daddr;
	const struct bpvs_addr *inner = out ? &in->daddr : &in->saddr;
	__u32 diff = csum_diff16(out ? in->dport : in->sport, hit->to_port);
	struct icmp_header *icmp;
	pkt_t pkt;

	pkt_open(&pkt, ctx);
	if (icmp_open(&pkt, f))
		return BPVS_WRITE;
	if (f->af == BPVS_V4) {
		nat_ip4(&pkt, hit->to.w[3], out);
	} else {
		diff += csum_diff_addr(outer, &hit->to) + csum_diff_addr(inner, &hit->to);
		nat_ip6(&pkt, &hit->to, out);
	}
	if (icmp_nat_inner(&pkt, in, hit, out))
		return BPVS_WRITE;
	icmp = pkt_at(&pkt, f->l4, sizeof(*icmp));
	if (!icmp)
		return BPVS_WRITE;
	icmp->check = csum_update(icmp->check, diff);
	return BPVS_GO_ON;
}

/* By NAT to a server on this host, or from one, or to a client on it: no hop. */
__noinline int HOOK(icmp_here)(ctx_t *ctx, __u32 out)
{
	struct conn_scratch *x = conn_scratch();
	struct icmp_scratch *i;
	struct bpvs_flow *f;
	struct bpvs_dest *d;
	enum bpvs_verdict v;
	__u32 zero = 0;
	pkt_t pkt;

	i = bpf_map_lookup_elem(&bpvs_inner, &zero);
	d = x ? dest_get(x->hit.dest) : NULL;
	if (!x || !i || !d)
		return BPVS_BUG_MAP;
	f = &x->flow;
	if (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE)
		account(d, x->hit.dest, f->len, out);
	if (!(f->af == BPVS_V4 ? pkt_reopen(&pkt, ctx, f, BPVS_V4)
			       : pkt_reopen(&pkt, ctx, f, BPVS_V6)))
		return BPVS_WRITE;
	if (!bpvs_fwd_nat(x->hit.flags & BPVS_CONN_FWD))
		return BPVS_LOCAL_REPLY;
	ttl_up(&pkt);
	v = icmp_nat(ctx, f, &i->in, &x->hit, out);
	if (v != BPVS_GO_ON)
		return v;
	if (!!out == !!(f->flags & FLOW_OUT))
		return out ? BPVS_LOCAL_REPLY : BPVS_LOCAL_NAT;
	/* A client's error to a server beside it, or one that came in for a client. */
	x->act = let_in_from(ctx, x, out ? &x->hit.to : &f->saddr);
	return x->act < 0 ? BPVS_WRITE : BPVS_LOCAL_IN;
}

static __always_inline enum bpvs_verdict icmp_to_server(pkt_t *pkt, struct conn_scratch *x,
							const struct bpvs_flow *in)
{
	__u32 now = x->n.key.now;
	struct bpvs_flow *f = &x->flow;
	struct conn_hit *hit = &x->hit;
	struct bpvs_hop hop;
	__u32 fwd = hit->flags & BPVS_CONN_FWD;
	struct bpvs_dest *d = dest_get(hit->dest);
	bool v6 = f->af == BPVS_V6;
	struct hop_query q = {};
	enum bpvs_verdict v;

	if (!d)
		return BPVS_BUG_MAP;
	/* The stack routes what is about one past all servers. */
	if (fwd == BPVS_FWD_BYPASS)
		return BPVS_ICMP_OTHER;
	if (fwd == BPVS_FWD_LOCAL)
		return BPVS_LOCAL;
	if (fwd == BPVS_FWD_LOCAL_NAT)
		return HOOK(icmp_here)(pkt->ctx, false);
	if (f->ttl <= 1)
		return BPVS_ICMP_OTHER;
	q.to = &d->addr;
	q.v6 = d->af == BPVS_V6;
	v = hop_get(pkt, &d->nh, &q, now, &hop);
	if (v != BPVS_GO_ON)
		return v;
	/* A removed one is told as well, as by IPVS. */
	if (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE)
		account(d, hit->dest, f->len, false);
	if (fwd == BPVS_FWD_MASQ)
		v = icmp_nat(pkt->ctx, f, in, hit, false);
	else if (fwd == BPVS_FWD_TUNNEL)
		v = tun_wrap(pkt, f, d, hit->dest);
	else
		ttl_down(pkt);
	if (v != BPVS_GO_ON)
		return v;
	pkt_open(pkt, pkt->ctx);
	if (fwd == BPVS_FWD_TUNNEL)
		v6 = q.v6;
	x->act = pkt_send(pkt, f, &hop, v6);
	return x->act < 0 ? BPVS_WRITE : BPVS_ICMP_IN;
}

static __always_inline enum bpvs_verdict icmp_to_client(pkt_t *pkt, struct conn_scratch *x,
							const struct bpvs_flow *in)
{
	__u32 now = x->n.key.now;
	struct bpvs_flow *f = &x->flow;
	struct conn_hit *hit = &x->hit;
	struct bpvs_hop hop;
	struct hop_query q = { .to = &f->daddr, .from = &hit->to, .v6 = f->af == BPVS_V6 };
	struct bpvs_dest *d = dest_get(hit->dest);
	enum bpvs_verdict v;

	if (!d)
		return BPVS_BUG_MAP;
	if (f->flags & FLOW_OUT)
		return HOOK(icmp_here)(pkt->ctx, true);
	if (f->ttl <= 1)
		return BPVS_ICMP_OTHER;
	v = hop_client(pkt, hit, &q, now, &hop);
	if (v == BPVS_NO_ROUTE && hit->word & BPVS_WORD_HERE)
		return HOOK(icmp_here)(pkt->ctx, true);
	if (v != BPVS_GO_ON)
		return v;
	if (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE)
		account(d, hit->dest, f->len, true);
	v = icmp_nat(pkt->ctx, f, in, hit, true);
	if (v != BPVS_GO_ON)
		return v;
	pkt_open(pkt, pkt->ctx);
	x->act = pkt_send(pkt, f, &hop, f->af == BPVS_V6);
	return x->act < 0 ? BPVS_WRITE : BPVS_ICMP_OUT;
}

static __noinline int icmp_error(ctx_t *ctx, struct conn_scratch *x, __u32 now)
{
	pkt_t packet, *pkt = &packet;
	struct bpvs_flow *f = &x->flow, *in;
	struct icmp_scratch *i;
	enum bpvs_verdict v;
	__u32 zero = 0;
	int later;

	x->act = 0;
	i = bpf_map_lookup_elem(&bpvs_inner, &zero);
	if (!i)
		return BPVS_BUG_MAP;
	in = &i->in;
	pkt_open(pkt, ctx);
	if (icmp_open(pkt, f))
		return BPVS_SHORT;
	v = icmp_inner_ip(pkt, f->af, f->l4 + sizeof(struct icmp_header), in);
	if (v != BPVS_GO_ON)
		return v;
	later = icmp_tunnel(pkt, x, i, now);
	if (later != BPVS_GO_ON)
		return later;
	v = icmp_inner_ports(pkt, in);
	if (v != BPVS_GO_ON)
		return v;
	/*
	 * The inner packet went to the client when it is a reply: then it keys as a reply of the
	 * VIP.
	 */
	key_reply(&x->n.key, in, now);
	x->n.key.reply = 0;
	if (bpvs_conn_find(&x->n.key, &x->hit))
		return backup_only() ? BPVS_BACKUP : icmp_to_server(pkt, x, in);
	/* And when it is a request, changed by NAT, its destination is the real server. */
	key_request(&x->n.key, in, now);
	x->n.key.reply = 1;
	if (bpvs_conn_find(&x->n.key, &x->hit) && bpvs_fwd_nat(x->hit.flags & BPVS_CONN_FWD))
		return icmp_to_client(pkt, x, in);
	/* A server that is this host refuses; its address is the virtual one. */
	x->n.key.reply = 0;
	if (x->flow.flags & FLOW_OUT && out_find(x, false))
		return HOOK(icmp_here)(ctx, true);
	return READ_ONCE(bpvs_cfg.schedule_icmp) && !backup_only() ? LATER_START : BPVS_ICMP_OTHER;
}

/*
 * schedule_icmp: an error about a reply that another director's connection made, as happens with
 * anycast. The scheduler is asked as for the request that the reply was to, which may be of any
 * kind: whether it was the first is not known.
 */
static __always_inline int icmp_schedule(struct conn_scratch *x)
{
	struct icmp_scratch *i;
	__u32 zero = 0;
	int v;

	i = bpf_map_lookup_elem(&bpvs_inner, &zero);
	if (!i)
		return BPVS_BUG_MAP;
	i->outer = x->flow;
	x->flow.saddr = i->in.daddr;
	x->flow.daddr = i->in.saddr;
	x->flow.sport = i->in.dport;
	x->flow.dport = i->in.sport;
	x->flow.proto = i->in.proto;
	x->flow.tcp_flags = TH_SYN;
	x->flow.flags |= FLOW_QUOTED;
	/* No Call-ID is looked for in what it quotes, and an earlier packet's is not its. */
	x->call.look = CALL_UNREAD;
	key_request(&x->n.key, &x->flow, clock_now());
	v = bpvs_schedule(x);
	x->flow = i->outer;
	if (v == BPVS_NO_SERVICE || v == BPVS_NO_SCHED)
		return BPVS_ICMP_OTHER;
	return v == BPVS_NO_DEST || v == LATER_CALL || v == LATER_BYPASS ? BPVS_ICMP_NO_DEST : v;
}

/* To the server that was found for it. */
static __noinline int icmp_scheduled(ctx_t *ctx, struct conn_scratch *x)
{
	pkt_t packet, *pkt = &packet;
	struct icmp_scratch *i;
	__u32 zero = 0;

	i = bpf_map_lookup_elem(&bpvs_inner, &zero);
	if (!i)
		return BPVS_BUG_MAP;
	pkt_open(pkt, ctx);
	if (icmp_open(pkt, &x->flow))
		return BPVS_SHORT;
	return icmp_to_server(pkt, x, &i->in);
}

static __always_inline int icmp_related(pkt_t *pkt, struct bpvs_flow *f)
{
	struct icmp_header *icmp = pkt_at(pkt, f->l4, sizeof(*icmp));
	struct conn_scratch *x;

	if (!icmp || (f->flags & FLOW_FRAG) || !icmp_is_error(f->af, icmp->type))
		return BPVS_ICMP_OTHER;
	x = conn_scratch();
	if (!x)
		return BPVS_BUG_MAP;
	pkt_keep_flow(x, f);
	return LATER_ICMP;
}

/* A stray packet is quoted as IPVS meets it: after a hop. */
static __always_inline int stray_hop(ctx_t *ctx, const struct bpvs_flow *f)
{
	pkt_t pkt;

	if (!(f->af == BPVS_V4 ? pkt_reopen(&pkt, ctx, f, BPVS_V4)
			       : pkt_reopen(&pkt, ctx, f, BPVS_V6)))
		return BPVS_WRITE;
	ttl_down(&pkt);
	return LATER_ANSWER;
}

/* What LATER_OUT, LATER_HERE and LATER_HERE_REPLY stand for (local_tc.h); or LATER_STRAY. */
static int run_here(ctx_t *ctx, int later);

static __always_inline int run_special(ctx_t *ctx, struct conn_scratch *x, int later)
{
	int v;

	if (later >= LATER_OUT && later <= LATER_HERE_REPLY)
		later = run_here(ctx, later);
	if (later == LATER_STRAY) {
		later = answer_stray(x);
		if (later == LATER_ANSWER)
			later = stray_hop(ctx, &x->flow);
	}
	if ((later & 0xffff) < BPVS_COUNTERS)
		return later;
	if (later == LATER_ICMP) {
		v = icmp_error(ctx, x, clock_now());
		if (unlikely(v == LATER_START)) {
			v = icmp_schedule(x);
			if (v == BPVS_GO_ON)
				v = icmp_scheduled(ctx, x);
		}
		if (v != LATER_ANSWER)
			return x->act << 16 | v;
	}
	return answer_send(ctx, x);
}
