/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Weighted least connections: the smallest overhead / weight, compared by cross product in 64 bits
 * so that nothing is rounded; the first in the list among equals.
 */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_wlc(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_list l;
	__s64 least = 0, least_weight = 1;
	__u32 best = 0, i;

	if (!svc || !flow)
		return 0;
	l = sched_list(svc);
	for (i = 0; i < BPVS_SCHED_MAX; i++) {
		struct bpvs_list_entry e;
		struct bpvs_dest *d;
		__s64 overhead;

		if (i >= l.len)
			break;
		e = sched_entry(l, l.len - 1 - i);
		d = dest_get(e.dest);
		if (e.weight <= 0 || !d || !sched_open(d))
			continue;
		overhead = sched_overhead(d);
		if (!best || least * e.weight > overhead * least_weight) {
			best = e.dest;
			least = overhead;
			least_weight = e.weight;
		}
	}
	return best;
}
