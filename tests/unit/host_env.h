/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a scheduler asks of the kernel, over plain arrays: bpf/sched/sched.h includes this in the
 * place of bpf/maps.h when it is compiled for the host.
 */
#pragma once

#include "../../bpf/base.h"
#include <errno.h>
#include <string.h>
#include <bpvs/config.h>
#include <bpvs/dest.h>
#include <bpvs/lblc.h>
#include <bpvs/reason.h>
#include <bpvs/service.h>

struct host_map {
	void *at;
	size_t size; /* of an element */
	__u32 num;
	bool *used; /* a sparse one: which elements are there */
};

extern struct host_map bpvs_lists, bpvs_dests, bpvs_svcs, bpvs_lblc;
extern struct host_map bpvs_buckets; /* of host_maps */
extern struct bpvs_config *host_cfg;
extern const struct bpvs_rodata *host_ro;
extern __u32 host_clock;
extern __u32 host_counts[BPVS_COUNTERS];

/* The programs have them as variables of their own. */
#define bpvs_cfg (*host_cfg)
#define bpvs_ro	 (*host_ro)

static inline void *host_lookup(const struct host_map *m, const void *key)
{
	__u32 i = *(const __u32 *)key;

	if (i >= m->num || (m->used && !m->used[i]))
		return NULL;
	return (char *)m->at + i * m->size;
}

/* BPF_NOEXIST, into a sparse one. */
static inline long host_insert(struct host_map *m, const void *key, const void *value)
{
	__u32 i = *(const __u32 *)key;

	if (i >= m->num || m->used[i])
		return -EEXIST;
	memcpy((char *)m->at + i * m->size, value, m->size);
	m->used[i] = true;
	return 0;
}

static inline long host_delete(struct host_map *m, const void *key)
{
	if (!host_lookup(m, key))
		return -ENOENT;
	m->used[*(const __u32 *)key] = false;
	return 0;
}

__u32 host_random(void);
/* Below n. */
unsigned int rnd(unsigned int n);

struct bpvs_instance;
/* The maps are the arrays of an instance; that of lblc is empty. */
void host_use(struct bpvs_instance *in);

/* The helpers' addresses mean nothing here. */
#define bpf_map_lookup_elem(map, key)		    host_lookup((map), (key))
#define bpf_map_update_elem(map, key, value, flags) host_insert((map), (key), (value))
#define bpf_map_delete_elem(map, key)		    host_delete((map), (key))
#define bpf_get_prandom_u32()			    host_random()

/* Of arrays that may end within a chunk. */
static inline void *host_chunk(const struct host_map *m, __u32 i)
{
	return i < (m->num + BPVS_CHUNK_OF - 1) / BPVS_CHUNK_OF
		       ? (char *)m->at + (size_t)i * BPVS_CHUNK_OF * m->size
		       : NULL;
}

static inline struct bpvs_dest_chunk *dest_chunk(__u32 i)
{
	return host_chunk(&bpvs_dests, i);
}

static inline struct bpvs_list_chunk *list_chunk(__u32 i)
{
	return host_chunk(&bpvs_lists, i);
}

static inline struct bpvs_dest *dest_in(struct bpvs_dest_chunk *c, __u32 id)
{
	return &c->dest[id % BPVS_CHUNK_OF];
}

static inline struct bpvs_dest *dest_get(__u32 id)
{
	return bpf_map_lookup_elem(&bpvs_dests, &id);
}

static inline struct bpvs_svc *svc_get(__u32 id)
{
	return bpf_map_lookup_elem(&bpvs_svcs, &id);
}

static inline __u32 clock_now(void)
{
	return host_clock;
}

static inline void count(__u32 which)
{
	host_counts[which]++;
}
