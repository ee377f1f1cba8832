/* SPDX-License-Identifier: GPL-2.0-only */
/* Services and destinations as the family's messages describe them. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "call.h"

#define ADDR_SIZE 16

const struct attr_policy command_policy[] = {
	[IPVS_CMD_ATTR_SERVICE] = { ATTR_NESTED, 0 },
	[IPVS_CMD_ATTR_DEST] = { ATTR_NESTED, 0 },
	[IPVS_CMD_ATTR_DAEMON] = { ATTR_NESTED, 0 },
	[IPVS_CMD_ATTR_TIMEOUT_TCP] = { ATTR_U32, 0 },
	[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN] = { ATTR_U32, 0 },
	[IPVS_CMD_ATTR_TIMEOUT_UDP] = { ATTR_U32, 0 },
};

const struct attr_policy daemon_policy[] = {
	[IPVS_DAEMON_ATTR_STATE] = { ATTR_U32, 0 },
	[IPVS_DAEMON_ATTR_MCAST_IFN] = { ATTR_STRING, IP_VS_IFNAME_MAXLEN - 1 },
	[IPVS_DAEMON_ATTR_SYNC_ID] = { ATTR_U32, 0 },
	[IPVS_DAEMON_ATTR_SYNC_MAXLEN] = { ATTR_U16, 0 },
	[IPVS_DAEMON_ATTR_MCAST_GROUP] = { ATTR_U32, 0 },
	[IPVS_DAEMON_ATTR_MCAST_GROUP6] = { ATTR_ANY, ADDR_SIZE },
	[IPVS_DAEMON_ATTR_MCAST_PORT] = { ATTR_U16, 0 },
	[IPVS_DAEMON_ATTR_MCAST_TTL] = { ATTR_U8, 0 },
};

static const struct attr_policy svc_policy[IPVS_SVC_ATTR_MAX + 1] = {
	[IPVS_SVC_ATTR_AF] = { ATTR_U16, 0 },
	[IPVS_SVC_ATTR_PROTOCOL] = { ATTR_U16, 0 },
	[IPVS_SVC_ATTR_ADDR] = { ATTR_BINARY, ADDR_SIZE },
	[IPVS_SVC_ATTR_PORT] = { ATTR_U16, 0 },
	[IPVS_SVC_ATTR_FWMARK] = { ATTR_U32, 0 },
	[IPVS_SVC_ATTR_SCHED_NAME] = { ATTR_STRING, IP_VS_SCHEDNAME_MAXLEN - 1 },
	[IPVS_SVC_ATTR_PE_NAME] = { ATTR_STRING, IP_VS_PENAME_MAXLEN },
	[IPVS_SVC_ATTR_FLAGS] = { ATTR_BINARY, sizeof(struct ip_vs_flags) },
	[IPVS_SVC_ATTR_TIMEOUT] = { ATTR_U32, 0 },
	[IPVS_SVC_ATTR_NETMASK] = { ATTR_U32, 0 },
	[IPVS_SVC_ATTR_STATS] = { ATTR_NESTED, 0 },
};

static const struct attr_policy dest_policy[IPVS_DEST_ATTR_MAX + 1] = {
	[IPVS_DEST_ATTR_ADDR] = { ATTR_BINARY, ADDR_SIZE },
	[IPVS_DEST_ATTR_PORT] = { ATTR_U16, 0 },
	[IPVS_DEST_ATTR_FWD_METHOD] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_WEIGHT] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_U_THRESH] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_L_THRESH] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_ACTIVE_CONNS] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_INACT_CONNS] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_PERSIST_CONNS] = { ATTR_U32, 0 },
	[IPVS_DEST_ATTR_STATS] = { ATTR_NESTED, 0 },
	[IPVS_DEST_ATTR_ADDR_FAMILY] = { ATTR_U16, 0 },
	[IPVS_DEST_ATTR_TUN_TYPE] = { ATTR_U8, 0 },
	[IPVS_DEST_ATTR_TUN_PORT] = { ATTR_U16, 0 },
	[IPVS_DEST_ATTR_TUN_FLAGS] = { ATTR_U16, 0 },
};

/* 0: none that there is. */
static __u8 family_of(unsigned int af)
{
	return af == AF_INET ? BPVS_V4 : af == AF_INET6 ? BPVS_V6 : 0;
}

/* Of the 16 bytes a v4 address is the first four; the rest is not looked at. */
static struct bpvs_addr addr_of(const struct nlattr *a, __u8 af)
{
	struct bpvs_addr addr;

	attr_copy(a, &addr, sizeof(addr));
	if (af == BPVS_V4)
		addr = (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), addr.w[0] } };
	return addr;
}

/* A mark of 0 is no mark, but to the kernel the protocol is TCP and the address 0 then. */
static int parse_key(const struct nlattr *const *tb, struct svc_request *r)
{
	struct bpvs_svc_key *key = &r->info.key;
	const struct nlattr *mark = tb[IPVS_SVC_ATTR_FWMARK];
	unsigned int proto = IPPROTO_TCP;

	if (!tb[IPVS_SVC_ATTR_AF] ||
	    (!mark &&
	     (!tb[IPVS_SVC_ATTR_PORT] || !tb[IPVS_SVC_ATTR_PROTOCOL] || !tb[IPVS_SVC_ATTR_ADDR])))
		return -EINVAL;
	key->af = family_of(mnl_attr_get_u16(tb[IPVS_SVC_ATTR_AF]));
	if (!key->af)
		return -EAFNOSUPPORT;
	if (mark)
		key->fwmark = mnl_attr_get_u32(mark);
	if (key->fwmark)
		return 0;
	if (mark) {
		key->addr.w[2] = key->af == BPVS_V4 ? htonl(0xffff) : 0;
	} else {
		proto = mnl_attr_get_u16(tb[IPVS_SVC_ATTR_PROTOCOL]);
		key->addr = addr_of(tb[IPVS_SVC_ATTR_ADDR], key->af);
		key->port = mnl_attr_get_u16(tb[IPVS_SVC_ATTR_PORT]);
	}
	key->proto = (__u8)proto;
	r->foreign = proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP;
	return 0;
}

/* A name that nobody knows becomes a number that nobody has: what to say comes in its turn. */
static int parse_rest(const struct nlattr *const *tb, struct svc_request *r)
{
	const struct nlattr *pe = tb[IPVS_SVC_ATTR_PE_NAME];
	struct bpvs_svc_info *info = &r->info;

	if (!tb[IPVS_SVC_ATTR_SCHED_NAME] || !tb[IPVS_SVC_ATTR_FLAGS] ||
	    !tb[IPVS_SVC_ATTR_TIMEOUT] || !tb[IPVS_SVC_ATTR_NETMASK])
		return -EINVAL;
	if (bpvs_sched_find(mnl_attr_get_str(tb[IPVS_SVC_ATTR_SCHED_NAME]), &info->sched))
		info->sched = BPVS_SCHEDS;
	if (pe && *mnl_attr_get_str(pe) && bpvs_pe_find(mnl_attr_get_str(pe), &info->pe))
		info->pe = BPVS_PES;
	attr_copy(tb[IPVS_SVC_ATTR_FLAGS], &r->flags, sizeof(r->flags));
	info->timeout = mnl_attr_get_u32(tb[IPVS_SVC_ATTR_TIMEOUT]);
	info->netmask = mnl_attr_get_u32(tb[IPVS_SVC_ATTR_NETMASK]);
	return 0;
}

int parse_service(const struct call *c, bool full, struct svc_request *ret)
{
	const struct nlattr *nest = c->attrs[IPVS_CMD_ATTR_SERVICE], *tb[IPVS_SVC_ATTR_MAX + 1];
	struct svc_request r = { 0 };
	int err;

	if (!nest || attrs_parse_nested(nest, svc_policy, IPVS_SVC_ATTR_MAX, tb))
		return -EINVAL;
	err = parse_key(tb, &r);
	if (!err && full)
		err = parse_rest(tb, &r);
	if (!err)
		*ret = r;
	return err;
}

static int parse_dest_rest(const struct nlattr *const *tb, struct bpvs_dest_info *d)
{
	const struct nlattr *type = tb[IPVS_DEST_ATTR_TUN_TYPE],
			    *port = tb[IPVS_DEST_ATTR_TUN_PORT],
			    *flags = tb[IPVS_DEST_ATTR_TUN_FLAGS];

	if (!tb[IPVS_DEST_ATTR_FWD_METHOD] || !tb[IPVS_DEST_ATTR_WEIGHT] ||
	    !tb[IPVS_DEST_ATTR_U_THRESH] || !tb[IPVS_DEST_ATTR_L_THRESH])
		return -EINVAL;
	d->fwd = mnl_attr_get_u32(tb[IPVS_DEST_ATTR_FWD_METHOD]) & IP_VS_CONN_F_FWD_MASK;
	d->weight = (__s32)mnl_attr_get_u32(tb[IPVS_DEST_ATTR_WEIGHT]);
	d->u_threshold = mnl_attr_get_u32(tb[IPVS_DEST_ATTR_U_THRESH]);
	d->l_threshold = mnl_attr_get_u32(tb[IPVS_DEST_ATTR_L_THRESH]);
	if (type)
		d->tun_type = mnl_attr_get_u8(type);
	if (port)
		d->tun_port = mnl_attr_get_u16(port);
	if (flags)
		d->tun_flags = mnl_attr_get_u16(flags);
	return 0;
}

int parse_dest(const struct call *c, const struct bpvs_svc_key *key, bool full,
	       struct bpvs_dest_info *ret)
{
	const struct nlattr *nest = c->attrs[IPVS_CMD_ATTR_DEST], *tb[IPVS_DEST_ATTR_MAX + 1];
	const struct nlattr *family;
	struct bpvs_dest_info d = { 0 };
	unsigned int af = 0;
	int err;

	if (!nest || attrs_parse_nested(nest, dest_policy, IPVS_DEST_ATTR_MAX, tb))
		return -EINVAL;
	if (!tb[IPVS_DEST_ATTR_ADDR] || !tb[IPVS_DEST_ATTR_PORT])
		return -EINVAL;
	err = full ? parse_dest_rest(tb, &d) : 0;
	if (err)
		return err;
	family = tb[IPVS_DEST_ATTR_ADDR_FAMILY];
	if (family)
		af = mnl_attr_get_u16(family);
	d.af = af ? family_of(af) : key->af;
	if (!d.af)
		return -EAFNOSUPPORT;
	d.addr = addr_of(tb[IPVS_DEST_ATTR_ADDR], d.af);
	d.port = mnl_attr_get_u16(tb[IPVS_DEST_ATTR_PORT]);
	*ret = d;
	return 0;
}
