/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * No scheduler, which IPVS calls "none": no new connection gets a destination. Those that are there
 * go on.
 */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_none(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	(void)svc;
	(void)flow;
	return 0;
}
