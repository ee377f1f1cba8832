/* SPDX-License-Identifier: GPL-2.0-only */
/* From a flow without a connection to one with: service, scheduler, insertion. */
#include "schedule.h"
#include "sctp.h"
#include "sched/sched.h"

/* A connection lives this long, s, until its first state is set. */
#define CONN_FIRST_TIMEOUT 3

static __always_inline struct bpvs_svc *svc_find(const struct bpvs_flow *f)
{
	struct bpvs_svc_key key = {
		.addr = f->daddr,
		.port = f->dport,
		.proto = f->proto,
		.af = f->af,
	};
	__u32 *id = bpf_map_lookup_elem(&bpvs_svc_ids, &key);

	return id ? svc_get(*id) : NULL;
}

static __always_inline __u32 sched_run(struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	switch (READ_ONCE(svc->sched)) {
#define BPVS_SCHED(id, name)                                                                       \
	case BPVS_SCHED_##id:                                                                      \
		return (__u32)bpvs_sched_##name(svc, f);
#include <bpvs/sched.def>
#undef BPVS_SCHED
	}
	return 0;
}

/* May a packet without a connection start one? */
static __always_inline bool may_start(const struct bpvs_flow *f)
{
	if (f->flags & FLOW_FRAG_LATER)
		return false;
	if (f->proto == IPPROTO_UDP)
		return true;
	/* So INIT and ABORT are marked, too. What has no chunk may do nothing. */
	if (f->tcp_flags & TH_RST || f->tcp_flags == FLOW_NOTHING)
		return false;
	if (f->tcp_flags & TH_SYN)
		return true;
	return f->proto == IPPROTO_TCP ? READ_ONCE(bpvs_cfg.sloppy_tcp)
				       : READ_ONCE(bpvs_cfg.sloppy_sctp);
}

/*
 * The table is, or lately was, full: for so long (s) the hash of the client endpoint schedules in
 * the scheduler's place, connection or not. Some packets of a flow may find no room and others
 * some, and all have to go to one real server; and a flow that has no connection is still known by
 * its packets without SYN.
 */
static __always_inline void table_full_set(__u32 now)
{
	count(BPVS_EV_CONN_FULL);
	WRITE_ONCE(bpvs_cfg.full_until, now + FULL_TIME * bpvs_ro.clock_hz);
}

/*
 * The same destination for each packet of a flow, as long as the list stays: the first from where
 * the hash points that takes connections at all. Thresholds are not asked: they come and go.
 */
static __always_inline __u32 choose_stateless(struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	__u32 home = conn_home(&f->saddr, f->sport, f->proto, f->af == BPVS_V6);
	struct sched_scan s = { .l = sched_list(svc), .least = 1, .closed_too = 1 };
	__u32 id;

	if (!s.l.len)
		return 0;
	s.from = home % s.l.len + 1;
	id = bpvs_sched_scan(&s);
	if (unlikely(!id)) {
		s.from = s.l.len;
		id = bpvs_sched_scan(&s);
	}
	return id;
}

static __always_inline void conn_new_fill(struct conn_new *n, const struct bpvs_dest *d, __u32 id)
{
	n->daddr = d->addr;
	n->dport = d->port ? d->port : n->key.pport;
	n->flags = d->fwd | (n->key.v6 ? BPVS_CONN_V6 : 0);
	n->dest = id;
	n->timeout = CONN_FIRST_TIMEOUT * bpvs_ro.clock_hz;
}

/* The hit of a flow that has no slot: nothing will find index ~0. */
static __always_inline void hit_stateless(struct conn_hit *hit, const struct conn_new *n)
{
	hit->idx = ~0U;
	hit->word = 0;
	hit->dest = n->dest;
	hit->to = n->daddr;
	hit->to_port = n->dport;
	hit->flags = n->flags;
	hit->nh = 0;
}

#define RIVAL_TRIES 4
#define RIVAL_LOOKS 8

/*
 * Insert, or find what another CPU inserted for the same flow at the same time. Who loses is early:
 * the winner's entry may be a moment from being published. A winner that was held up meanwhile is
 * followed as it stands, which says where the packet goes; its state is left alone. And what was
 * there may be over by the time of the look: then it is our turn again.
 */
static __always_inline int conn_enter(struct conn_new *n, struct conn_hit *hit)
{
	int r = CONN_FULL, i, look;

	for (i = 0; i < RIVAL_TRIES; i++) {
		r = bpvs_conn_insert(n, hit);
		if (likely(r != CONN_RIVAL))
			return r;
		for (look = 0; look < RIVAL_LOOKS; look++)
			if (bpvs_conn_find(&n->key, hit))
				return CONN_RIVAL;
		n->key.tentative = 1;
		look = bpvs_conn_find(&n->key, hit);
		n->key.tentative = 0;
		if (look)
			return CONN_RIVAL;
	}
	return CONN_FULL;
}

__noinline int bpvs_schedule(struct conn_scratch *x)
{
	const struct bpvs_flow *f;
	struct conn_new *n;
	struct bpvs_svc *svc;
	struct bpvs_dest *d;
	bool full, start;
	__u32 id;
	int r;

	if (!x)
		return BPVS_BUG_MAP;
	f = &x->flow;
	n = &x->n;
	svc = svc_find(f);
	full = table_full(n->key.now);
	start = may_start(f);
	if (!svc)
		return BPVS_NO_SERVICE;
	if (!start && !(full && f->proto != IPPROTO_UDP && !(f->flags & FLOW_FRAG_LATER)))
		return BPVS_NO_CONN;
	id = full ? choose_stateless(svc, f) : sched_run(svc, f);
	d = dest_get(id);
	if (!id || !d)
		return BPVS_NO_DEST;
	conn_new_fill(n, d, id);
	if (start) {
		r = conn_enter(n, &x->hit);
		if (r == CONN_INSERTED)
			account_conn(d, id);
		if (r != CONN_FULL)
			return BPVS_GO_ON;
		table_full_set(n->key.now);
		/* Another CPU may have found room for the flow a moment ago. */
		if (bpvs_conn_find(&n->key, &x->hit))
			return BPVS_GO_ON;
	}
	if (!full) {
		id = choose_stateless(svc, f);
		d = dest_get(id);
		if (!id || !d)
			return BPVS_TABLE_FULL;
		conn_new_fill(n, d, id);
	}
	hit_stateless(&x->hit, n);
	return BPVS_GO_ON;
}

char _license[] SEC("license") __weak = "GPL";
