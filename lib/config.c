/* SPDX-License-Identifier: GPL-2.0-only */
/* Timeouts and the knobs that IPVS has under net.ipv4.vs. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* ---- timeouts ---- */

#define UDP_SECONDS 300

static const __u16 tcp_seconds[BPVS_TCP_STATES] = {
	[BPVS_TCP_NONE] = 2,	  [BPVS_TCP_ESTABLISHED] = 900, [BPVS_TCP_SYN_SENT] = 120,
	[BPVS_TCP_SYN_RECV] = 60, [BPVS_TCP_FIN_WAIT] = 120,	[BPVS_TCP_TIME_WAIT] = 120,
	[BPVS_TCP_CLOSE] = 10,	  [BPVS_TCP_CLOSE_WAIT] = 60,	[BPVS_TCP_LAST_ACK] = 30,
	[BPVS_TCP_LISTEN] = 120,  [BPVS_TCP_SYNACK] = 120,
};

int bpvs_timeouts_get(struct bpvs_instance *in, struct bpvs_timeouts *ret)
{
	const struct bpvs_config *cfg = in->cfg;
	unsigned int hz = bpvs_clock_hz(in);

	ret->tcp = cfg->tcp_timeout[BPVS_TCP_ESTABLISHED] / hz;
	ret->tcp_fin = cfg->tcp_timeout[BPVS_TCP_FIN_WAIT] / hz;
	ret->udp = cfg->udp_timeout / hz;
	return 0;
}

static void timeout_store(__u32 *to, __u32 seconds, unsigned int hz)
{
	if (seconds)
		__atomic_store_n(to, seconds * hz, __ATOMIC_RELAXED);
}

int bpvs_timeouts_set(struct bpvs_instance *in, const struct bpvs_timeouts *t)
{
	struct bpvs_config *cfg = in->cfg;
	unsigned int hz = bpvs_clock_hz(in);
	__u32 max = INT_MAX / hz; /* expiry times are compared as signed differences */

	if (t->tcp > max || t->tcp_fin > max || t->udp > max)
		return -EINVAL;
	timeout_store(&cfg->tcp_timeout[BPVS_TCP_ESTABLISHED], t->tcp, hz);
	timeout_store(&cfg->tcp_timeout[BPVS_TCP_FIN_WAIT], t->tcp_fin, hz);
	timeout_store(&cfg->udp_timeout, t->udp, hz);
	return 0;
}

/* ---- sysctls ---- */

#define NOT_BUILT SIZE_MAX
#define AT(field) offsetof(struct bpvs_config, field)

struct knob {
	const char *name;
	size_t field; /* the __u32 of struct bpvs_config, or NOT_BUILT */
	long def, min, max;
};

/*
 * Alphabetical. Those that are not built read as IPVS's default and refuse anything else.
 * sync_threshold (two numbers) and est_cpulist (a list) do not fit in one number and are absent.
 */
static const struct knob knobs[] = {
	{ "am_droprate", NOT_BUILT, 10, INT_MIN, INT_MAX },
	{ "amemthresh", NOT_BUILT, 1024, INT_MIN, INT_MAX },
	{ "backup_only", NOT_BUILT, 0, 0, 1 },
	{ "cache_bypass", NOT_BUILT, 0, 0, 1 },
	{ "conn_reuse_mode", AT(conn_reuse_mode), 1, 0, 3 },
	{ "conntrack", NOT_BUILT, 0, 0, 1 },
	{ "drop_entry", NOT_BUILT, 0, 0, 3 },
	{ "drop_packet", NOT_BUILT, 0, 0, 3 },
	{ "est_nice", NOT_BUILT, 0, -20, 19 },
	{ "expire_nodest_conn", AT(expire_nodest_conn), 0, 0, 1 },
	{ "expire_quiescent_template", AT(expire_quiescent_template), 0, 0, 1 },
	{ "ignore_tunneled", NOT_BUILT, 0, 0, 1 },
	{ "lblc_expiration", AT(lblc_expiration), 86400, 0, INT_MAX },
	{ "lblcr_expiration", AT(lblcr_expiration), 86400, 0, INT_MAX },
	{ "nat_icmp_send", NOT_BUILT, 0, 0, 1 },
	{ "pmtu_disc", AT(pmtu_disc), 1, 0, 1 },
	{ "run_estimation", AT(run_estimation), 1, 0, 1 },
	{ "schedule_icmp", NOT_BUILT, 0, 0, 1 },
	{ "secure_tcp", NOT_BUILT, 0, 0, 3 },
	{ "sloppy_sctp", NOT_BUILT, 0, 0, 1 },
	{ "sloppy_tcp", AT(sloppy_tcp), 0, 0, 1 },
	{ "snat_reroute", NOT_BUILT, 1, 0, 1 },
	{ "sync_persist_mode", NOT_BUILT, 0, 0, 1 },
	{ "sync_ports", NOT_BUILT, 1, 1, 64 },
	{ "sync_qlen_max", NOT_BUILT, 0, 0, LONG_MAX },
	{ "sync_refresh_period", NOT_BUILT, 0, 0, UINT_MAX },
	{ "sync_retries", NOT_BUILT, 0, 0, 3 },
	{ "sync_sock_size", NOT_BUILT, 0, 0, INT_MAX },
	{ "sync_version", NOT_BUILT, 1, 0, 1 },
};

#define NUM_KNOBS (sizeof(knobs) / sizeof(knobs[0]))

static const struct knob *knob_find(const char *name)
{
	for (size_t i = 0; i < NUM_KNOBS; i++)
		if (!strcmp(knobs[i].name, name))
			return &knobs[i];
	return NULL;
}

static __u32 *knob_field(struct bpvs_config *cfg, const struct knob *k)
{
	return (__u32 *)(void *)((char *)cfg + k->field);
}

/* One default depends on the machine: about what the kernel computes from its free pages. */
static long knob_default(const struct knob *k)
{
	return strcmp(k->name, "sync_qlen_max") ? k->def : sysconf(_SC_PHYS_PAGES) / 32;
}

int bpvs_sysctl_get(struct bpvs_instance *in, const char *name, long *ret)
{
	const struct knob *k = knob_find(name);

	if (!k)
		return -ENOENT;
	*ret = k->field == NOT_BUILT ? knob_default(k) : (long)*knob_field(in->cfg, k);
	return 0;
}

int bpvs_sysctl_set(struct bpvs_instance *in, const char *name, long value)
{
	const struct knob *k = knob_find(name);

	if (!k)
		return -ENOENT;
	if (value < k->min || value > k->max)
		return -EINVAL;
	if (k->field == NOT_BUILT)
		return value == knob_default(k) ? 0 : -EOPNOTSUPP;
	__atomic_store_n(knob_field(in->cfg, k), (__u32)value, __ATOMIC_RELAXED);
	return 0;
}

const char *const *bpvs_sysctl_names(void)
{
	static const char *names[NUM_KNOBS + 1];

	for (size_t i = 0; i < NUM_KNOBS; i++)
		names[i] = knobs[i].name;
	return names;
}

/* ---- at the start ---- */

/* As many ICMP errors as the kernel sends itself (net.ipv4.icmp_msgs_per_sec). */
#define ICMP_RATE 1000

void bpvs_config_defaults(struct bpvs_config *cfg, unsigned int clock_hz)
{
	for (int state = 0; state < BPVS_TCP_STATES; state++)
		cfg->tcp_timeout[state] = tcp_seconds[state] * clock_hz;
	cfg->udp_timeout = UDP_SECONDS * clock_hz;
	cfg->icmp_rate = ICMP_RATE;
	for (size_t i = 0; i < NUM_KNOBS; i++)
		if (knobs[i].field != NOT_BUILT)
			*knob_field(cfg, &knobs[i]) = (__u32)knobs[i].def;
}
