/* SPDX-License-Identifier: GPL-2.0-only */
/* The look-up in a table of buckets (buckets.h says what it does). */
#include "buckets.h"

#ifdef __bpf__
/*
 * The chunks of units, in their order; the tools make one when those there are do not suffice. So
 * nobody pays for tables that nobody has.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, BPVS_CHUNK);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct bpvs_bucket_unit));
		});
} bpvs_buckets SEC(".maps");
#endif

static __always_inline __u32 bucket_read(__u64 table, __u32 bucket)
{
	__u32 unit = (__u32)table, len = (__u32)(table >> 32), chunk, at;
	struct bpvs_bucket_unit *u;
	void *units;

	if (!len)
		return 0;
	if (bucket >= len)
		bucket %= BPVS_BUCKETS;
	unit += bucket / BPVS_UNIT;
	chunk = unit / BPVS_CHUNK;
	at = unit % BPVS_CHUNK;
	units = bpf_map_lookup_elem(&bpvs_buckets, &chunk);
	if (!units)
		return 0;
	u = bpf_map_lookup_elem(units, &at);
	return u ? READ_ONCE(u->dest[bucket % BPVS_UNIT]) : 0;
}

__attribute__((noinline)) int bpvs_bucket(__u64 table, __u32 bucket)
{
	__u32 id = bucket_read(table, bucket);
	struct bpvs_dest *d = dest_get(id);

	if (!id || !d)
		return 0;
	/* A removed one may stand in the table for the moment until the tools replace it. */
	if (!(READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE) || READ_ONCE(d->weight) <= 0 ||
	    !sched_open(d))
		return BUCKET_CLOSED;
	return (int)id;
}
