/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hammer: hit this network namespace's instance from all CPUs and look whether its connection table
 * keeps its promises. The instance is the caller's; devices c0 (clients) and s0 (real servers) and
 * permanent neighbours as tests/prog/harness.py makes them. The result is one line of JSON; the
 * exit status is 1 when something was found wrong.
 *
 *   hammer [-t SECONDS] [-k CLIENTS] [-f] run | churn | duels | reopen | selftest | ftp |
 *     full FLOWS | idle CONNS | million CONNS | ftp-many CONNS
 *
 * -t is how long it takes when nothing else keeps the CPUs; -f: with a table that runs full.
 */
#include <getopt.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "hammer.h"

int run_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	return 0;
}

__u64 hammer_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u64)t.tv_sec * 1000000000ULL + (__u64)t.tv_nsec;
}

void hammer_wrong(struct hammer *h, const char *fmt, ...)
{
	va_list ap;

	if (h->wrong++ >= 20)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

#define PATIENCE 180 /* seconds that a busy machine is given to see enough in */

/* Less says little. Where something else keeps a CPU, a duel takes several time slices. */
static bool enough_duels(struct hammer *h)
{
	return h->judged > 500 && hammer_counter(h, BPVS_EV_CONN_RIVAL);
}

static bool filled(struct hammer *h)
{
	return !h->fill ||
	       (hammer_counter(h, BPVS_EV_CONN_SPILLED) && hammer_counter(h, BPVS_EV_CONN_FULL));
}

static int run(struct hammer *h, bool churn, bool duels)
{
	__u64 until = hammer_ns() + h->seconds * 1000000000ULL;
	__u64 latest = until + PATIENCE * 1000000000ULL;

	for (;;) {
		bool over = hammer_ns() >= until, met = !duels || enough_duels(h);

		if (h->wrong || (over && met && filled(h)) || hammer_ns() >= latest)
			break;
		if (churn && (!over || !filled(h)))
			hammer_churn(h, 800);
		if (duels && (!over || !met))
			hammer_duels(h, 400);
	}
	hammer_timeouts(h, 1);
	/* What no packet touched since it was made lives for three seconds. */
	hammer_check_drained(h, PATIENCE * 1000);
	run_say("{\"ops\": %lu, \"judged\": %lu, \"unjudged\": %lu, ", h->ops, h->judged,
		h->unjudged);
	run_say("\"new\": %llu, \"rival\": %llu, \"spilled\": %llu, \"full\": %llu, \"wrong\": "
		"%lu}\n",
		hammer_counter(h, BPVS_EV_CONN_NEW), hammer_counter(h, BPVS_EV_CONN_RIVAL),
		hammer_counter(h, BPVS_EV_CONN_SPILLED), hammer_counter(h, BPVS_EV_CONN_FULL),
		h->wrong);
	return 0;
}

static int command(struct hammer *h, int argc, char **argv)
{
	__u32 n = argc > 1 ? (__u32)strtoul(argv[1], NULL, 10) : 0;

	if (argc < 1)
		return 2;
	if (!strcmp(argv[0], "run"))
		return run(h, true, true);
	if (!strcmp(argv[0], "churn"))
		return run(h, true, false);
	if (!strcmp(argv[0], "duels"))
		return run(h, false, true);
	if (!strcmp(argv[0], "reopen"))
		return hammer_reopen(h);
	if (!strcmp(argv[0], "ftp"))
		return hammer_ftp(h);
	if (!strcmp(argv[0], "ftp-many") && n)
		return hammer_ftp_many(h, n);
	if (!strcmp(argv[0], "selftest"))
		return hammer_selftest(h);
	if (!strcmp(argv[0], "idle"))
		return hammer_idle(h, n);
	if (!strcmp(argv[0], "full") && n)
		return hammer_full(h, n);
	if (!strcmp(argv[0], "million") && n)
		return hammer_million(h, n);
	return 2;
}

int main(int argc, char **argv)
{
	static struct hammer h = { .clients = 1000, .seconds = 5 };
	int c, err;

	while ((c = getopt(argc, argv, "t:k:f")) != -1) {
		if (c == 't')
			h.seconds = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'k')
			h.clients = (__u32)strtoul(optarg, NULL, 10);
		else if (c == 'f')
			h.fill = true;
		else
			return 2;
	}
	err = bpvs_open(&h.in);
	if (!err)
		err = bpvs_conns_open(h.in);
	if (!err)
		err = hammer_services(h.in);
	if (err) {
		fprintf(stderr, "hammer: %s %s\n", strerror(-err), bpvs_error());
		return 2;
	}
	h.c0 = if_nametoindex("c0");
	h.s0 = if_nametoindex("s0");
	run_enable_devices(h.in);
	err = command(&h, argc - optind, argv + optind);
	if (hammer_counter(&h, BPVS_BUG_TABLE) || hammer_counter(&h, BPVS_BUG_MAP))
		hammer_wrong(&h, "the programs counted %llu and %llu bugs",
			     hammer_counter(&h, BPVS_BUG_TABLE), hammer_counter(&h, BPVS_BUG_MAP));
	bpvs_close(h.in);
	return err ? err : h.wrong != 0;
}
