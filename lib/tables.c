/* SPDX-License-Identifier: GPL-2.0-only */
/* What is free and what is where: derived by scanning the shared arrays (see tables.h). */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "tables.h"

/* Who looks more often than that is no tool of one command: the next time tables are made. */
#define LOOKS_MOST 16

static __u32 tool_word(const struct bpvs_instance *in, enum bpvs_tool_word w)
{
	return in->cfg->tool_reserved[w];
}

__u32 bpvs_tables_svc_high(const struct bpvs_instance *in)
{
	return tool_word(in, BPVS_TOOL_SVC_HIGH) ?: 1;
}

__u32 bpvs_tables_dest_high(const struct bpvs_instance *in)
{
	return tool_word(in, BPVS_TOOL_DEST_HIGH) ?: 1;
}

/* ---- ids ---- */

static int ids_init(struct bpvs_ids *ids, __u32 max)
{
	__u32 buckets = 16;

	while (buckets < max)
		buckets *= 2;
	ids->max = max;
	ids->mask = buckets - 1;
	/* Large and mostly untouched: calloc() of this size costs no memory before it is used. */
	ids->ready = calloc(max, sizeof(*ids->ready));
	ids->next = calloc(max, sizeof(*ids->next));
	ids->bucket = calloc(buckets, sizeof(*ids->bucket));
	return ids->ready && ids->next && ids->bucket ? 0 : -ENOMEM;
}

static void ids_free(struct bpvs_ids *ids)
{
	free(ids->ready);
	free(ids->next);
	free(ids->bucket);
}

static void ids_link(struct bpvs_ids *ids, __u32 hash, __u32 id)
{
	__u32 *head = &ids->bucket[hash & ids->mask];

	ids->next[id] = *head;
	*head = id;
}

static void ids_unlink(struct bpvs_ids *ids, __u32 hash, __u32 id)
{
	__u32 *at = &ids->bucket[hash & ids->mask];

	while (*at && *at != id)
		at = &ids->next[*at];
	if (*at)
		*at = ids->next[id];
}

static __u32 mix(__u32 h, __u32 word)
{
	h = (h ^ word) * 0x9e3779b1U;
	return h ^ h >> 15;
}

__u32 bpvs_tables_hash(const struct bpvs_svc_key *key)
{
	__u32 words[sizeof(*key) / 4];
	__u32 h = 0;

	memcpy(words, key, sizeof(words));
	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		h = mix(h, words[i]);
	return h;
}

static __u32 dest_hash(__u32 svc, const struct bpvs_addr *addr, __be16 port)
{
	__u32 h = mix(svc, (__u32)port);

	for (int i = 0; i < 4; i++)
		h = mix(h, (__u32)addr->w[i]);
	return h;
}

/* Without tables: those that are kept are found, too. */
static __u32 svc_search(const struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	__u32 kept = 0;

	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++) {
		if (memcmp(&in->svcs[id].key, key, sizeof(*key)))
			continue;
		if (in->svcs[id].flags & BPVS_SVC_IN_USE)
			return id;
		kept = id;
	}
	return kept;
}

/* Without tables: those of the service's list. */
static __u32 dest_search(const struct bpvs_instance *in, __u32 svc, const struct bpvs_addr *addr,
			 __be16 port)
{
	__u64 list = in->svcs[svc].list;

	for (__u32 pos = 0; pos < bpvs_list_len(list); pos++) {
		__u32 id = in->lists[bpvs_list_off(list) + pos].dest;
		const struct bpvs_dest *d = &in->dests[id];

		if (d->port == port && !memcmp(&d->addr, addr, sizeof(*addr)))
			return id;
	}
	return 0;
}

__u32 bpvs_tables_find_svc(const struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	const struct bpvs_ids *ids;
	__u32 id;

	if (!in->tables)
		return svc_search(in, key);
	ids = &in->tables->svcs;
	id = ids->bucket[bpvs_tables_hash(key) & ids->mask];
	while (id && memcmp(&in->svcs[id].key, key, sizeof(*key)))
		id = ids->next[id];
	return id;
}

__u32 bpvs_tables_find_dest(const struct bpvs_instance *in, __u32 svc, const struct bpvs_addr *addr,
			    __be16 port)
{
	const struct bpvs_ids *ids;
	__u32 id;

	if (!in->tables)
		return dest_search(in, svc, addr, port);
	ids = &in->tables->dests;
	for (id = ids->bucket[dest_hash(svc, addr, port) & ids->mask]; id; id = ids->next[id]) {
		const struct bpvs_dest *d = &in->dests[id];

		if (d->svc == svc && d->port == port && !memcmp(&d->addr, addr, sizeof(*addr)))
			break;
	}
	return id;
}

/* ---- the scan ---- */

/* A removed destination may go: no connection refers to it, and it has had its time. */
static bool dest_is_idle(struct bpvs_instance *in, const struct bpvs_dest *d, __u32 now,
			 unsigned int seconds)
{
	unsigned int hz = bpvs_clock_hz(in);
	int gone = (int)(now - d->removed_at);

	if (__atomic_load_n(&d->active, __ATOMIC_ACQUIRE) > 0 ||
	    __atomic_load_n(&d->inactive, __ATOMIC_ACQUIRE) > 0 ||
	    __atomic_load_n(&d->persistent, __ATOMIC_ACQUIRE) > 0)
		return false;
	/* Two processes' clocks may differ by a unit; one that lies far ahead has wrapped since. */
	if (gone < 0)
		return gone < -3600 * (int)hz;
	return (__u32)gone >= seconds * hz;
}

/*
 * Free the removed destinations that may go. `seconds` is how long they must have been gone; 0 only
 * after a grace period, since a reader may be about to count a connection.
 */
static bool sweep_trash(struct bpvs_instance *in, unsigned int seconds)
{
	__u32 now = (__u32)bpvs_clock_since(in, 0);
	__u32 high = bpvs_tables_dest_high(in);
	bool freed = false;

	for (__u32 id = 1; id < high; id++) {
		struct bpvs_dest *d = &in->dests[id];

		if ((d->flags & (BPVS_DEST_IN_USE | BPVS_DEST_AVAILABLE)) != BPVS_DEST_IN_USE ||
		    !dest_is_idle(in, d, now, seconds))
			continue;
		__atomic_store_n(&d->flags, 0, __ATOMIC_RELEASE);
		freed = true;
	}
	return freed;
}

static void scan_dests(struct bpvs_instance *in, bool after_grace)
{
	struct bpvs_tables *t = in->tables;

	for (__u32 id = bpvs_tables_dest_high(in) - 1; id; id--) {
		const struct bpvs_dest *d = &in->dests[id];

		if (d->flags & BPVS_DEST_IN_USE) {
			if (d->svc < t->svcs.max)
				t->svc_refs[d->svc]++;
			ids_link(&t->dests, dest_hash(d->svc, &d->addr, d->port), id);
			bpvs_rip_enter(in, id);
		} else if (after_grace) {
			t->dests.ready[t->dests.num_ready++] = id;
		} else {
			t->dests.waiting = true;
		}
	}
}

/* ---- how many services there are of each kind that the data path asks for ---- */

void bpvs_tally_svc(struct bpvs_tally *t, const struct bpvs_svc *svc, int by)
{
	const struct bpvs_svc_key *key = &svc->key;

	if (key->af == BPVS_V6)
		t->services6 += (__u32)by;
	else
		t->services4 += (__u32)by;
	if (key->port == htons(21))
		t->ftp += (__u32)by;
	else if (!key->port && !key->fwmark)
		t->any_port += (__u32)by;
	if (svc->pe)
		t->callers += (__u32)by;
}

void bpvs_tally_load(const struct bpvs_instance *in, struct bpvs_tally *ret)
{
	ret->services4 = in->cfg->services4;
	ret->services6 = in->cfg->services6;
	ret->ftp = in->cfg->ftp_services;
	ret->any_port = in->cfg->any_port_services;
	ret->callers = in->cfg->caller_services;
}

void bpvs_tally_store(struct bpvs_instance *in, const struct bpvs_tally *t)
{
	__atomic_store_n(&in->cfg->ftp_services, t->ftp, __ATOMIC_RELAXED);
	__atomic_store_n(&in->cfg->any_port_services, t->any_port, __ATOMIC_RELAXED);
	__atomic_store_n(&in->cfg->caller_services, t->callers, __ATOMIC_RELAXED);
	__atomic_store_n(&in->cfg->services4, t->services4, __ATOMIC_RELEASE);
	__atomic_store_n(&in->cfg->services6, t->services6, __ATOMIC_RELEASE);
}

static void scan_svcs(struct bpvs_instance *in, bool after_grace)
{
	struct bpvs_tables *t = in->tables;
	struct bpvs_tally tally = { 0 };

	for (__u32 id = bpvs_tables_svc_high(in) - 1; id; id--) {
		const struct bpvs_svc *svc = &in->svcs[id];

		if (svc->flags & BPVS_SVC_IN_USE)
			bpvs_tally_svc(&tally, svc, 1);
		if ((svc->flags & BPVS_SVC_IN_USE) || t->svc_refs[id])
			ids_link(&t->svcs, bpvs_tables_hash(&svc->key), id);
		else if (after_grace)
			t->svcs.ready[t->svcs.num_ready++] = id;
		else
			t->svcs.waiting = true;
	}
	/* A tool that was killed may have left these wrong. */
	bpvs_tally_store(in, &tally);
}

static void tables_free(struct bpvs_tables *t)
{
	if (!t)
		return;
	ids_free(&t->svcs);
	ids_free(&t->dests);
	free(t->rip_bucket);
	free(t->rip_next);
	free(t->svc_refs);
	free(t->gaps.gap);
	free(t->units.gap);
	free(t);
}

void bpvs_tables_free(struct bpvs_instance *in)
{
	tables_free(in->tables);
	in->tables = NULL;
}

static int tables_scan(struct bpvs_instance *in, bool after_grace)
{
	struct bpvs_tables *t = in->tables;

	t->svc_refs = calloc(in->ro->max_svc, sizeof(*t->svc_refs));
	if (!t->svc_refs || ids_init(&t->svcs, in->ro->max_svc) ||
	    ids_init(&t->dests, in->ro->max_dest))
		return -ENOMEM;
	t->rip_bucket = calloc(t->dests.mask + 1, sizeof(*t->rip_bucket));
	t->rip_next = calloc(in->ro->max_dest, sizeof(*t->rip_next));
	if (!t->rip_bucket || !t->rip_next)
		return -ENOMEM;
	scan_dests(in, after_grace);
	scan_svcs(in, after_grace);
	t->list_waiting = !after_grace;
	t->units_waiting = !after_grace;
	if (!after_grace)
		return 0;
	return bpvs_list_scan(in) ?: bpvs_bucket_scan(in);
}

/* On failure the old tables stay: they are right, but know of less that is free. */
static int tables_build(struct bpvs_instance *in, bool after_grace)
{
	struct bpvs_tables *old = in->tables;
	int err;

	in->tables = calloc(1, sizeof(*in->tables));
	err = in->tables ? tables_scan(in, after_grace) : -ENOMEM;
	if (err) {
		bpvs_tables_free(in);
		in->tables = old;
		return err;
	}
	tables_free(old);
	in->tables->gen = tool_word(in, BPVS_TOOL_GEN);
	bpvs_filter_vips(in);
	bpvs_filter_rips(in);
	return 0;
}

void bpvs_tables_touch(struct bpvs_instance *in)
{
	__u32 gen = tool_word(in, BPVS_TOOL_GEN) + 1;

	__atomic_store_n(&in->cfg->tool_reserved[BPVS_TOOL_CHANGING], 1, __ATOMIC_RELEASE);
	__atomic_store_n(&in->cfg->tool_reserved[BPVS_TOOL_GEN], gen, __ATOMIC_RELEASE);
	if (in->tables)
		in->tables->gen = gen;
}

int bpvs_tables_recycle(struct bpvs_instance *in)
{
	int err = bpvs_grace_wait();

	return err ?: tables_build(in, true);
}

/* Before the look at the counters a grace period, after which nobody is about to raise one. */
int bpvs_tables_forget(struct bpvs_instance *in)
{
	int err = bpvs_grace_wait();

	if (err || !sweep_trash(in, 0))
		return err;
	bpvs_tables_touch(in);
	return tables_build(in, false);
}

static bool tables_current(const struct bpvs_instance *in)
{
	return in->tables && in->tables->gen == tool_word(in, BPVS_TOOL_GEN);
}

int bpvs_tables_need(struct bpvs_instance *in)
{
	bool killed = tool_word(in, BPVS_TOOL_CHANGING);
	int err;

	if (tables_current(in))
		return 0;
	err = bpvs_reach(in);
	/* First of all: what is in a list must not be taken for removed. */
	if (!err && killed)
		err = bpvs_dests_repair(in);
	if (!err && sweep_trash(in, BPVS_TRASH_SECONDS))
		bpvs_tables_touch(in);
	err = err ?: tables_build(in, false);
	if (!err && killed) {
		bpvs_svcs_repair(in);
		bpvs_rip_repair(in);
		bpvs_buckets_repair(in);
		bpvs_out_repair(in);
	}
	return err;
}

static int enter(struct bpvs_instance *in, bool look)
{
	int err = bpvs_lock(in);

	if (err || tables_current(in))
		return err;
	if (look && !tool_word(in, BPVS_TOOL_CHANGING) && in->looks < LOOKS_MOST) {
		in->looks++;
		bpvs_tables_free(in);
		err = bpvs_reach_svcs(in);
	} else {
		err = bpvs_tables_need(in);
	}
	if (err)
		bpvs_unlock(in);
	return err;
}

int bpvs_tables_enter(struct bpvs_instance *in)
{
	return enter(in, false);
}

int bpvs_tables_look(struct bpvs_instance *in)
{
	return enter(in, true);
}

void bpvs_tables_leave(struct bpvs_instance *in)
{
	if (tool_word(in, BPVS_TOOL_CHANGING))
		__atomic_store_n(&in->cfg->tool_reserved[BPVS_TOOL_CHANGING], 0, __ATOMIC_RELEASE);
	bpvs_unlock(in);
}

/* ---- handing out ids ---- */

/* An id that is ready, or the next that was never used; 0 when there is neither. */
static int ids_take(struct bpvs_instance *in, struct bpvs_ids *ids, enum bpvs_tool_word high,
		    __u32 *ret)
{
	__u32 *word = &in->cfg->tool_reserved[high], id;
	int err;

	if (ids->num_ready) {
		*ret = ids->ready[--ids->num_ready];
		return 0;
	}
	id = *word ?: 1;
	if (id >= ids->max) {
		*ret = 0;
		return 0;
	}
	/* Before the slot is written: after a crash it must be within what is scanned. */
	__atomic_store_n(word, id + 1, __ATOMIC_RELEASE);
	err = bpvs_reach(in);
	if (err)
		__atomic_store_n(word, id, __ATOMIC_RELEASE);
	else
		*ret = id;
	return err;
}

int bpvs_tables_new_svc(struct bpvs_instance *in, __u32 *ret)
{
	__u32 id;
	int err = ids_take(in, &in->tables->svcs, BPVS_TOOL_SVC_HIGH, &id);

	if (!err && !id && in->tables->svcs.waiting)
		err = bpvs_tables_recycle(in)
			      ?: ids_take(in, &in->tables->svcs, BPVS_TOOL_SVC_HIGH, &id);
	if (err)
		return err;
	if (!id)
		return -ENOSPC;
	*ret = id;
	return 0;
}

int bpvs_tables_new_dest(struct bpvs_instance *in, __u32 *ret)
{
	__u32 id;
	int err = ids_take(in, &in->tables->dests, BPVS_TOOL_DEST_HIGH, &id);

	if (!err && !id)
		err = bpvs_tables_recycle(in)
			      ?: ids_take(in, &in->tables->dests, BPVS_TOOL_DEST_HIGH, &id);
	/* Full of removed ones: give up those without connections before their time. */
	if (!err && !id && sweep_trash(in, 0))
		err = bpvs_tables_recycle(in)
			      ?: ids_take(in, &in->tables->dests, BPVS_TOOL_DEST_HIGH, &id);
	if (err)
		return err;
	if (!id)
		return -ENOSPC;
	*ret = id;
	return 0;
}

void bpvs_tables_enter_svc(struct bpvs_instance *in, __u32 id)
{
	ids_link(&in->tables->svcs, bpvs_tables_hash(&in->svcs[id].key), id);
}

void bpvs_tables_enter_dest(struct bpvs_instance *in, __u32 id)
{
	const struct bpvs_dest *d = &in->dests[id];

	ids_link(&in->tables->dests, dest_hash(d->svc, &d->addr, d->port), id);
	bpvs_rip_enter(in, id);
	in->tables->svc_refs[d->svc]++;
}

void bpvs_tables_drop_svc(struct bpvs_instance *in, __u32 id)
{
	if (!in->tables || in->tables->svc_refs[id])
		return;
	ids_unlink(&in->tables->svcs, bpvs_tables_hash(&in->svcs[id].key), id);
	in->tables->svcs.waiting = true;
}
