/* SPDX-License-Identifier: GPL-2.0-only */
/* A destination's counters, and the statistics that a packet moves. */
#pragma once

#include "maps.h"
#include <bpvs/dest.h>

/* Set or clear the destination's overload flag by its counters. */
int bpvs_overload(struct bpvs_dest *d);

static __always_inline void dest_count(struct bpvs_dest *d, bool active, __s32 by)
{
	fetch_add(active ? &d->active : &d->inactive, by);
	/* Whoever moves a counter. */
	if (unlikely(READ_ONCE(d->u_threshold)))
		bpvs_overload(d);
}

/* A connection turned active or inactive. */
static __always_inline void dest_move(struct bpvs_dest *d, bool active)
{
	fetch_add(active ? &d->active : &d->inactive, 1);
	fetch_add(active ? &d->inactive : &d->active, -1);
}

/* Where this CPU's statistics begin. */
static __always_inline __u32 stats_base(void)
{
	return bpf_get_smp_processor_id() * (bpvs_ro.max_svc + bpvs_ro.max_dest);
}

static __always_inline void stats_in(__u32 index, __u32 bytes)
{
	struct bpvs_stats *s = bpf_map_lookup_elem(&bpvs_stats, &index);

	if (!s)
		return;
	s->inpkts += 1;
	s->inbytes += bytes;
}

static __always_inline void stats_out(__u32 index, __u32 bytes)
{
	struct bpvs_stats *s = bpf_map_lookup_elem(&bpvs_stats, &index);

	if (!s)
		return;
	s->outpkts += 1;
	s->outbytes += bytes;
}

static __always_inline void stats_conn(__u32 index)
{
	struct bpvs_stats *s = bpf_map_lookup_elem(&bpvs_stats, &index);

	if (s)
		s->conns += 1;
}

/* One packet of a connection whose destination is there: destination, service, total. */
static __always_inline void account(const struct bpvs_dest *d, __u32 id, __u32 bytes, bool reply)
{
	__u32 base = stats_base();

	if (reply) {
		stats_out(base + BPVS_STATS_DEST(bpvs_ro.max_svc, id), bytes);
		stats_out(base + BPVS_STATS_SVC(d->svc), bytes);
		stats_out(base + BPVS_STATS_TOTAL, bytes);
	} else {
		stats_in(base + BPVS_STATS_DEST(bpvs_ro.max_svc, id), bytes);
		stats_in(base + BPVS_STATS_SVC(d->svc), bytes);
		stats_in(base + BPVS_STATS_TOTAL, bytes);
	}
}

static __always_inline void stats_longer(__u32 index, __s32 by)
{
	struct bpvs_stats *s = bpf_map_lookup_elem(&bpvs_stats, &index);

	if (s)
		s->outbytes += (__u64)(__s64)by;
}

/* A reply that account() has counted was rewritten, and is longer by so much. */
static __always_inline void account_longer(const struct bpvs_dest *d, __u32 id, __s32 by)
{
	__u32 base = stats_base();

	stats_longer(base + BPVS_STATS_DEST(bpvs_ro.max_svc, id), by);
	stats_longer(base + BPVS_STATS_SVC(d->svc), by);
	stats_longer(base + BPVS_STATS_TOTAL, by);
}

/* A connection, by the ids of its destination and of the service that it was scheduled for. */
static __always_inline void account_conn_of(__u32 svc, __u32 id)
{
	__u32 base = stats_base();

	stats_conn(base + BPVS_STATS_DEST(bpvs_ro.max_svc, id));
	stats_conn(base + BPVS_STATS_SVC(svc));
	stats_conn(base + BPVS_STATS_TOTAL);
}

static __always_inline void account_conn(const struct bpvs_dest *d, __u32 id)
{
	account_conn_of(d->svc, id);
}
