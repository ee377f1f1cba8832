/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of kernel IPVS in /proc/net say, from an instance (formats of Linux 6.1 and, of
 * ip_vs_status, 7.2).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "internal.h"

struct view {
	struct bpvs_instance *in;
	FILE *to;
	bool origin; /* of ip_vs_conn_sync: where a connection was made */
};

#define ADDR_TEXT 40

/* As the kernel's %pI6 and %08X have it: all digits. */
static const char *addr_hex(const struct bpvs_addr *a, __u8 af, char text[ADDR_TEXT])
{
	char *at = text;

	if (af == BPVS_V4) {
		snprintf(text, ADDR_TEXT, "%08X", ntohl(a->w[3]));
		return text;
	}
	for (int i = 0; i < 16; i += 2)
		at += sprintf(at, "%s%02x%02x", i ? ":" : "", a->b[i], a->b[i + 1]);
	return text;
}

static const char *proto_name(__u8 proto)
{
	static char other[8];

	switch (proto) {
	case IPPROTO_IP:
		return "IP";
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_SCTP:
		return "SCTP";
	}
	snprintf(other, sizeof(other), "IP_%u", proto);
	return other;
}

/* ---- ip_vs ---- */

static int dest_row(const struct bpvs_dest_info *d, void *arg)
{
	const struct view *v = arg;
	bool v6 = d->af == BPVS_V6;
	char addr[ADDR_TEXT];

	fprintf(v->to, "  -> %s%s%s:%04X      %-7s %-6d %-10d %-10d\n", v6 ? "[" : "",
		addr_hex(&d->addr, d->af, addr), v6 ? "]" : "", ntohs(d->port),
		bpvs_fwd_name(d->fwd), d->weight, (int)d->active, (int)d->inactive);
	return 0;
}

static int svc_row(const struct bpvs_svc_info *svc, void *arg)
{
	const struct view *v = arg;
	const char *ops = svc->flags & BPVS_SVC_ONEPACKET ? "ops " : "";
	const char *sched = bpvs_sched_name(svc->sched);
	const struct bpvs_svc_key *key = &svc->key;
	char addr[ADDR_TEXT];
	int err;

	addr_hex(&key->addr, key->af, addr);
	if (key->fwmark)
		fprintf(v->to, "FWM  %08X %s %s", key->fwmark, sched, ops);
	else if (key->af == BPVS_V6)
		fprintf(v->to, "%s  [%s]:%04X %s ", proto_name(key->proto), addr, ntohs(key->port),
			sched);
	else
		fprintf(v->to, "%s  %s:%04X %s %s ", proto_name(key->proto), addr, ntohs(key->port),
			sched, ops);
	/* The timeout is in jiffies there. */
	if (svc->flags & BPVS_SVC_PERSISTENT)
		fprintf(v->to, "persistent %d %08X",
			(int)(svc->timeout * (v->in->ro->clock_hz << v->in->ro->clock_shift)),
			ntohl(svc->netmask));
	fputc('\n', v->to);
	err = bpvs_dest_walk(v->in, key, dest_row, arg);
	/* One that went meanwhile has none. */
	return err == -ESRCH ? 0 : err;
}

static int view_services(struct view *v)
{
	fprintf(v->to,
		"IP Virtual Server version 1.2.1 (size=%u)\n"
		"Prot LocalAddress:Port Scheduler Flags\n"
		"  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n",
		v->in->ro->slots);
	return bpvs_svc_walk(v->in, svc_row, v);
}

/* As without ip_vs_ftp: that a module is loaded is what its line says, and here is none. */
static int view_app(struct view *v)
{
	fputs("prot port    usecnt name\n", v->to);
	return 0;
}

/* ---- ip_vs_conn, ip_vs_conn_sync ---- */

static int conn_row(const struct bpvs_conn_info *c, void *arg)
{
	const struct view *v = arg;
	char from[ADDR_TEXT], to[ADDR_TEXT], dest[ADDR_TEXT];

	fprintf(v->to, "%-3s %s %04X %s %04X %s %04X %-11s", proto_name(c->proto),
		addr_hex(&c->caddr, c->af, from), ntohs(c->cport), addr_hex(&c->vaddr, c->af, to),
		ntohs(c->vport), addr_hex(&c->daddr, c->daf, dest), ntohs(c->dport),
		bpvs_conn_state(c));
	if (v->origin)
		fprintf(v->to, " %-6s", "LOCAL");
	fprintf(v->to, " %7u", (unsigned int)c->expires_ms / 1000);
	if (c->call && !v->origin)
		fprintf(v->to, " %s %s", bpvs_pe_name(BPVS_PE_SIP), c->call);
	fputc('\n', v->to);
	return 0;
}

static int view_conns(struct view *v)
{
	fprintf(v->to, "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       %s\n",
		v->origin ? "Origin Expires" : "Expires PEName PEData");
	return bpvs_conn_walk(v->in, conn_row, v);
}

static int view_conns_sync(struct view *v)
{
	v->origin = true;
	return view_conns(v);
}

/* ---- ip_vs_stats, ip_vs_stats_percpu ---- */

static void numbers(const struct view *v, const char *head, const struct bpvs_stats *s)
{
	fprintf(v->to, "%s%8llX %8llX %8llX %16llX %16llX\n", head, s->conns, s->inpkts, s->outpkts,
		s->inbytes, s->outbytes);
}

static int view_stats(struct view *v)
{
	struct bpvs_stats_info info;
	int err = bpvs_stats_get(v->in, BPVS_STATS_TOTAL, &info);

	if (err)
		return err;
	fputs("   Total Incoming Outgoing         Incoming         Outgoing\n"
	      "   Conns  Packets  Packets            Bytes            Bytes\n",
	      v->to);
	numbers(v, "", &info.total);
	fputs("\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n", v->to);
	numbers(v, "", &info.rate);
	return 0;
}

static int view_stats_percpu(struct view *v)
{
	struct bpvs_stats_info info;
	int err = bpvs_stats_get(v->in, BPVS_STATS_TOTAL, &info);

	if (err)
		return err;
	fputs("       Total Incoming Outgoing         Incoming         Outgoing\n"
	      "CPU    Conns  Packets  Packets            Bytes            Bytes\n",
	      v->to);
	for (__u32 cpu = 0; cpu < v->in->ro->cpus; cpu++) {
		struct bpvs_stats s;
		char head[16];

		bpvs_stats_cpu(v->in, BPVS_STATS_TOTAL, cpu, &s);
		snprintf(head, sizeof(head), "%3X ", cpu);
		numbers(v, head, &s);
	}
	numbers(v, "  ~ ", &info.total);
	fputs("\n     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n", v->to);
	numbers(v, "    ", &info.rate);
	return 0;
}

/* ---- ip_vs_status ---- */

/* Chains of so many and more are counted together. */
#define LONGEST 7

/* "Conn buckets:" and so on; lfactor is what the sysctl says, though nothing here grows by it. */
static int view_buckets(struct view *v, const char *what, __u32 size, const char *knob)
{
	char lfactor[BPVS_SYSCTL_SIZE];
	int bits = 0, err = bpvs_sysctl_get(v->in, knob, lfactor, sizeof(lfactor));

	if (err)
		return err;
	while (bits < 32 && size > 1ULL << bits)
		bits++;
	fprintf(v->to, "%s buckets:\t%u (%d bits, lfactor %s)\n", what, size, bits, lfactor);
	return 0;
}

static int conn_count(const struct bpvs_conn_info *c, void *arg)
{
	unsigned int *count = arg;

	(void)c;
	(*count)++;
	return 0;
}

/* A bucket is a home: what stands in its window, and what had no room there. */
static void view_chains(struct view *v)
{
	unsigned int chains[LONGEST + 1] = { 0 }, size = v->in->ro->slots, used;

	for (unsigned int i = 0; i < size; i++) {
		__u64 hop = __atomic_load_n(&v->in->conns[i].hop, __ATOMIC_RELAXED);
		__u64 len = (__u64)__builtin_popcount((__u32)hop) + (hop >> 32);

		chains[len < LONGEST ? len : LONGEST]++;
	}
	used = size - chains[0];
	fprintf(v->to, "Conn buckets empty:\t%u (%llu%%)\n", chains[0], chains[0] * 100ULL / size);
	for (int len = 1; len <= LONGEST; len++)
		if (chains[len])
			fprintf(v->to, "Conn buckets len-%d:\t%u (%llu%%)\n", len, chains[len],
				chains[len] * 100ULL / used);
}

/* Nobody can look into the hash of services; and rates are the timer's, not of threads. */
static int view_status(struct view *v)
{
	const struct bpvs_rodata *ro = v->in->ro;
	unsigned int conns = 0;
	int err = bpvs_conn_walk(v->in, conn_count, &conns);

	if (err)
		return err;
	fprintf(v->to, "Conns:\t%u\n", conns);
	err = view_buckets(v, "Conn", ro->slots, "conn_lfactor");
	if (err)
		return err;
	if (conns)
		view_chains(v);
	fprintf(v->to, "Services:\t%u\n", v->in->cfg->services4 + v->in->cfg->services6);
	err = view_buckets(v, "Service", ro->max_svc + ro->max_dest, "svc_lfactor");
	if (err)
		return err;
	fputs("Stats thread slots:\t0 (max 0)\n"
	      "Stats chain max len:\t0\n"
	      "Stats thread ests:\t0\n",
	      v->to);
	return 0;
}

/* ---- by name ---- */

static const struct {
	const char *name;
	int (*write)(struct view *v);
} views[] = {
	{ "ip_vs", view_services },	 { "ip_vs_app", view_app },
	{ "ip_vs_conn", view_conns },	 { "ip_vs_conn_sync", view_conns_sync },
	{ "ip_vs_stats", view_stats },	 { "ip_vs_stats_percpu", view_stats_percpu },
	{ "ip_vs_status", view_status },
};

#define NUM_VIEWS (sizeof(views) / sizeof(views[0]))

const char *bpvs_view_name(unsigned int index)
{
	return index < NUM_VIEWS ? views[index].name : NULL;
}

int bpvs_view_write(struct bpvs_instance *in, const char *name, FILE *to)
{
	struct view v = { .in = in, .to = to };

	for (unsigned int i = 0; i < NUM_VIEWS; i++)
		if (!strcmp(views[i].name, name))
			return views[i].write(&v);
	return -ENOENT;
}
