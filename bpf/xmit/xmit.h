/* SPDX-License-Identifier: GPL-2.0-only */
/* The last stages: next hop, what the packet is not allowed, accounting, rewriting, sending. */
#pragma once

#include "../nexthop.h"
#include "nat.h"
#include "tun.h"

/* A packet that a router may cut, but that nothing here can. */
static __always_inline bool may_cut(const struct bpvs_flow *f, bool tunnel)
{
	return f->af == BPVS_V4 &&
	       (!(f->flags & FLOW_DF) || (tunnel && !READ_ONCE(bpvs_cfg.pmtu_disc)));
}

/* The path's MTU that a tunnel has learnt; 0 = none, or longer ago than the kernel remembers it. */
static __always_inline __u32 pmtu_get(const struct bpvs_dest *d, __u32 now)
{
	__u32 pmtu = READ_ONCE(d->pmtu);

	/* Ten minutes. */
	return pmtu && now - READ_ONCE(d->pmtu_at) < 600 * bpvs_ro.clock_hz ? pmtu : 0;
}

/* What is left in a tunnel, of whose link the MTU is given; 0 = not known. */
static __always_inline __u32 tun_room(const struct bpvs_dest *d, __u32 mtu, __u32 now)
{
	__u32 pmtu = pmtu_get(d, now), over = tun_overhead(d, READ_ONCE(d->tunnel));

	if (pmtu && (!mtu || pmtu < mtu))
		mtu = pmtu;
	return mtu > over ? mtu - over : 0;
}

/* What is left of the path's MTU for the client's packet; 0 = not known. */
static __always_inline __u32 room_in(const struct bpvs_hop *hop, const struct bpvs_dest *d,
				     __u32 now, bool tunnel)
{
	return tunnel ? tun_room(d, hop->mtu, now) : hop->mtu;
}

/* Must an ICMP error (or a drop) take the place of forwarding? */
static __always_inline enum bpvs_verdict refused(const struct bpvs_flow *f, __u32 mtu, bool tunnel)
{
	if (unlikely(f->ttl <= 1))
		return BPVS_TTL;
	if (likely(!mtu || f->len <= mtu || (f->flags & FLOW_GSO)))
		return BPVS_GO_ON;
	return may_cut(f, tunnel) ? BPVS_FRAG_DROP : BPVS_TOO_BIG;
}

/* The verdict of what was sent, with the hook's code for it in the upper half. */
static __always_inline int sent(int act, enum bpvs_verdict v)
{
	return act < 0 ? BPVS_WRITE : act << 16 | (int)v;
}

/* Rewrite and send. What XDP puts into a tunnel does not come here. */
static __always_inline int emit(pkt_t *pkt, struct bpvs_flow *f, const struct conn_hit *hit,
				const struct bpvs_dest *d, const struct bpvs_hop *hop, bool reply)
{
	__u32 fwd = hit->flags & BPVS_CONN_FWD;
	enum bpvs_verdict v = BPVS_GO_ON;
	bool v6 = pkt->af == BPVS_V6;

	if (reply || fwd == BPVS_FWD_MASQ) {
		v = nat_rewrite(pkt, f, hit, reply);
		if (v != BPVS_GO_ON)
			return v;
		return sent(pkt_send(pkt, f, hop, v6), reply ? BPVS_NAT_OUT : BPVS_NAT_IN);
	}
	if (fwd != BPVS_FWD_TUNNEL) {
		ttl_down(pkt);
		return sent(pkt_send(pkt, f, hop, v6), BPVS_DR);
	}
	if (!PKT_COMPLETE)
		return BPVS_BUG_MAP;
	v = tun_wrap(pkt, f, d, hit->dest);
	if (v != BPVS_GO_ON)
		return v;
	return sent(pkt_send(pkt, f, hop, d->af == BPVS_V6), BPVS_TUN);
}

/*
 * Whose packet out an error about a request is (answer_count()). One-packet services' connections
 * are in no table for it to be found by.
 */
static __always_inline __u32 error_counts(const struct conn_hit *hit)
{
	return (hit->flags & BPVS_CONN_FWD) == BPVS_FWD_MASQ || hit->idx == ~0U ? 0 : hit->dest;
}

static __always_inline int xmit_in(pkt_t *pkt, struct bpvs_flow *f, const struct conn_hit *hit,
				   struct bpvs_dest *d, __u32 now)
{
	__u32 fwd = hit->flags & BPVS_CONN_FWD, mtu;
	bool tunnel = fwd == BPVS_FWD_TUNNEL;
	struct hop_query q = { .to = &d->addr, .v6 = d->af == BPVS_V6 };
	enum bpvs_verdict v = BPVS_GO_ON, no;
	struct bpvs_hop hop;

	hop.mtu = 0;
	hop.resolve = false;
	if (likely(!bpvs_fwd_local(fwd))) {
		v = hop_get(pkt, &d->nh, &q, now, &hop);
		if (!PKT_COMPLETE && v != BPVS_GO_ON)
			return v;
		if (!PKT_COMPLETE && !hop.lower)
			return BPVS_UP_DEVICE;
	} else if (!PKT_COMPLETE) {
		return BPVS_UP_LOCAL;
	}
	mtu = room_in(&hop, d, now, tunnel);
	no = bpvs_fwd_local(fwd) ? BPVS_GO_ON : refused(f, mtu, tunnel);
	if (!PKT_COMPLETE && no != BPVS_GO_ON)
		return BPVS_UP_ANSWER;
	if (!PKT_COMPLETE && fwd == BPVS_FWD_MASQ && nat_unsummed(pkt, f))
		return BPVS_UP_CSUM;
	/*
	 * Making room is the last thing that XDP may fail at, and it comes before counting. To the
	 * end of its own: 6.1's verifier would otherwise see the old pointers used behind it.
	 */
	if (!PKT_COMPLETE && tunnel) {
		v = tun_wrap(pkt, f, d, hit->dest);
		if (v != BPVS_GO_ON)
			return v;
		account(d, hit->dest, f->len, false);
		conn_touch(hit, f, now, false);
		return sent(pkt_send(pkt, f, &hop, d->af == BPVS_V6), BPVS_TUN);
	}
	account(d, hit->dest, f->len, false);
	conn_touch(hit, f, now, false);
	if (bpvs_fwd_local(fwd))
		return pkt_local(pkt, f, hit, d);
	if (v != BPVS_GO_ON)
		return v;
	if (no == BPVS_TOO_BIG)
		ttl_down(pkt); /* it is quoted as IPVS would have sent it */
	if (no != BPVS_GO_ON)
		return answer_refused(f, no, &f->daddr, mtu, error_counts(hit));
	return pkt_emit(pkt, f, hit, d, &hop, false);
}

/* May its client be on this host? What has no slot does not say. */
static __always_inline bool hit_here(const struct conn_hit *hit)
{
	return hit->word & BPVS_WORD_HERE || hit->idx == ~0U;
}

static __always_inline int xmit_out(pkt_t *pkt, struct bpvs_flow *f, const struct conn_hit *hit,
				    struct bpvs_dest *d, __u32 now)
{
	struct hop_query q = { .to = &f->daddr, .from = &hit->to, .v6 = f->af == BPVS_V6 };
	enum bpvs_verdict v, no;
	struct bpvs_hop hop;

	v = hop_client(pkt, hit, &q, now, &hop);
	if (!PKT_COMPLETE && v != BPVS_GO_ON)
		return v;
	if (!PKT_COMPLETE && !hop.lower)
		return BPVS_UP_DEVICE;
	no = refused(f, hop.mtu, false);
	if (!PKT_COMPLETE && no != BPVS_GO_ON)
		return BPVS_UP_ANSWER;
	if (!PKT_COMPLETE && nat_unsummed(pkt, f))
		return BPVS_UP_CSUM;
	/* The host's own forwarding would have refused it before IPVS: uncounted, in its name. */
	if (v == BPVS_GO_ON && no != BPVS_GO_ON)
		return answer_refused(f, no, &d->tun_src, hop.mtu, 0);
	if (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE)
		account(d, hit->dest, f->len, true);
	conn_touch(hit, f, now, true);
	if (PKT_COMPLETE && v == BPVS_NO_ROUTE && hit_here(hit))
		return emit_here(hit, true);
	if (v != BPVS_GO_ON)
		return v;
	return pkt_emit(pkt, f, hit, d, &hop, true);
}
