/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a scheduler is: one file, one global function
 *
 *	int bpvs_sched_<name>(struct bpvs_svc *svc, const struct bpvs_flow *flow)
 *
 * that returns the id of the destination chosen, or 0 for none. It is verified on its own, so it
 * checks its pointers first. It sees the destinations as positions len-1 (IPVS's first: the newest)
 * down to 0 of the service's list. Unit tests compile the same file for the host.
 */
#pragma once

#ifdef __bpf__
#include "../maps.h"
#else
#include "host_env.h" /* tests/unit: the same accessors over plain arrays */
#endif
#include "../flow.h"

/* The verifier walks a loop of this length in each scheduler. */
#define BPVS_SCHED_MAX BPVS_LIST_MAX

struct sched_list {
	__u32 off;
	__u32 len;
};

static __always_inline struct sched_list sched_list(const struct bpvs_svc *svc)
{
	__u64 word = READ_ONCE(svc->list);
	struct sched_list l = { .off = (__u32)word, .len = (__u32)(word >> 32) };

	return l;
}

static __always_inline struct bpvs_list_entry sched_entry(struct sched_list l, __u32 pos)
{
	struct bpvs_list_entry e = { 0 };
	__u32 i = l.off + pos;
	struct bpvs_list_chunk *c = list_chunk(i / BPVS_CHUNK_OF);
	__u64 word;

	if (!c)
		return e;
	/* The verifier wants the offset added behind the check. */
	asm volatile("" : "+r"(c));
	word = READ_ONCE(c->entry[i % BPVS_CHUNK_OF]);
	e.dest = (__u32)word;
	e.weight = (__s32)(word >> 32);
	return e;
}

/*
 * The address that destination hashing goes by. To IPVS that is the destination of the packet that
 * it was given; of one that an error quotes, a reply, that is the client.
 */
static __always_inline const struct bpvs_addr *sched_daddr(const struct bpvs_flow *flow)
{
	return flow->flags & FLOW_QUOTED ? &flow->saddr : &flow->daddr;
}

/* IPVS's measure of load: an active connection weighs as much as 257 inactive ones. */
#define OVERHEAD_ACTIVE 257

static __always_inline __s64 sched_overhead(const struct bpvs_dest *d)
{
	return (__s64)READ_ONCE(d->active) * OVERHEAD_ACTIVE + READ_ONCE(d->inactive);
}

/* May the destination take a new connection, its weight aside? */
static __always_inline bool sched_open(const struct bpvs_dest *d)
{
	return !READ_ONCE(d->overload);
}

/* The entry at a position, if usable: weight in the high half, destination in the low; or 0. */
static __always_inline __u64 sched_usable(struct sched_list l, __u32 pos, bool closed_too)
{
	struct bpvs_list_entry e = sched_entry(l, pos);
	struct bpvs_dest *d = dest_get(e.dest);

	if (e.weight <= 0 || !d || (!closed_too && !sched_open(d)))
		return 0;
	return (__u64)(__u32)e.weight << 32 | e.dest;
}

/*
 * A walk from position from - 1 down to 0 for a usable destination of weight >= least: its id, and
 * `pos`; or 0, and the largest weight passed over. A global function: verified once, whatever loops
 * and branches its callers have around it.
 */
struct sched_scan {
	struct sched_list l;
	__u32 from;
	__s32 least; /* >= 1 */
	__u32 pos;
	__s32 heaviest;
	__u32 closed_too; /* thresholds do not count */
};

int bpvs_sched_scan(struct sched_scan *s);

/*
 * A walk over all destinations from position from - 1 down to 0 for the smallest load by weight;
 * the first in the list among equals. Returns its id, or 0. Products are exact while a load is
 * below 2^32, which 16 million active connections of one destination reach.
 */
struct sched_least {
	struct sched_list l;
	__u32 from;
	__u32 best; /* 0 to begin with */
	__u32 measure;
	__u32 flags; /* LEAST_* */
	/* the walk's own: load and weight of the best one; and where destinations are looked up */
	__s64 least;
	__s64 weight;
	__u32 chunk;  /* 0 to begin with */
	__u32 second; /* MEASURE_REACH's; 0 to begin with */
};

/* What a scheduler calls load. */
enum sched_measure {
	MEASURE_OVERHEAD,   /* sched_overhead() */
	MEASURE_UNWEIGHTED, /* the same, and every weight above 0 counts as 1 */
	/* The expected delay of sed and nq: the connection to come counts, inactive ones do not. */
	MEASURE_DELAY,
	MEASURE_ONE, /* the same for all, so that the smallest by weight is the heaviest */
	/* No load at all, but the sum of the weights (bpvs_sched_walk()). */
	MEASURE_SUM,
	MEASURE_REACH,
	/* The same of all, thresholds aside, which takes no look at the destinations. */
	MEASURE_SUM_ALL,
	MEASURE_REACH_ALL,
};

#define LEAST_IDLE_FIRST 0x1 /* delay: the first without active connections ends the walk */
#define LEAST_WITHIN	 0x2 /* one: passes over who has more active connections than weight */

#define LEAST_OVERHEAD .measure = MEASURE_OVERHEAD
#define LEAST_DELAY    .measure = MEASURE_DELAY
#define LEAST_HEAVIEST .measure = MEASURE_ONE

int bpvs_sched_least(struct sched_least *s);

/*
 * The walk itself, which bpvs_sched_least() begins with nobody chosen. Its other use is a sum that
 * grows by each usable destination's weight. MEASURE_SUM: `weight`, 0 to begin with, is it in the
 * end. MEASURE_REACH: `best` is the destination by which the sum reaches `least`, `second` the one
 * by which it reaches `weight`, which is no smaller; the first usable one for 0, the last one where
 * the sum stays below.
 */
int bpvs_sched_walk(struct sched_least *s);

#define BPVS_SCHED(id, name)                                                                       \
	int bpvs_sched_##name(struct bpvs_svc *svc, const struct bpvs_flow *flow);
#include <bpvs/sched.def>
#undef BPVS_SCHED
