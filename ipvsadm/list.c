/* SPDX-License-Identifier: GPL-2.0-only */
/* --list but for the connections: one row function for each format. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include "commands.h"
#include "endpoint.h"
#include "internal.h"
#include "list.h"

struct listing {
	struct bpvs_instance *in;
	const struct args *args;
	const struct format *format;
	int name;   /* width of a server's name */
	int number; /* and of a counter */
};

#define NAME_WIDTH   28
#define NUMBER_WIDTH 9

struct format {
	const char *head;	 /* of formats without counters */
	const char *counters[5]; /* a service's row has these instead of its scheduler */
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
	printf("%-*s%*s", l->name + 5, name, l->number, largenum_text(s->conns, exact));
	printf("%*s", l->number, largenum_text(s->inpkts, exact));
	printf("%*s", l->number, largenum_text(s->outpkts, exact));
	printf("%*s", l->number, largenum_text(s->inbytes, exact));
	printf("%*s\n", l->number, largenum_text(s->outbytes, exact));
}

/* ---- destinations ---- */

static void dest_default(const struct listing *l, const char *name, const struct bpvs_dest_info *d)
{
	printf("  -> %-*s %-7s %-6d %-10u %-10u\n", l->name, name, bpvs_fwd_name(d->fwd), d->weight,
	       d->active, d->inactive);
}

static const char *tunnel_text(const struct bpvs_dest_info *d)
{
	const char *flags = d->tun_flags & BPVS_TUN_REMCSUM ? "r+c"
			    : d->tun_flags & BPVS_TUN_CSUM  ? "+c"
							    : "-c";
	static char text[32];

	if (d->fwd != BPVS_FWD_TUNNEL)
		return "n/a";
	switch (d->tun_type) {
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
	printf("  -> %-*s %-7s %-13s %-6d %-10u %-10u\n", l->name, name, bpvs_fwd_name(d->fwd),
	       tunnel_text(d), d->weight, d->active, d->inactive);
}

static void dest_thresholds(const struct listing *l, const char *name,
			    const struct bpvs_dest_info *d)
{
	printf("  -> %-*s %-10u %-10u %-10u %-10u\n", l->name, name, d->u_threshold, d->l_threshold,
	       d->active, d->inactive);
}

static void dest_persistent(const struct listing *l, const char *name,
			    const struct bpvs_dest_info *d)
{
	printf("  -> %-*s %-9d %-11u %-10u %-10u\n", l->name, name, d->weight, d->persistent,
	       d->active, d->inactive);
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
	.counters = { "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes" },
	.dest = dest_counters,
};

static const struct format format_rate = {
	.counters = { "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS" },
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
	if (key->fwmark)
		/* The original takes a mark for a signed number. */
		snprintf(text, size, args_have(l->args, OPT_WIDE) ? "FWM  %u%s" : "FWM  %d%s",
			 key->fwmark, key->af == BPVS_V6 ? " IPv6" : "");
	else
		snprintf(text, size, "%-4s %s", proto_text(key->proto),
			 endpoint_text(&key->addr, key->port, key->af, key->proto,
				       args_names(l->args) | ENDPOINT_COLUMN));
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

static const char *dest_name(const struct listing *l, const struct bpvs_snapshot_row *row,
			     const struct bpvs_dest_info *d)
{
	return endpoint_text(&d->addr, d->port, d->af, row->svc.key.proto,
			     args_names(l->args) | ENDPOINT_COLUMN);
}

static void row_print(const struct listing *l, const struct bpvs_snapshot_row *row)
{
	char name[2048];

	service_name(l, &row->svc.key, name, sizeof(name));
	if (l->format->counters[0]) {
		counters_print(l, name, bpvs_stats_svc(l->in, row->svc.id));
	} else {
		fputs(name, stdout);
		service_flags(&row->svc);
	}
	for (unsigned int i = 0; i < row->num_dests; i++) {
		const struct bpvs_dest_info *d = &row->dests[i];

		l->format->dest(l, dest_name(l, row, d), d);
	}
}

/* ---- the columns ---- */

/* A server's name stands behind an arrow; a service's only with counters beside it. */
static void widen(struct listing *l, const struct bpvs_snapshot *t)
{
	char name[2048];

	for (unsigned int i = 0; i < t->num; i++) {
		const struct bpvs_snapshot_row *row = &t->rows[i];

		service_name(l, &row->svc.key, name, sizeof(name));
		if (l->format->counters[0])
			l->name = MAX(l->name, (int)strlen(name) - 5);
		for (unsigned int d = 0; d < row->num_dests; d++)
			l->name = MAX(l->name, (int)strlen(dest_name(l, row, &row->dests[d])));
	}
	if (args_have(l->args, OPT_EXACT))
		l->number = 21; /* 2^64 - 1, and a blank */
}

static void counters_head(const struct listing *l)
{
	printf("%-*s", l->name + 5, "Prot LocalAddress:Port");
	for (int i = 0; i < 5; i++)
		printf("%*s", l->number, l->format->counters[i]);
	puts("\n  -> RemoteAddress:Port");
}

/* The line that has columns has a blank between the name's and the next; the others have a word. */
static void head_print(const struct listing *l)
{
	const int at = 5 + NAME_WIDTH;

	for (const char *line = l->format->head, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (end - line > at && line[at] == ' ')
			printf("%.*s%*s%.*s\n", at, line, l->name - NAME_WIDTH, "",
			       (int)(end - line) - at, line + at);
		else
			printf("%.*s\n", (int)(end - line), line);
	}
}

static int list_table(struct bpvs_instance *in, const struct args *a)
{
	struct listing l = { in, a, format_choose(a), NAME_WIDTH, NUMBER_WIDTH };
	bool one = args_have(a, OPT_SERVICE);
	struct bpvs_snapshot t;
	int err = bpvs_snapshot_read(in, one ? &a->svc.key : NULL, !args_have(a, OPT_NOSORT), &t);

	if (err)
		return complain(CMD_LIST, err);
	if (!one)
		printf("IP Virtual Server version 1.2.1 (size=%u)\n", in->ro->slots);
	if (args_have(a, OPT_WIDE))
		widen(&l, &t);
	(l.format->counters[0] ? counters_head : head_print)(&l);
	for (unsigned int i = 0; i < t.num; i++)
		row_print(&l, &t.rows[i]);
	bpvs_snapshot_free(&t);
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
	if (args_have(a, OPT_JSON))
		return cmd_list_json(in, a);
	if (args_have(a, OPT_CONNECTION))
		return cmd_list_conns(in, a);
	if (args_have(a, OPT_TIMEOUT))
		return list_timeouts(in);
	/* No synchronisation daemon exists yet, so none is listed. */
	if (args_have(a, OPT_DAEMON))
		return 0;
	return list_table(in, a);
}
