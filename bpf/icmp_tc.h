/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about our connections. The packet inside tells the connection; it was on its way to
 * whom the error now goes, so its source and destination are the reverse of a packet's from there.
 *
 *   from the client's side, about a reply:    inner VIP -> client, goes to the real server
 *   from the real server's side, about a request (NAT): inner client -> RIP, goes to the client
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

/*
 * A router on the way to a tunnel's end finds the outer packet (i->in) too large. Its MTU is kept
 * in the destination, and the client's next packet is answered accordingly (see room_in()).
 */
static __always_inline int icmp_tunnel(pkt_t *pkt, struct conn_scratch *x, struct icmp_scratch *i,
				       __u32 now)
{
	__u32 mtu = icmp_mtu(pkt, &x->flow);
	enum bpvs_verdict v;
	struct bpvs_dest *d;

	if (!mtu)
		return BPVS_ICMP_OTHER;
	v = icmp_inner_ip(pkt, i->in.proto == IPPROTO_IPIP ? BPVS_V4 : BPVS_V6, i->in.l4,
			  &i->client);
	if (v == BPVS_GO_ON)
		v = icmp_inner_ports(pkt, &i->client);
	if (v != BPVS_GO_ON)
		return v;
	key_request(&x->n.key, &i->client, now);
	if (!bpvs_conn_find(&x->n.key, &x->hit) ||
	    (x->hit.flags & BPVS_CONN_FWD) != BPVS_FWD_TUNNEL)
		return BPVS_ICMP_OTHER;
	d = dest_get(x->hit.dest);
	if (!d || !addr_eq(&d->addr, &i->in.daddr) || !addr_eq(&d->tun_src, &i->in.saddr))
		return BPVS_ICMP_OTHER;
	WRITE_ONCE(d->pmtu_at, now);
	WRITE_ONCE(d->pmtu, (__u16)mtu);
	return BPVS_ICMP_PMTU;
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
		v = tun_wrap(pkt, f, d);
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
	if (f->ttl <= 1)
		return BPVS_ICMP_OTHER;
	v = hop_client(pkt, hit, &q, now, &hop);
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

/* A director that only keeps another's connections sends nothing to servers (lib/filter.c). */
static __always_inline bool backup_only(void)
{
	return READ_ONCE(bpvs_cfg.backup_runs) && READ_ONCE(bpvs_cfg.backup_only);
}

static __noinline int icmp_error(ctx_t *ctx, struct conn_scratch *x, __u32 now)
{
	pkt_t packet, *pkt = &packet;
	struct bpvs_flow *f = &x->flow, *in;
	struct icmp_scratch *i;
	enum bpvs_verdict v;
	__u32 zero = 0;

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
	if (in->proto == IPPROTO_IPIP || in->proto == IPPROTO_IPV6)
		return icmp_tunnel(pkt, x, i, now);
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
	if (bpvs_conn_find(&x->n.key, &x->hit) && (x->hit.flags & BPVS_CONN_FWD) == BPVS_FWD_MASQ)
		return icmp_to_client(pkt, x, in);
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

static __always_inline int run_special(ctx_t *ctx, struct conn_scratch *x, int later)
{
	int v;

	if (later == LATER_STRAY) {
		later = answer_stray(x);
		if (later == LATER_ANSWER)
			later = stray_hop(ctx, &x->flow);
	}
	if (later < BPVS_COUNTERS)
		return later;
	if (later == LATER_ANSWER)
		return answer_send(ctx, x);
	v = icmp_error(ctx, x, clock_now());
	if (unlikely(v == LATER_START)) {
		v = icmp_schedule(x);
		if (v == BPVS_GO_ON)
			v = icmp_scheduled(ctx, x);
	}
	return x->act << 16 | v;
}
