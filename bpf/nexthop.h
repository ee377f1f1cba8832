/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finding next hops. A route and neighbour look-up costs more than all the rest of a packet, so its
 * result is kept for about a second: in the destination for what goes to a real server, in a small
 * table that connections point into for what goes back to clients.
 */
#pragma once

#include "conn.h"
#include "hop.h"

/* ip(7)'s numbers; the headers that have them clash with linux/in.h. */
#define FIB_AF_INET  2
#define FIB_AF_INET6 10

/*
 * Routes are looked up as those of packets of this host (iif lo), as IPVS does, so that forwarding
 * need not be on in the devices: the engine sets it for lo, which bpf_fib_lookup() asks for.
 */
#define FIB_IFINDEX 1

/* Clock units that a next hop is good for; about a second. */
#define HOP_FRESH (bpvs_ro.clock_hz)
/*
 * XDP's packets do not touch the kernel's neighbour entry, which would go stale and never notice a
 * server that moved. So every 8 s or so (this many bits of the clock) a packet takes TC's way,
 * where bpf_redirect_neigh() confirms it.
 */
#define HOP_EPOCH_BITS 10

#define HOP_SEQ(x) ((x) >> 48)

struct hop_query {
	const struct bpvs_addr *to;
	const struct bpvs_addr *from; /* NULL: the route's choice */
	bool v6;
};

static __always_inline bool hop_read(const struct bpvs_nexthop *nh, struct bpvs_hop *hop)
{
	hop->dst = READ_ONCE(nh->dst);
	barrier();
	hop->ifindex = READ_ONCE(nh->ifindex);
	hop->lower = READ_ONCE(nh->lower);
	hop->mtu = READ_ONCE(nh->mtu);
	hop->vlan = READ_ONCE(nh->vlan);
	barrier();
	hop->src = READ_ONCE(nh->src);
	return HOP_SEQ(hop->dst) && HOP_SEQ(hop->dst) == HOP_SEQ(hop->src);
}

/* Only by who claimed nh->checked. */
static __always_inline void hop_write(struct bpvs_nexthop *nh, const struct bpvs_hop *hop)
{
	__u64 seq = (HOP_SEQ(READ_ONCE(nh->src)) + 1) & 0xffff;

	if (!seq)
		seq = 1;
	WRITE_ONCE(nh->src, (hop->src & 0xffffffffffffULL) | seq << 48);
	barrier();
	WRITE_ONCE(nh->ifindex, hop->ifindex);
	WRITE_ONCE(nh->lower, hop->lower);
	WRITE_ONCE(nh->mtu, hop->mtu);
	WRITE_ONCE(nh->vlan, hop->vlan);
	barrier();
	WRITE_ONCE(nh->dst, (hop->dst & 0xffffffffffffULL) | seq << 48);
}

/* What the FIB does not know any more is nobody's to use; the next packets ask for themselves. */
static __always_inline void hop_forget(struct bpvs_nexthop *nh)
{
	WRITE_ONCE(nh->dst, 0);
}

/* Where XDP sends frames of a device: itself or a VLAN device's parent; 0 if it cannot. */
static __always_inline void hop_device(struct bpvs_hop *hop)
{
	__u32 i = hop->ifindex % BPVS_DEVS;
	struct bpvs_dev *dev = bpf_map_lookup_elem(&bpvs_devs, &i);

	hop->lower = 0;
	hop->vlan = 0;
	if (dev && dev->ifindex == hop->ifindex && (dev->flags & BPVS_DEV_REDIRECT)) {
		hop->lower = dev->lower;
		hop->vlan = dev->vlan;
	}
}

static __always_inline void fib_fill(struct bpf_fib_lookup *fib, const struct hop_query *q)
{
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = FIB_IFINDEX;
	/* Not 0, or TC's variant would weigh the packet against the device's MTU itself. */
	fib->tot_len = 1;
	if (q->v6) {
		fib->family = FIB_AF_INET6;
		__builtin_memcpy(fib->ipv6_dst, q->to, sizeof(fib->ipv6_dst));
		if (q->from)
			__builtin_memcpy(fib->ipv6_src, q->from, sizeof(fib->ipv6_src));
	} else {
		fib->family = FIB_AF_INET;
		fib->ipv4_dst = q->to->w[3];
		if (q->from)
			fib->ipv4_src = q->from->w[3];
	}
}

static __always_inline void fib_gateway(const struct bpf_fib_lookup *fib, struct bpvs_hop *hop)
{
	if (fib->family == FIB_AF_INET6) {
		hop->gateway_af = BPVS_V6;
		__builtin_memcpy(&hop->gateway, fib->ipv6_dst, sizeof(hop->gateway));
	} else {
		hop->gateway_af = BPVS_V4;
		addr_map4(&hop->gateway, fib->ipv4_dst);
	}
}

/*
 * Ask the FIB what x->fib says; the answer is in x->hop. GO_ON with a whole next hop; UP_NEIGH with
 * device and gateway but no neighbour; NO_ROUTE.
 */
static __noinline enum bpvs_verdict hop_lookup(ctx_t *ctx, struct conn_scratch *x)
{
	struct bpf_fib_lookup *fib = &x->fib;
	struct bpvs_hop *hop = &x->hop;
	long r;

	count(BPVS_EV_FIB);
	r = bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
	if (r != BPF_FIB_LKUP_RET_SUCCESS && r != BPF_FIB_LKUP_RET_NO_NEIGH)
		return BPVS_NO_ROUTE;
	hop->ifindex = fib->ifindex;
	hop->mtu = fib->mtu_result;
	fib_gateway(fib, hop);
	hop_device(hop);
	hop->dst = 0;
	hop->src = 0;
	if (r == BPF_FIB_LKUP_RET_NO_NEIGH) {
		hop->mtu = 0;
		return BPVS_UP_NEIGH;
	}
	__builtin_memcpy(&hop->dst, fib->dmac, 6);
	__builtin_memcpy(&hop->src, fib->smac, 6);
	return BPVS_GO_ON;
}

/*
 * What a look-up's outcome means in this hook. TC asks the kernel's neighbour table in any case
 * when it has looked, which confirms the entry (see HOP_EPOCH_BITS) or makes one. XDP hands up what
 * has no neighbour or no route.
 */
static __always_inline enum bpvs_verdict hop_outcome(struct conn_scratch *x, enum bpvs_verdict v)
{
	x->hop.resolve = PKT_COMPLETE;
	if (v == BPVS_UP_NEIGH && PKT_COMPLETE)
		return BPVS_GO_ON;
	if (v == BPVS_NO_ROUTE && !PKT_COMPLETE)
		return BPVS_UP_NEIGH;
	return v;
}

/*
 * A next hop that is not in the cache, or too old: x->hop is what was there, and what is then.
 * Global, as is its like below, so that the verifier does not go through it for every caller's
 * state.
 */
__noinline int HOOK(hop_refresh)(ctx_t *ctx, struct bpvs_nexthop *nh, struct conn_scratch *x,
				 __u32 now, __u32 stale)
{
	enum bpvs_verdict v;
	__u32 checked;

	if (!nh || !x)
		return BPVS_BUG_MAP;
	checked = READ_ONCE(nh->checked);
	if (stale && !PKT_COMPLETE && (now ^ checked) >> HOP_EPOCH_BITS)
		return BPVS_UP_NEIGH;
	/* One packet looks, the others go on with what there is. */
	if (cas32(&nh->checked, checked, now) != checked && stale)
		return BPVS_GO_ON;
	v = hop_lookup(ctx, x);
	if (v == BPVS_GO_ON)
		hop_write(nh, &x->hop);
	else
		hop_forget(nh);
	return hop_outcome(x, v);
}

/* The next hop kept in `nh`, refreshed when it is older than a second. */
static __always_inline enum bpvs_verdict hop_get(pkt_t *pkt, struct bpvs_nexthop *nh,
						 const struct hop_query *q, __u32 now,
						 struct bpvs_hop *hop)
{
	bool there = hop_read(nh, hop);
	struct conn_scratch *x;
	enum bpvs_verdict v;

	hop->resolve = false;
	if (likely(there && now - READ_ONCE(nh->checked) < HOP_FRESH))
		return BPVS_GO_ON;
	x = conn_scratch();
	if (!x)
		return BPVS_BUG_MAP;
	fib_fill(&x->fib, q);
	x->hop = *hop;
	v = HOOK(hop_refresh)(pkt->ctx, nh, x, now, there);
	*hop = x->hop;
	return v;
}

/*
 * Next hops of replies. An entry belongs to whoever has the same MACs and device; it may be given
 * to another next hop when no connection can point to it any more: a connection trusts its index
 * for about a second, and each look-up stamps the entry.
 */
#define NEXTHOP_PROBES 4

static __always_inline bool hop_same(const struct bpvs_nexthop *nh, const struct bpvs_hop *hop)
{
	struct bpvs_hop have;

	return hop_read(nh, &have) && have.ifindex == hop->ifindex &&
	       !((have.dst ^ hop->dst) << 16) && !((have.src ^ hop->src) << 16) &&
	       have.mtu == hop->mtu && have.lower == hop->lower;
}

static __always_inline __u32 nexthop_intern(const struct bpvs_hop *hop, __u32 now,
					    bool *ret_confirm)
{
	__u32 hash = (__u32)(((hop->dst ^ hop->ifindex) * 0x9e3779b97f4a7c15ULL) >> 40), i, idx;

	for (i = 0; i < NEXTHOP_PROBES; i++) {
		struct bpvs_nexthop *nh;
		__u32 checked;

		/* Index 0 is left out: a connection's nh of 0 means none. */
		idx = 1 + (hash + i) % (BPVS_NEXTHOPS - 1);
		nh = bpf_map_lookup_elem(&bpvs_nexthops, &idx);
		if (!nh)
			return 0;
		checked = READ_ONCE(nh->checked);
		if (hop_same(nh, hop)) {
			*ret_confirm = !PKT_COMPLETE && (now ^ checked) >> HOP_EPOCH_BITS;
			if (!*ret_confirm)
				WRITE_ONCE(nh->checked, now);
			return idx;
		}
		if (now - checked > 4 * HOP_FRESH && cas32(&nh->checked, checked, now) == checked) {
			hop_write(nh, hop);
			return idx;
		}
	}
	return 0;
}

/* A connection's stamp: quarters of a second, so that 16 bits last for hours. */
#define NH_STAMP_BITS  5
#define NH_STAMP_FRESH 4

static __always_inline __u16 nh_stamp(__u32 now)
{
	return (__u16)(now >> NH_STAMP_BITS);
}

/* Remember the way of a connection's replies; taken back when the slot has a new owner. */
static __always_inline void nh_remember(__u32 conn, __u64 word, __u32 idx, __u32 now)
{
	struct bpvs_conn *c = conn_slot(conn);

	if (!c)
		return;
	WRITE_ONCE(c->nh, idx << 16 | nh_stamp(now));
	barrier();
	if (!word_same_gen(READ_ONCE(c->word), word))
		WRITE_ONCE(c->nh, 0);
}

__noinline int HOOK(hop_client_refresh)(ctx_t *ctx, struct conn_scratch *x, __u32 conn, __u64 word,
					__u32 now)
{
	enum bpvs_verdict v;
	bool confirm = false;
	__u32 idx;

	if (!x)
		return BPVS_BUG_MAP;
	v = hop_lookup(ctx, x);
	if (v == BPVS_GO_ON) {
		idx = nexthop_intern(&x->hop, now, &confirm);
		if (confirm)
			return BPVS_UP_NEIGH;
		if (idx)
			nh_remember(conn, word, idx, now);
	}
	return hop_outcome(x, v);
}

/* Towards a client, by the way that its connection remembers. */
static __always_inline enum bpvs_verdict hop_client(pkt_t *pkt, const struct conn_hit *hit,
						    const struct hop_query *q, __u32 now,
						    struct bpvs_hop *hop)
{
	__u32 idx = hit->nh >> 16;
	struct conn_scratch *x;
	enum bpvs_verdict v;

	if (likely(idx && (__u16)(nh_stamp(now) - (__u16)hit->nh) < NH_STAMP_FRESH)) {
		struct bpvs_nexthop *nh = bpf_map_lookup_elem(&bpvs_nexthops, &idx);

		hop->resolve = false;
		if (nh && hop_read(nh, hop))
			return BPVS_GO_ON;
	}
	x = conn_scratch();
	if (!x)
		return BPVS_BUG_MAP;
	fib_fill(&x->fib, q);
	v = HOOK(hop_client_refresh)(pkt->ctx, x, hit->idx, hit->word, now);
	*hop = x->hop;
	return v;
}
