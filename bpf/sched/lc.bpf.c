/* SPDX-License-Identifier: GPL-2.0-only */
/* Least connections: the smallest overhead; the first in the list among equals. */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_lc(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_list l;
	__s64 least = 0;
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
		if (!best || overhead < least) {
			best = e.dest;
			least = overhead;
		}
	}
	return best;
}
