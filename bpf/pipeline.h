/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet's way, the same for both hooks:
 *
 *   parse -> (icmp) -> find connection -> [service -> schedule -> new connection]
 *         -> next hop -> account -> state -> rewrite -> send
 *
 * A stage returns BPVS_GO_ON or the verdict that ends the walk. XDP decides that it cannot finish a
 * packet before anything is counted or changed, so that TC sees the packet as if XDP were not there;
 * only the connection may exist by then.
 *
 * Include after pkt_xdp.h or pkt_tc.h.
 */
#pragma once

#include "answer.h"
#include "schedule.h"
#include "state.h"
#include "xmit/xmit.h"

static __always_inline bool filter_hit(const __u64 *bits, const struct bpvs_addr *a)
{
	__u32 bit = bpvs_filter_bit(a);

	return READ_ONCE(bits[bit / 64 & (BPVS_FILTER_BITS / 64 - 1)]) >> (bit & 63) & 1;
}

static __always_inline bool flow_is_icmp(const struct bpvs_flow *f)
{
	return f->proto == (f->af == BPVS_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* An error may be about a tunnel, which is not of its service's family. */
static __always_inline bool family_off(const struct bpvs_flow *f)
{
	__u32 on4 = READ_ONCE(bpvs_cfg.services4), on6 = READ_ONCE(bpvs_cfg.services6);

	if (flow_is_icmp(f))
		return !on4 && !on6;
	return !(f->af == BPVS_V4 ? on4 : on6);
}

/* A SYN on a connection that is over starts a new one. */
static __always_inline bool conn_reused(const struct conn_hit *hit, const struct bpvs_dest *d,
					const struct bpvs_flow *f)
{
	__u32 mode = READ_ONCE(bpvs_cfg.conn_reuse_mode), state = word_state(hit->word);

	if (f->proto != IPPROTO_TCP || !(f->tcp_flags & TH_SYN))
		return false;
	if (READ_ONCE(bpvs_cfg.expire_nodest_conn) && READ_ONCE(d->weight) <= 0)
		return true;
	if (!mode)
		return false;
	return state == BPVS_TCP_TIME_WAIT || state == BPVS_TCP_CLOSE ||
	       (mode & 2 && state == BPVS_TCP_FIN_WAIT && hit->word & BPVS_WORD_NOOUTPUT);
}

/*
 * An existing connection: go on with it, or end it (GO_ON, *ret_gone) so that the packet is looked
 * at as one without, or drop.
 */
static __always_inline enum bpvs_verdict conn_check(const struct conn_hit *hit,
						    const struct bpvs_flow *f, bool *ret_gone)
{
	struct bpvs_dest *d = dest_get(hit->dest);
	struct bpvs_conn *c = conn_slot(hit->idx);

	if (!d || !c)
		return BPVS_BUG_MAP;
	if (unlikely(!(READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE))) {
		if (!READ_ONCE(bpvs_cfg.expire_nodest_conn))
			return BPVS_DEST_GONE;
	} else if (likely(!conn_reused(hit, d, f))) {
		return BPVS_GO_ON;
	}
	*ret_gone = true;
	bpvs_conn_kill(hit->idx, READ_ONCE(c->word));
	return BPVS_GO_ON;
}

static __always_inline void key_request(struct conn_key *k, const struct bpvs_flow *f, __u32 now)
{
	k->client = f->saddr;
	k->peer = f->daddr;
	k->cport = f->sport;
	k->pport = f->dport;
	k->proto = f->proto;
	k->v6 = f->af == BPVS_V6;
	k->reply = 0;
	k->now = now;
}

static __always_inline void key_reply(struct conn_key *k, const struct bpvs_flow *f, __u32 now)
{
	k->client = f->daddr;
	k->peer = f->saddr;
	k->cport = f->dport;
	k->pport = f->sport;
	k->proto = f->proto;
	k->v6 = f->af == BPVS_V6;
	k->reply = 1;
	k->now = now;
}

/* Towards the virtual service. */
static __always_inline enum bpvs_verdict request(pkt_t *pkt, struct bpvs_flow *f,
						 struct conn_scratch *x, struct conn_hit *hit,
						 int *act)
{
	bool found, gone = false;
	enum bpvs_verdict v;

	found = bpvs_conn_find(&x->n.key, hit);
	if (found) {
		v = conn_check(hit, f, &gone);
		if (v != BPVS_GO_ON)
			return v;
	}
	if (!found || gone) {
		v = schedule(f, &x->n, hit);
		if (v == BPVS_NO_DEST)
			return answer_no_dest(pkt, f, act);
		if (v != BPVS_GO_ON)
			return v;
	}
	return xmit_in(pkt, f, hit, x, act);
}

/* Back from a real server, by NAT. */
static __always_inline enum bpvs_verdict reply(pkt_t *pkt, struct bpvs_flow *f,
					       struct conn_scratch *x, struct conn_hit *hit, int *act)
{
	const struct conn_key *k = &x->n.key;

	if (!bpvs_conn_find(k, hit) && !reply_stateless(f, k->now, hit))
		return BPVS_NO_REPLY;
	/* Only NAT comes back this way. */
	if ((hit->flags & BPVS_CONN_FWD) != BPVS_FWD_MASQ)
		return BPVS_NO_REPLY;
	return xmit_out(pkt, f, hit, x, act);
}

/* Which packets concern us at all, as cheaply as can be told. */
static __always_inline enum bpvs_verdict triage(pkt_t *pkt, const struct bpvs_flow *f, bool *ret_vip,
						bool *ret_rip)
{
	struct ethhdr *eth;

	*ret_vip = filter_hit(bpvs_filter.vip, &f->daddr);
	*ret_rip = filter_hit(bpvs_filter.rip, &f->saddr);
	if (likely(!*ret_vip && !*ret_rip) && !flow_is_icmp(f))
		return BPVS_NOT_OURS;
	if (family_off(f))
		return BPVS_DISABLED;
	eth = pkt_at(pkt, 0, sizeof(*eth));
	if (!eth || !pkt_for_host(pkt, eth))
		return BPVS_NOT_HOST;
	return BPVS_GO_ON;
}

static __always_inline enum bpvs_verdict pipeline(pkt_t *pkt, struct bpvs_flow *f, int *act)
{
	bool vip = false, rip = false;
	struct conn_hit hit = {};
	struct conn_scratch *x;
	enum bpvs_verdict v;
	__u32 now;

	if (pkt_vlan_stripped(pkt))
		return BPVS_NOT_IP;
	v = parse_link(pkt, f);
	if (v != BPVS_GO_ON)
		return v;
	if (PKT_COMPLETE && (f->flags & FLOW_VLAN))
		return BPVS_NOT_IP;
	if (pkt_is_gso(pkt))
		f->flags |= FLOW_GSO;
	v = f->af == BPVS_V4 ? parse_ip4(pkt, f) : parse_ip6(pkt, f);
	if (v != BPVS_GO_ON)
		return v;
	v = triage(pkt, f, &vip, &rip);
	if (v != BPVS_GO_ON)
		return v;
	now = clock_now();
	if (unlikely(flow_is_icmp(f)))
		return icmp_related(pkt, f, now, act);
	v = parse_l4(pkt, f);
	if (v != BPVS_GO_ON)
		return v;
	if (unlikely(f->flags & FLOW_FRAG)) {
		v = fragment(f);
		if (v != BPVS_GO_ON)
			return v;
	}
	x = conn_scratch();
	if (!x)
		return BPVS_BUG_MAP;
	if (vip) {
		key_request(&x->n.key, f, now);
		v = request(pkt, f, x, &hit, act);
		if (v != BPVS_NO_SERVICE || !rip)
			return v;
	}
	key_reply(&x->n.key, f, now);
	return reply(pkt, f, x, &hit, act);
}

static __always_inline int finish(enum bpvs_verdict v, int act)
{
	static const __u8 kinds[BPVS_REASONS] = {
#define BPVS_REASON(id, kind, label, text) [BPVS_##id] = BPVS_KIND_##kind,
#include <bpvs/reason.def>
#undef BPVS_REASON
	};
	__u32 i = v;

	if (i >= BPVS_REASONS)
		i = BPVS_BUG_MAP;
	count(i);
	if (kinds[i] == BPVS_KIND_SENT)
		return act;
	return kinds[i] == BPVS_KIND_DROP ? PKT_DROP : PKT_PASS;
}

static __always_inline int run(pkt_t *pkt, struct bpvs_flow *f)
{
	int act = PKT_DROP;

	pkt_prepare(pkt);
	return finish(pipeline(pkt, f, &act), act);
}
