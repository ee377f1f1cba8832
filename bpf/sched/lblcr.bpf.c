/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locality-based least connections with replication: the least loaded by weight of the destinations
 * that a destination address has, while it is not overloaded; else that of wlc, which joins them.
 * When the set has not changed for lblcr_expiration seconds, its most loaded one leaves.
 *
 * IPVS sets no bound to the set. Here BPVS_LBLC_SET is one: the most loaded leaves for the next.
 */
#include "locality.h"

/* Whom of the set? */
struct lblcr_pick {
	__u32 place;
	__u32 most; /* the most loaded, of those too that are removed or overloaded by threshold */
};

__attribute__((noinline)) int bpvs_lblcr_pick(struct lblcr_pick *p)
{
	__s64 best = 1, best_weight = 0;
	struct bpvs_lblc *e;
	__u32 i, id, ret = 0;

	if (!p)
		return 0;
	e = lblc_entry(p->place);
	if (!e)
		return 0;
	if (p->most) {
		best = -1;
		best_weight = 1;
	}
	/* The newest first, as IPVS has them; strictly better, so that ties keep the first. */
	for (i = 0; i < BPVS_LBLC_SET; i++) {
		struct bpvs_dest *d;
		__s64 load, weight;

		id = READ_ONCE(e->dests[BPVS_LBLC_SET - 1 - i]);
		d = dest_get(id);
		if (!id || !d || d->svc != e->svc)
			continue;
		weight = READ_ONCE(d->weight);
		if (weight <= 0 || (!p->most && (!lblc_lives(e, d) || !sched_open(d))))
			continue;
		load = sched_overhead(d);
		if (p->most ? load * best_weight <= best * weight
			    : best * weight <= load * best_weight)
			continue;
		ret = id;
		best = load;
		best_weight = weight;
	}
	return (int)ret;
}

/* Those behind it move up. A reader may miss one of them for that moment, or meet it twice. */
__attribute__((noinline)) int bpvs_lblcr_leave(__u32 place, __u32 id)
{
	struct bpvs_lblc *e = lblc_entry(place);
	__u32 i;

	if (!e)
		return 0;
	for (i = 0; i < BPVS_LBLC_SET; i++)
		if (READ_ONCE(e->dests[i]) == id)
			break;
	for (; i < BPVS_LBLC_SET - 1; i++)
		WRITE_ONCE(e->dests[i], READ_ONCE(e->dests[i + 1]));
	if (i == BPVS_LBLC_SET - 1)
		WRITE_ONCE(e->dests[i], 0);
	return 0;
}

/* 1: it is in the set, now or before; 0: the set is full. */
__attribute__((noinline)) int bpvs_lblcr_join(__u32 place, __u32 id)
{
	struct bpvs_lblc *e = lblc_entry(place);
	__u32 i, old;

	if (!e)
		return 1;
	for (i = 0; i < BPVS_LBLC_SET; i++) {
		old = READ_ONCE(e->dests[i]);
		if (!old)
			old = cas32(&e->dests[i], 0, id);
		if (old == id)
			return 1;
		if (old)
			continue;
		WRITE_ONCE(e->modified, clock_now());
		return 1;
	}
	return 0;
}

/* Of the CPUs that see a set unchanged for long one lets somebody go. */
static __always_inline void lblcr_shrink(struct bpvs_lblc *e, __u32 place, __u32 now)
{
	struct lblcr_pick p = { .place = place, .most = 1 };
	__u32 modified = READ_ONCE(e->modified);
	__u32 id;

	if (!READ_ONCE(e->dests[1]) || (__s32)(now - modified) < 0 ||
	    !lblc_older(modified, now, READ_ONCE(bpvs_cfg.lblcr_expiration)) ||
	    cas32(&e->modified, modified, now) != modified)
		return;
	id = (__u32)bpvs_lblcr_pick(&p);
	if (id)
		bpvs_lblcr_leave(place, id);
	else
		WRITE_ONCE(e->modified, modified);
}

static __always_inline void lblcr_join(struct bpvs_lblc *e, __u32 place, __u32 id)
{
	struct lblcr_pick p = { .place = place, .most = 1 };
	__u32 leaver;

	if (bpvs_lblcr_join(place, id))
		return;
	leaver = (__u32)bpvs_lblcr_pick(&p);
	bpvs_lblcr_leave(place, leaver ? leaver : READ_ONCE(e->dests[0]));
	bpvs_lblcr_join(place, id);
}

__attribute__((noinline)) int bpvs_sched_lblcr(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct lblcr_pick p = { 0 };
	struct lblc_at at = { 0 };
	struct bpvs_lblc *e = NULL;
	__u32 id, place, now = clock_now();

	if (!svc || !flow)
		return 0;
	at.addr = *sched_daddr(flow);
	at.table = (__u32)READ_ONCE(svc->sched_state);
	place = (__u32)bpvs_lblc_find(&at);
	if (place)
		e = lblc_entry(place - 1);
	if (e) {
		struct bpvs_dest *d;

		WRITE_ONCE(e->used, now);
		p.place = place - 1;
		id = (__u32)bpvs_lblcr_pick(&p);
		/* Who leaves may be the one just picked: it has this connection still. */
		lblcr_shrink(e, place - 1, now);
		d = dest_get(id);
		if (id && d && !lblc_overloaded(svc, d))
			return (int)id;
	}
	id = lblc_wlc(svc);
	if (!id)
		return 0;
	if (e)
		lblcr_join(e, place - 1, id);
	else if (!place)
		bpvs_lblc_put(svc, &at, id);
	return (int)id;
}
