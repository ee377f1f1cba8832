/* SPDX-License-Identifier: GPL-2.0-only */
/* What the connection table promises, looked at from outside. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hammer.h"

static __u64 word_of(const struct bpvs_conn *c)
{
	return __atomic_load_n(&c->word, __ATOMIC_ACQUIRE);
}

static bool valid(__u64 word)
{
	return (word & BPVS_WORD_STATUS) == BPVS_SLOT_VALID;
}

static bool same_life(__u64 a, __u64 b)
{
	return !((a ^ b) & (BPVS_WORD_GEN_MASK | BPVS_WORD_STATUS));
}

static __u32 slots_of(const struct bpvs_instance *in)
{
	return in->ro->slots + BPVS_CONN_WINDOW + in->ro->spills;
}

static __u32 first_spill(const struct bpvs_instance *in)
{
	return in->ro->slots + BPVS_CONN_WINDOW;
}

/* ---- one flow, while packets run ---- */

static bool is_flow(const struct bpvs_instance *in, __u32 idx, struct flow f)
{
	const struct bpvs_conn *c = &in->conns[idx];
	struct bpvs_addr a = hammer_client(f);
	bool six = hammer_svcs[f.svc].af == BPVS_V6;

	if (c->cport != hammer_cport(f) || ntohs(c->vport) != HAMMER_VPORT + f.svc ||
	    c->proto != hammer_svcs[f.svc].proto || !!(c->flags & BPVS_CONN_V6) != six)
		return false;
	return six ? !memcmp(&in->conns6[idx].caddr, &a, sizeof(a)) : c->caddr == a.w[3];
}

/*
 * Valid, then the key, then later still the same life: it was valid all the time between. Two such
 * times that overlap are two connections of one flow.
 */
void hammer_check_flow(struct hammer *h, struct flow f)
{
	struct bpvs_instance *in = h->in;
	__u32 home = hammer_home(in, f), idx[2], n = 0;
	__u64 hop = __atomic_load_n(&in->conns[home].hop, __ATOMIC_ACQUIRE), word[2];

	for (__u32 d = 0; d < BPVS_CONN_WINDOW && n < 2; d++) {
		__u64 now = word_of(&in->conns[home + d]);

		if (!(hop >> d & 1) || !valid(now) || !is_flow(in, home + d, f) ||
		    !same_life(now, word_of(&in->conns[home + d])))
			continue;
		idx[n] = home + d;
		word[n++] = now;
	}
	if (hop >> 32 && n < 2) {
		struct bpvs_svc_key svc = hammer_svc_key(f.svc);
		struct bpvs_spill_key k = { .caddr = hammer_client(f),
					    .peer = svc.addr,
					    .cport = hammer_cport(f),
					    .pport = svc.port,
					    .proto = svc.proto };

		if (!bpf_map_lookup_elem(in->fd_spill, &k, &idx[n]) && idx[n] < slots_of(in)) {
			word[n] = word_of(&in->conns[idx[n]]);
			if (valid(word[n]) && is_flow(in, idx[n], f) &&
			    same_life(word[n], word_of(&in->conns[idx[n]])))
				n++;
		}
	}
	if (n == 2 && same_life(word[0], word_of(&in->conns[idx[0]])))
		hammer_wrong(h, "client %u, service %u: in slots %u and %u at once", f.client,
			     f.svc, idx[0], idx[1]);
}

/* ---- the whole table, while no packets run ---- */

struct audit {
	struct hammer *h;
	bool say;
	unsigned long faults;
	__u64 *hops; /* what the hop words have to be */
	__s32 *active, *inactive;
	__u64 live, spilled, keys;
};

#define FAULT(a, ...)                                                                              \
	do {                                                                                       \
		(a)->faults++;                                                                     \
		if ((a)->say)                                                                      \
			hammer_wrong((a)->h, __VA_ARGS__);                                         \
	} while (0)

/* Virtual port, real port and destination have to be of one service. */
static void audit_fields(struct audit *a, __u32 idx)
{
	const struct bpvs_instance *in = a->h->in;
	const struct bpvs_conn *c = &in->conns[idx];
	unsigned int svc = ntohs(c->vport) - HAMMER_VPORT;
	const struct bpvs_dest *d = &in->dests[c->dest];

	if (svc >= HAMMER_SVCS || c->dport != hammer_dport(svc) || d->port != c->dport ||
	    c->proto != hammer_svcs[svc].proto)
		FAULT(a, "slot %u holds data of two flows", idx);
	if (c->home > idx || c->home >= in->ro->slots)
		FAULT(a, "slot %u has home %u", idx, c->home);
}

static void audit_spilled(struct audit *a, __u32 idx)
{
	const struct bpvs_instance *in = a->h->in;
	const struct bpvs_conn *c = &in->conns[idx];
	const struct bpvs_conn6 *c6 = &in->conns6[idx];
	struct bpvs_spill_key k = { .caddr = c6->caddr,
				    .peer = c6->vaddr,
				    .cport = c->cport,
				    .pport = c->vport,
				    .proto = c->proto };
	__u32 at;

	if (idx < first_spill(in))
		FAULT(a, "slot %u: spilled, but not in an overflow slot", idx);
	if (bpf_map_lookup_elem(in->fd_spill, &k, &at) || at != idx)
		FAULT(a, "slot %u: its key does not lead to it", idx);
	a->keys++;
	a->spilled++;
	k.peer = c6->daddr;
	k.pport = c->dport;
	k.reply = 1;
	if ((c->flags & BPVS_CONN_FWD) != BPVS_FWD_MASQ)
		return;
	a->keys++;
	if (bpf_map_lookup_elem(in->fd_spill, &k, &at) || at != idx)
		FAULT(a, "slot %u: its reply's key does not lead to it", idx);
}

static void audit_slot(struct audit *a, __u32 idx)
{
	const struct bpvs_instance *in = a->h->in;
	const struct bpvs_conn *c = &in->conns[idx];
	__u64 word = word_of(c);

	if ((word & BPVS_WORD_STATUS) == BPVS_SLOT_FREE)
		return;
	if (!valid(word)) {
		FAULT(a, "slot %u is stuck in status %llu", idx, word & BPVS_WORD_STATUS);
		return;
	}
	a->live++;
	audit_fields(a, idx);
	if (c->dest < in->ro->max_dest)
		(word & BPVS_WORD_ACTIVE ? a->active : a->inactive)[c->dest]++;
	if (c->home >= in->ro->slots)
		return;
	if (c->flags & BPVS_CONN_SPILLED) {
		audit_spilled(a, idx);
		a->hops[c->home] += 1ULL << 32;
	} else if (idx - c->home >= BPVS_CONN_WINDOW) {
		FAULT(a, "slot %u is out of the reach of home %u", idx, c->home);
	} else {
		a->hops[c->home] |= 1ULL << (idx - c->home);
	}
}

static bool same_flow(const struct bpvs_instance *in, __u32 i, __u32 j)
{
	const struct bpvs_conn *x = &in->conns[i], *y = &in->conns[j];

	if (!valid(word_of(y)) || x->caddr != y->caddr || x->vaddr != y->vaddr ||
	    x->cport != y->cport || x->vport != y->vport || x->proto != y->proto ||
	    ((x->flags ^ y->flags) & BPVS_CONN_V6))
		return false;
	return !(x->flags & BPVS_CONN_V6) ||
	       !memcmp(&in->conns6[i], &in->conns6[j], 2 * sizeof(struct bpvs_addr));
}

/* Entries of one flow share their home; all of a home, and its spilled ones, are compared. */
static void audit_twins(struct audit *a)
{
	const struct bpvs_instance *in = a->h->in;
	__u32 end = slots_of(in);

	for (__u32 i = 0; i < end; i++) {
		if (!valid(word_of(&in->conns[i])))
			continue;
		for (__u32 j = i + 1; j < end && j < i + 2 * BPVS_CONN_WINDOW; j++)
			if (same_flow(in, i, j))
				FAULT(a, "slots %u and %u hold one flow", i, j);
		/* Quadratic: not for large tables. */
		for (__u32 j = first_spill(in); a->spilled && end < 20000 && j < end; j++)
			if (j >= i + 2 * BPVS_CONN_WINDOW && same_flow(in, i, j))
				FAULT(a, "slots %u and %u hold one flow", i, j);
	}
}

static __u64 spill_keys(const struct bpvs_instance *in)
{
	struct bpvs_spill_key k, *prev = NULL;
	__u64 n = 0;

	while (!bpf_map_get_next_key(in->fd_spill, prev, &k)) {
		prev = &k;
		n++;
	}
	return n;
}

static void audit_counts(struct audit *a)
{
	const struct bpvs_instance *in = a->h->in;
	__u64 keys = spill_keys(in), counted = hammer_live(a->h);

	for (__u32 i = 0; i < in->ro->slots; i++)
		if (in->conns[i].hop != a->hops[i])
			FAULT(a, "home %u: hop word %llx, should be %llx", i, in->conns[i].hop,
			      a->hops[i]);
	for (__u32 i = 1; i < in->cfg->tool_reserved[BPVS_TOOL_DEST_HIGH]; i++) {
		const struct bpvs_dest *d = &in->dests[i];

		if (d->active != a->active[i] || d->inactive != a->inactive[i])
			FAULT(a, "destination %u counts %d and %d, has %d and %d", i, d->active,
			      d->inactive, a->active[i], a->inactive[i]);
		if (d->overload && !d->active && !d->inactive)
			FAULT(a, "destination %u is empty and overloaded", i);
	}
	if (keys != a->keys)
		FAULT(a, "%llu keys of spilled connections, should be %llu", keys, a->keys);
	if (counted != a->live)
		FAULT(a, "new less ended is %llu, live are %llu", counted, a->live);
}

static unsigned long audit(struct hammer *h, bool say)
{
	struct audit a = {
		.h = h,
		.say = say,
		.hops = calloc(slots_of(h->in), sizeof(*a.hops)),
		.active = calloc(h->in->ro->max_dest, sizeof(*a.active)),
		.inactive = calloc(h->in->ro->max_dest, sizeof(*a.inactive)),
	};

	if (!a.hops || !a.active || !a.inactive)
		abort();
	for (__u32 idx = 0; idx < slots_of(h->in); idx++)
		audit_slot(&a, idx);
	audit_twins(&a);
	audit_counts(&a);
	free(a.hops);
	free(a.active);
	free(a.inactive);
	return a.faults;
}

__u64 hammer_live(struct hammer *h)
{
	return hammer_counter(h, BPVS_EV_CONN_NEW) - hammer_counter(h, BPVS_EV_CONN_ENDED);
}

/* The timer goes on meanwhile: what is found while it ends connections does not count. */
unsigned long hammer_check_table(struct hammer *h)
{
	for (int tries = 0, still = 0; tries < 400 && still < 3; tries++) {
		__u64 ended = hammer_counter(h, BPVS_EV_CONN_ENDED);

		if (!audit(h, false))
			return 0;
		usleep(10000);
		still += ended == hammer_counter(h, BPVS_EV_CONN_ENDED);
	}
	return audit(h, true);
}

void hammer_check_drained(struct hammer *h, unsigned int ms)
{
	__u64 until = hammer_ns() + ms * 1000000ULL;

	while (hammer_live(h) && hammer_ns() < until)
		usleep(2000);
	if (hammer_live(h))
		hammer_wrong(h, "%llu connections never expire", hammer_live(h));
	hammer_check_table(h);
	if (spill_keys(h->in))
		hammer_wrong(h, "keys of spilled connections are left");
}

/* ---- are the checks worth anything? ---- */

struct plant {
	const char *what;
	void (*put)(struct hammer *h, __u32 idx, bool undo);
};

/* A second entry in the next free slot, with all that belongs to it. */
static void plant_twin(struct hammer *h, __u32 idx, bool undo)
{
	struct bpvs_conn *c = &h->in->conns[idx], *to = c + 1;
	struct bpvs_dest *d = &h->in->dests[c->dest];
	__u64 hop = to->hop;

	h->in->conns[c->home].hop ^= 1ULL << (idx + 1 - c->home);
	if (undo) {
		d->active--;
		to->word = 0;
		return;
	}
	memcpy(to, c, sizeof(*to));
	to->hop = hop;
	d->active++;
}

static void plant_hop(struct hammer *h, __u32 idx, bool undo)
{
	(void)undo;
	h->in->conns[h->in->conns[idx].home].hop ^= 1ULL << 31;
}

static void plant_spill_count(struct hammer *h, __u32 idx, bool undo)
{
	h->in->conns[h->in->conns[idx].home].hop += undo ? -(1ULL << 32) : 1ULL << 32;
}

static void plant_count(struct hammer *h, __u32 idx, bool undo)
{
	h->in->dests[h->in->conns[idx].dest].inactive += undo ? -1 : 1;
}

static void plant_foreign(struct hammer *h, __u32 idx, bool undo)
{
	(void)undo;
	h->in->conns[idx].dport ^= htons(1);
}

static void plant_stuck(struct hammer *h, __u32 idx, bool undo)
{
	(void)undo;
	h->in->conns[idx + 1].word ^= BPVS_SLOT_BUSY;
}

static void plant_key(struct hammer *h, __u32 idx, bool undo)
{
	struct bpvs_spill_key k = { .cport = 1 };

	if (undo)
		bpf_map_delete_elem(h->in->fd_spill, &k);
	else
		bpf_map_update_elem(h->in->fd_spill, &k, &idx, BPF_ANY);
}

static const struct plant plants[] = {
	{ "a second entry", plant_twin },	{ "a stray hop bit", plant_hop },
	{ "a spill count", plant_spill_count }, { "a destination's count", plant_count },
	{ "foreign data", plant_foreign },	{ "a stuck slot", plant_stuck },
	{ "a stray key", plant_key },
};

/* One established connection on an empty table, its slot's neighbour free. */
int hammer_selftest(struct hammer *h)
{
	static struct run_packet p;
	struct flow f = { 1, 0 };
	int missed = 0;
	__u32 idx = 0;

	hammer_timeouts(h, 100 * h->in->ro->clock_hz);
	hammer_request(h, &p, f, F_SYN, true);
	while (idx < h->in->ro->slots && !valid(word_of(&h->in->conns[idx])))
		idx++;
	if (idx == h->in->ro->slots || audit(h, true)) {
		hammer_wrong(h, "self-test: no sound table to begin with");
		return 1;
	}
	for (size_t i = 0; i < sizeof(plants) / sizeof(plants[0]); i++) {
		bool seen;

		plants[i].put(h, idx, false);
		seen = audit(h, false);
		/* The check beside running packets sees the first kind too. */
		if (!i) {
			unsigned long before = h->wrong;

			hammer_check_flow(h, f);
			seen = seen && h->wrong == before + 1;
			h->wrong = before;
		}
		plants[i].put(h, idx, true);
		run_say("planted %s: %s\n", plants[i].what, seen ? "found" : "MISSED");
		missed += !seen;
		if (audit(h, true))
			return 1;
	}
	return missed;
}
