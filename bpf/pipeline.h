/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet's way, the same for both hooks:
 *
 *   parse -> (icmp) -> find connection -> [service -> schedule -> new connection]
 *         -> next hop -> account -> state -> rewrite -> send
 *
 * A stage returns BPVS_GO_ON or the verdict that ends the walk. XDP decides that it cannot finish a
 * packet before anything is counted or changed, so that TC sees the packet as if XDP were not
 * there; only the connection may exist by then.
 *
 * Include after pkt_xdp.h or pkt_tc.h.
 */
#pragma once

#include "answer.h"
#include "conn_match.h"
#include "schedule.h"
#include "state.h"
#include "xmit/xmit.h"

/* Why a packet is walked. */
enum pass {
	PASS_FIRST,
	PASS_STARTED, /* again, its connection is in x->hit */
	PASS_REPLY,   /* again, it is to no service: only a reply it can be */
	PASS_CALLED,  /* again, a real server has begun its connection, which is in x->hit */
	PASS_MASK = 0xff,
};

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

/* A SYN or INIT on a connection that is over starts a new one. */
static __always_inline bool conn_reused(const struct conn_hit *hit, const struct bpvs_dest *d,
					const struct bpvs_flow *f)
{
	__u32 mode = READ_ONCE(bpvs_cfg.conn_reuse_mode), state = word_state(hit->word);
	struct bpvs_conn *c;

	/* UDP has no flags, and SCTP's INIT is given this one. */
	if (likely(!(f->tcp_flags & TH_SYN)))
		return false;
	if (READ_ONCE(bpvs_cfg.expire_nodest_conn) && READ_ONCE(d->weight) <= 0)
		return true;
	if (!mode)
		return false;
	/* A template's connections go where the template says, FTP's where both halves are. */
	c = conn_slot(hit->idx);
	if (c && (c->control || READ_ONCE(c->controls) > 0))
		return false;
	if (f->proto != IPPROTO_TCP)
		return state == BPVS_SCTP_CLOSED;
	return state == BPVS_TCP_TIME_WAIT || state == BPVS_TCP_CLOSE ||
	       (mode & 2 && state == BPVS_TCP_FIN_WAIT && hit->word & BPVS_WORD_NOOUTPUT);
}

/*
 * An existing connection: go on with it, or have the packet looked at as one without (GO_ON,
 * *ret_gone), or drop.
 */
static __always_inline enum bpvs_verdict conn_check(const struct conn_hit *hit,
						    const struct bpvs_dest *d,
						    const struct bpvs_flow *f, bool *ret_gone)
{
	/* Over and used again goes before removed: the next one may be served elsewhere. */
	if (likely(!conn_reused(hit, d, f))) {
		if (likely(READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE))
			return BPVS_GO_ON;
		if (!READ_ONCE(bpvs_cfg.expire_nodest_conn))
			return BPVS_DEST_GONE;
	}
	*ret_gone = true;
	return BPVS_GO_ON;
}

static __always_inline bool conn_look(const struct conn_key *k, struct conn_hit *hit)
{
	struct conn_scratch *x;

	if (likely(conn_find_home(k, hit)))
		return true;
	x = conn_scratch();
	if (!x)
		return false;
	x->n.key = *k;
	if (!bpvs_conn_find(&x->n.key, &x->hit))
		return false;
	*hit = x->hit;
	return true;
}

/* `old`: the connection that it has and that is over, or NULL. */
static __always_inline int conn_start(const struct bpvs_flow *f, const struct conn_key *k,
				      const struct conn_hit *old)
{
	struct conn_scratch *x = conn_scratch();

	if (!x)
		return BPVS_BUG_MAP;
	pkt_keep_flow(x, f);
	x->n.key = *k;
	x->call.look = CALL_UNREAD;
	x->old_word = old ? old->word : 0;
	x->old_idx = old ? old->idx : 0;
	x->old_counts = old && !bpvs_fwd_nat(old->flags & BPVS_CONN_FWD) ? old->dest : 0;
	return LATER_START;
}

/* The connection that schedule() found or made for this very packet. */
static __always_inline bool conn_started(struct conn_hit *hit)
{
	struct conn_scratch *x = conn_scratch();

	if (!x)
		return false;
	*hit = x->hit;
	return true;
}

/* Towards the virtual service. */
static __always_inline int request(pkt_t *pkt, struct bpvs_flow *f, __u32 now, __u32 pass)
{
	struct bpvs_dest *d;
	struct conn_key k;
	struct conn_hit hit;
	bool gone = false;
	int v;

	key_request(&k, f, now);
	if (unlikely(!(pass == PASS_STARTED ? conn_started(&hit) : conn_look(&k, &hit))))
		return conn_start(f, &k, NULL);
	/* The bit of BYPASS is LOCAL_NAT's, too. */
	if (unlikely(hit.flags & (BPVS_FWD_BYPASS | BPVS_CONN_APP))) {
		if ((hit.flags & BPVS_CONN_FWD) == BPVS_FWD_BYPASS)
			return conn_bypass(f, &hit);
		if (!PKT_COMPLETE && hit.flags & BPVS_CONN_APP)
			return BPVS_UP_APP;
	}
	d = dest_get(hit.dest);
	if (!d)
		return BPVS_BUG_MAP;
	v = pass == PASS_STARTED ? BPVS_GO_ON : conn_check(&hit, d, f, &gone);
	if (v != BPVS_GO_ON)
		return v;
	if (unlikely(gone))
		return conn_start(f, &k, &hit);
	return xmit_in(pkt, f, &hit, d, now);
}

/* A packet that may be a real server's, but of no connection. XDP leaves it to TC in any case. */
static __always_inline int reply_unknown(const struct bpvs_flow *f, __u32 pass)
{
	__u32 asked = READ_ONCE(bpvs_cfg.nat_icmp_send) | READ_ONCE(bpvs_cfg.caller_services);
	struct conn_scratch *x;

	if (likely(!PKT_COMPLETE || !asked))
		return pass == PASS_REPLY ? BPVS_NO_SERVICE : BPVS_NO_REPLY;
	x = conn_scratch();
	if (!x)
		return BPVS_BUG_MAP;
	pkt_keep_flow(x, f);
	x->call.look = CALL_UNREAD;
	return LATER_STRAY;
}

/* Back from a real server, by NAT. */
static __always_inline int reply(pkt_t *pkt, struct bpvs_flow *f, __u32 now, __u32 pass)
{
	struct conn_key k;
	struct conn_hit hit;
	struct bpvs_dest *d;

	if (PKT_COMPLETE && unlikely(f->flags & FLOW_OUT))
		return LATER_OUT;
	key_reply(&k, f, now);
	if (!(PKT_COMPLETE && pass == PASS_CALLED ? conn_started(&hit) : conn_look(&k, &hit)) &&
	    !reply_stateless(f, now, &hit))
		return reply_unknown(f, pass);
	/* Only NAT comes back this way, which has none of the bits. */
	if (unlikely(hit.flags & (BPVS_CONN_FWD | BPVS_CONN_APP))) {
		if (hit.flags & BPVS_CONN_FWD)
			return BPVS_NO_REPLY;
		if (!PKT_COMPLETE)
			return BPVS_UP_APP;
	}
	d = dest_get(hit.dest);
	if (!d)
		return BPVS_BUG_MAP;
	return xmit_out(pkt, f, &hit, d, now);
}

/*
 * What the filter says of a packet's addresses, before anything else is looked at: most packets
 * that pass a host are none of ours, and shall cost it little. Goes in the upper bits of `pass`.
 */
#define LOOK_VIP 0x100 /* perhaps to a virtual service */
#define LOOK_RIP 0x200 /* perhaps from a NAT real server */
#define LOOK_ANY 0x400 /* has to be parsed to tell: ICMP, other headers first, cut short */
/* Not of the filter: netfilter has marked it, and routing brought it to bpvs_mark for that. */
#define LOOK_MARK 0x800
/* Nor this: it leaves, and was made here. */
#define LOOK_OUT 0x1000

/* `out`: it was made here, and may have a virtual address itself, but for NAT. */
static __always_inline __u32 look_at(const struct bpvs_addr *saddr, const struct bpvs_addr *daddr,
				     bool out)
{
	return (filter_hit(bpvs_filter.vip, daddr) ? LOOK_VIP : 0) |
	       (filter_hit(bpvs_filter.rip, saddr) || (out && filter_hit(bpvs_filter.vip, saddr))
			? LOOK_RIP
			: 0);
}

static __always_inline __u32 look4(const pkt_t *pkt, __u32 l3, bool out)
{
	const struct iphdr *ip = pkt->data + l3;
	struct bpvs_addr saddr, daddr;

	if ((void *)(ip + 1) > pkt->end)
		return LOOK_ANY;
	addr_map4(&saddr, ip->saddr);
	addr_map4(&daddr, ip->daddr);
	return look_at(&saddr, &daddr, out) | (ip->protocol == IPPROTO_ICMP ? LOOK_ANY : 0);
}

static __always_inline __u32 look6(const pkt_t *pkt, __u32 l3, bool out)
{
	const struct ipv6hdr *ip = pkt->data + l3;
	struct bpvs_addr saddr, daddr;

	if ((void *)(ip + 1) > pkt->end)
		return LOOK_ANY;
	__builtin_memcpy(&saddr, &ip->saddr, sizeof(saddr));
	__builtin_memcpy(&daddr, &ip->daddr, sizeof(daddr));
	return look_at(&saddr, &daddr, out) |
	       (ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_UDP ? 0 : LOOK_ANY);
}

/* Which packets concern us at all. */
static __always_inline enum bpvs_verdict triage(pkt_t *pkt, const struct bpvs_flow *f, __u32 pass)
{
	if (unlikely(!(pass & (LOOK_VIP | LOOK_RIP))) && !flow_is_icmp(f))
		return BPVS_NOT_OURS;
	if (family_off(f))
		return BPVS_DISABLED;
	if (!pkt_for_host(pkt, pkt->data))
		return BPVS_NOT_HOST;
	return BPVS_GO_ON;
}

/* The walk, for one family: `af` is a constant where this is inlined, and half of it folds away. */
static __always_inline int pipeline(pkt_t *pkt, struct bpvs_flow *f, __u8 af, __u32 pass)
{
	__u32 now;
	int v;

	f->af = af;
	pkt->af = af;
	/* Where no transport header is looked for, the pointer is still one. */
	pkt->trans = pkt->data;
	if (pkt_is_gso(pkt))
		f->flags |= FLOW_GSO;
	v = af == BPVS_V4 ? parse_ip4(pkt, f) : parse_ip6(pkt, f);
	if (v != BPVS_GO_ON)
		return v;
	v = triage(pkt, f, pass);
	if (v != BPVS_GO_ON)
		return v;
	now = clock_now();
	if (unlikely(flow_is_icmp(f)))
		return icmp_related(pkt, f);
	v = parse_l4(pkt, f);
	if (v != BPVS_GO_ON)
		return v;
	if (unlikely(f->flags & FLOW_FRAG)) {
		v = fragment((pass & PASS_MASK) == PASS_STARTED);
		if (v != BPVS_GO_ON)
			return v;
	}
	if ((pass & LOOK_VIP) && (pass & PASS_MASK) < PASS_REPLY)
		return request(pkt, f, now, pass & PASS_MASK);
	return reply(pkt, f, now, pass & PASS_MASK);
}

/*
 * One family's walk is a function of its own, with registers and stack of its own. Returns a
 * verdict or an enum later, and the hook's code for what was sent in the upper half.
 */
static __always_inline int walk(ctx_t *ctx, __u8 af, __u32 pass)
{
	struct bpvs_flow local, *f = pkt_flow(&local);
	__be16 proto;
	pkt_t pkt;
	int v;

	if (!f)
		return BPVS_BUG_MAP;
	__builtin_memset(f, 0, sizeof(*f));
	if (PKT_COMPLETE && unlikely(pass & LOOK_MARK))
		f->mark = pkt_mark(ctx);
	if (PKT_COMPLETE && unlikely(pass & LOOK_OUT))
		f->flags = FLOW_OUT;
	pkt_open(&pkt, ctx);
	v = parse_link(&pkt, f, &proto);
	if (v == BPVS_GO_ON)
		v = pipeline(&pkt, f, af, pass);
	return v;
}

/* Global, so that the verifier looks at each once, not for each way of getting here. */
__noinline int HOOK(walk4)(ctx_t *ctx, __u32 pass)
{
	return walk(ctx, BPVS_V4, pass);
}

__noinline int HOOK(walk6)(ctx_t *ctx, __u32 pass)
{
	return walk(ctx, BPVS_V6, pass);
}

/* Count the packet's fate and turn it into the hook's code. */
static __always_inline int finish(int r)
{
	static const __u8 kinds[BPVS_REASONS] = {
#define BPVS_REASON(id, kind, label, text) [BPVS_##id] = BPVS_KIND_##kind,
#include <bpvs/reason.def>
#undef BPVS_REASON
	};
	__u32 v = r & 0xffff;

	if (v >= BPVS_REASONS)
		v = BPVS_BUG_MAP;
	count(v);
	if (likely(kinds[v] == BPVS_KIND_SENT))
		return r >> 16;
	return kinds[v] == BPVS_KIND_DROP ? PKT_DROP : PKT_PASS;
}

static __always_inline int walk_again(ctx_t *ctx, const struct conn_scratch *x, bool v6,
				      enum pass pass)
{
	/* It has been looked at, and found worth it. */
	__u32 p = pass | LOOK_VIP | LOOK_RIP;

	if (PKT_COMPLETE && x->flow.flags & FLOW_OUT)
		p |= LOOK_OUT;

	return v6 ? HOOK(walk6)(ctx, p) : HOOK(walk4)(ctx, p);
}

static __always_inline int run_later(ctx_t *ctx, bool v6, int later)
{
	struct conn_scratch *x = conn_scratch();
	int v = later;

	if (!x)
		return BPVS_BUG_MAP;
	if (later == LATER_START) {
		v = bpvs_answers(x) ? (int)BPVS_NO_SERVICE : bpvs_schedule(x);
		if (v == LATER_CALL)
			v = call_read(ctx, x) ?: bpvs_schedule(x);
		/* One of a mark's service is met again behind netfilter, and ends there. */
		if (v == BPVS_NO_SERVICE && !x->flow.mark && READ_ONCE(bpvs_cfg.mark_ifindex))
			x->old_word = 0;
		conn_end_old(x);
		if (v == BPVS_GO_ON)
			v = walk_again(ctx, x, v6, PASS_STARTED);
		else if (v == BPVS_NO_SERVICE)
			/* Its address is a VIP, but perhaps it is a NAT real server's reply. */
			v = walk_again(ctx, x, v6, PASS_REPLY);
		else if (v == BPVS_NO_DEST)
			v = answer_no_dest(x, x->old_counts);
	}
	if ((v & 0xffff) == LATER_STRAY && call_out(ctx, x) == BPVS_GO_ON)
		v = walk_again(ctx, x, v6, PASS_CALLED);
	if ((v & 0xffff) == LATER_BYPASS)
		v = run_bypass(ctx);
	return is_later(v) ? run_special(ctx, x, v & 0xffff) : v;
}

/* `how`: LOOK_MARK, LOOK_OUT, both or 0. Returns what walk() does, but for enum later. */
static __always_inline int run_walks(ctx_t *ctx, __u32 how)
{
	struct bpvs_flow f = {};
	__be16 proto = 0;
	__u32 look;
	pkt_t pkt;
	bool v6;
	int v;

	pkt_prepare(ctx);
	pkt_open(&pkt, ctx);
	if (pkt_vlan_stripped(&pkt))
		return BPVS_NOT_IP;
	v = parse_link(&pkt, &f, &proto);
	v6 = proto == bpf_htons(ETH_P_IPV6);
	/* A tag in TC's view is a second one, or of nobody's. */
	if (v != BPVS_GO_ON || (PKT_COMPLETE && (f.flags & FLOW_VLAN)) ||
	    (!v6 && proto != bpf_htons(ETH_P_IP)))
		return v == BPVS_GO_ON ? BPVS_NOT_IP : v;
	/* A mark has no address, so the filter has no say. */
	look = how & LOOK_MARK ? LOOK_VIP | LOOK_RIP
	       : v6	       ? look6(&pkt, f.l3, how & LOOK_OUT)
			       : look4(&pkt, f.l3, how & LOOK_OUT);
	if (likely(!look))
		return BPVS_NOT_OURS;
	look |= how;
	v = v6 ? HOOK(walk6)(ctx, PASS_FIRST | look) : HOOK(walk4)(ctx, PASS_FIRST | look);
	if (unlikely(is_later(v)))
		v = run_later(ctx, v6, v & 0xffff);
	return run_emit(ctx, v);
}

static __always_inline int run(ctx_t *ctx)
{
	return finish(run_walks(ctx, 0));
}
