/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables of services and destinations as the tools see them: what is free, what is where.
 *
 * All of it is derived from the shared arrays by one scan and kept while this process is the only
 * one that changes them (BPVS_TOOL_GEN tells). The arrays are the truth:
 *   service slot      IN_USE; or kept: not IN_USE, but destinations in use name it; or free
 *   destination slot  IN_USE|AVAILABLE: in its service's list; IN_USE: removed, kept; 0: free
 *   list entries      regions of power-of-two size that follow from each service's {off, len}
 *   buckets           the same from each service's {unit, number}
 * What was never used is free at once; what was used and is free now may still be in a reader's
 * hands, so it is handed out only after a grace period, one for all that is free at the time.
 *
 * Everything here is called under the instance's lock, after bpvs_tables_enter() or _look().
 */
#pragma once

#include "internal.h"

#define BPVS_TRASH_SECONDS 120

struct bpvs_gap {
	__u32 off;
	__u32 len;
};

/* Regions that are free in an array. */
struct bpvs_gaps {
	struct bpvs_gap *gap;
	__u32 num;
};

/* Ids of one table. */
struct bpvs_ids {
	__u32 *ready; /* a stack of those that may be handed out now */
	__u32 num_ready;
	__u32 max;
	bool waiting;  /* some are free, but a reader may hold them */
	__u32 *bucket; /* hash chains of those that can be looked up; 0 ends a chain */
	__u32 *next;
	__u32 mask;
};

struct bpvs_tables {
	__u32 gen;
	struct bpvs_ids svcs;
	struct bpvs_ids dests;
	__u32 *rip_bucket; /* hash chains of destinations by endpoint: see rip.c */
	__u32 *rip_next;
	__u32 *svc_refs;       /* by service id: destinations in use that name it */
	struct bpvs_gaps gaps; /* of bpvs_lists */
	bool list_waiting;
	struct bpvs_gaps units; /* of bpvs_buckets */
	bool units_waiting;
	__u32 units_used; /* when the gaps were looked for */
};

/* Lock, and bring the tables up to date. */
int bpvs_tables_enter(struct bpvs_instance *in);
/*
 * Lock only, if nothing has to be repaired: what looks at services and lists, or changes what is
 * there, can do without tables, which cost a look at every destination. What is found are services
 * and their available destinations. bpvs_tables_need() makes the tables if it turns out otherwise.
 */
int bpvs_tables_look(struct bpvs_instance *in);
int bpvs_tables_need(struct bpvs_instance *in);
void bpvs_tables_leave(struct bpvs_instance *in);
/* To be called before the first write of each change. */
void bpvs_tables_touch(struct bpvs_instance *in);
/* Wait for a grace period, scan again: all that is free is ready. */
int bpvs_tables_recycle(struct bpvs_instance *in);
/* Give up the removed destinations that have no connections, before their time. */
int bpvs_tables_forget(struct bpvs_instance *in);

/* First id that was never used. */
__u32 bpvs_tables_svc_high(const struct bpvs_instance *in);
__u32 bpvs_tables_dest_high(const struct bpvs_instance *in);

/* Of all bytes of a key. */
__u32 bpvs_tables_hash(const struct bpvs_svc_key *key);

/* 0: none. A service that is found may be IN_USE or kept; a destination, available or removed. */
__u32 bpvs_tables_find_svc(const struct bpvs_instance *in, const struct bpvs_svc_key *key);
__u32 bpvs_tables_find_dest(const struct bpvs_instance *in, __u32 svc, const struct bpvs_addr *addr,
			    __be16 port);

/* Ids nobody has; -ENOSPC. The slot counts as free until it is filled and entered below. */
int bpvs_tables_new_svc(struct bpvs_instance *in, __u32 *ret);
int bpvs_tables_new_dest(struct bpvs_instance *in, __u32 *ret);
/* The slot has been filled and marked IN_USE: it can be found from now on. */
void bpvs_tables_enter_svc(struct bpvs_instance *in, __u32 id);
void bpvs_tables_enter_dest(struct bpvs_instance *in, __u32 id);
/* The service is not IN_USE any more: forget it, unless it has to be kept. */
void bpvs_tables_drop_svc(struct bpvs_instance *in, __u32 id);

/* ---- gap.c ---- */

/* From the regions in use, below `high`. Takes `used` over, which has room for one more. */
void bpvs_gaps_set(struct bpvs_gaps *gaps, struct bpvs_gap *used, __u32 num, __u32 high);
bool bpvs_gaps_have(const struct bpvs_gaps *gaps, __u32 len);
bool bpvs_gaps_take(struct bpvs_gaps *gaps, __u32 len, __u32 *ret);

/* ---- list.c ---- */

static inline __u32 bpvs_list_off(__u64 list)
{
	return (__u32)list;
}

static inline __u32 bpvs_list_len(__u64 list)
{
	return (__u32)(list >> 32);
}

static inline __u64 bpvs_list_word(__u32 off, __u32 len)
{
	return (__u64)len << 32 | off;
}

/* Size of the region that a list of this length has. */
__u32 bpvs_list_capacity(__u32 len);
/* Position of a destination, or -1. */
long bpvs_list_find(const struct bpvs_instance *in, const struct bpvs_svc *svc, __u32 dest);
int bpvs_list_append(struct bpvs_instance *in, struct bpvs_svc *svc, struct bpvs_list_entry entry);
void bpvs_list_remove(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 pos);
void bpvs_list_clear(struct bpvs_instance *in, struct bpvs_svc *svc);
void bpvs_list_set_weight(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 pos, __s32 weight);
/* Derive the gaps between the services' regions. */
int bpvs_list_scan(struct bpvs_instance *in);

/* ---- sched.c: what a scheduler keeps about the list ---- */

/* To be called before the list or a weight is changed; afterwards nothing can fail. */
int bpvs_sched_ready(struct bpvs_instance *in, struct bpvs_svc *svc);
/*
 * To be called before an id is taken for a service that is to use this scheduler: afterwards
 * bpvs_sched_start() has no need of bpvs_tables_recycle(), which would give the id away again.
 */
int bpvs_sched_reserve(struct bpvs_instance *in, __u32 sched);
/* The service begins to use a scheduler. On failure it has the old one. */
int bpvs_sched_start(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 sched);
/* The service is gone. */
void bpvs_sched_end(struct bpvs_instance *in, struct bpvs_svc *svc);
/* A destination was added, or its weight changed. */
void bpvs_sched_changed(struct bpvs_instance *in, struct bpvs_svc *svc);
/* Position `pos` was removed; `before` is sched_state as it was before the list was stored. */
void bpvs_sched_removed(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 pos, __u64 before);

/* Greatest common divisor; of a number and 0, the number. */
__u32 bpvs_gcd(__u32 a, __u32 b);

/* ---- bucket.c: the tables of dh, sh and mh ---- */

/* How many buckets the table of a scheduler has; 0: it has no table. */
__u32 bpvs_buckets_len(__u32 sched);
/* See to it that there is a free region for another table of this scheduler's. */
int bpvs_buckets_reserve(struct bpvs_instance *in, __u32 sched);
/* Map what the service's table lies in. */
int bpvs_buckets_open(struct bpvs_instance *in, const struct bpvs_svc *svc);
/*
 * Give the service the table that `sched` makes of its list, if it makes one. Cannot fail when the
 * service has a table of that scheduler's size, and it is open.
 */
int bpvs_buckets_update(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 sched);
void bpvs_buckets_drop(struct bpvs_instance *in, struct bpvs_svc *svc);
/* A tool was killed: its last change may not have reached the table. */
void bpvs_buckets_repair(struct bpvs_instance *in);
int bpvs_bucket_scan(struct bpvs_instance *in);

/* ---- maglev.c ---- */

/* Fill BPVS_BUCKETS_MH slots with destinations. */
void bpvs_maglev(const struct bpvs_instance *in, const struct bpvs_svc *svc, __u32 *slots);

/* ---- filter.c ---- */

void bpvs_filter_set(__u64 *bits, const struct bpvs_addr *addr);
/* For a service that is about to be found. */
void bpvs_filter_vip_set(struct bpvs_instance *in, const struct bpvs_addr *addr);
/* A synchronisation daemon runs as backup, and the sysctl wants nothing balanced meanwhile. */
bool bpvs_backup_only(const struct bpvs_instance *in);
/* Store one of the two words that this depends on, cfg->backup_runs and cfg->backup_only. */
int bpvs_backup_set(struct bpvs_instance *in, __s32 *word, __s32 value);
/* Make the bits exactly those that the tables need. */
void bpvs_filter_vips(struct bpvs_instance *in);
void bpvs_filter_rips(struct bpvs_instance *in);

/* ---- service.c ---- */

/* Have the data path find all services that there are. */
void bpvs_svcs_repair(struct bpvs_instance *in);

/* ---- rip.c: keys of NAT destinations' endpoints ---- */

/* The destination has got its service, address and port. */
void bpvs_rip_enter(struct bpvs_instance *in, __u32 id);
/* It came, went, or changed its method. */
void bpvs_rip_update(struct bpvs_instance *in, __u32 id);
void bpvs_rip_repair(struct bpvs_instance *in);
/* ... and the same of destinations and lists, which a tool may have left at odds. */
int bpvs_dests_repair(struct bpvs_instance *in);

/* ---- mark.c ---- */

/* Have packets with the marks of services, and no others, come by the program that sees marks. */
int bpvs_marks_sync(struct bpvs_instance *in);
/* Whether there is anything of marks to renew, or to take away. */
bool bpvs_marks_there(const struct bpvs_instance *in);

/* ---- out.c: the program at egress, where it is needed ---- */

/* A service is there, or a destination whose address is of this type. */
void bpvs_out_svc(struct bpvs_instance *in, const struct bpvs_svc_key *key);
void bpvs_out_dest(struct bpvs_instance *in, int type);
/* After a tool that was killed: what is there has it. */
void bpvs_out_repair(struct bpvs_instance *in);

/* ---- route.c ---- */

/* The kernel's type of an address (RTN_LOCAL, RTN_UNICAST, ...), or a negative errno. */
int bpvs_route_type(const struct bpvs_addr *addr, __u8 af);
/* The source that packets to `to` would have; all zero when there is no route. */
void bpvs_route_source(const struct bpvs_addr *to, __u8 af, struct bpvs_addr *ret);

/* The counts of struct bpvs_config by which the data path knows what to look for. */
struct bpvs_tally {
	__u32 services4, services6, ftp, any_port, callers;
};

void bpvs_tally_svc(struct bpvs_tally *t, const struct bpvs_svc *svc, int by);
void bpvs_tally_load(const struct bpvs_instance *in, struct bpvs_tally *ret);
void bpvs_tally_store(struct bpvs_instance *in, const struct bpvs_tally *t);
