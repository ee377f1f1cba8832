/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk of the schedulers that compare all destinations (sched.h says what it does). A piece of
 * the list at a time is a function of its own: the verifier follows each outcome of each round, so
 * its work grows with the piece, not with the longest list.
 */
#include "sched.h"

#define PIECE 64

__attribute__((noinline)) int bpvs_least_piece(struct sched_least *s)
{
	__u32 i, pos;

	if (!s)
		return 0;
	pos = s->from;
	for (i = 0; i < PIECE; i++) {
		struct bpvs_list_entry e;
		struct bpvs_dest *d;
		__s64 active, load, weight;

		if (pos == 0)
			break;
		pos--;
		e = sched_entry(s->l, pos);
		d = dest_get(e.dest);
		if (e.weight <= 0 || !d || !sched_open(d))
			continue;
		active = READ_ONCE(d->active);
		weight = e.weight;
		if (s->flags) {
			if ((s->flags & LEAST_WITHIN) && active > weight)
				continue;
			if ((s->flags & LEAST_IDLE_FIRST) && active <= 0) {
				s->best = e.dest;
				return 0;
			}
			if (s->flags & LEAST_UNWEIGHTED)
				weight = 1;
		}
		load = active * s->per_active + (__s64)READ_ONCE(d->inactive) * s->per_inactive +
		       s->base;
		/* load / weight < least / its weight, without rounding; ties keep the first. */
		if (s->least * weight > load * s->least_weight) {
			s->best = e.dest;
			s->least = load;
			s->least_weight = weight;
		}
	}
	s->from = pos;
	return pos != 0;
}

__attribute__((noinline)) int bpvs_sched_least(struct sched_least *s)
{
	__u32 i;

	if (!s)
		return 0;
	/* More by weight than anybody has. */
	s->least = 1;
	s->least_weight = 0;
	for (i = 0; i < BPVS_SCHED_MAX / PIECE; i++)
		if (!bpvs_least_piece(s))
			break;
	return s->best;
}
