/* SPDX-License-Identifier: GPL-2.0-only */
/* The walk that the round-robin schedulers share (sched.h says what it does). */
#include "sched.h"

/*
 * The entry at an index when it is usable (weight in the high half, destination in the low one), or
 * 0. Apart, so that the verifier does not follow each of its outcomes through every round.
 */
__attribute__((noinline)) __u64 bpvs_sched_entry(__u32 off, __u32 pos, __u32 closed_too)
{
	struct sched_list l = { .off = off };

	return sched_usable(l, pos, closed_too);
}

__attribute__((noinline)) int bpvs_sched_scan(struct sched_scan *s)
{
	__u32 i, pos, off, closed_too;
	__u64 e, least, heaviest = 0;

	if (!s)
		return 0;
	pos = s->from;
	off = s->l.off;
	closed_too = s->closed_too;
	/* An entry compares as its weight does; the destination below only breaks ties. */
	least = (__u64)(__u32)s->least << 32;
	for (i = 0; i < BPVS_SCHED_MAX; i++) {
		if (pos == 0)
			break;
		pos--;
		e = bpvs_sched_entry(off, pos, closed_too);
		if (e >= least) {
			s->pos = pos;
			return (__u32)e;
		}
		if (e > heaviest)
			heaviest = e;
	}
	s->heaviest = (__s32)(heaviest >> 32);
	return 0;
}
