/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands that read. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "call.h"
#include "internal.h"

#define IPVS_VERSION 0x010201

/* ---- parts of messages ---- */

static void put_addr(struct reply *r, __u16 type, const struct bpvs_addr *a, __u8 af)
{
	struct bpvs_addr wire = *a;

	if (af == BPVS_V4)
		wire = (struct bpvs_addr){ .w = { a->w[3] } };
	mnl_attr_put(&r->n, type, sizeof(wire), &wire);
}

static __u16 af_number(__u8 af)
{
	return af == BPVS_V6 ? AF_INET6 : AF_INET;
}

/* Of 32 bits, but for the bytes; and again with all numbers of 64. */
static void put_stats(struct reply *r, __u16 type, bool wide, const struct bpvs_stats_info *s)
{
	const __u64 numbers[] = {
		[IPVS_STATS_ATTR_CONNS] = s->total.conns,
		[IPVS_STATS_ATTR_INPKTS] = s->total.inpkts,
		[IPVS_STATS_ATTR_OUTPKTS] = s->total.outpkts,
		[IPVS_STATS_ATTR_INBYTES] = s->total.inbytes,
		[IPVS_STATS_ATTR_OUTBYTES] = s->total.outbytes,
		[IPVS_STATS_ATTR_CPS] = s->rate.conns,
		[IPVS_STATS_ATTR_INPPS] = s->rate.inpkts,
		[IPVS_STATS_ATTR_OUTPPS] = s->rate.outpkts,
		[IPVS_STATS_ATTR_INBPS] = s->rate.inbytes,
		[IPVS_STATS_ATTR_OUTBPS] = s->rate.outbytes,
	};
	struct nlattr *nest = reply_nest(r, type);

	for (__u16 i = IPVS_STATS_ATTR_CONNS; i <= IPVS_STATS_ATTR_OUTBPS; i++) {
		bool bytes = i == IPVS_STATS_ATTR_INBYTES || i == IPVS_STATS_ATTR_OUTBYTES;

		if (wide || bytes)
			mnl_attr_put_u64(&r->n, i, numbers[i]);
		else
			mnl_attr_put_u32(&r->n, i, (__u32)numbers[i]);
	}
	mnl_attr_nest_end(&r->n, nest);
}

static void put_both_stats(struct reply *r, struct bpvs_instance *in, unsigned int index,
			   __u16 type, __u16 type64)
{
	struct bpvs_stats_info info = { 0 };

	(void)bpvs_stats_get(in, index, &info);
	put_stats(r, type, false, &info);
	put_stats(r, type64, true, &info);
}

/* ---- services ---- */

__u32 svc_flags(const struct bpvs_svc_info *svc)
{
	return svc->sched_flags | IP_VS_SVC_F_HASHED |
	       (svc->flags & BPVS_SVC_PERSISTENT ? IP_VS_SVC_F_PERSISTENT : 0) |
	       (svc->flags & BPVS_SVC_ONEPACKET ? IP_VS_SVC_F_ONEPACKET : 0);
}

static void put_service(struct reply *r, struct bpvs_instance *in, const struct bpvs_svc_info *svc)
{
	struct ip_vs_flags flags = { .flags = svc_flags(svc), .mask = ~0U };
	struct nlattr *nest = reply_nest(r, IPVS_CMD_ATTR_SERVICE);
	const struct bpvs_svc_key *key = &svc->key;
	struct nlmsghdr *n = &r->n;

	mnl_attr_put_u16(n, IPVS_SVC_ATTR_AF, af_number(key->af));
	if (key->fwmark) {
		mnl_attr_put_u32(n, IPVS_SVC_ATTR_FWMARK, key->fwmark);
	} else {
		mnl_attr_put_u16(n, IPVS_SVC_ATTR_PROTOCOL, key->proto);
		put_addr(r, IPVS_SVC_ATTR_ADDR, &key->addr, key->af);
		mnl_attr_put_u16(n, IPVS_SVC_ATTR_PORT, key->port);
	}
	mnl_attr_put_strz(n, IPVS_SVC_ATTR_SCHED_NAME, bpvs_sched_name(svc->sched));
	if (svc->pe)
		mnl_attr_put_strz(n, IPVS_SVC_ATTR_PE_NAME, bpvs_pe_name(svc->pe));
	mnl_attr_put(n, IPVS_SVC_ATTR_FLAGS, sizeof(flags), &flags);
	mnl_attr_put_u32(n, IPVS_SVC_ATTR_TIMEOUT, svc->timeout);
	mnl_attr_put_u32(n, IPVS_SVC_ATTR_NETMASK, svc->netmask);
	put_both_stats(r, in, bpvs_stats_svc(in, svc->id), IPVS_SVC_ATTR_STATS,
		       IPVS_SVC_ATTR_STATS64);
	mnl_attr_nest_end(n, nest);
}

int cmd_get_service(struct call *c)
{
	struct bpvs_svc_info svc;
	struct svc_request q;
	struct reply r;
	int err = parse_service(c, false, &q);

	if (!err)
		err = q.foreign ? -ESRCH : bpvs_svc_get(c->in, &q.info.key, &svc);
	if (err)
		return err;
	reply_begin_genl(&r, c, BPVS_FAMILY_ID, 0, IPVS_CMD_NEW_SERVICE);
	put_service(&r, c->in, &svc);
	return reply_add(&r, c);
}

static int dump_service(const struct bpvs_svc_info *svc, void *arg)
{
	struct call *c = arg;
	struct reply r;

	reply_begin_genl(&r, c, BPVS_FAMILY_ID, NLM_F_MULTI, IPVS_CMD_NEW_SERVICE);
	put_service(&r, c->in, svc);
	return reply_add(&r, c);
}

int dump_services(struct call *c)
{
	return bpvs_svc_walk(c->in, dump_service, c);
}

/* ---- destinations ---- */

static void put_dest(struct reply *r, struct bpvs_instance *in, const struct bpvs_dest_info *d)
{
	struct nlattr *nest = reply_nest(r, IPVS_CMD_ATTR_DEST);
	struct nlmsghdr *n = &r->n;

	put_addr(r, IPVS_DEST_ATTR_ADDR, &d->addr, d->af);
	mnl_attr_put_u16(n, IPVS_DEST_ATTR_PORT, d->port);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_FWD_METHOD, d->fwd);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_WEIGHT, (__u32)d->weight);
	mnl_attr_put_u8(n, IPVS_DEST_ATTR_TUN_TYPE, d->tun_type);
	mnl_attr_put_u16(n, IPVS_DEST_ATTR_TUN_PORT, d->tun_port);
	mnl_attr_put_u16(n, IPVS_DEST_ATTR_TUN_FLAGS, d->tun_flags);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_U_THRESH, d->u_threshold);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_L_THRESH, d->l_threshold);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_ACTIVE_CONNS, d->active);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_INACT_CONNS, d->inactive);
	mnl_attr_put_u32(n, IPVS_DEST_ATTR_PERSIST_CONNS, d->persistent);
	mnl_attr_put_u16(n, IPVS_DEST_ATTR_ADDR_FAMILY, af_number(d->af));
	put_both_stats(r, in, bpvs_stats_dest(in, d->id), IPVS_DEST_ATTR_STATS,
		       IPVS_DEST_ATTR_STATS64);
	mnl_attr_nest_end(n, nest);
}

static int dump_dest(const struct bpvs_dest_info *d, void *arg)
{
	struct call *c = arg;
	struct reply r;

	reply_begin_genl(&r, c, BPVS_FAMILY_ID, NLM_F_MULTI, IPVS_CMD_NEW_DEST);
	put_dest(&r, c->in, d);
	return reply_add(&r, c);
}

/* Of a service that cannot be read or is not there: none, and no error. */
int dump_dests(struct call *c)
{
	struct svc_request q;
	int err = attrs_parse(mnl_nlmsg_get_payload_offset(c->msg, GENL_HDRLEN),
			      c->msg->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), command_policy,
			      IPVS_CMD_ATTR_MAX, c->attrs);

	if (err || parse_service(c, false, &q) || q.foreign)
		return 0;
	err = bpvs_dest_walk(c->in, &q.info.key, dump_dest, c);
	return err == -ESRCH ? 0 : err;
}

/* None runs. */
int dump_daemons(struct call *c)
{
	(void)c;
	return 0;
}

/* ---- the rest ---- */

int cmd_get_config(struct call *c)
{
	struct bpvs_timeouts t;
	struct reply r;
	int err = bpvs_timeouts_get(c->in, &t);

	if (err)
		return err;
	reply_begin_genl(&r, c, BPVS_FAMILY_ID, 0, IPVS_CMD_SET_CONFIG);
	mnl_attr_put_u32(&r.n, IPVS_CMD_ATTR_TIMEOUT_TCP, t.tcp);
	mnl_attr_put_u32(&r.n, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, t.tcp_fin);
	mnl_attr_put_u32(&r.n, IPVS_CMD_ATTR_TIMEOUT_UDP, t.udp);
	return reply_add(&r, c);
}

int cmd_get_info(struct call *c)
{
	struct reply r;

	reply_begin_genl(&r, c, BPVS_FAMILY_ID, 0, IPVS_CMD_SET_INFO);
	mnl_attr_put_u32(&r.n, IPVS_INFO_ATTR_VERSION, IPVS_VERSION);
	mnl_attr_put_u32(&r.n, IPVS_INFO_ATTR_CONN_TAB_SIZE, c->in->ro->slots);
	return reply_add(&r, c);
}
