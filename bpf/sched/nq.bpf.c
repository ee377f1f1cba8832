/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Never queue: the first destination in the list that has no active connection, whatever the
 * weights; when all have some, as sed.
 */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_nq(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_least s = { LEAST_DELAY, .flags = LEAST_IDLE_FIRST };

	if (!svc || !flow)
		return 0;
	s.l = sched_list(svc);
	s.from = s.l.len;
	return bpvs_sched_least(&s);
}
