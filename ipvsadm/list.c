/* SPDX-License-Identifier: GPL-2.0-only */
/* --list but for the connections: one row function for each format. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "commands.h"
#include "endpoint.h"
#include "internal.h"
#include "list.h"

struct listing {
	struct bpvs_instance *in;
	const struct args *args;
	const struct format *format;
};

struct format {
	const char *head;
	bool counters; /* the service's row has numbers instead of its scheduler */
	void (*dest)(const struct listing *l, const char *name, const struct bpvs_dest_info *d);
	bool rates;
};

/* ---- numbers ---- */

const char *largenum_text(uint64_t n, bool exact)
{
	static const struct {
		uint64_t below, unit;
		char suffix;
	} steps[] = {
		{ 1000000000ULL, 1000ULL, 'K' },
		{ 100000000000ULL, 1000000ULL, 'M' },
		{ 100000000000000ULL, 1000000000ULL, 'G' },
		{ UINT64_MAX, 1000000000000ULL, 'T' },
	};
	static char text[24];
	size_t i = 0;

	if (exact || n < 100000000ULL) {
		snprintf(text, sizeof(text), " %8" PRIu64, n);
		return text;
	}
	while (n >= steps[i].below && i < 3)
		i++;
	snprintf(text, sizeof(text), "%8" PRIu64 "%c", n / steps[i].unit, steps[i].suffix);
	return text;
}

static void counters_print(const struct listing *l, const char *name, unsigned int index)
{
	bool exact = args_have(l->args, OPT_EXACT);
	struct bpvs_stats_info info = { 0 };
	const struct bpvs_stats *s = l->format->rates ? &info.rate : &info.total;

	bpvs_stats_get(l->in, index, &info);
	printf("%-33s%s", name, largenum_text(s->conns, exact));
	fputs(largenum_text(s->inpkts, exact), stdout);
	fputs(largenum_text(s->outpkts, exact), stdout);
	fputs(largenum_text(s->inbytes, exact), stdout);
	puts(largenum_text(s->outbytes, exact));
}

/* ---- destinations ---- */

static void dest_default(const struct listing *l, const char *name, const struct bpvs_dest_info *d)
{
	(void)l;
	printf("  -> %-28s %-7s %-6d %-10u %-10u\n", name, bpvs_fwd_name(d->fwd), d->weight,
	       d->active, d->inactive);
}

static const char *tunnel_text(const struct bpvs_dest_info *d)
{
	const char *flags = d->tunnel & BPVS_TUNNEL_REMCSUM ? "r+c"
			    : d->tunnel & BPVS_TUNNEL_CSUM  ? "+c"
							    : "-c";
	static char text[32];

	if (d->fwd != BPVS_FWD_TUNNEL)
		return "n/a";
	switch (d->tunnel & BPVS_TUNNEL_TYPE) {
	case BPVS_TUNNEL_GUE:
		snprintf(text, sizeof(text), "gue:%u:%s", ntohs(d->tun_port), flags);
		return text;
	case BPVS_TUNNEL_GRE:
		snprintf(text, sizeof(text), "gre:%s", flags);
		return text;
	}
	return "ipip";
}

static void dest_tunnel(const struct listing *l, const char *name, const struct bpvs_dest_info *d)
{
	(void)l;
	printf("  -> %-28s %-7s %-13s %-6d %-10u %-10u\n", name, bpvs_fwd_name(d->fwd),
	       tunnel_text(d), d->weight, d->active, d->inactive);
}

static void dest_thresholds(const struct listing *l, const char *name,
			    const struct bpvs_dest_info *d)
{
	(void)l;
	printf("  -> %-28s %-10u %-10u %-10u %-10u\n", name, d->u_threshold, d->l_threshold,
	       d->active, d->inactive);
}

static void dest_persistent(const struct listing *l, const char *name,
			    const struct bpvs_dest_info *d)
{
	(void)l;
	printf("  -> %-28s %-9d %-11u %-10u %-10u\n", name, d->weight, d->persistent, d->active,
	       d->inactive);
}

static void dest_counters(const struct listing *l, const char *name, const struct bpvs_dest_info *d)
{
	char row[2048];

	snprintf(row, sizeof(row), "  -> %s", name);
	counters_print(l, row, bpvs_stats_dest(l->in, d->id));
}

static const struct format format_default = {
	.head = "Prot LocalAddress:Port Scheduler Flags\n"
		"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
	.dest = dest_default,
};

static const struct format format_tunnel = {
	.head = "Prot LocalAddress:Port Scheduler Flags\n"
		"  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn "
		"InActConn\n",
	.dest = dest_tunnel,
};

static const struct format format_thresholds = {
	.head = "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n"
		"  -> RemoteAddress:Port\n",
	.dest = dest_thresholds,
};

static const struct format format_persistent = {
	.head = "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n"
		"  -> RemoteAddress:Port\n",
	.dest = dest_persistent,
};

static const struct format format_stats = {
	.head = "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n"
		"  -> RemoteAddress:Port\n",
	.counters = true,
	.dest = dest_counters,
};

static const struct format format_rate = {
	.head = "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n"
		"  -> RemoteAddress:Port\n",
	.counters = true,
	.dest = dest_counters,
	.rates = true,
};

static const struct format *format_choose(const struct args *a)
{
	if (args_have(a, OPT_STATS))
		return &format_stats;
	if (args_have(a, OPT_RATE))
		return &format_rate;
	if (args_have(a, OPT_THRESHOLDS))
		return &format_thresholds;
	if (args_have(a, OPT_PERSISTENT_CONN))
		return &format_persistent;
	if (args_have(a, OPT_TUN_INFO))
		return &format_tunnel;
	return &format_default;
}

/* ---- services ---- */

static const char *proto_text(__u8 proto)
{
	return proto == IPPROTO_TCP ? "TCP" : proto == IPPROTO_UDP ? "UDP" : "SCTP";
}

static void service_name(const struct listing *l, const struct bpvs_svc_key *key, char *text,
			 size_t size)
{
	bool numeric = args_have(l->args, OPT_NUMERIC);

	if (key->fwmark)
		snprintf(text, size, "FWM  %d%s", (int)key->fwmark,
			 key->af == BPVS_V6 ? " IPv6" : "");
	else
		snprintf(text, size, "%-4s %s", proto_text(key->proto),
			 endpoint_text(&key->addr, key->port, key->af, key->proto, numeric));
}

static void service_flags(const struct bpvs_svc_info *svc)
{
	const char *sched = bpvs_sched_name(svc->sched);
	const char *flags = sched_flags_text(svc->sched_flags, sched);

	printf(" %s", sched);
	if (flags)
		printf(" (%s)", flags);
	if (svc->flags & BPVS_SVC_PERSISTENT) {
		struct in_addr mask = { svc->netmask };

		printf(" persistent %u", svc->timeout);
		if (svc->key.af == BPVS_V6 && svc->netmask != 128)
			printf(" mask %u", svc->netmask);
		if (svc->key.af == BPVS_V4 && svc->netmask != 0xffffffff)
			printf(" mask %s", inet_ntoa(mask));
		if (svc->pe)
			printf(" pe %s", bpvs_pe_name(svc->pe));
	}
	if (svc->flags & BPVS_SVC_ONEPACKET)
		printf(" ops");
	putchar('\n');
}

static void row_print(const struct listing *l, const struct table_row *row)
{
	bool numeric = args_have(l->args, OPT_NUMERIC);
	char name[2048];

	service_name(l, &row->svc.key, name, sizeof(name));
	if (l->format->counters) {
		counters_print(l, name, bpvs_stats_svc(l->in, row->svc.id));
	} else {
		fputs(name, stdout);
		service_flags(&row->svc);
	}
	for (unsigned int i = 0; i < row->num_dests; i++) {
		const struct bpvs_dest_info *d = &row->dests[i];

		l->format->dest(
			l, endpoint_text(&d->addr, d->port, d->af, row->svc.key.proto, numeric), d);
	}
}

static int list_table(struct bpvs_instance *in, const struct args *a)
{
	struct listing l = { in, a, format_choose(a) };
	bool one = args_have(a, OPT_SERVICE);
	struct table t;
	int err = table_read(in, one ? &a->svc.key : NULL, !args_have(a, OPT_NOSORT), &t);

	if (err)
		return complain(CMD_LIST, err);
	if (!one)
		printf("IP Virtual Server version 1.2.1 (size=%u)\n", in->ro->slots);
	fputs(l.format->head, stdout);
	for (unsigned int i = 0; i < t.num; i++)
		row_print(&l, &t.rows[i]);
	table_free(&t);
	return 0;
}

static int list_timeouts(struct bpvs_instance *in)
{
	struct bpvs_timeouts t;
	int err = bpvs_timeouts_get(in, &t);

	if (err)
		return complain(CMD_LIST, err);
	printf("Timeout (tcp tcpfin udp): %u %u %u\n", t.tcp, t.tcp_fin, t.udp);
	return 0;
}

int cmd_list(struct bpvs_instance *in, const struct args *a)
{
	if (args_have(a, OPT_CONNECTION))
		return cmd_list_conns(in, a);
	if (args_have(a, OPT_TIMEOUT))
		return list_timeouts(in);
	/* No synchronisation daemon exists yet, so none is listed. */
	if (args_have(a, OPT_DAEMON))
		return 0;
	return list_table(in, a);
}
