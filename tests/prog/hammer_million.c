/* SPDX-License-Identifier: GPL-2.0-only */
/* Many connections: opening, all expiring at once, and what the packets notice of it. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hammer.h"

struct crowd {
	__u32 conns;
	_Atomic __u32 next;
	_Atomic __u64 longest; /* run of a program, ns, system call included */
	_Atomic bool drained;
	__u64 deadline;
	__u32 when; /* clock: all connections expire */
};

static void longest(struct crowd *c, __u64 ns)
{
	__u64 old = c->longest;

	while (ns > old && !atomic_compare_exchange_weak(&c->longest, &old, ns))
		;
}

static void opener(struct worker *w)
{
	struct crowd *c = w->arg;

	for (__u32 n; (n = c->next++) < c->conns;)
		hammer_request(w->h, &w->p, (struct flow){ n, 0 }, F_SYN, false);
}

/*
 * Packets of other flows, while the crowd expires. With priority over the machine's other
 * processes, whose turns would be taken for stalls.
 */
static void passer(struct worker *w)
{
	struct sched_param first = { .sched_priority = 1 };
	struct crowd *c = w->arg;

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);

	while (!c->drained) {
		__u64 start = hammer_ns();

		hammer_request(w->h, &w->p, (struct flow){ hammer_rnd(w, 64), 1 }, 0, false);
		longest(c, hammer_ns() - start);
		usleep(50);
		if (w->cpu)
			continue;
		/* The passers' own flows stay. */
		if (hammer_live(w->h) <= 64 || hammer_ns() > c->deadline)
			c->drained = true;
	}
}

static double seconds_since(__u64 start)
{
	return (double)(hammer_ns() - start) * 1e-9;
}

/*
 * FIN for all: TIME_WAIT, with a timeout that ends at one moment whenever the packet came. Timeouts
 * are read once a packet, so a few land beside it.
 */
static void closer(struct worker *w)
{
	struct crowd *c = w->arg;
	__u32 *timeout = &w->h->in->cfg->tcp_timeout[BPVS_TCP_TIME_WAIT];

	for (__u32 n; (n = c->next++) < c->conns;) {
		if (!(n & 255))
			__atomic_store_n(timeout, -bpvs_clock_since(w->h->in, c->when),
					 __ATOMIC_RELAXED);
		hammer_request(w->h, &w->p, (struct flow){ n, 0 }, F_FIN | F_ACK, false);
	}
}

int hammer_million(struct hammer *h, __u32 conns)
{
	struct crowd c = { .conns = conns };
	struct bpvs_config *cfg = h->in->cfg;
	__u32 hz = h->in->ro->clock_hz;
	double open_s, drain_s;
	__u64 opened, start = hammer_ns();
	struct bpvs_status st;

	hammer_timeouts(h, 3600 * hz);
	hammer_run(h, 0, opener, &c);
	open_s = seconds_since(start);
	opened = hammer_live(h);
	run_say("{\"asked\": %u, \"opened\": %llu, \"spilled\": %llu, \"full\": %llu, ", conns,
		opened, hammer_counter(h, BPVS_EV_CONN_SPILLED),
		hammer_counter(h, BPVS_EV_CONN_FULL));
	run_say("\"open_s\": %.2f, ", open_s);
	fflush(stdout);
	c.next = 0;
	c.when = (__u32)bpvs_clock_since(h->in, 0) + hz / 2 + (__u32)(open_s * 1.5 * hz);
	hammer_run(h, 0, closer, &c);
	hammer_timeouts(h, 60 * hz);
	cfg->tick_gap = 0;
	cfg->tick_cost = 0;
	c.deadline = hammer_ns() + 120000000000ULL;
	while (bpvs_clock_since(h->in, c.when) < 0)
		usleep(1000);
	start = hammer_ns();
	hammer_run(h, 0, passer, &c);
	drain_s = seconds_since(start);
	bpvs_status_get(h->in, &st);
	run_say("\"drain_s\": %.2f, \"longest_run_us\": %llu, \"tick_gap_us\": %llu, "
		"\"tick_cost_us\": %llu, \"conn_bytes\": %u, ",
		drain_s, c.longest / 1000, st.tick_gap_ns / 1000, st.tick_cost_ns / 1000,
		st.conn_bytes);
	hammer_check_table(h);
	run_say("\"left\": %llu, \"wrong\": %lu}\n", hammer_live(h), h->wrong);
	return 0;
}

/* ---- what the timer costs ---- */

static int cmp_u64(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The median run of a tick, by looking after each; with `conns` connections that rest. */
int hammer_idle(struct hammer *h, __u32 conns)
{
	struct bpvs_config *cfg = h->in->cfg;
	struct crowd c = { .conns = conns };
	__u64 cost[400], sum = 0;

	hammer_timeouts(h, 3600 * h->in->ro->clock_hz);
	hammer_run(h, 0, opener, &c);
	sleep(5);
	for (int i = 0; i < 400; i++) {
		cfg->tick_cost = 0;
		while (!__atomic_load_n(&cfg->tick_cost, __ATOMIC_RELAXED))
			usleep(500);
		cost[i] = cfg->tick_cost;
		sum += cost[i];
	}
	qsort(cost, 400, sizeof(cost[0]), cmp_u64);
	run_say("{\"conns\": %u, \"tick_ns\": %llu, \"mean_ns\": %llu, \"cpu_percent\": %.3f}\n",
		conns, cost[200], sum / 400, (double)sum / 400 / 4e6 * 100);
	return 0;
}

/* ---- a table with no room ---- */

/* A whole flow, by both hooks, there and back: one server, one service. */
static void full_flow(struct worker *w, struct flow f)
{
	static const __u8 life[] = { F_SYN, F_SYN, F_ACK, F_ACK, F_FIN | F_ACK, F_RST };
	struct hammer *h = w->h;
	unsigned int server = 0;

	for (size_t i = 0; i < sizeof(life); i++) {
		unsigned int to;

		if (hammer_request(h, &w->p, f, life[i], i & 1))
			continue;
		to = hammer_server(h, &w->p, f);
		if (!to || (server && to != server))
			hammer_wrong(h,
				     "full: client %u, service %u: packet %zu went to %u, not %u",
				     f.client, f.svc, i, to, server);
		server = to;
		if (!server || hammer_reply(h, &w->p, f, server, F_ACK, i & 1))
			continue;
		if (!hammer_replied(h, &w->p, f))
			hammer_wrong(h, "full: client %u, service %u: reply %zu was not translated",
				     f.client, f.svc, i);
	}
}

static void fuller(struct worker *w)
{
	struct crowd *c = w->arg;

	for (__u32 n; (n = c->next++) < c->conns;) {
		__u64 start = hammer_ns();

		full_flow(w, (struct flow){ n, n % 3 });
		longest(c, hammer_ns() - start);
	}
}

int hammer_full(struct hammer *h, __u32 flows)
{
	__u32 room = h->in->ro->slots + BPVS_CONN_WINDOW + h->in->ro->spills;
	/* Far more than there is room for, so that only some of the first meet a table with room.
	 */
	struct crowd c = { .conns = room * 4 }, first = c;

	hammer_timeouts(h, 3600 * h->in->ro->clock_hz);
	hammer_run(h, 0, opener, &first);
	c.next = first.conns;
	c.conns = first.conns + flows;
	hammer_run(h, 0, fuller, &c);
	run_say("{\"flows\": %u, \"live\": %llu, \"full\": %llu, \"dropped\": %llu, ", flows,
		hammer_live(h), hammer_counter(h, BPVS_EV_CONN_FULL),
		hammer_counter(h, BPVS_TABLE_FULL));
	if (!hammer_counter(h, BPVS_EV_CONN_FULL))
		hammer_wrong(h, "full: the table never was");
	hammer_check_table(h);
	run_say("\"longest_flow_us\": %llu, \"wrong\": %lu}\n", c.longest / 1000, h->wrong);
	return 0;
}
