/* SPDX-License-Identifier: GPL-2.0-only */
/* Timeouts, and the configuration that an instance starts with. */
#include <errno.h>
#include <limits.h>
#include "internal.h"

/* ---- timeouts ---- */

#define UDP_SECONDS 300

static const __u16 tcp_seconds[BPVS_TCP_STATES] = {
	[BPVS_TCP_NONE] = 2,	  [BPVS_TCP_ESTABLISHED] = 900, [BPVS_TCP_SYN_SENT] = 120,
	[BPVS_TCP_SYN_RECV] = 60, [BPVS_TCP_FIN_WAIT] = 120,	[BPVS_TCP_TIME_WAIT] = 120,
	[BPVS_TCP_CLOSE] = 10,	  [BPVS_TCP_CLOSE_WAIT] = 60,	[BPVS_TCP_LAST_ACK] = 30,
	[BPVS_TCP_LISTEN] = 120,  [BPVS_TCP_SYNACK] = 120,
};

/* Half-open and rejected 4 s, established 900, all else 61. */
static __u16 sctp_seconds(enum bpvs_sctp_state state)
{
	switch (state) {
	case BPVS_SCTP_NONE:
		return 2;
	case BPVS_SCTP_INIT1:
	case BPVS_SCTP_REJECTED:
		return 4;
	case BPVS_SCTP_ESTABLISHED:
		return 900;
	default:
		return 61;
	}
}

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
	__u32 max = INT_MAX / (hz << in->ro->clock_shift); /* the kernel's, in jiffies */

	if (t->tcp > max || t->tcp_fin > max || t->udp > max)
		return -EINVAL;
	timeout_store(&cfg->tcp_timeout[BPVS_TCP_ESTABLISHED], t->tcp, hz);
	timeout_store(&cfg->tcp_timeout[BPVS_TCP_FIN_WAIT], t->tcp_fin, hz);
	timeout_store(&cfg->udp_timeout, t->udp, hz);
	return 0;
}

/* ---- at the start ---- */

/* As many ICMP errors as the kernel sends itself (net.ipv4.icmp_msgs_per_sec). */
#define ICMP_RATE 1000

void bpvs_config_defaults(struct bpvs_config *cfg, const struct bpvs_rodata *ro)
{
	for (int state = 0; state < BPVS_TCP_STATES; state++)
		cfg->tcp_timeout[state] = tcp_seconds[state] * ro->clock_hz;
	for (int state = 0; state < BPVS_SCTP_STATES; state++)
		cfg->sctp_timeout[state] = sctp_seconds(state) * ro->clock_hz;
	cfg->udp_timeout = UDP_SECONDS * ro->clock_hz;
	cfg->icmp_rate = ICMP_RATE;
	bpvs_sysctl_defaults(cfg, ro);
}
