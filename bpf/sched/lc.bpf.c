/* SPDX-License-Identifier: GPL-2.0-only */
/* Least connections: the smallest overhead; the first in the list among equals. */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_lc(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_least s = { .measure = MEASURE_UNWEIGHTED };

	if (!svc || !flow)
		return 0;
	s.l = sched_list(svc);
	s.from = s.l.len;
	return bpvs_sched_least(&s);
}
