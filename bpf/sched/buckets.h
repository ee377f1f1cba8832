/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the schedulers that hash (dh, sh, mh) share: a look-up in the service's table of buckets,
 * which the tools fill (lib/bucket.c). Its cost does not depend on the number of destinations.
 */
#pragma once

#include "sched.h"
#include <bpvs/hash.h>

/* An address as IPVS hashes it: one word, in host order. */
static __always_inline __u32 addr_fold(const struct bpvs_addr *a, __u8 af)
{
	if (af == BPVS_V4)
		return bpf_ntohl(a->w[3]);
	return bpf_ntohl(a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]);
}

/* What sh and mh hash of a packet. */
static __always_inline __u32 source_fold(const struct bpvs_flow *f, __u32 sched_flags)
{
	__u32 port = sched_flags & BPVS_SCHED_PORT ? bpf_ntohs(f->sport) : 0;

	return addr_fold(&f->saddr, f->af) + port;
}

#define BUCKET_CLOSED (-1)

/*
 * The destination in a bucket of a table (svc->buckets); 0: none, the table is empty;
 * BUCKET_CLOSED: one that takes no new connections. The table may be that of the scheduler which
 * the service is being edited to or from, or was when a tool was killed: then it serves as it is.
 *
 * A global function, for the walks' sake.
 */
int bpvs_bucket(__u64 table, __u32 bucket);
