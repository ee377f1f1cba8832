/* SPDX-License-Identifier: GPL-2.0-only */
/* Many connections: opening, all expiring at once, and what the packets notice of it. */
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

/* Packets of other flows, while the crowd expires. */
static void passer(struct worker *w)
{
	struct crowd *c = w->arg;

	while (!c->drained) {
		__u64 start = hammer_ns();

		hammer_request(w->h, &w->p, (struct flow){ hammer_rnd(w, 64), 1 }, 0, false);
		longest(c, hammer_ns() - start);
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

/* What would take the same number of packets at one instant, done to the table. */
static void expire_together(struct hammer *h, __u32 when)
{
	__u32 end = h->in->ro->slots + BPVS_CONN_WINDOW + h->in->ro->spills;

	for (__u32 idx = 0; idx < end; idx++) {
		__u64 *at = &h->in->conns[idx].word;
		__u64 word = __atomic_load_n(at, __ATOMIC_ACQUIRE), next;

		next = (__u32)word | (__u64)when << BPVS_WORD_EXPIRY_SHIFT;
		if ((word & BPVS_WORD_STATUS) == BPVS_SLOT_VALID)
			__atomic_compare_exchange_n(at, &word, next, false, __ATOMIC_ACQ_REL,
						    __ATOMIC_RELAXED);
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
	expire_together(h, (__u32)bpvs_clock_since(h->in, 0) + hz / 2);
	hammer_timeouts(h, 60 * hz);
	cfg->tick_gap = 0;
	cfg->tick_cost = 0;
	c.deadline = hammer_ns() + 120000000000ULL;
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

/* ---- a table with no room ---- */

int hammer_full(struct hammer *h, __u32 flows)
{
	(void)h;
	(void)flows;
	return 2;
}
