/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual services: adding, editing, removing, listing. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "service.h"

#define FLAGS_SET (BPVS_SVC_PERSISTENT | BPVS_SVC_ONEPACKET)

__u32 bpvs_svc_lookup(const struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	__u32 id = bpvs_tables_find_svc(in, key);

	return id && (in->svcs[id].flags & BPVS_SVC_IN_USE) ? id : 0;
}

/* What the data path cannot do yet is refused, rather than stored and ignored. */
static int svc_check_built(const struct bpvs_svc_info *info)
{
	/* Services by mark have no protocol. */
	if (!info->key.fwmark && info->key.proto != IPPROTO_TCP && info->key.proto != IPPROTO_UDP &&
	    info->key.proto != IPPROTO_SCTP)
		return -EOPNOTSUPP;
	return 0;
}

/* In the kernel's order: the scheduler is looked for before the mask is looked at. */
static int svc_check(const struct bpvs_svc_info *info)
{
	__u32 prefix = (__u32)info->netmask;

	if (info->sched >= BPVS_SCHEDS || info->pe >= BPVS_PES)
		return -ENOENT;
	if (info->key.af == BPVS_V6 && (prefix < 1 || prefix > 128))
		return -EINVAL;
	return 0;
}

static void svc_count(struct bpvs_instance *in, const struct bpvs_svc *svc, int by)
{
	struct bpvs_tally tally;

	bpvs_tally_load(in, &tally);
	bpvs_tally_svc(&tally, svc, by);
	bpvs_tally_store(in, &tally);
}

static void svc_set(struct bpvs_svc *svc, const struct bpvs_svc_info *info)
{
	__atomic_store_n(&svc->sched_flags, info->sched_flags, __ATOMIC_RELAXED);
	svc->timeout = info->timeout;
	svc->netmask = info->netmask;
	svc->pe = info->pe;
	__atomic_store_n(&svc->flags, (info->flags & FLAGS_SET) | BPVS_SVC_IN_USE,
			 __ATOMIC_RELEASE);
}

/*
 * The array first, the map that makes the service reachable last. Whoever is killed in between has
 * left a service that is listed but not served, until the next tool (bpvs_svcs_repair()).
 */
static int svc_publish(struct bpvs_instance *in, __u32 id, const struct bpvs_svc_info *info)
{
	struct bpvs_svc *svc = &in->svcs[id];
	bool kept = !memcmp(&svc->key, &info->key, sizeof(svc->key)) && in->tables->svc_refs[id];
	int err;

	svc->list = 0;
	err = bpvs_sched_start(in, svc, info->sched);
	if (err) {
		in->tables->svcs.waiting = true;
		return err;
	}
	svc->key = info->key;
	/* Nobody has counted for an id that was never given out. */
	if (svc->epoch++)
		bpvs_stats_reset(in, bpvs_stats_svc(in, id));
	svc_set(svc, info);
	if (!kept)
		bpvs_tables_enter_svc(in, id);
	if (!svc->key.fwmark)
		bpvs_filter_vip_set(in, &svc->key.addr);
	err = bpvs_map_svc_put(in, &svc->key, id);
	if (err) {
		__atomic_store_n(&svc->flags, 0, __ATOMIC_RELEASE);
		bpvs_sched_end(in, svc);
		bpvs_tables_drop_svc(in, id);
		return err;
	}
	svc_count(in, svc, 1);
	return 0;
}

/*
 * The map's entry goes first, so that the data path cannot find a slot that is free. The clock is
 * the caller's: where it is a slow one, each look at it is a system call.
 */
static int svc_del_locked(struct bpvs_instance *in, __u32 id, __u32 now)
{
	struct bpvs_svc *svc = &in->svcs[id];
	const struct bpvs_list_entry *list = in->lists + bpvs_list_off(svc->list);
	int err = bpvs_map_svc_del(in, &svc->key);

	if (err && err != -ENOENT)
		return err;
	for (__u32 pos = 0; pos < bpvs_list_len(svc->list); pos++)
		bpvs_dest_retire(in, list[pos].dest, now);
	bpvs_list_clear(in, svc);
	bpvs_sched_end(in, svc);
	__atomic_store_n(&svc->flags, 0, __ATOMIC_RELEASE);
	svc_count(in, svc, -1);
	bpvs_tables_drop_svc(in, id);
	return 0;
}

/* Services by mark have routing bring them their packets. */
static int svc_route(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	return key->fwmark ? bpvs_marks_sync(in) : 0;
}

static int svc_add_locked(struct bpvs_instance *in, const struct bpvs_svc_info *info)
{
	__u32 id = bpvs_tables_find_svc(in, &info->key);
	int err;

	if (id && (in->svcs[id].flags & BPVS_SVC_IN_USE)) {
		/* What may not have been possible, or needed, when it came. */
		err = svc_route(in, &info->key);
		bpvs_out_svc(in, &info->key);
		return err ?: -EEXIST;
	}
	err = svc_check(info);
	if (err)
		return err;
	bpvs_tables_touch(in);
	err = bpvs_sched_reserve(in, info->sched);
	if (err)
		return err;
	/* A slot that was kept for this endpoint: its removed destinations can come back. */
	if (!id) {
		err = bpvs_tables_new_svc(in, &id);
		if (err)
			return err;
	}
	err = svc_publish(in, id, info) ?: svc_route(in, &info->key);
	if (!err)
		bpvs_out_svc(in, &info->key);
	if (err && (in->svcs[id].flags & BPVS_SVC_IN_USE)) {
		svc_del_locked(in, id, (__u32)bpvs_clock_since(in, 0));
		svc_route(in, &info->key);
	}
	return err;
}

/* After a tool that was killed: what is listed is served (see svc_publish()). */
void bpvs_svcs_repair(struct bpvs_instance *in)
{
	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++)
		if (in->svcs[id].flags & BPVS_SVC_IN_USE)
			bpvs_map_svc_put(in, &in->svcs[id].key, id);
}

int bpvs_svc_add(struct bpvs_instance *in, const struct bpvs_svc_info *info)
{
	int err = svc_check_built(info) ?: bpvs_tables_enter(in);

	if (err)
		return err;
	err = svc_add_locked(in, info);
	bpvs_tables_leave(in);
	return err;
}

static int svc_edit_locked(struct bpvs_instance *in, const struct bpvs_svc_info *info)
{
	__u32 id = bpvs_svc_lookup(in, &info->key);
	struct bpvs_svc *svc = &in->svcs[id];
	struct bpvs_tally tally;
	int err;

	if (!id)
		return -ESRCH;
	err = svc_check(info);
	if (err)
		return err;
	bpvs_tables_touch(in);
	if (svc->sched != info->sched)
		err = bpvs_sched_start(in, svc, info->sched);
	if (err)
		return err;
	/* At one go: for the packets of a moment there would be no service otherwise. */
	bpvs_tally_load(in, &tally);
	bpvs_tally_svc(&tally, svc, -1);
	svc_set(svc, info);
	bpvs_tally_svc(&tally, svc, 1);
	bpvs_tally_store(in, &tally);
	return 0;
}

int bpvs_svc_edit(struct bpvs_instance *in, const struct bpvs_svc_info *info)
{
	int err = svc_check_built(info) ?: bpvs_tables_enter(in);

	if (err)
		return err;
	err = svc_edit_locked(in, info);
	bpvs_tables_leave(in);
	return err;
}

int bpvs_svc_del(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	int err = bpvs_tables_enter(in);
	__u32 id;

	if (err)
		return err;
	id = bpvs_svc_lookup(in, key);
	if (id) {
		bpvs_tables_touch(in);
		err = svc_del_locked(in, id, (__u32)bpvs_clock_since(in, 0));
		svc_route(in, key);
		bpvs_filter_vips(in);
	} else {
		err = -ESRCH;
	}
	bpvs_tables_leave(in);
	return err;
}

static bool nat_there(const struct bpvs_instance *in)
{
	for (__u32 id = 1; id < bpvs_tables_dest_high(in); id++)
		if (in->dests[id].flags & BPVS_DEST_NAT)
			return true;
	return false;
}

int bpvs_flush(struct bpvs_instance *in)
{
	int err = bpvs_tables_look(in);
	__u32 now = (__u32)bpvs_clock_since(in, 0);

	if (err)
		return err;
	err = bpvs_reach(in);
	/* Endpoints have keys, and the tables tell who else has an endpoint. */
	if (!err && nat_there(in))
		err = bpvs_tables_need(in);
	if (!err)
		bpvs_tables_touch(in);
	for (__u32 id = 1; id < bpvs_tables_svc_high(in) && !err; id++)
		if (in->svcs[id].flags & BPVS_SVC_IN_USE)
			err = svc_del_locked(in, id, now);
	bpvs_marks_sync(in);
	if (in->tables)
		bpvs_filter_vips(in);
	bpvs_tables_leave(in);
	return err;
}

/* ---- reading ---- */

static void svc_read(const struct bpvs_instance *in, __u32 id, struct bpvs_svc_info *ret)
{
	const struct bpvs_svc *svc = &in->svcs[id];

	*ret = (struct bpvs_svc_info){
		.key = svc->key,
		.flags = svc->flags & FLAGS_SET,
		.sched = svc->sched,
		.sched_flags = svc->sched_flags,
		.timeout = svc->timeout,
		.netmask = svc->netmask,
		.pe = svc->pe,
		.num_dests = bpvs_list_len(svc->list),
		.id = id,
	};
}

int bpvs_svc_get(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		 struct bpvs_svc_info *ret)
{
	int err = bpvs_tables_look(in);
	__u32 id;

	if (err)
		return err;
	id = bpvs_svc_lookup(in, key);
	if (id)
		svc_read(in, id, ret);
	bpvs_tables_leave(in);
	return id ? 0 : -ESRCH;
}

/* Fills `out` with the services of one kind: with an address, or by mark. */
static __u32 svc_collect(const struct bpvs_instance *in, bool marks, struct bpvs_svc_info *out)
{
	__u32 num = 0;

	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++) {
		const struct bpvs_svc *svc = &in->svcs[id];

		if ((svc->flags & BPVS_SVC_IN_USE) && !!svc->key.fwmark == marks)
			svc_read(in, id, &out[num++]);
	}
	return num;
}

/*
 * The kernel lists its hash table, then that of the marks; with no hash table of our own to follow,
 * the order within each is that of adding. The callbacks run without the lock: they may block.
 */
int bpvs_svc_walk(struct bpvs_instance *in, bpvs_svc_cb cb, void *arg)
{
	struct bpvs_svc_info *all;
	__u32 num = 0;
	int err = bpvs_tables_look(in);

	if (err)
		return err;
	all = calloc(bpvs_tables_svc_high(in), sizeof(*all));
	if (all) {
		num = svc_collect(in, false, all);
		num += svc_collect(in, true, all + num);
	}
	bpvs_tables_leave(in);
	if (!all)
		return -ENOMEM;
	for (__u32 i = 0; i < num && !err; i++)
		err = cb(&all[i], arg);
	free(all);
	return err;
}
