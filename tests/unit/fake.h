/* SPDX-License-Identifier: GPL-2.0-only */
/* An instance on the heap: arrays instead of maps, a clock that is set by hand. */
#pragma once

#include "tables.h"

struct fake_rip {
	struct bpvs_svc_key key; /* af = 0: never used */
	bool used;
	__u32 value;
};

struct fake {
	struct bpvs_instance in; /* first, so that one pointer names both */
	struct bpvs_rodata ro;
	struct bpvs_svc_key *map_keys; /* by service id: what the data path would find */
	bool *map_used;
	struct fake_rip *rips;		/* the same map's keys of NAT destinations */
	struct bpvs_stats *stats;	/* the sums that bpvs_map_sum() gives */
	struct bpvs_bucket_unit *units; /* of all chunks there may be */
	__u32 chunks_most;		/* refuse to make more, if not 0 */
	int reach;			/* what bpvs_reach() says */
	__u32 clock;
	unsigned int clock_looks; /* how often somebody asked for it */
	unsigned int graces;	  /* grace periods waited for */
};

#define FAKE_HZ 100

struct fake_size {
	__u32 svcs, dests, list, slots;
};

/* Take the arrays of the next instance from here; zeroed, or as an earlier run left them. */
void fake_use_arena(void *memory);
struct bpvs_instance *fake_new(struct fake_size size);
void fake_free(struct bpvs_instance *in);
struct fake *fake_of(struct bpvs_instance *in);
/* What the data path's map holds for a key; 0 = nothing. */
__u32 fake_map_find(struct bpvs_instance *in, const struct bpvs_svc_key *key);

/* The same for the endpoint of a NAT destination; false = no key. */
bool fake_rip_find(struct bpvs_instance *in, const struct bpvs_svc_key *key, __u32 *ret);

struct bpvs_addr fake_v4(unsigned int a, unsigned int b, unsigned int c, unsigned int d);
/* 2001:db8::n */
struct bpvs_addr fake_v6(unsigned int n);
/* This one is the host's own: see bpvs_route_type(). */
#define FAKE_LOCAL fake_v4(10, 9, 9, 9)
