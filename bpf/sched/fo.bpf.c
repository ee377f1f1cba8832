/* SPDX-License-Identifier: GPL-2.0-only */
/* Fail over: the heaviest usable destination; the first in the list among equals. */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_fo(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_least s = { LEAST_HEAVIEST };

	if (!svc || !flow)
		return 0;
	s.l = sched_list(svc);
	s.from = s.l.len;
	return bpvs_sched_least(&s);
}
