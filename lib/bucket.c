/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables of dh, sh and mh: regions of units of bpvs_buckets, read by the data path while they
 * change.
 *
 * A table is made anew whenever the list changes, in a region that no reader can hold, and then
 * published by one store; who owns what follows from the services' {unit, number} words. A service
 * has a region from the moment it uses such a scheduler, so that only that may find no room. When
 * there is none for a second one, the table is rewritten in place: each bucket is one store, so a
 * reader meets the old destination or the new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tables.h"

static __u32 word_get(const struct bpvs_instance *in, enum bpvs_tool_word w)
{
	return in->cfg->tool_reserved[w];
}

static void word_set(struct bpvs_instance *in, enum bpvs_tool_word w, __u32 value)
{
	__atomic_store_n(&in->cfg->tool_reserved[w], value, __ATOMIC_RELEASE);
}

static __u32 table_unit(const struct bpvs_svc *svc)
{
	return (__u32)svc->buckets;
}

static __u32 table_len(const struct bpvs_svc *svc)
{
	return (__u32)(svc->buckets >> 32);
}

__u32 bpvs_buckets_len(__u32 sched)
{
	switch (sched) {
	case BPVS_SCHED_DH:
	case BPVS_SCHED_SH:
		return BPVS_BUCKETS;
	case BPVS_SCHED_MH:
		return BPVS_BUCKETS_MH;
	}
	return 0;
}

static __u32 units_for(__u32 len)
{
	return (len + BPVS_UNIT - 1) / BPVS_UNIT;
}

static void publish(struct bpvs_instance *in, struct bpvs_svc *svc, __u64 word)
{
	__u64 old = svc->buckets;

	if (old == word)
		return;
	__atomic_store_n(&svc->buckets, word, __ATOMIC_RELEASE);
	if (old && in->tables)
		in->tables->units_waiting = true;
}

/* ---- chunks and regions ---- */

static int chunk_open(struct bpvs_instance *in, __u32 chunk, bool create)
{
	if (!in->chunks)
		in->chunks = calloc(bpvs_chunks_max(in->ro), sizeof(struct bpvs_bucket_unit *));
	if (!in->chunks)
		return -ENOMEM;
	return in->chunks[chunk] ? 0 : bpvs_map_chunk(in, chunk, create, &in->chunks[chunk]);
}

static int region_open(struct bpvs_instance *in, __u32 unit, __u32 num)
{
	__u32 chunk = unit / BPVS_CHUNK, last = (unit + num - 1) / BPVS_CHUNK;
	int err = 0;

	for (; chunk <= last && !err; chunk++)
		err = chunk_open(in, chunk, false);
	return err;
}

/* Of a region that is open. */
static __u32 *bucket_at(const struct bpvs_instance *in, __u32 unit, __u32 bucket)
{
	unit += bucket / BPVS_UNIT;
	return &in->chunks[unit / BPVS_CHUNK][unit % BPVS_CHUNK].dest[bucket % BPVS_UNIT];
}

/*
 * Called after a grace period: what no service has is free, and what lies behind all tables was as
 * good as never used.
 */
int bpvs_bucket_scan(struct bpvs_instance *in)
{
	struct bpvs_tables *t = in->tables;
	__u32 num = 0, high = 0;
	struct bpvs_gap *used;

	t->units_used = 0;
	if (!word_get(in, BPVS_TOOL_CHUNKS))
		return 0;
	used = calloc(bpvs_tables_svc_high(in) + 1, sizeof(*used));
	if (!used)
		return -ENOMEM;
	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++) {
		const struct bpvs_svc *svc = &in->svcs[id];
		struct bpvs_gap u = { table_unit(svc), units_for(table_len(svc)) };

		if (!u.len)
			continue;
		used[num++] = u;
		t->units_used += u.len;
		if (u.off + u.len > high)
			high = u.off + u.len;
	}
	bpvs_gaps_set(&t->units, used, num, high);
	word_set(in, BPVS_TOOL_UNIT_HIGH, high);
	return 0;
}

static __u32 units_there(const struct bpvs_instance *in)
{
	return word_get(in, BPVS_TOOL_CHUNKS) * BPVS_CHUNK;
}

/* Is there a region that no reader can hold? */
static bool region_free(const struct bpvs_instance *in, __u32 num)
{
	return num <= units_there(in) - word_get(in, BPVS_TOOL_UNIT_HIGH) ||
	       bpvs_gaps_have(&in->tables->units, num);
}

static int chunk_add(struct bpvs_instance *in)
{
	__u32 chunk = word_get(in, BPVS_TOOL_CHUNKS);
	int err;

	if (chunk >= bpvs_chunks_max(in->ro))
		return -ENOSPC;
	err = chunk_open(in, chunk, true);
	if (!err)
		word_set(in, BPVS_TOOL_CHUNKS, chunk + 1);
	return err;
}

/*
 * Grace periods are waited for, and memory is saved, as long as a fifth of the units comes free by
 * that; with less, most changes would have to wait.
 */
static bool region_recycle(struct bpvs_instance *in, __u32 num)
{
	__u32 all = units_there(in);

	if (!in->tables->units_waiting || bpvs_tables_recycle(in))
		return false;
	return all - in->tables->units_used >= all / 5 && region_free(in, num);
}

static int region_reserve(struct bpvs_instance *in, __u32 num)
{
	int err;

	if (region_free(in, num) || region_recycle(in, num))
		return 0;
	err = chunk_add(in);
	return region_free(in, num) ? 0 : err;
}

/* Mapped into this process, too. */
static int region_new(struct bpvs_instance *in, __u32 num, __u32 *ret)
{
	__u32 high;
	int err = region_reserve(in, num);

	if (err)
		return err;
	high = word_get(in, BPVS_TOOL_UNIT_HIGH);
	if (num <= units_there(in) - high) {
		word_set(in, BPVS_TOOL_UNIT_HIGH, high + num);
		*ret = high;
	} else {
		bpvs_gaps_take(&in->tables->units, num, ret);
	}
	return region_open(in, *ret, num);
}

/* ---- tables ---- */

/* What is made here before it is published; an instance is not for several threads. */
static __u32 made[BPVS_BUCKETS_MH];

/* Each destination has as many buckets in a row as its weight says, or one; then the next. */
static void deal_out(const struct bpvs_instance *in, const struct bpvs_svc *svc, bool weighted)
{
	const struct bpvs_list_entry *list = in->lists + bpvs_list_off(svc->list);
	__u32 len = bpvs_list_len(svc->list), pos = len;
	__s32 dealt = 0;

	memset(made, 0, BPVS_BUCKETS * sizeof(made[0]));
	for (__u32 b = 0; len && b < BPVS_BUCKETS; b++) {
		const struct bpvs_list_entry *e = &list[pos - 1];

		made[b] = e->dest;
		if (weighted && ++dealt < e->weight)
			continue;
		dealt = 0;
		pos = pos > 1 ? pos - 1 : len;
	}
}

static void table_make(const struct bpvs_instance *in, const struct bpvs_svc *svc, __u32 sched)
{
	if (sched == BPVS_SCHED_MH)
		bpvs_maglev(in, svc, made);
	else
		deal_out(in, svc, sched == BPVS_SCHED_SH);
}

static bool table_is(const struct bpvs_instance *in, __u32 unit, __u32 len)
{
	for (__u32 b = 0; b < len; b++)
		if (*bucket_at(in, unit, b) != made[b])
			return false;
	return true;
}

int bpvs_buckets_reserve(struct bpvs_instance *in, __u32 sched)
{
	__u32 len = bpvs_buckets_len(sched);

	return len ? region_reserve(in, units_for(len)) : 0;
}

int bpvs_buckets_open(struct bpvs_instance *in, const struct bpvs_svc *svc)
{
	return table_len(svc) ? region_open(in, table_unit(svc), units_for(table_len(svc))) : 0;
}

int bpvs_buckets_update(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 sched)
{
	__u32 len = bpvs_buckets_len(sched), unit;
	int err = len ? bpvs_buckets_open(in, svc) : 0;

	if (!len || err)
		return err;
	table_make(in, svc, sched);
	if (table_len(svc) == len && table_is(in, table_unit(svc), len))
		return 0;
	err = region_new(in, units_for(len), &unit);
	if (err && table_len(svc) != len)
		return err;
	if (err)
		unit = table_unit(svc);
	for (__u32 b = 0; b < len; b++)
		__atomic_store_n(bucket_at(in, unit, b), made[b], __ATOMIC_RELAXED);
	publish(in, svc, (__u64)len << 32 | unit);
	return 0;
}

void bpvs_buckets_drop(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	publish(in, svc, 0);
}

void bpvs_buckets_repair(struct bpvs_instance *in)
{
	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++) {
		struct bpvs_svc *svc = &in->svcs[id];
		bool used = svc->flags & BPVS_SVC_IN_USE;

		if (used && bpvs_buckets_len(svc->sched))
			bpvs_buckets_update(in, svc, svc->sched);
		else
			bpvs_buckets_drop(in, svc);
	}
}

void bpvs_chunks_close(struct bpvs_instance *in)
{
	for (__u32 i = 0; in->chunks && i < bpvs_chunks_max(in->ro); i++)
		if (in->chunks[i])
			bpvs_unmap_chunk(in->chunks[i]);
	free(in->chunks);
	in->chunks = NULL;
}
