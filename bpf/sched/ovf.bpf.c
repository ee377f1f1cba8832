/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Overflow: the heaviest of those that have not more active connections than weight; the first in
 * the list among equals. Inactive connections do not count, so UDP never overflows.
 */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_ovf(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_least s = { LEAST_HEAVIEST, .flags = LEAST_WITHIN };

	if (!svc || !flow)
		return 0;
	s.l = sched_list(svc);
	s.from = s.l.len;
	return bpvs_sched_least(&s);
}
