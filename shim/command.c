/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands that change something. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include "call.h"

/* The scheduler's flags, and those that mean nothing, which the kernel keeps, too. */
#define FLAGS_OTHER (~(__u32)(IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_HASHED | IP_VS_SVC_F_ONEPACKET))

/* ---- services ---- */

/* What the mask leaves out stays as it is. */
static void flags_merge(struct svc_request *r, const struct bpvs_svc_info *before)
{
	struct bpvs_svc_info *info = &r->info;
	__u32 flags = svc_flags(before);

	flags = (flags & ~r->flags.mask) | (r->flags.flags & r->flags.mask);
	info->flags = (flags & IP_VS_SVC_F_PERSISTENT ? BPVS_SVC_PERSISTENT : 0) |
		      (flags & IP_VS_SVC_F_ONEPACKET ? BPVS_SVC_ONEPACKET : 0);
	info->sched_flags = flags & FLAGS_OTHER;
}

static int service_edit(struct bpvs_instance *in, struct svc_request *r)
{
	struct bpvs_svc_info before;
	int err = bpvs_lock(in);

	if (err)
		return err;
	err = bpvs_svc_get(in, &r->info.key, &before);
	if (!err) {
		flags_merge(r, &before);
		err = bpvs_svc_edit(in, &r->info);
	}
	bpvs_unlock(in);
	return err;
}

int change_service(struct bpvs_instance *in, unsigned int cmd, struct svc_request *r)
{
	const struct bpvs_svc_info none = { 0 };

	if (r->foreign)
		return cmd == IPVS_CMD_NEW_SERVICE ? -NOT_BUILT : -ESRCH;
	if (cmd == IPVS_CMD_DEL_SERVICE)
		return bpvs_svc_del(in, &r->info.key);
	if (cmd == IPVS_CMD_SET_SERVICE)
		return service_edit(in, r);
	flags_merge(r, &none);
	return bpvs_svc_add(in, &r->info);
}

int cmd_set_service(struct call *c)
{
	struct svc_request r;
	int err = parse_service(c, c->cmd != IPVS_CMD_DEL_SERVICE, &r);

	return err ?: change_service(c->in, c->cmd, &r);
}

int cmd_zero(struct call *c)
{
	struct svc_request r;
	int err;

	if (!c->attrs[IPVS_CMD_ATTR_SERVICE])
		return bpvs_stats_zero(c->in, NULL);
	err = parse_service(c, false, &r);
	if (err)
		return err;
	return r.foreign ? -ESRCH : bpvs_stats_zero(c->in, &r.info.key);
}

int cmd_flush(struct call *c)
{
	return bpvs_flush(c->in);
}

/* ---- destinations ---- */

/* Addresses of the two families share one form, in which this is a v4 one. */
static bool addr_ambiguous(const struct bpvs_dest_info *d)
{
	return d->af == BPVS_V6 && !d->addr.d[0] && d->addr.w[2] == htonl(0xffff);
}

int change_dest(struct bpvs_instance *in, unsigned int cmd, const struct bpvs_svc_key *key,
		const struct bpvs_dest_info *d)
{
	if (cmd != IPVS_CMD_DEL_DEST && d->af != key->af && d->fwd != BPVS_FWD_TUNNEL)
		return -EINVAL;
	if (cmd == IPVS_CMD_NEW_DEST)
		return bpvs_dest_add(in, key, d);
	if (cmd == IPVS_CMD_SET_DEST)
		return bpvs_dest_edit(in, key, d);
	return addr_ambiguous(d) ? -ENOENT : bpvs_dest_del(in, key, &d->addr, d->port);
}

int cmd_set_dest(struct call *c)
{
	struct bpvs_svc_info svc;
	struct bpvs_dest_info d;
	struct svc_request r;
	int err = parse_service(c, false, &r);

	if (!err)
		err = r.foreign ? -ESRCH : bpvs_svc_get(c->in, &r.info.key, &svc);
	if (!err)
		err = parse_dest(c, &r.info.key, c->cmd != IPVS_CMD_DEL_DEST, &d);
	return err ?: change_dest(c->in, c->cmd, &r.info.key, &d);
}

/* ---- timeouts ---- */

int cmd_set_config(struct call *c)
{
	const struct nlattr *const *tb = c->attrs;
	struct bpvs_timeouts t = { 0 };

	if (tb[IPVS_CMD_ATTR_TIMEOUT_TCP])
		t.tcp = mnl_attr_get_u32(tb[IPVS_CMD_ATTR_TIMEOUT_TCP]);
	if (tb[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN])
		t.tcp_fin = mnl_attr_get_u32(tb[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN]);
	if (tb[IPVS_CMD_ATTR_TIMEOUT_UDP])
		t.udp = mnl_attr_get_u32(tb[IPVS_CMD_ATTR_TIMEOUT_UDP]);
	return bpvs_timeouts_set(c->in, &t);
}

/* ---- synchronisation: not built, so none runs ---- */

static bool multicast(const struct nlattr *const *tb)
{
	struct in6_addr group6;

	if (tb[IPVS_DAEMON_ATTR_MCAST_GROUP])
		return IN_MULTICAST(ntohl(mnl_attr_get_u32(tb[IPVS_DAEMON_ATTR_MCAST_GROUP])));
	if (!tb[IPVS_DAEMON_ATTR_MCAST_GROUP6])
		return true;
	attr_copy(tb[IPVS_DAEMON_ATTR_MCAST_GROUP6], &group6, sizeof(group6));
	return IN6_IS_ADDR_MULTICAST(&group6);
}

static bool state_known(__u32 state)
{
	return state == IP_VS_STATE_MASTER || state == IP_VS_STATE_BACKUP;
}

/* What would be wrong with any daemon comes before that there is none. */
int daemon_start(const char *device, __u32 state)
{
	if (!if_nametoindex(device))
		return -ENODEV;
	return state_known(state) ? -NOT_BUILT : -EINVAL;
}

int daemon_stop(__u32 state)
{
	return state_known(state) ? -ESRCH : -EINVAL;
}

int cmd_set_daemon(struct call *c)
{
	const struct nlattr *nest = c->attrs[IPVS_CMD_ATTR_DAEMON];
	const struct nlattr *tb[IPVS_DAEMON_ATTR_MAX + 1];
	__u32 state;

	if (!nest || attrs_parse_nested(nest, daemon_policy, IPVS_DAEMON_ATTR_MAX, tb) ||
	    !tb[IPVS_DAEMON_ATTR_STATE])
		return -EINVAL;
	state = mnl_attr_get_u32(tb[IPVS_DAEMON_ATTR_STATE]);
	if (c->cmd == IPVS_CMD_DEL_DAEMON)
		return daemon_stop(state);
	if (!tb[IPVS_DAEMON_ATTR_MCAST_IFN] || !tb[IPVS_DAEMON_ATTR_SYNC_ID] || !multicast(tb))
		return -EINVAL;
	return daemon_start(mnl_attr_get_str(tb[IPVS_DAEMON_ATTR_MCAST_IFN]), state);
}
