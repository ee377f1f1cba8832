/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locality-based least connections: the destination that a destination address had last, while it
 * is usable and not overloaded; else that of wlc, which is remembered. Thresholds are asked by wlc
 * only.
 */
#include "locality.h"

/* The one remembered, if it is to be used again, or 0. */
static __always_inline __u32 lblc_again(struct bpvs_svc *svc, struct bpvs_lblc *e)
{
	__u32 id = READ_ONCE(e->dests[0]);
	struct bpvs_dest *d = dest_get(id);

	WRITE_ONCE(e->used, clock_now());
	if (!d || !lblc_lives(e, d) || READ_ONCE(d->weight) <= 0 || lblc_overloaded(svc, d))
		return 0;
	return id;
}

__attribute__((noinline)) int bpvs_sched_lblc(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct lblc_at at = { 0 };
	struct bpvs_lblc *e = NULL;
	__u32 id, place;

	if (!svc || !flow)
		return 0;
	at.addr = *sched_daddr(flow);
	at.table = (__u32)READ_ONCE(svc->sched_state);
	place = (__u32)bpvs_lblc_find(&at);
	if (place) {
		e = lblc_entry(place - 1);
		id = e ? lblc_again(svc, e) : 0;
		if (id)
			return (int)id;
	}
	id = lblc_wlc(svc);
	if (!id)
		return 0;
	if (e)
		WRITE_ONCE(e->dests[0], id);
	else if (!place)
		bpvs_lblc_put(svc, &at, id);
	return (int)id;
}
