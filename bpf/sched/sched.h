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
	struct bpvs_list_entry none = { 0 };
	__u32 i = l.off + pos;
	struct bpvs_list_entry *e = bpf_map_lookup_elem(&bpvs_lists, &i);
	__u64 word;

	if (!e)
		return none;
	word = *(const volatile __u64 *)e;
	none.dest = (__u32)word;
	none.weight = (__s32)(word >> 32);
	return none;
}

/* May the destination take a new connection, its weight aside? */
static __always_inline bool sched_open(const struct bpvs_dest *d)
{
	return !READ_ONCE(d->overload);
}

/* IPVS's measure of load: an active connection weighs as much as 257 inactive ones. */
static __always_inline __s64 sched_overhead(const struct bpvs_dest *d)
{
	__s64 active = READ_ONCE(d->active), inactive = READ_ONCE(d->inactive);

	return (active << 8) + active + inactive;
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
 * A walk over all destinations from position from - 1 down to 0 for the smallest load by weight
 * (or load alone); the first in the list among equals. Returns its id, or 0.
 */
struct sched_least {
	struct sched_list l;
	__u32 from;
	__u32 weighted;
	__u32 best; /* 0 to begin with */
	__u32 pad;
	__s64 least;
	__s64 least_weight;
};

int bpvs_sched_least(struct sched_least *s);

#define BPVS_SCHED(id, name)                                                                       \
	int bpvs_sched_##name(struct bpvs_svc *svc, const struct bpvs_flow *flow);
#include <bpvs/sched.def>
#undef BPVS_SCHED
