/* SPDX-License-Identifier: GPL-2.0-only */
/* Destinations (real servers): adding, editing, removing, bringing back, listing. */
#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "service.h"

/* ---- checks ---- */

static bool addr_is_linklocal6(const struct bpvs_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* A v6 address that is none of unspecified, multicast and IPv4-mapped. */
static bool addr_is_unicast6(const struct bpvs_addr *a)
{
	if (a->b[0] == 0xff)
		return false;
	if (a->w[0] || a->w[1])
		return true;
	return a->w[2] ? a->w[2] != __builtin_bswap32(0xffff) : a->w[3] != 0;
}

/* What the kernel takes as a new destination's address. The type is needed later. */
static int addr_check(const struct bpvs_dest_info *info, int *ret_type)
{
	int type = bpvs_route_type(&info->addr, info->af);

	if (type < 0)
		return type;
	if (type != RTN_LOCAL) {
		if (info->af == BPVS_V4 && type != RTN_UNICAST)
			return -EINVAL;
		if (info->af == BPVS_V6 &&
		    (!addr_is_unicast6(&info->addr) || addr_is_linklocal6(&info->addr)))
			return -EINVAL;
	}
	*ret_type = type;
	return 0;
}

static int dest_check(const struct bpvs_svc_key *key, const struct bpvs_dest_info *info)
{
	if (info->fwd != BPVS_FWD_MASQ && info->fwd != BPVS_FWD_TUNNEL &&
	    info->fwd != BPVS_FWD_DROUTE && info->fwd != BPVS_FWD_LOCAL)
		return -EINVAL;
	if (info->af != key->af && info->fwd != BPVS_FWD_TUNNEL)
		return -EINVAL;
	if (info->weight < 0 || info->l_threshold > info->u_threshold)
		return -ERANGE;
	/* Whatever the forwarding method: so does the kernel. */
	if (info->tun_type == BPVS_TUNNEL_GUE && !info->tun_port)
		return -EINVAL;
	return info->u_threshold > INT_MAX ? -EINVAL : 0;
}

int bpvs_dest_check(const struct bpvs_svc_key *key, const struct bpvs_dest_info *info)
{
	int type;

	return dest_check(key, info) ?: addr_check(info, &type);
}

__u8 bpvs_dest_tunnel(const struct bpvs_dest_info *dest)
{
	switch (dest->tun_type) {
	case BPVS_TUNNEL_GUE:
		return dest->tun_flags & BPVS_TUN_REMCSUM ? BPVS_TUNNEL_GUE | BPVS_TUNNEL_REMCSUM
		       : dest->tun_flags & BPVS_TUN_CSUM  ? BPVS_TUNNEL_GUE | BPVS_TUNNEL_CSUM
							  : BPVS_TUNNEL_GUE;
	case BPVS_TUNNEL_GRE:
		return dest->tun_flags & BPVS_TUN_CSUM ? BPVS_TUNNEL_GRE | BPVS_TUNNEL_CSUM
						       : BPVS_TUNNEL_GRE;
	}
	return BPVS_TUNNEL_IPIP;
}

/* ---- writing a destination ---- */

/* Between the two thresholds the flag stays as it is: that is the hysteresis. */
static void overload_update(struct bpvs_dest *d)
{
	__u32 total = (__u32)__atomic_load_n(&d->active, __ATOMIC_RELAXED) +
		      (__u32)__atomic_load_n(&d->inactive, __ATOMIC_RELAXED);
	__u32 upper = d->u_threshold, lower = d->l_threshold ?: upper - upper / 4;

	if (upper && (__s32)total >= (__s32)upper)
		__atomic_store_n(&d->overload, 1, __ATOMIC_RELAXED);
	else if (!upper || (__s32)total < (__s32)lower)
		__atomic_store_n(&d->overload, 0, __ATOMIC_RELAXED);
}

/* Routes may have changed since: look afresh. A sequence number of 0 says empty. */
static void nexthop_clear(struct bpvs_dest *d)
{
	__atomic_store_n(&d->nh.dst, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&d->nh.src, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&d->pmtu, 0, __ATOMIC_RELAXED);
}

/* All that may be edited; the flags are the caller's, but for BPVS_DEST_NAT. */
static void dest_set(struct bpvs_dest *d, const struct bpvs_dest_info *info, int type)
{
	struct bpvs_addr source = { 0 };
	/* Connections made through a tunnel go on through it. */
	bool tunnelled = d->tun_src.d[0] || d->tun_src.d[1];
	__u8 fwd;

	if ((info->fwd != BPVS_FWD_DROUTE || tunnelled) && type != RTN_LOCAL)
		bpvs_route_source(&info->addr, info->af, &source);
	d->tun_src = source;
	d->tun_port = info->tun_port;
	d->tun_type = info->tun_type;
	d->tun_flags = info->tun_flags;
	__atomic_store_n(&d->tunnel, bpvs_dest_tunnel(info), __ATOMIC_RELEASE);
	d->fwd_set = info->fwd;
	fwd = info->fwd;
	if (type == RTN_LOCAL)
		fwd = fwd == BPVS_FWD_MASQ ? BPVS_FWD_LOCAL_NAT : BPVS_FWD_LOCAL;
	__atomic_store_n(&d->fwd, fwd, __ATOMIC_RELEASE);
	d->u_threshold = info->u_threshold;
	d->l_threshold = info->l_threshold;
	/* A weight of 0 is for the time being: mh keeps the share that it had. */
	if (info->weight || !(d->flags & BPVS_DEST_AVAILABLE))
		d->last_weight = info->weight;
	__atomic_store_n(&d->weight, info->weight, __ATOMIC_RELAXED);
	nexthop_clear(d);
	overload_update(d);
}

/*
 * Replies of connections made under NAT have to be found even after the method was changed, so the
 * mark stays while there are connections.
 */
static void nat_mark(struct bpvs_instance *in, struct bpvs_dest *d)
{
	__u32 flags = d->flags;

	if (d->fwd_set == BPVS_FWD_MASQ) {
		bpvs_filter_set(in->filter->rip, &d->addr);
		flags |= BPVS_DEST_NAT;
	} else if (d->active <= 0 && d->inactive <= 0) {
		flags &= ~BPVS_DEST_NAT;
	}
	__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
}

void bpvs_dest_retire(struct bpvs_instance *in, __u32 id, __u32 now)
{
	struct bpvs_dest *d = &in->dests[id];

	d->removed_at = now;
	__atomic_store_n(&d->flags, d->flags & ~BPVS_DEST_AVAILABLE, __ATOMIC_RELEASE);
	if (d->fwd_set == BPVS_FWD_MASQ)
		bpvs_rip_update(in, id);
	/* Those with packets end by themselves; the others would count until they expire. */
	if (in->cfg->expire_nodest_conn)
		bpvs_flush_ask(in, BPVS_FLUSH_REMOVED);
}

/* A slot that nobody has becomes a removed destination of the service, ready to be brought back. */
static int dest_create(struct bpvs_instance *in, __u32 svc, const struct bpvs_dest_info *info,
		       __u32 *ret)
{
	__u32 unused = bpvs_tables_dest_high(in);
	struct bpvs_dest *d;
	int err = bpvs_tables_new_dest(in, ret);

	if (err)
		return err;
	d = &in->dests[*ret];
	memset(d, 0, sizeof(*d));
	d->svc = svc;
	d->epoch = in->svcs[svc].epoch;
	d->addr = info->addr;
	d->port = info->port;
	d->af = info->af;
	d->removed_at = (__u32)bpvs_clock_since(in, 0);
	/* Nobody has counted for an id that was never given out. */
	if (*ret < unused)
		bpvs_stats_reset(in, bpvs_stats_dest(in, *ret));
	__atomic_store_n(&d->flags, BPVS_DEST_IN_USE, __ATOMIC_RELEASE);
	bpvs_tables_enter_dest(in, *ret);
	return 0;
}

static int dest_add_locked(struct bpvs_instance *in, const struct bpvs_svc_key *key,
			   const struct bpvs_dest_info *info)
{
	__u32 svc = bpvs_svc_lookup(in, key), id;
	struct bpvs_dest *d;
	int err, type;

	if (!svc)
		return -ESRCH;
	err = dest_check(key, info);
	if (err)
		return err;
	id = bpvs_tables_find_dest(in, svc, &info->addr, info->port);
	if (id && (in->dests[id].flags & BPVS_DEST_AVAILABLE))
		return -EEXIST;
	if (bpvs_list_len(in->svcs[svc].list) >= BPVS_LIST_MAX)
		return -ENOSPC;
	err = addr_check(info, &type) ?: bpvs_sched_ready(in, &in->svcs[svc]);
	if (err)
		return err;
	bpvs_tables_touch(in);
	if (!id) {
		err = dest_create(in, svc, info, &id);
		if (err)
			return err;
	}
	d = &in->dests[id];
	/* Removed from an earlier service of this endpoint: connections live on, statistics not. */
	if (d->epoch != in->svcs[svc].epoch)
		bpvs_stats_reset(in, bpvs_stats_dest(in, id));
	d->epoch = in->svcs[svc].epoch;
	dest_set(d, info, type);
	nat_mark(in, d);
	__atomic_store_n(&d->flags, d->flags | BPVS_DEST_AVAILABLE, __ATOMIC_RELEASE);
	/* It has no endpoint's key from before: that went when it was removed. */
	if (d->fwd_set == BPVS_FWD_MASQ)
		bpvs_rip_update(in, id);
	bpvs_out_dest(in, type);
	err = bpvs_list_append(in, &in->svcs[svc],
			       (struct bpvs_list_entry){ .dest = id, .weight = info->weight });
	if (err)
		bpvs_dest_retire(in, id, (__u32)bpvs_clock_since(in, 0));
	else
		bpvs_sched_changed(in, &in->svcs[svc]);
	return err;
}

int bpvs_dest_add(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		  const struct bpvs_dest_info *info)
{
	int err = bpvs_tables_enter(in);

	if (err)
		return err;
	err = dest_add_locked(in, key, info);
	bpvs_tables_leave(in);
	return err;
}

/* Id of a destination that is available, and where it stands in the list. */
static int dest_lookup(const struct bpvs_instance *in, __u32 svc, const struct bpvs_addr *addr,
		       __be16 port, __u32 *ret_id, __u32 *ret_pos)
{
	__u32 id = bpvs_tables_find_dest(in, svc, addr, port);
	long pos;

	if (!id || !(in->dests[id].flags & BPVS_DEST_AVAILABLE))
		return -ENOENT;
	pos = bpvs_list_find(in, &in->svcs[svc], id);
	if (pos < 0)
		return -ENOENT;
	*ret_id = id;
	*ret_pos = (__u32)pos;
	return 0;
}

static int dest_edit_locked(struct bpvs_instance *in, const struct bpvs_svc_key *key,
			    const struct bpvs_dest_info *info)
{
	__u32 svc = bpvs_svc_lookup(in, key), id, pos;
	int err, type;
	bool nat;

	if (!svc)
		return -ESRCH;
	err = dest_check(key, info)
		      ?: bpvs_reach_svc(in, &in->svcs[svc])
		      ?: dest_lookup(in, svc, &info->addr, info->port, &id, &pos);
	if (err)
		return err;
	/* An IPv4-mapped address of IPv6 is another than the IPv4 one, which has the same form. */
	if (in->dests[id].af != info->af)
		return -ENOENT;
	type = bpvs_route_type(&info->addr, info->af);
	if (type < 0)
		return type;
	nat = info->fwd == BPVS_FWD_MASQ || in->dests[id].fwd_set == BPVS_FWD_MASQ;
	if (nat || bpvs_buckets_len(in->svcs[svc].sched))
		err = bpvs_tables_need(in);
	err = err ?: bpvs_sched_ready(in, &in->svcs[svc]);
	if (err)
		return err;
	bpvs_tables_touch(in);
	dest_set(&in->dests[id], info, type);
	nat_mark(in, &in->dests[id]);
	bpvs_out_dest(in, type);
	if (nat)
		bpvs_rip_update(in, id);
	bpvs_list_set_weight(in, &in->svcs[svc], pos, info->weight);
	bpvs_sched_changed(in, &in->svcs[svc]);
	return 0;
}

int bpvs_dest_edit(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		   const struct bpvs_dest_info *info)
{
	int err = bpvs_tables_look(in);

	if (err)
		return err;
	err = dest_edit_locked(in, key, info);
	bpvs_tables_leave(in);
	return err;
}

static int dest_del_locked(struct bpvs_instance *in, const struct bpvs_svc_key *key,
			   const struct bpvs_addr *addr, __be16 port)
{
	__u32 svc = bpvs_svc_lookup(in, key), id, pos;
	__u64 before;
	int err;

	if (!svc)
		return -ESRCH;
	err = dest_lookup(in, svc, addr, port, &id, &pos) ?: bpvs_sched_ready(in, &in->svcs[svc]);
	if (err)
		return err;
	bpvs_tables_touch(in);
	bpvs_dest_retire(in, id, (__u32)bpvs_clock_since(in, 0));
	before = __atomic_load_n(&in->svcs[svc].sched_state, __ATOMIC_ACQUIRE);
	bpvs_list_remove(in, &in->svcs[svc], pos);
	bpvs_sched_removed(in, &in->svcs[svc], pos, before);
	return 0;
}

int bpvs_dest_del(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		  const struct bpvs_addr *addr, __be16 port)
{
	int err = bpvs_tables_enter(in);

	if (err)
		return err;
	err = dest_del_locked(in, key, addr, port);
	bpvs_tables_leave(in);
	return err;
}

/* ---- after a tool that was killed ---- */

/*
 * The list says which destinations there are. One that is in it but was marked as removed is there
 * again, for its removal did not come to an end; one that was made but did not get into it is not.
 */
int bpvs_dests_repair(struct bpvs_instance *in)
{
	__u32 high = bpvs_tables_dest_high(in);
	bool *listed = calloc(high, sizeof(*listed));

	if (!listed)
		return -ENOMEM;
	for (__u32 svc = 1; svc < bpvs_tables_svc_high(in); svc++) {
		__u64 list = in->svcs[svc].list;

		for (__u32 pos = 0; pos < bpvs_list_len(list); pos++)
			listed[in->lists[bpvs_list_off(list) + pos].dest] = true;
	}
	for (__u32 id = 1; id < high; id++) {
		struct bpvs_dest *d = &in->dests[id];

		if (!(d->flags & BPVS_DEST_IN_USE) ||
		    !(d->flags & BPVS_DEST_AVAILABLE) == !listed[id])
			continue;
		d->removed_at = (__u32)bpvs_clock_since(in, 0);
		__atomic_store_n(&d->flags, d->flags ^ BPVS_DEST_AVAILABLE, __ATOMIC_RELEASE);
	}
	free(listed);
	return 0;
}

/* ---- reading ---- */

/* Counters may dip below zero for a moment between two CPUs. */
static __u32 count_read(const __s32 *count)
{
	__s32 n = __atomic_load_n(count, __ATOMIC_RELAXED);

	return n > 0 ? (__u32)n : 0;
}

static void dest_read(const struct bpvs_instance *in, __u32 id, struct bpvs_dest_info *ret)
{
	const struct bpvs_dest *d = &in->dests[id];

	*ret = (struct bpvs_dest_info){
		.addr = d->addr,
		.port = d->port,
		.af = d->af,
		.fwd = d->fwd_set,
		.weight = d->weight,
		.tun_type = d->tun_type,
		.tun_port = d->tun_port,
		.tun_flags = d->tun_flags,
		.u_threshold = d->u_threshold,
		.l_threshold = d->l_threshold,
		.active = count_read(&d->active),
		.inactive = count_read(&d->inactive),
		.persistent = count_read(&d->persistent),
		.id = id,
	};
}

/* As bpvs_svc_walk(): a snapshot under the lock, the callbacks without. Newest first. */
int bpvs_dest_walk(struct bpvs_instance *in, const struct bpvs_svc_key *key, bpvs_dest_cb cb,
		   void *arg)
{
	struct bpvs_dest_info *all = NULL;
	__u32 id, num = 0;
	int err = bpvs_tables_look(in);

	if (err)
		return err;
	id = bpvs_svc_lookup(in, key);
	if (id)
		err = bpvs_reach_svc(in, &in->svcs[id]);
	if (id && !err) {
		__u64 list = in->svcs[id].list;
		const struct bpvs_list_entry *entries = in->lists + bpvs_list_off(list);

		num = bpvs_list_len(list);
		all = calloc(num + 1, sizeof(*all));
		for (__u32 i = 0; all && i < num; i++)
			dest_read(in, entries[num - 1 - i].dest, &all[i]);
	}
	bpvs_tables_leave(in);
	if (!id || err)
		return err ?: -ESRCH;
	if (!all)
		return -ENOMEM;
	for (__u32 i = 0; i < num && !err; i++)
		err = cb(&all[i], arg);
	free(all);
	return err;
}
