/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket options IP_VS_SO_*, answered as the kernel answers them (ip_vs_ctl.c of Linux 6.1), in
 * its order of looking for faults. Of IPv4 and marks only, without persistence engines and tunnels
 * other than IPIP, of which the old structures know nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "call.h"
#include "internal.h"

#define NUMBER(option) ((option) - IP_VS_BASE_CTL)

/* ---- what a program says ---- */

struct service_dest {
	struct ip_vs_service_user svc;
	struct ip_vs_dest_user dest;
};

static struct bpvs_addr addr_of(__be32 addr)
{
	return (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), addr } };
}

static bool protocol_known(unsigned int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/*
 * A service by its mark has no protocol here. To the kernel it has the one that it was given, by
 * which it is not found, but a change of it that comes with another is refused (ESRCH).
 */
static struct bpvs_svc_key key_of(__u16 protocol, __be32 addr, __be16 port, __u32 fwmark)
{
	if (fwmark)
		return (struct bpvs_svc_key){ .af = BPVS_V4, .fwmark = fwmark };
	return (struct bpvs_svc_key){
		.af = BPVS_V4,
		.proto = (__u8)protocol,
		.addr = addr_of(addr),
		.port = port,
	};
}

/* `full`: more than the key. A name that nobody knows becomes a number that nobody has. */
static int request_of(const struct ip_vs_service_user *u, bool full, struct svc_request *ret)
{
	struct svc_request r = {
		.info = { .key = key_of(u->protocol, u->addr, u->port, u->fwmark) },
		.flags = { .flags = u->flags, .mask = ~0U },
	};

	if (full && !memchr(u->sched_name, 0, sizeof(u->sched_name)))
		return -EINVAL;
	if (!protocol_known(u->protocol))
		return -EFAULT;
	if (full) {
		if (bpvs_sched_find(u->sched_name, &r.info.sched))
			r.info.sched = BPVS_SCHEDS;
		r.info.timeout = u->timeout;
		r.info.netmask = u->netmask;
	}
	*ret = r;
	return 0;
}

/* ---- setting ---- */

static int set_service(struct bpvs_instance *in, unsigned int cmd, const void *arg)
{
	struct svc_request r;
	int err = request_of(arg, cmd != IPVS_CMD_DEL_SERVICE, &r);

	return err ?: change_service(in, cmd, &r);
}

static int set_dest(struct bpvs_instance *in, unsigned int cmd, const void *arg)
{
	const struct service_dest *u = arg;
	struct bpvs_dest_info d = {
		.addr = addr_of(u->dest.addr),
		.port = u->dest.port,
		.af = BPVS_V4,
		.fwd = u->dest.conn_flags & IP_VS_CONN_F_FWD_MASK,
		.weight = u->dest.weight,
		.u_threshold = u->dest.u_threshold,
		.l_threshold = u->dest.l_threshold,
	};
	struct bpvs_svc_info svc;
	struct svc_request r;
	int err = request_of(&u->svc, false, &r);

	if (!err)
		err = bpvs_svc_get(in, &r.info.key, &svc);
	return err ?: change_dest(in, cmd, &r.info.key, &d);
}

static int set_zero(struct bpvs_instance *in, unsigned int cmd, const void *arg)
{
	const struct ip_vs_service_user *u = arg;
	struct svc_request r;
	int err;

	(void)cmd;
	if (!u->fwmark && !u->addr && !u->port)
		return bpvs_stats_zero(in, NULL);
	err = request_of(u, false, &r);
	return err ?: bpvs_stats_zero(in, &r.info.key);
}

static int set_flush(struct bpvs_instance *in, unsigned int cmd, const void *arg)
{
	(void)cmd;
	(void)arg;
	return bpvs_flush(in);
}

static int set_timeouts(struct bpvs_instance *in, unsigned int cmd, const void *arg)
{
	const struct ip_vs_timeout_user *u = arg;
	struct bpvs_timeouts t = {
		.tcp = (__u32)u->tcp_timeout,
		.tcp_fin = (__u32)u->tcp_fin_timeout,
		.udp = (__u32)u->udp_timeout,
	};

	(void)cmd;
	return bpvs_timeouts_set(in, &t);
}

static int set_daemon(struct bpvs_instance *in, unsigned int cmd, const void *arg)
{
	const struct ip_vs_daemon_user *u = arg;

	(void)in;
	if (cmd == IPVS_CMD_DEL_DAEMON)
		return daemon_stop((__u32)u->state);
	if (!*u->mcast_ifn || !memchr(u->mcast_ifn, 0, sizeof(u->mcast_ifn)))
		return -EINVAL;
	return daemon_start(u->mcast_ifn, (__u32)u->state);
}

/* Those that are not here are refused, whatever their size. */
static const struct {
	int (*run)(struct bpvs_instance *in, unsigned int cmd, const void *arg);
	size_t size;
	unsigned int cmd; /* the same of the family */
} sets[] = {
#define SET(option, fn, type, command)                                                             \
	[NUMBER(IP_VS_SO_SET_##option)] = { fn, sizeof(type), IPVS_CMD_##command }
	SET(ADD, set_service, struct ip_vs_service_user, NEW_SERVICE),
	SET(EDIT, set_service, struct ip_vs_service_user, SET_SERVICE),
	SET(DEL, set_service, struct ip_vs_service_user, DEL_SERVICE),
	[NUMBER(IP_VS_SO_SET_FLUSH)] = { set_flush, 0, IPVS_CMD_FLUSH },
	SET(ADDDEST, set_dest, struct service_dest, NEW_DEST),
	SET(DELDEST, set_dest, struct service_dest, DEL_DEST),
	SET(EDITDEST, set_dest, struct service_dest, SET_DEST),
	SET(TIMEOUT, set_timeouts, struct ip_vs_timeout_user, SET_CONFIG),
	SET(STARTDAEMON, set_daemon, struct ip_vs_daemon_user, NEW_DAEMON),
	SET(STOPDAEMON, set_daemon, struct ip_vs_daemon_user, DEL_DAEMON),
	SET(ZERO, set_zero, struct ip_vs_service_user, ZERO),
#undef SET
};

static int set_run(struct bpvs_instance *in, int option, const void *value, socklen_t len)
{
	int n = NUMBER(option);
	/* The program's may lie anywhere. */
	union {
		struct service_dest dest;
		struct ip_vs_timeout_user timeouts;
		struct ip_vs_daemon_user daemon;
	} arg;

	if (!sets[n].run || len != sets[n].size)
		return -EINVAL;
	if (len && !value)
		return -EFAULT;
	memset(&arg, 0, sizeof(arg));
	if (len)
		memcpy(&arg, value, len);
	return sets[n].run(in, sets[n].cmd, &arg);
}

static int set_once(int option, const void *value, socklen_t len)
{
	struct bpvs_instance *in;
	int err = instance_get(true, &in);

	return err ?: set_run(in, option, value, len);
}

int option_set(int sock, int option, const void *value, socklen_t len)
{
	int back, err;

	if ((int)len < 0)
		return -EINVAL;
	err = place_enter(sock, &back);
	if (err)
		return err;
	err = set_once(option, value, len);
	/* Taken down beneath us: as a message is. */
	if (err == -ESTALE)
		err = set_once(option, value, len);
	place_leave(back);
	return err;
}

/* ---- what a program is told ---- */

/* Between the numbers, and behind a name, the program's bytes stay. */
static void stats_fill(struct bpvs_instance *in, unsigned int index, struct ip_vs_stats_user *to)
{
	struct bpvs_stats_info s = { 0 };

	(void)bpvs_stats_get(in, index, &s);
	to->conns = (__u32)s.total.conns;
	to->inpkts = (__u32)s.total.inpkts;
	to->outpkts = (__u32)s.total.outpkts;
	to->inbytes = s.total.inbytes;
	to->outbytes = s.total.outbytes;
	to->cps = (__u32)s.rate.conns;
	to->inpps = (__u32)s.rate.inpkts;
	to->outpps = (__u32)s.rate.outpkts;
	to->inbps = (__u32)s.rate.inbytes;
	to->outbps = (__u32)s.rate.outbytes;
}

static void service_fill(struct bpvs_instance *in, const struct bpvs_svc_info *svc,
			 struct ip_vs_service_entry *to)
{
	const struct bpvs_svc_key *key = &svc->key;

	to->protocol = key->fwmark ? IPPROTO_TCP : key->proto;
	to->addr = key->fwmark ? 0 : key->addr.w[3];
	to->port = key->port;
	to->fwmark = key->fwmark;
	snprintf(to->sched_name, sizeof(to->sched_name), "%s", bpvs_sched_name(svc->sched));
	to->flags = svc_flags(svc);
	to->timeout = svc->timeout;
	to->netmask = svc->netmask;
	to->num_dests = svc->num_dests;
	stats_fill(in, bpvs_stats_svc(in, svc->id), &to->stats);
}

static void dest_fill(struct bpvs_instance *in, const struct bpvs_dest_info *d,
		      struct ip_vs_dest_entry *to)
{
	memset(to, 0, sizeof(*to));
	to->addr = d->addr.w[3];
	to->port = d->port;
	/* The kernel notes the one of each, the other of those whose replies it does not see. */
	to->conn_flags = d->fwd | IP_VS_CONN_F_INACTIVE |
			 (d->fwd == IP_VS_CONN_F_MASQ ? 0 : IP_VS_CONN_F_NOOUTPUT);
	to->weight = d->weight;
	to->u_threshold = d->u_threshold;
	to->l_threshold = d->l_threshold;
	to->activeconns = d->active;
	to->inactconns = d->inactive;
	to->persistconns = d->persistent;
	stats_fill(in, bpvs_stats_dest(in, d->id), &to->stats);
}

/* ---- getting: `value` is the program's, of `len` bytes, not less than the option has ---- */

struct get {
	struct bpvs_instance *in;
	char *value;
	socklen_t len;
	unsigned int room, used; /* entries of a list */
};

static int get_version(struct get *g)
{
	char text[64];

	g->len = (socklen_t)snprintf(text, sizeof(text),
				     "IP Virtual Server version %d.%d.%d (size=%u)",
				     NVERSION(IP_VS_VERSION_CODE), g->in->ro->slots) +
		 1;
	memcpy(g->value, text, g->len);
	return 0;
}

static int service_count(const struct bpvs_svc_info *svc, void *arg)
{
	unsigned int *count = arg;

	*count += svc->key.af == BPVS_V4;
	return 0;
}

static int get_info(struct get *g)
{
	struct ip_vs_getinfo info = {
		.version = IP_VS_VERSION_CODE,
		.size = g->in->ro->slots,
	};
	int err = bpvs_svc_walk(g->in, service_count, &info.num_services);

	if (!err)
		memcpy(g->value, &info, sizeof(info));
	return err;
}

static int service_list(const struct bpvs_svc_info *svc, void *arg)
{
	struct ip_vs_service_entry entry = { 0 };
	struct get *g = arg;

	if (svc->key.af != BPVS_V4 || g->used == g->room)
		return 0;
	service_fill(g->in, svc, &entry);
	memcpy(g->value + offsetof(struct ip_vs_get_services, entrytable) +
		       g->used++ * sizeof(entry),
	       &entry, sizeof(entry));
	return 0;
}

static int get_services(struct get *g)
{
	struct ip_vs_get_services head;

	memcpy(&head, g->value, sizeof(head));
	if (g->len != sizeof(head) + head.num_services * sizeof(head.entrytable[0]))
		return -EINVAL;
	g->room = head.num_services;
	return bpvs_svc_walk(g->in, service_list, g);
}

static int get_service(struct get *g)
{
	struct ip_vs_service_entry entry;
	struct bpvs_svc_info svc;
	struct bpvs_svc_key key;
	int err;

	memcpy(&entry, g->value, sizeof(entry));
	if (!entry.fwmark && !protocol_known(entry.protocol))
		return -ESRCH;
	key = key_of(entry.protocol, entry.addr, entry.port, entry.fwmark);
	err = bpvs_svc_get(g->in, &key, &svc);
	if (err)
		return err;
	service_fill(g->in, &svc, &entry);
	memcpy(g->value, &entry, sizeof(entry));
	return 0;
}

static int dest_list(const struct bpvs_dest_info *d, void *arg)
{
	struct ip_vs_dest_entry entry;
	struct get *g = arg;

	if (d->af != BPVS_V4 || g->used == g->room)
		return 0;
	dest_fill(g->in, d, &entry);
	memcpy(g->value + offsetof(struct ip_vs_get_dests, entrytable) + g->used++ * sizeof(entry),
	       &entry, sizeof(entry));
	return 0;
}

static int get_dests(struct get *g)
{
	struct ip_vs_get_dests head;
	struct bpvs_svc_key key;

	memcpy(&head, g->value, sizeof(head));
	if (g->len != sizeof(head) + head.num_dests * sizeof(head.entrytable[0]))
		return -EINVAL;
	if (!head.fwmark && !protocol_known(head.protocol))
		return -ESRCH;
	g->room = head.num_dests;
	key = key_of(head.protocol, head.addr, head.port, head.fwmark);
	return bpvs_dest_walk(g->in, &key, dest_list, g);
}

static int get_timeouts(struct get *g)
{
	struct ip_vs_timeout_user u;
	struct bpvs_timeouts t;
	int err = bpvs_timeouts_get(g->in, &t);

	if (err)
		return err;
	u = (struct ip_vs_timeout_user){ (int)t.tcp, (int)t.tcp_fin, (int)t.udp };
	memcpy(g->value, &u, sizeof(u));
	return 0;
}

/* Master and backup: none runs. */
static int get_daemons(struct get *g)
{
	memset(g->value, 0, 2 * sizeof(struct ip_vs_daemon_user));
	return 0;
}

static const struct {
	int (*run)(struct get *g);
	size_t size; /* at least */
} gets[] = {
	[NUMBER(IP_VS_SO_GET_VERSION)] = { get_version, 64 },
	[NUMBER(IP_VS_SO_GET_INFO)] = { get_info, sizeof(struct ip_vs_getinfo) },
	[NUMBER(IP_VS_SO_GET_SERVICES)] = { get_services, sizeof(struct ip_vs_get_services) },
	[NUMBER(IP_VS_SO_GET_SERVICE)] = { get_service, sizeof(struct ip_vs_service_entry) },
	[NUMBER(IP_VS_SO_GET_DESTS)] = { get_dests, sizeof(struct ip_vs_get_dests) },
	[NUMBER(IP_VS_SO_GET_TIMEOUT)] = { get_timeouts, sizeof(struct ip_vs_timeout_user) },
	[NUMBER(IP_VS_SO_GET_DAEMON)] = { get_daemons, 2 * sizeof(struct ip_vs_daemon_user) },
};

static int get_run(struct get *g, int option)
{
	int n = NUMBER(option);

	if ((int)g->len < (int)gets[n].size)
		return -EINVAL;
	if (gets[n].size && !g->value)
		return -EFAULT;
	return gets[n].run ? gets[n].run(g) : -EINVAL;
}

static int get_once(int option, void *value, socklen_t *len)
{
	struct get g = { .value = value, .len = *len };
	int err = instance_get(true, &g.in);

	if (!err)
		err = get_run(&g, option);
	if (!err)
		*len = g.len;
	return err;
}

int option_get(int sock, int option, void *value, socklen_t *len)
{
	int back, err;

	if (!len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	err = place_enter(sock, &back);
	if (err)
		return err;
	err = get_once(option, value, len);
	if (err == -ESTALE)
		err = get_once(option, value, len);
	place_leave(back);
	return err;
}
