/* SPDX-License-Identifier: GPL-2.0-only */
/* The inside of an instance: the maps, mapped into this process. */
#pragma once

#include "bpvs.h"

struct bpvs_anchor;
struct bpvs_tables;

struct bpvs_instance {
	const struct bpvs_rodata *ro;
	struct bpvs_config *cfg;
	struct bpvs_filter *filter;
	struct bpvs_svc *svcs;		 /* ro->max_svc */
	struct bpvs_dest *dests;	 /* ro->max_dest */
	struct bpvs_list_entry *lists;	 /* ro->max_list */
	struct bpvs_rate *rates;	 /* ro->max_svc + ro->max_dest */
	struct bpvs_conn *conns;	 /* ro->slots + BPVS_CONN_WINDOW + ro->spills */
	const struct bpvs_conn6 *conns6; /* the same */
	struct bpvs_dev *devs;		 /* BPVS_DEVS */
	struct bpvs_nexthop *nexthops;	 /* BPVS_NEXTHOPS */
	int fd_svc_ids;			 /* HASH: struct bpvs_svc_key -> __u32 id */
	const struct bpvs_stats *stats;	 /* ro->cpus sets of max_svc + max_dest, each as rates */
	const __u64 *counters;		 /* ro->cpus sets of BPVS_COUNTERS: reasons and events */
	int fd_spill;
	int fd_calls;			  /* HASH: slot of a template -> struct bpvs_call */
	int fd_buckets;			  /* ARRAY_OF_MAPS: chunks of BPVS_CHUNK units */
	struct bpvs_bucket_unit **chunks; /* those that were asked for; bucket.c's own */
	int fd_xdp;
	int fd_tc;
	struct bpvs_anchor *anchor; /* with the lock of the tables */
	int lock_depth;
	unsigned int looks;	    /* tables.c's own */
	void *priv;		    /* engine.c's own: map fds and sizes to unmap */
	struct bpvs_tables *tables; /* tables.c's own: what it derived by scanning, or NULL */
};

/*
 * Notes for who writes these tables while packets flow:
 *  - a reader may hold an old list (offset, length), an old destination or service id, until an RCU
 *    grace period has passed; membarrier(MEMBARRIER_CMD_GLOBAL) waits for one. Reuse nothing
 *    before.
 *  - a record is filled before the word that makes it reachable is stored (release order).
 *  - what can be derived (free slots, used list regions) is derived by scanning, never stored, so
 *    that a tool killed anywhere leaves nothing to repair.
 */

/* Set the text that bpvs_error() returns; hands `err` on. */
int bpvs_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Every timeout and sysctl at IPVS's default; other fields are left alone. For bpvs_up(). */
void bpvs_config_defaults(struct bpvs_config *cfg, const struct bpvs_rodata *ro);
void bpvs_sysctl_defaults(struct bpvs_config *cfg, const struct bpvs_rodata *ro);

/*
 * Map conns, conns6 and nexthops, which are NULL until then: most commands have no need of them.
 */
int bpvs_conns_open(struct bpvs_instance *in);

/*
 * The services, destinations and lists are mapped as far as they are in use, which only grows. So
 * this comes before an id or a region is looked at that may have come since: bpvs_tables_enter()
 * has done it, bpvs_tables_look() for the services alone. Statistics apart, since most commands
 * have no need of them.
 */
int bpvs_reach(const struct bpvs_instance *in);
/* For who looks at one service among many: the services alone; then its list and destinations. */
int bpvs_reach_svcs(const struct bpvs_instance *in);
int bpvs_reach_svc(const struct bpvs_instance *in, const struct bpvs_svc *svc);
int bpvs_reach_stats(const struct bpvs_instance *in);

/* Unmap all chunks of bpvs_buckets. For bpvs_close(). */
void bpvs_chunks_close(struct bpvs_instance *in);

/* Forget what was derived from the tables. For bpvs_close(). */
void bpvs_tables_free(struct bpvs_instance *in);

/* Close what route.c has open in this network namespace. For bpvs_close(). */
void bpvs_route_close(void);

/* ---- maps.c: all that needs a system call on a map ---- */

/* The map that the data path finds services with. */
int bpvs_map_svc_put(struct bpvs_instance *in, const struct bpvs_svc_key *key, __u32 id);
int bpvs_map_svc_del(struct bpvs_instance *in, const struct bpvs_svc_key *key);
/* The Call-ID of a template. */
int bpvs_map_call_get(struct bpvs_instance *in, __u32 slot, struct bpvs_call *ret);
/*
 * How many chunks of bpvs_buckets there may be: for every service to be mh's, with a quarter more,
 * for what is being changed.
 */
static inline __u32 bpvs_chunks_max(const struct bpvs_rodata *ro)
{
	return ro->max_svc / 16 + ro->max_svc / 64 + 2;
}

/* Map a chunk of bpvs_buckets; with `create`, make it first. */
int bpvs_map_chunk(struct bpvs_instance *in, __u32 chunk, bool create,
		   struct bpvs_bucket_unit **ret);
void bpvs_unmap_chunk(struct bpvs_bucket_unit *units);
/* Wait until no reader holds an id or a list that was unpublished before. */
int bpvs_grace_wait(void);
