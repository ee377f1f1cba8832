/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a scheduler asks of the kernel, over plain arrays: bpf/sched/sched.h includes this in the
 * place of bpf/maps.h when it is compiled for the host.
 */
#pragma once

#include "../../bpf/base.h"
#include <bpvs/dest.h>
#include <bpvs/service.h>

struct host_map {
	void *at;
	size_t size; /* of an element */
	__u32 num;
};

extern struct host_map bpvs_lists, bpvs_dests, bpvs_buckets; /* bpvs_buckets: of host_maps */

static inline void *host_lookup(const struct host_map *m, const void *key)
{
	__u32 i = *(const __u32 *)key;

	return i < m->num ? (char *)m->at + i * m->size : NULL;
}

/* The helper's address means nothing here. */
#define bpf_map_lookup_elem(map, key) host_lookup((map), (key))

static inline struct bpvs_dest *dest_get(__u32 id)
{
	return bpf_map_lookup_elem(&bpvs_dests, &id);
}
