/* SPDX-License-Identifier: GPL-2.0-only */
/* Flows without a connection; schedule.bpf.c makes one for them. */
#pragma once

#include "conn.h"

/* How long (s) the table counts as full after a connection found no room (schedule.bpf.c). */
#define FULL_TIME 16

static __always_inline bool table_full(__u32 now)
{
	return unlikely((__s32)(READ_ONCE(bpvs_cfg.full_until) - now) > 0);
}

/*
 * Give the flow x->flow, whose key is in x->n, a connection (x->hit): BPVS_GO_ON; or the verdict
 * that says why it has none; or LATER_CALL.
 */
int bpvs_schedule(struct conn_scratch *x);

/* Is x->flow, which is of no connection as a client's, of one as a real server's? */
int bpvs_answers(struct conn_scratch *x);

/*
 * Make the FTP data connection that x->n says (key, daddr, dport), which the control connection
 * x->hit has announced: 1, or 0: no room.
 */
int bpvs_expect(struct conn_scratch *x);

/* The id of the service that a flow is to, or 0. */
int bpvs_svc_find(const struct bpvs_flow *f);

/* Make the connection of LATER_BYPASS that is in x->n, if it is remembered: 1, or 0: no room. */
int bpvs_bypass_make(struct conn_scratch *x);

/*
 * The flow x->flow is from a real server: begin a connection of it, if its service has them do so
 * (those with a persistence engine: SIP): BPVS_GO_ON, and it is in x->hit; LATER_CALL; or another
 * verdict: there is none.
 */
int bpvs_call_out(struct conn_scratch *x, __u32 now);

/*
 * The NAT destination that a packet is from, its id in *ret; or NULL (bpvs_svc_ids holds those,
 * too). Of several with one endpoint it is one, and *ret has BPVS_RIP_SHARED. A mark's have
 * IPPROTO_IP for `proto`.
 */
static __always_inline struct bpvs_dest *reply_dest(const struct bpvs_flow *f, __u8 proto,
						    __u32 *ret)
{
	struct bpvs_svc_key key = {
		.addr = f->saddr,
		.port = f->sport,
		.proto = proto,
		.af = f->af | BPVS_KEY_RIP,
	};
	__u32 *id = bpf_map_lookup_elem(&bpvs_svc_ids, &key);
	struct bpvs_dest *d = id ? dest_get(*id & ~BPVS_RIP_SHARED) : NULL;

	/*
	 * A key that outlived its destination (see lib/rip.c) must not lead to the slot's next
	 * owner.
	 */
	if (!d || !addr_eq(&d->addr, &f->saddr) || !bpvs_fwd_nat(READ_ONCE(d->fwd)))
		return NULL;
	*ret = *id;
	return d;
}

/* The id of reply_dest()'s alone, a mark's too, or 0: called, for the stack's sake. */
int bpvs_reply_dest(const struct bpvs_flow *f);

/*
 * A reply without a connection while the table is, or just was, full: the real server's endpoint
 * tells the service when one service has it as a NAT destination.
 */
static __always_inline bool reply_stateless(const struct bpvs_flow *f, __u32 now,
					    struct conn_hit *hit)
{
	struct bpvs_dest *d;
	struct bpvs_svc *svc;
	__u32 id;

	if (likely(!table_full(now)))
		return false;
	d = reply_dest(f, f->proto, &id);
	svc = d && !(id & BPVS_RIP_SHARED) ? svc_get(d->svc) : NULL;
	if (!svc)
		return false;
	hit->idx = ~0U;
	hit->word = 0;
	hit->dest = id;
	hit->to = svc->key.addr;
	hit->to_port = svc->key.port;
	hit->flags = BPVS_FWD_MASQ;
	hit->nh = 0;
	return true;
}
