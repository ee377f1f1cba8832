/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source hashing: the client's address, with sh-port its port too, chooses one of 256 buckets. In
 * the table a destination of weight w has w buckets in a row, then the next, round and round.
 *
 * The clients of a destination that takes no new connections are refused; with sh-fallback they go
 * on through the table. IPVS begins that walk not at the client's own bucket but at twice its
 * number, so that the clients of one bucket follow each other.
 */
#include "buckets.h"

static __always_inline int sh_fallback(__u64 table, __u32 home)
{
	__u32 i;

	for (i = 0; i < BPVS_BUCKETS; i++) {
		__u32 offset = (i + home) % BPVS_BUCKETS;
		int id = bpvs_bucket(table, (offset + home) % BPVS_BUCKETS);

		if (id != BUCKET_CLOSED)
			return id;
	}
	return 0;
}

__attribute__((noinline)) int bpvs_sched_sh(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	__u32 home, flags;
	__u64 table;
	int id;

	if (!svc || !flow)
		return 0;
	table = READ_ONCE(svc->buckets);
	flags = READ_ONCE(svc->sched_flags);
	home = bpvs_hash_bucket(source_fold(flow, flags));
	id = bpvs_bucket(table, home);
	if (id == BUCKET_CLOSED)
		id = flags & BPVS_SCHED_FALLBACK ? sh_fallback(table, home) : 0;
	return id;
}
