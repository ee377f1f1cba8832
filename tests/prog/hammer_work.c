/* SPDX-License-Identifier: GPL-2.0-only */
/* What the hammer's threads do. */
#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hammer.h"

__u32 hammer_rnd(struct worker *w, __u32 n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (__u32)((w->seed >> 32) * n >> 32);
}

struct job {
	struct worker w; /* first */
	pthread_t thread;
	void (*work)(struct worker *w);
};

static void *job_main(void *arg)
{
	struct job *j = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(j->w.cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	j->work(&j->w);
	return NULL;
}

int hammer_run(struct hammer *h, unsigned int ms, void (*work)(struct worker *w), void *arg)
{
	static __u64 serial = 88172645463325252ULL;
	unsigned int cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	struct job *jobs = calloc(cpus, sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	for (unsigned int i = 0; i < cpus; i++) {
		jobs[i].w.h = h;
		jobs[i].w.cpu = i;
		jobs[i].w.cpus = cpus;
		jobs[i].w.seed = serial += 0x9e3779b97f4a7c15ULL;
		jobs[i].w.until = hammer_ns() + ms * 1000000ULL;
		jobs[i].w.arg = arg;
		jobs[i].work = work;
		if (pthread_create(&jobs[i].thread, NULL, job_main, &jobs[i]))
			abort();
	}
	for (unsigned int i = 0; i < cpus; i++)
		pthread_join(jobs[i].thread, NULL);
	free(jobs);
	return 0;
}

void hammer_timeouts(struct hammer *h, __u32 units)
{
	for (int i = 0; i < BPVS_TCP_STATES; i++)
		__atomic_store_n(&h->in->cfg->tcp_timeout[i], units, __ATOMIC_RELAXED);
	__atomic_store_n(&h->in->cfg->udp_timeout, units, __ATOMIC_RELAXED);
}

__u64 hammer_counter(struct hammer *h, unsigned int counter)
{
	__u64 n = 0;

	bpvs_counter_get(h->in, counter, &n);
	return n;
}

/* ---- churn: anything at any time ---- */

static void churn(struct worker *w)
{
	static const __u8 flags[] = { F_SYN, F_SYN,	    F_SYN | F_ACK, F_ACK,
				      F_ACK, F_FIN | F_ACK, F_RST };
	__u32 clients = *(__u32 *)w->arg;
	struct hammer *h = w->h;

	while (hammer_ns() < w->until) {
		struct flow f = { hammer_rnd(w, clients), hammer_rnd(w, HAMMER_SVCS) };
		__u8 fl = flags[hammer_rnd(w, sizeof(flags))];
		bool tc = !hammer_rnd(w, 4);

		if (hammer_rnd(w, 3)) {
			if (!hammer_request(h, &w->p, f, fl, tc))
				hammer_server(h, &w->p, f);
		} else if (hammer_svcs[f.svc].fwd == BPVS_FWD_MASQ) {
			unsigned int real = 1 + hammer_rnd(w, HAMMER_DESTS);

			if (!hammer_reply(h, &w->p, f, real, fl, tc))
				hammer_replied(h, &w->p, f);
		}
		hammer_check_flow(h, f);
	}
}

/* A few hot flows, then many; lives of a clock unit or two, then longer ones. */
void hammer_churn(struct hammer *h, unsigned int ms)
{
	static const __u32 lives[] = { 1, 2, 9, 50 };

	h->in->cfg->sloppy_tcp = 1;
	for (int i = 0; i < 4; i++) {
		__u32 clients = i & 1 ? h->clients : 4;

		hammer_timeouts(h, lives[i]);
		hammer_run(h, ms / 4, churn, &clients);
		hammer_check_table(h);
	}
	h->in->cfg->sloppy_tcp = 0;
}

/* ---- duels: all CPUs, one flow, the same moment ---- */

struct duel {
	struct hammer_meeting m;
	_Atomic bool stop;
	_Atomic __u32 next; /* client of the coming duels */
	_Atomic unsigned int server[MOST_CPUS];
	__u64 began, made; /* this duel; the flow's first, which its connection may date from */
	bool full;	   /* then */
};

static bool table_full(struct hammer *h)
{
	return bpvs_clock_since(h->in, h->in->cfg->full_until) < 0;
}

void hammer_meet(struct hammer_meeting *m, unsigned int cpus, unsigned int *turn)
{
	unsigned int want = ++*turn * cpus, spins = 0;

	atomic_fetch_add(&m->arrived, 1);
	while (atomic_load(&m->arrived) < want)
		if (++spins > 2000)
			sched_yield();
}

/* All have sent their packet of the flow: to one server? */
static void judge(struct worker *w, struct duel *d, struct flow f)
{
	__u32 unit_ms = 1000 / w->h->in->ro->clock_hz;
	unsigned int first = d->server[0];

	/*
	 * Held up for so long that the connection may have ended between the two packets; or at the
	 * moment at which the table ran full: one packet got the scheduler's choice, one the
	 * hash's.
	 */
	if (hammer_ns() - d->made > unit_ms * 3000000ULL || table_full(w->h) != d->full) {
		w->h->unjudged++;
		return;
	}
	w->h->judged++;
	for (unsigned int i = 1; i < w->cpus; i++)
		if (d->server[i] != first)
			hammer_wrong(w->h, "client %u, service %u: one flow, servers %u and %u",
				     f.client, f.svc, first, d->server[i]);
}

static void duel(struct worker *w)
{
	struct duel *d = w->arg;
	struct hammer *h = w->h;
	unsigned int turn = 0;

	for (;;) {
		struct flow f;
		__u32 n;

		hammer_meet(&d->m, w->cpus, &turn);
		n = d->next;
		f = (struct flow){ n / 2, n / 2 % 3 }; /* NAT services, where the server shows */
		if (!w->cpu) {
			d->began = hammer_ns();
			if (!(n & 1))
				d->made = d->began;
			d->full = table_full(h);
			d->stop = d->began > w->until;
			/* Every other duel is about a flow whose connection was just closed. */
			if (n & 1) {
				hammer_request(h, &w->p, f, F_ACK, false);
				hammer_request(h, &w->p, f, F_RST, false);
			}
		}
		hammer_meet(&d->m, w->cpus, &turn);
		if (d->stop)
			return;
		/* The packets differ in the way they take, and by some instructions. */
		for (volatile __u32 wait = hammer_rnd(w, 64); wait; wait--)
			;
		hammer_request(h, &w->p, f, F_SYN, w->cpu && !(n & 14));
		d->server[w->cpu] = hammer_server(h, &w->p, f);
		hammer_check_flow(h, f);
		hammer_meet(&d->m, w->cpus, &turn);
		if (!w->cpu) {
			judge(w, d, f);
			d->next = n + 1;
		}
	}
}

void hammer_duels(struct hammer *h, unsigned int ms)
{
	static __u32 next;
	struct duel d = { .next = next };

	hammer_timeouts(h, 4);
	hammer_run(h, ms, duel, &d);
	next = (d.next + 2) & ~1U;
	hammer_check_table(h);
}

/* ---- one case alone: a spilled connection that expired, whose flow comes again ---- */

static bool spilled_alive(struct hammer *h, struct flow f, __u32 *ret_idx)
{
	struct bpvs_svc_key svc = hammer_svc_key(f.svc);
	struct bpvs_spill_key k = { .caddr = hammer_client(f),
				    .peer = svc.addr,
				    .cport = hammer_cport(f),
				    .pport = svc.port,
				    .proto = svc.proto };

	return !bpf_map_lookup_elem(h->in->fd_spill, &k, ret_idx);
}

/* Flows of one home until one of them spills. */
static bool fill_home(struct hammer *h, struct run_packet *p, struct flow *ret)
{
	__u32 home = hammer_home(h->in, (struct flow){ 0, 0 }), n = 0;

	for (__u32 client = 0; n < 3 * BPVS_CONN_WINDOW; client++) {
		struct flow f = { client, 0 };
		__u32 idx;

		if (hammer_home(h->in, f) != home)
			continue;
		n++;
		hammer_request(h, p, f, F_SYN, true);
		*ret = f;
		if (spilled_alive(h, f, &idx))
			return true;
	}
	return false;
}

/*
 * The window is full and stays so; the spilled entry has expired, and the sweep has not come by
 * yet. The flow must get a connection, not a stateless choice.
 */
int hammer_reopen(struct hammer *h)
{
	static struct run_packet p;
	int round, reopened = 0;
	struct flow f;
	__u32 idx;

	hammer_timeouts(h, 100 * h->in->ro->clock_hz);
	if (!fill_home(h, &p, &f)) {
		hammer_wrong(h, "reopen: nothing spilled");
		return 1;
	}
	/* The sweep may come by between the two lines: then there was nothing to see. */
	for (round = 0; round < 20; round++) {
		if (!spilled_alive(h, f, &idx)) {
			hammer_request(h, &p, f, F_SYN, true);
			continue;
		}
		((__u32 *)&h->in->conns[idx].word)[1] = (__u32)bpvs_clock_since(h->in, 0) - 50;
		hammer_request(h, &p, f, F_SYN, true);
		reopened++;
	}
	run_say("{\"reopened\": %d, \"full\": %llu}\n", reopened,
		hammer_counter(h, BPVS_EV_CONN_FULL));
	if (hammer_counter(h, BPVS_EV_CONN_FULL))
		hammer_wrong(h, "reopen: a flow found its own expired entry in its way");
	hammer_check_table(h);
	return 0;
}
