/* SPDX-License-Identifier: GPL-2.0-only */
/* From a flow without a connection to one with: service, scheduler, insertion. */
#include "defence.h"
#include "schedule.h"
#include "sctp.h"
#include "sched/sched.h"

/* A connection lives this long, s, until its first state is set. */
#define CONN_FIRST_TIMEOUT 3

#define PORT_FTP      bpf_htons(21)
#define PORT_FTP_DATA bpf_htons(20)
/* Ports from here on anybody may listen at (net.ipv4.ip_unprivileged_port_start). */
#define PORT_UNPRIVILEGED 1024

static __always_inline __u32 svc_at(const struct bpvs_svc_key *key)
{
	__u32 *id = bpf_map_lookup_elem(&bpvs_svc_ids, key);

	return id ? *id : 0;
}

/*
 * The service that a flow is to, or 0. In IPVS's order: its mark, its endpoint, an FTP service that
 * the port may be a data connection of, a service of all ports.
 */
__noinline int bpvs_svc_find(const struct bpvs_flow *f)
{
	struct bpvs_svc_key key = {};
	__u32 id = 0;

	if (!f)
		return 0;
	key.af = f->af;
	key.fwmark = f->mark;
	if (key.fwmark)
		id = svc_at(&key);
	if (id)
		return (int)id;
	key.addr = f->daddr;
	key.fwmark = 0;
	key.port = f->dport;
	key.proto = f->proto;
	id = svc_at(&key);
	if (!id && f->proto == IPPROTO_TCP && READ_ONCE(bpvs_cfg.ftp_services) &&
	    (f->dport == PORT_FTP_DATA || bpf_ntohs(f->dport) >= PORT_UNPRIVILEGED)) {
		key.port = PORT_FTP;
		id = svc_at(&key);
	}
	if (!id && READ_ONCE(bpvs_cfg.any_port_services)) {
		key.port = 0;
		id = svc_at(&key);
	}
	return (int)id;
}

/* Global, so that the verifier looks at the schedulers' calls once. */
__noinline int bpvs_sched_run(struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	if (!svc || !f)
		return 0;
	switch (READ_ONCE(svc->sched)) {
#define BPVS_SCHED(id, name)                                                                       \
	case BPVS_SCHED_##id:                                                                      \
		return bpvs_sched_##name(svc, f);
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

/* Persistence is of a client's network, as wide as the service's mask says. */
static __always_inline void client_network(struct bpvs_addr *net, const struct bpvs_svc *svc,
					   const struct bpvs_flow *f)
{
	__u32 prefix = (__u32)READ_ONCE(svc->netmask), bits, i;

	*net = f->saddr;
	if (f->af == BPVS_V4) {
		net->w[3] &= svc->netmask;
		return;
	}
	for (i = 0; i < 4; i++) {
		bits = prefix > 32 ? 32 : prefix;
		prefix -= bits;
		net->w[i] &= bits ? bpf_htonl(~0U << (32 - bits)) : 0;
	}
}

/*
 * The same destination for each packet of a flow (of a client, where the service is persistent), as
 * long as the list stays: the first from where the hash points that takes connections at all.
 * Thresholds are not asked: they come and go.
 */
__noinline int bpvs_choose_stateless(struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	struct sched_scan s = { .least = 1, .closed_too = 1 };
	struct bpvs_addr client;
	__be16 port;
	__u32 home;
	int id;

	if (!svc || !f)
		return 0;
	s.l = sched_list(svc);
	if (!s.l.len || READ_ONCE(svc->sched) == BPVS_SCHED_NONE)
		return 0;
	client = f->saddr;
	port = f->sport;
	if (READ_ONCE(svc->flags) & BPVS_SVC_PERSISTENT) {
		client_network(&client, svc, f);
		port = 0;
	}
	home = conn_home(&client, port, f->proto, f->af == BPVS_V6);
	s.from = home % s.l.len + 1;
	id = bpvs_sched_scan(&s);
	if (unlikely(!id)) {
		s.from = s.l.len;
		id = bpvs_sched_scan(&s);
	}
	return id;
}

/* A packet to the service's own port goes to the destination's, all others keep theirs. */
static __always_inline __be16 dest_port(const struct bpvs_svc *svc, const struct bpvs_flow *f,
					const struct bpvs_dest *d)
{
	if (!d->port)
		return f->dport;
	if ((READ_ONCE(svc->flags) & BPVS_SVC_PERSISTENT) && f->dport != svc->key.port)
		return f->dport;
	return d->port;
}

/* NAT's connections to FTP's port are control connections, whatever service they are of. */
static __always_inline __u8 conn_app(const struct conn_key *k, __u32 fwd)
{
	bool ftp = k->pport == PORT_FTP && k->proto == IPPROTO_TCP && fwd == BPVS_FWD_MASQ;

	return ftp ? BPVS_CONN_APP : 0;
}

static __always_inline void conn_new_fill(struct conn_scratch *x, const struct bpvs_dest *d,
					  __u32 id, __be16 port)
{
	struct conn_new *n = &x->n;

	n->daddr = d->addr;
	n->dport = port;
	n->flags = d->fwd | (n->key.v6 ? BPVS_CONN_V6 : 0) | conn_app(&n->key, d->fwd);
	n->state = 0;
	/* BPVS_WORD_HERE, without a branch for the verifier to follow. */
	n->here = (x->flow.flags & FLOW_OUT) * (__u32)(BPVS_WORD_HERE / FLOW_OUT);
	n->dest = id;
	n->timeout = CONN_FIRST_TIMEOUT * bpvs_ro.clock_hz;
}

/* The hit of a flow that has no slot: nothing will find index ~0. */
static __always_inline void hit_stateless(struct conn_hit *hit, const struct conn_new *n)
{
	hit->idx = ~0U;
	hit->word = n->here;
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
		n->key.how |= KEY_TENTATIVE;
		look = bpvs_conn_find(&n->key, hit);
		n->key.how &= ~KEY_TENTATIVE;
		if (look)
			return CONN_RIVAL;
	}
	return CONN_FULL;
}

#include "expect.h"

/*
 * The key of a template. To the service's port: protocol, network, service. To another port, which
 * services of all ports, FTP and marks have: port 0, and a mark in the place of protocol and
 * address, so that it holds for all that the mark is on.
 */
static __always_inline void template_key(struct conn_key *k, const struct bpvs_svc *svc,
					 const struct bpvs_flow *f)
{
	__u8 proto = f->proto;

	client_network(&k->client, svc, f);
	k->cport = 0;
	k->peer = f->daddr;
	k->pport = 0;
	if (f->dport == svc->key.port) {
		if (f->dport != PORT_FTP)
			k->pport = f->dport;
	} else if (svc->key.fwmark) {
		proto = IPPROTO_IP;
		__builtin_memset(&k->peer, 0, sizeof(k->peer));
		if (f->af == BPVS_V4)
			addr_map4(&k->peer, bpf_htonl(svc->key.fwmark));
		else
			k->peer.w[0] = bpf_htonl(svc->key.fwmark);
	}
	k->proto = (__u8)~proto;
	k->how = KEY_TEMPLATE;
	k->reply = 0;
}

/* By Call-ID: 48 bits of its hash tell templates of one client apart. */
static __always_inline void template_call(struct conn_scratch *x, const struct bpvs_svc *svc)
{
	x->n.call = 0;
	if (!READ_ONCE(svc->pe))
		return;
	x->n.call = (__u32)(x->call.hash >> 16) | 1;
	x->n.key.cport = (__be16)x->call.hash;
}

/* May the template go on choosing its destination? Thresholds do not matter to it. */
static __always_inline bool template_usable(const struct bpvs_dest *d)
{
	if (!d || !(READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE))
		return false;
	return !READ_ONCE(bpvs_cfg.expire_quiescent_template) || READ_ONCE(d->weight) != 0;
}

/* The template's Call-ID, for listings. 6.1 takes no global function's argument as key or value. */
static __always_inline void call_keep(void)
{
	struct conn_scratch *x = conn_scratch();

	if (x)
		bpf_map_update_elem(&bpvs_calls, &x->hit.idx, &x->call.len, BPF_ANY);
}

static __always_inline int template_make(struct conn_scratch *x, struct bpvs_svc *svc)
{
	int id = x->caller ? (int)x->caller : bpvs_sched_run(svc, &x->flow), r;
	struct bpvs_dest *d = dest_get((__u32)id);
	bool own = x->flow.dport == svc->key.port && x->flow.dport != PORT_FTP;

	if (!id || !d)
		return 0;
	conn_new_fill(x, d, (__u32)id, own ? d->port : 0);
	x->n.flags |= BPVS_CONN_TEMPLATE;
	x->n.timeout = READ_ONCE(svc->timeout) * bpvs_ro.clock_hz;
	x->n.control = 0;
	if (x->n.call)
		x->n.flags |= BPVS_CONN_CALL;
	if (conn_max_reached()) {
		x->hit.idx = ~0U;
		x->hit.dest = (__u32)id;
		return 1;
	}
	r = conn_enter(&x->n, &x->hit);
	if (r == CONN_INSERTED && x->n.call)
		call_keep();
	if (r == CONN_FULL) {
		table_full_set(x->n.key.now);
		x->hit.idx = ~0U;
		x->hit.dest = (__u32)id;
	}
	return 1;
}

#define TEMPLATE_TRIES 4

/*
 * Destination of a persistent service's flow: the one that the client's template has, or, where
 * there is none that may be used, the scheduler's choice, for which a template is made. The
 * template counts the connection that is to come: x->n.control names it.
 */
__noinline int bpvs_template(struct conn_scratch *x, struct bpvs_svc *svc)
{
	__u32 now, id;
	int tries;

	if (!x || !svc)
		return 0;
	now = x->n.key.now;
	for (tries = 0; tries < TEMPLATE_TRIES; tries++) {
		template_key(&x->n.key, svc, &x->flow);
		template_call(x, svc);
		if (!bpvs_conn_find(&x->n.key, &x->hit) && !template_make(x, svc))
			return 0;
		id = x->hit.dest;
		x->n.control = 0;
		/* No room for one. */
		if (x->hit.idx == ~0U)
			return (int)id;
		if (!template_usable(dest_get(id)) || (x->caller && x->caller != id)) {
			bpvs_template_stale(x->hit.idx, x->hit.word);
			continue;
		}
		if (bpvs_control_hold(x->hit.idx, x->hit.word, now)) {
			x->n.control = x->hit.idx + 1;
			return (int)id;
		}
	}
	return 0;
}

/* No usable destination: but what only may be FTP's is the stack's. */
static __always_inline int leave(const struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	if (svc->key.port == PORT_FTP && f->dport != PORT_FTP)
		return BPVS_NO_SCHED;
	return BPVS_NO_DEST;
}

/* One-packet services remember nothing. */
static __always_inline int bypass_fill(struct conn_scratch *x, bool one_packet)
{
	struct conn_new *n = &x->n;

	__builtin_memset(&n->daddr, 0, sizeof(n->daddr));
	if (!n->key.v6)
		addr_map4(&n->daddr, 0);
	n->dport = 0;
	n->flags = BPVS_FWD_BYPASS | (n->key.v6 ? BPVS_CONN_V6 : 0);
	n->state = 0;
	n->here = 0;
	n->dest = 0;
	n->timeout = one_packet ? 0 : CONN_FIRST_TIMEOUT * bpvs_ro.clock_hz;
	hit_stateless(&x->hit, n);
	return LATER_BYPASS;
}

/* A mark's packet may go on to where it was meant for; a route shall tell whether it can. */
static __always_inline bool bypass(const struct bpvs_svc *svc)
{
	return unlikely(READ_ONCE(bpvs_cfg.cache_bypass)) && svc->key.fwmark;
}

static __always_inline bool svc_one_packet(const struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	return f->proto == IPPROTO_UDP && (READ_ONCE(svc->flags) & BPVS_SVC_ONEPACKET);
}

__noinline int bpvs_bypass_make(struct conn_scratch *x)
{
	if (!x)
		return 0;
	return !x->n.timeout || conn_enter(&x->n, &x->hit) != CONN_FULL;
}

/* Insert the connection that x->n describes: true, or there is no room and x->hit has none. */
static __always_inline bool conn_make(struct conn_scratch *x)
{
	struct conn_new *n = &x->n;
	int r = conn_enter(n, &x->hit);

	if (r == CONN_INSERTED)
		account_conn_of(n->svc, n->dest);
	else if (n->control)
		bpvs_control_release(n->control);
	if (r != CONN_FULL)
		return true;
	table_full_set(n->key.now);
	/* Another CPU may have found room for the flow a moment ago. */
	return bpvs_conn_find(&n->key, &x->hit);
}

/*
 * Each datagram of a one-packet service is a connection of its own, over before it is entered. To
 * IPVS it counts for a moment, which is when the thresholds are looked at, before and after.
 */
static __always_inline int one_packet(struct conn_scratch *x, struct bpvs_dest *d)
{
	account_conn(d, x->n.dest);
	if (unlikely(READ_ONCE(d->u_threshold))) {
		dest_count(d, false, 1);
		dest_count(d, false, -1);
	}
	if (x->n.control)
		bpvs_control_release(x->n.control);
	hit_stateless(&x->hit, &x->n);
	return BPVS_GO_ON;
}

/* May this packet start a connection with this service: GO_ON, or why not? */
static __always_inline int svc_takes(const struct bpvs_svc *svc, const struct bpvs_flow *f)
{
	/* Active FTP's data connections come from inside. */
	if (f->sport == PORT_FTP_DATA)
		return BPVS_NO_SCHED;
	if (!svc->key.fwmark && !(READ_ONCE(svc->flags) & BPVS_SVC_PERSISTENT) &&
	    f->dport != svc->key.port)
		return leave(svc, f);
	return BPVS_GO_ON;
}

/* A persistence engine has to have read the datagram, which only the hook can do. */
static __always_inline int call_known(const struct conn_scratch *x, const struct bpvs_svc *svc)
{
	if (likely(!READ_ONCE(svc->pe)) || !(READ_ONCE(svc->flags) & BPVS_SVC_PERSISTENT))
		return BPVS_GO_ON;
	if (x->call.look == CALL_UNREAD)
		return LATER_CALL;
	return x->call.look == CALL_FOUND ? BPVS_GO_ON : BPVS_NO_CALL;
}

/* The scheduler's choice, by way of the template where the service is persistent. */
static __always_inline __u32 choose(struct conn_scratch *x, struct bpvs_svc *svc, bool full)
{
	int id;

	x->n.control = 0;
	x->n.call = 0;
	if (full)
		return (__u32)bpvs_choose_stateless(svc, &x->flow);
	if (!(READ_ONCE(svc->flags) & BPVS_SVC_PERSISTENT))
		return (__u32)bpvs_sched_run(svc, &x->flow);
	id = bpvs_template(x, svc);
	key_request(&x->n.key, &x->flow, x->n.key.now);
	x->n.call = 0;
	return (__u32)id;
}

/*
 * The old connection ends. To IPVS both count for a moment, which is when the thresholds are looked
 * at; the new one is about to be counted, or bpvs_overload() to be called.
 */
static __always_inline void conn_succeed(struct conn_scratch *x, __u32 id, struct bpvs_dest *d)
{
	struct bpvs_conn *c;
	bool same;

	if (likely(!x->old_word))
		return;
	c = conn_slot(x->old_idx);
	same = c && d && READ_ONCE(c->dest) == id;
	if (same)
		dest_count(d, false, 1);
	conn_end_old(x);
	if (same)
		fetch_add(&d->inactive, -1);
}

/* What is not complete after so long (s) no receiver waits for. */
#define FRAG_TIME 60

/*
 * A later fragment of a datagram that left no connection goes where the first one went, by the same
 * method, and whatever its service has become. NO_CONN: it is none, or the first went nowhere.
 */
static __always_inline int frag_follow(struct conn_scratch *x)
{
	struct conn_new *n = &x->n;
	struct bpvs_dest *d;

	if (likely(!(x->flow.flags & FLOW_FRAG_LATER)) ||
	    n->key.now - x->frag.at > FRAG_TIME * bpvs_ro.clock_hz)
		return BPVS_NO_CONN;
	if ((x->frag.flags & BPVS_CONN_FWD) == BPVS_FWD_BYPASS)
		return bypass_fill(x, true);
	if (!x->frag.dest)
		return BPVS_NO_CONN;
	d = dest_get(x->frag.dest);
	if (!d)
		return BPVS_BUG_MAP;
	if (!(READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE) || !addr_eq(&d->addr, &x->frag.to))
		return BPVS_DEST_GONE;
	conn_new_fill(x, d, x->frag.dest, x->flow.dport);
	n->flags = x->frag.flags;
	hit_stateless(&x->hit, n);
	return BPVS_GO_ON;
}

__noinline int bpvs_schedule(struct conn_scratch *x)
{
	const struct bpvs_flow *f;
	struct conn_new *n;
	struct bpvs_svc *svc;
	struct bpvs_dest *d;
	bool full, start, most;
	__u32 id;
	int v;

	if (!x)
		return BPVS_BUG_MAP;
	f = &x->flow;
	n = &x->n;
	v = frag_follow(x);
	if (v != BPVS_NO_CONN)
		return v;
	if (unlikely(READ_ONCE(bpvs_cfg.no_cport_num))) {
		v = bpvs_expected(x);
		if (v != BPVS_NO_CONN)
			return v;
	}
	id = (__u32)bpvs_svc_find(f);
	svc = id ? svc_get(id) : NULL;
	full = table_full(n->key.now);
	start = may_start(f);
	if (!svc)
		return expected_late(x, BPVS_NO_SERVICE);
	n->svc = id;
	if (!start && !(full && f->proto != IPPROTO_UDP && !(f->flags & FLOW_FRAG_LATER)))
		return BPVS_NO_CONN;
	v = svc_takes(svc, f);
	if (v == BPVS_GO_ON)
		v = call_known(x, svc);
	/* Whether it would be scheduled or not, but once. */
	if (start && v != LATER_CALL && defence_drops())
		return BPVS_DEFENCE;
	if (v != BPVS_GO_ON)
		return v == BPVS_NO_SCHED ? expected_late(x, v) : v;
	id = choose(x, svc, full);
	d = dest_get(id);
	/* To conn_max, too, both count. */
	most = start && conn_max_reached();
	conn_succeed(x, id, d);
	if (!id || !d)
		return start && bypass(svc) ? bypass_fill(x, svc_one_packet(svc, f))
					    : leave(svc, f);
	if (most) {
		if (n->control)
			bpvs_control_release(n->control);
		bpvs_overload(d);
		return BPVS_CONN_MAX;
	}
	conn_new_fill(x, d, id, dest_port(svc, f, d));
	if (svc_one_packet(svc, f))
		return one_packet(x, d);
	if (start && conn_make(x))
		return BPVS_GO_ON;
	bpvs_overload(d);
	if (!full) {
		id = (__u32)bpvs_choose_stateless(svc, f);
		d = dest_get(id);
		if (!id || !d)
			return BPVS_TABLE_FULL;
		conn_new_fill(x, d, id, dest_port(svc, f, d));
	}
	hit_stateless(&x->hit, n);
	return BPVS_GO_ON;
}

/*
 * A client on this host may have a virtual address itself, so that answers look like requests to
 * it, and a service of all ports, or an FTP service, would take them. IPVS looks for answers first.
 * Here it is asked of flows only that are about to be scheduled, and from real servers' addresses
 * (as they leave, from virtual ones).
 */
__noinline int bpvs_answers(struct conn_scratch *x)
{
	const struct bpvs_flow *f;
	struct conn_key *k;
	bool out, found;

	if (!x || x->old_word)
		return 0;
	f = &x->flow;
	k = &x->n.key;
	out = f->flags & FLOW_OUT;
	if (likely(!filter_hit(bpvs_filter.rip, &f->saddr)) &&
	    !(out && filter_hit(bpvs_filter.vip, &f->saddr)))
		return 0;
	key_reply(k, f, k->now);
	found = out_find(x, true) || reply_stateless(f, k->now, &x->hit);
	if (out && !found) {
		/* Of a server that has the virtual address. */
		k->reply = 0;
		found = out_find(x, false);
	}
	key_request(k, f, k->now);
	return found;
}

__noinline int bpvs_reply_dest(const struct bpvs_flow *f)
{
	__u32 id;

	if (!f || (!reply_dest(f, f->proto, &id) && !reply_dest(f, IPPROTO_IP, &id)))
		return 0;
	return (int)(id & ~BPVS_RIP_SHARED);
}

/* x->flow is as from a client: a connection to the real server that it came from, x->caller. */
static __always_inline int call_start(struct conn_scratch *x, struct bpvs_svc *svc,
				      struct bpvs_dest *d, __u32 now)
{
	struct conn_new *n = &x->n;
	int ok = 1;

	key_request(&n->key, &x->flow, now);
	n->control = 0;
	n->svc = d->svc;
	if (READ_ONCE(svc->flags) & BPVS_SVC_PERSISTENT)
		ok = bpvs_template(x, svc);
	key_request(&n->key, &x->flow, now);
	n->call = 0;
	if (!ok)
		return BPVS_NO_REPLY;
	/* The client may speak with another server by these ports: now it is with this one. */
	if (bpvs_conn_find(&n->key, &x->hit))
		bpvs_conn_kill(x->hit.idx, x->hit.word);
	conn_new_fill(x, d, x->caller, d->port);
	if (READ_ONCE(svc->flags) & BPVS_SVC_ONEPACKET) {
		/* Nothing comes after this packet that its state could be seen by. */
		if (n->control)
			bpvs_template_assure(n->control);
		one_packet(x, d);
	} else if (!conn_make(x)) {
		return BPVS_NO_REPLY;
	}
	/* As a reply has it: this way it goes first. */
	x->hit.to = svc->key.addr;
	x->hit.to_port = svc->key.port;
	return BPVS_GO_ON;
}

__noinline int bpvs_call_out(struct conn_scratch *x, __u32 now)
{
	struct bpvs_flow *f;
	struct bpvs_dest *d;
	struct bpvs_svc *svc;
	__u32 id;
	int v;

	if (!x)
		return BPVS_BUG_MAP;
	f = &x->flow;
	id = (__u32)bpvs_reply_dest(f);
	d = id ? dest_get(id) : NULL;
	svc = d ? svc_get(d->svc) : NULL;
	if (!svc || !READ_ONCE(svc->pe) || svc->key.fwmark || !svc->key.port || !f->sport ||
	    f->proto != IPPROTO_UDP)
		return BPVS_NO_REPLY;
	v = call_known(x, svc);
	if (v != BPVS_GO_ON)
		return v == LATER_CALL ? v : BPVS_NO_REPLY;
	if (conn_max_reached())
		return BPVS_NO_REPLY;
	/* As its client's packets are, which is what keys and templates are made of; and back. */
	f->saddr = f->daddr;
	f->sport = f->dport;
	f->daddr = svc->key.addr;
	f->dport = svc->key.port;
	x->caller = id;
	v = call_start(x, svc, d, now);
	x->caller = 0;
	f->daddr = f->saddr;
	f->dport = f->sport;
	f->saddr = d->addr;
	f->sport = d->port;
	return v;
}

char _license[] SEC("license") __weak = "GPL";
