/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Destination hashing, for services by firewall mark, as of caches: the virtual address chooses one
 * of 256 buckets, over which the destinations are dealt out in turn, whatever their weights. The
 * clients of a destination that takes no new connections are refused.
 */
#include "buckets.h"

__attribute__((noinline)) int bpvs_sched_dh(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	int id;

	if (!svc || !flow)
		return 0;
	id = bpvs_bucket(READ_ONCE(svc->buckets),
			 bpvs_hash_bucket(addr_fold(sched_daddr(flow), flow->af)));
	return id > 0 ? id : 0;
}
