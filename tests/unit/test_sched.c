/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The schedulers, compiled for the host, against twins that do what the kernel's do in the kernel's
 * own way: a list with the newest destination first, wrr walking pass after pass; those that hash
 * are in test_sched_hash.h. Destinations come and go, change weights, load up and overflow, by
 * libbpvs' own functions; choice and state have to agree after every packet.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fake.h"
#include "host_env.h"
#include "../../bpf/sched/sched.h"

#define MOST  12   /* come and go at random */
#define MANY  1000 /* one test has so many */
#define ADDRS 5	   /* destination addresses, for lblc and lblcr */
#define HEAD  -1

struct twin_dest {
	int key; /* which of the endpoints */
	__u32 id;
	struct bpvs_addr addr;
	__be16 port;
	int weight, last_weight, active, inactive;
	bool over;
};

/* What lblc and lblcr remember of an address: keys of destinations, the newest first. */
struct twin_set {
	int keys[MOST];
	int num;
	__u32 modified;
};

struct twin {
	struct twin_dest list[MANY];
	int num;
	struct twin_dest gone[MANY]; /* by key: as it was when it was removed */
	struct twin_set sets[ADDRS];
	int addr; /* of the packet */
	int last; /* rr: chosen last; wrr: cl */
	int cw, mw, di;
	int table[4093]; /* dh, sh, mh: keys, or -1 */
	bool stale;	 /* the table, and it is to be made anew */
};

struct world {
	struct bpvs_instance *in;
	struct bpvs_svc_info svc;
	__u32 svc_id;
	int most_weight;
	struct twin t;
	unsigned int chosen, none, moved;
};

/* ---- the kernel's way ---- */

static bool usable(const struct twin_dest *d)
{
	return !d->over && d->weight > 0;
}

/* From the one chosen last on, twice through the list at most, and not beyond where it began. */
static int twin_rr(struct twin *t)
{
	int i = t->last;

	for (int pass = 0; pass < 2; pass++) {
		while (++i < t->num) {
			if (usable(&t->list[i])) {
				t->last = i;
				return i;
			}
			if (i == t->last)
				return -1;
		}
		if (t->last == HEAD)
			break;
		i = HEAD;
	}
	return -1;
}

/* Pass after pass, cw one step lower in each, until one has looked at all for weight >= 1. */
static int twin_wrr(struct twin *t)
{
	int i = t->last, first = t->last, stop = -2;
	bool restarted = false, last_pass = false;

	if (!t->mw)
		return -1;
	for (;;) {
		while (++i < t->num) {
			if (!t->list[i].over && t->list[i].weight >= t->cw) {
				t->last = i;
				return i;
			}
			if (i == stop) {
				t->last = i;
				return -1;
			}
		}
		i = HEAD;
		t->cw -= t->di;
		if (t->cw <= 0) {
			t->cw = t->mw;
			if (last_pass || first == HEAD) {
				t->last = HEAD;
				return -1;
			}
			restarted = true;
		}
		last_pass = t->cw <= t->di;
		if (last_pass && restarted && first != HEAD)
			stop = first;
	}
}

#include "test_sched_hash.h"

static int64_t overhead(const struct twin_dest *d)
{
	return 257LL * d->active + d->inactive;
}

/* lc (every weight is 1) and wlc: overhead; sed: what is active and the connection to come. */
static int twin_least(struct twin *t, bool weighted, bool delay)
{
	int best = -1;

	for (int i = 0; i < t->num; i++) {
		const struct twin_dest *d = &t->list[i], *b = &t->list[best < 0 ? 0 : best];
		int64_t load = delay ? d->active + 1 : overhead(d);
		int64_t least = delay ? b->active + 1 : overhead(b);

		if (!usable(d))
			continue;
		if (best < 0 ||
		    least * (weighted ? d->weight : 1) > load * (weighted ? b->weight : 1))
			best = i;
	}
	return best;
}

static int twin_nq(struct twin *t)
{
	for (int i = 0; i < t->num; i++)
		if (usable(&t->list[i]) && !t->list[i].active)
			return i;
	return twin_least(t, true, true);
}

/* fo, or with `within` ovf. */
static int twin_heaviest(struct twin *t, bool within)
{
	int best = -1;

	for (int i = 0; i < t->num; i++) {
		const struct twin_dest *d = &t->list[i];

		if (!usable(d) || (within && d->active > d->weight))
			continue;
		if (best < 0 || d->weight > t->list[best].weight)
			best = i;
	}
	return best;
}

static int twin_find(const struct twin *t, int key)
{
	for (int i = 0; i < t->num; i++)
		if (t->list[i].key == key)
			return i;
	return -1;
}

static bool twin_overloaded(const struct twin *t, const struct twin_dest *d)
{
	if (d->active <= d->weight)
		return false;
	for (int i = 0; i < t->num; i++)
		if (2LL * t->list[i].active < t->list[i].weight)
			return true;
	return false;
}

/* One destination an address, thresholds or not. */
static int twin_lblc(struct twin *t)
{
	struct twin_set *set = &t->sets[t->addr];
	int i = set->num ? twin_find(t, set->keys[0]) : -1;

	if (i >= 0 && t->list[i].weight > 0 && !twin_overloaded(t, &t->list[i]))
		return i;
	i = twin_least(t, true, false);
	if (i < 0)
		return -1;
	set->keys[0] = t->list[i].key;
	set->num = 1;
	return i;
}

/* Place in the set of the least loaded that is usable, or of the most loaded whatever it is. */
static int twin_set_pick(const struct twin *t, const struct twin_set *set, bool most)
{
	const struct twin_dest *b = NULL;
	int best = -1;

	for (int s = 0; s < set->num; s++) {
		int i = twin_find(t, set->keys[s]);
		const struct twin_dest *d = i < 0 ? &t->gone[set->keys[s]] : &t->list[i];
		int64_t better;

		if (d->weight <= 0 || (!most && (i < 0 || d->over)))
			continue;
		better = b ? overhead(b) * d->weight - overhead(d) * b->weight : 0;
		if (!b || (most ? better < 0 : better > 0)) {
			best = s;
			b = d;
		}
	}
	return best;
}

static void twin_set_join(struct twin_set *set, int key)
{
	for (int s = 0; s < set->num; s++)
		if (set->keys[s] == key)
			return;
	memmove(set->keys + 1, set->keys, (size_t)set->num++ * sizeof(set->keys[0]));
	set->keys[0] = key;
	set->modified = host_clock;
}

static void twin_set_leave(struct twin_set *set, int s)
{
	memmove(set->keys + s, set->keys + s + 1, (size_t)(--set->num - s) * sizeof(set->keys[0]));
	set->modified = host_clock;
}

static int twin_lblcr(struct twin *t)
{
	struct twin_set *set = &t->sets[t->addr];
	int s = twin_set_pick(t, set, false), i = s < 0 ? -1 : twin_find(t, set->keys[s]);

	if (set->num > 1 &&
	    host_clock - set->modified > host_cfg->lblcr_expiration * host_ro->clock_hz) {
		s = twin_set_pick(t, set, true);
		if (s >= 0)
			twin_set_leave(set, s);
	}
	if (i >= 0 && !twin_overloaded(t, &t->list[i]))
		return i;
	i = twin_least(t, true, false);
	if (i >= 0)
		twin_set_join(set, t->list[i].key);
	return i;
}

static void twin_wrr_measure(struct twin *t)
{
	int max = 0;

	t->di = 0;
	for (int i = 0; i < t->num; i++) {
		int w = t->list[i].weight, g = t->di;

		if (w <= 0)
			continue;
		max = w > max ? w : max;
		/* The greatest common divisor by taking the smaller off the larger. */
		while (g && g != w)
			g > w ? (g -= w) : (w -= g);
		t->di = w;
	}
	t->di = t->di ? t->di : 1;
	t->mw = max - (t->di - 1);
}

/* The list changed; rr's own care for its pointer is in the operations. */
static void twin_changed(struct world *w)
{
	struct twin *t = &w->t;

	t->stale = true;
	if (w->svc.sched != BPVS_SCHED_WRR)
		return;
	t->last = HEAD;
	twin_wrr_measure(t);
	if (t->cw > t->mw || !t->cw)
		t->cw = t->mw;
	else if (t->di > 1)
		t->cw = t->cw / t->di * t->di + 1;
}

static void twin_start(struct world *w)
{
	w->t.last = HEAD;
	w->t.stale = true;
	if (w->svc.sched != BPVS_SCHED_WRR)
		return;
	twin_wrr_measure(&w->t);
	w->t.cw = w->t.mw;
}

/* ---- operations ---- */

static struct bpvs_dest_info dest_info(const struct world *w, int key, int weight)
{
	unsigned int n = (unsigned int)key + 1;
	__u8 af = w->svc.key.af;

	return (struct bpvs_dest_info){
		.addr = af == BPVS_V4 ? fake_v4(10, 1, n / 250, n % 250) : fake_v6(n),
		.port = htons((__u16)(80 + key % 3)),
		.af = af,
		.fwd = BPVS_FWD_DROUTE,
		.weight = weight,
	};
}

static struct bpvs_svc *svc_of(const struct world *w)
{
	return &w->in->svcs[w->svc_id];
}

/* Large weights are multiples of a large step, or wrr's twin would make 2^31 passes. */
static int rnd_weight(const struct world *w)
{
	int step = w->most_weight > 1 << 20 ? w->most_weight / 7 : 1;

	if (!rnd(5))
		return 0;
	return ((int)rnd((unsigned int)(w->most_weight / step)) + (rnd(3) ? 1 : 0)) * step;
}

static void op_add(struct world *w, int key)
{
	struct bpvs_dest_info info = dest_info(w, key, rnd_weight(w));
	struct twin *t = &w->t;

	assert_int_equal(bpvs_dest_add(w->in, &w->svc.key, &info), 0);
	memmove(t->list + 1, t->list, (size_t)t->num++ * sizeof(t->list[0]));
	t->list[0] = (struct twin_dest){ .key = key,
					 .addr = info.addr,
					 .port = info.port,
					 .weight = info.weight,
					 .last_weight = info.weight };
	t->list[0].id = w->in->lists[bpvs_list_off(svc_of(w)->list) + (__u32)t->num - 1].dest;
	if (t->last != HEAD)
		t->last++;
	twin_changed(w);
}

static void op_del(struct world *w, int i)
{
	struct twin *t = &w->t;
	struct bpvs_dest_info info = dest_info(w, t->list[i].key, 0);

	assert_int_equal(bpvs_dest_del(w->in, &w->svc.key, &info.addr, info.port), 0);
	t->gone[t->list[i].key] = t->list[i];
	memmove(t->list + i, t->list + i + 1, (size_t)(--t->num - i) * sizeof(t->list[0]));
	/* The one before it takes over; before the first that is the head. */
	if (t->last >= i)
		t->last--;
	twin_changed(w);
}

static void op_edit(struct world *w, int i)
{
	struct bpvs_dest_info info = dest_info(w, w->t.list[i].key, rnd_weight(w));
	bool stale = w->t.stale;

	assert_int_equal(bpvs_dest_edit(w->in, &w->svc.key, &info), 0);
	w->t.list[i].weight = info.weight;
	if (info.weight)
		w->t.list[i].last_weight = info.weight;
	twin_changed(w);
	if (w->svc.sched == BPVS_SCHED_DH)
		w->t.stale = stale;
}

static void op_load(struct world *w, int i)
{
	struct twin_dest *d = &w->t.list[i];

	/* A few; or, now and then, as many as a large table holds. */
	d->active = rnd(3) ? (int)rnd(rnd(8) ? 6 : 1 << 20) : 0;
	d->inactive = rnd(3) ? (int)rnd(rnd(8) ? 600 : 1 << 20) : 0;
	d->over = !rnd(3);
}

static void op_change(struct world *w)
{
	int key = (int)rnd(MOST), i = twin_find(&w->t, key);

	/* Now and then nobody is left to choose. */
	for (int all = rnd(80) ? MOST : 0; all < w->t.num; all++)
		w->t.list[all].over = true;
	if (i < 0)
		op_add(w, key);
	else if (!rnd(3))
		op_del(w, i);
	else if (rnd(2))
		op_edit(w, i);
	else
		op_load(w, i);
}

/* Flags take effect at once, and no table changes. */
static void op_flags(struct world *w)
{
	w->svc.sched_flags = (rnd(2) ? BPVS_SCHED_FALLBACK : 0) | (rnd(2) ? BPVS_SCHED_PORT : 0);
	assert_int_equal(bpvs_svc_edit(w->in, &w->svc), 0);
}

/* ---- a packet ---- */

static int twin_schedule(struct world *w, const struct bpvs_flow *flow)
{
	switch (w->svc.sched) {
	case BPVS_SCHED_DH:
	case BPVS_SCHED_SH:
	case BPVS_SCHED_MH:
		return twin_hash(w, flow);
	case BPVS_SCHED_RR:
		return twin_rr(&w->t);
	case BPVS_SCHED_WRR:
		return twin_wrr(&w->t);
	case BPVS_SCHED_LC:
		return twin_least(&w->t, false, false);
	case BPVS_SCHED_WLC:
		return twin_least(&w->t, true, false);
	case BPVS_SCHED_SED:
		return twin_least(&w->t, true, true);
	case BPVS_SCHED_NQ:
		return twin_nq(&w->t);
	case BPVS_SCHED_FO:
		return twin_heaviest(&w->t, false);
	case BPVS_SCHED_OVF:
		return twin_heaviest(&w->t, true);
	case BPVS_SCHED_LBLC:
		return twin_lblc(&w->t);
	case BPVS_SCHED_LBLCR:
		return twin_lblcr(&w->t);
	default:
		fail_msg("%s has no twin", bpvs_sched_name(w->svc.sched));
		return -1;
	}
}

static __u32 schedule(struct world *w, const struct bpvs_flow *flow)
{
	struct bpvs_svc *svc = svc_of(w);

	for (int i = 0; i < w->t.num; i++) {
		struct bpvs_dest *d = &w->in->dests[w->t.list[i].id];

		d->active = w->t.list[i].active;
		d->inactive = w->t.list[i].inactive;
		d->overload = w->t.list[i].over;
	}
	switch (svc->sched) {
#define BPVS_SCHED(id, name)                                                                       \
	case BPVS_SCHED_##id:                                                                      \
		return (__u32)bpvs_sched_##name(svc, flow);
#include <bpvs/sched.def>
#undef BPVS_SCHED
	}
	return 0;
}

static void op_packet(struct world *w)
{
	struct bpvs_flow flow = rnd_flow(w->svc.key.af);
	struct twin *t = &w->t;
	__u32 got;
	__u64 state;
	int want;

	/* A packet each tenth of a second or so, of the clock that the data path sees. */
	host_clock += rnd(FAKE_HZ / 5);
	t->addr = (int)rnd(ADDRS);
	if (w->svc.key.af == BPVS_V4)
		flow.daddr = fake_v4(10, 2, 0, (unsigned int)t->addr);
	want = twin_schedule(w, &flow);
	got = schedule(w, &flow);
	state = svc_of(w)->sched_state;
	assert_int_equal(got, want < 0 ? 0 : t->list[want].id);
	want < 0 ? w->none++ : w->chosen++;
	if (w->svc.sched == BPVS_SCHED_RR || w->svc.sched == BPVS_SCHED_WRR)
		assert_int_equal((__u32)state, t->last == HEAD ? 0 : t->num - t->last);
	if (w->svc.sched == BPVS_SCHED_WRR)
		assert_int_equal((__s32)(state >> 32), t->cw);
}

static void world_begin(struct world *w, __u32 sched, int most_weight, __u8 af)
{
	*w = (struct world){ .in = fake_new((struct fake_size){ 4, 1100, 4096, 0 }),
			     .most_weight = most_weight };
	w->svc = (struct bpvs_svc_info){
		.key = { .addr = af == BPVS_V4 ? fake_v4(10, 0, 0, 1) : fake_v6(0xffff),
			 .port = htons(80),
			 .proto = IPPROTO_TCP,
			 .af = af },
		.sched = sched,
		.netmask = af == BPVS_V4 ? 0xffffffff : 128,
	};
	host_use(w->in);
	host_cfg->lblcr_expiration = 3;
	assert_int_equal(bpvs_svc_add(w->in, &w->svc), 0);
	w->svc_id = fake_map_find(w->in, &w->svc.key);
	twin_start(w);
}

static void run_steps(__u32 sched, int most_weight, __u8 af, int steps)
{
	static struct world w;

	world_begin(&w, sched, most_weight, af);
	for (int i = 0; i < steps; i++) {
		if (!rnd(12))
			op_change(&w);
		if (!rnd(100))
			op_flags(&w);
		op_packet(&w);
	}
	assert_true(w.chosen > 1000 && w.none > 10);
	/* With huge weights one destination fills sh's table, and there is nowhere to go. */
	if ((sched == BPVS_SCHED_SH || sched == BPVS_SCHED_MH) && most_weight < 1000)
		assert_true(w.moved > 100);
	fake_free(w.in);
}

static void run(__u32 sched, int most_weight)
{
	run_steps(sched, most_weight, BPVS_V4, 40000);
}

static void test_rr(void **state)
{
	(void)state;
	run(BPVS_SCHED_RR, 3);
}

static void test_wrr(void **state)
{
	(void)state;
	for (int most = 1; most < 70; most += 1 + most / 2)
		run(BPVS_SCHED_WRR, most);
	run(BPVS_SCHED_WRR, INT32_MAX);
}

static void test_lc(void **state)
{
	(void)state;
	run(BPVS_SCHED_LC, 4);
}

/* Small weights, so that there are ties, and the largest that ipvsadm takes. */
static void run_weights(__u32 sched)
{
	run(sched, 4);
	run(sched, 65535);
	run(sched, INT32_MAX);
}

static void test_wlc(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_WLC);
}

static void test_sed(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_SED);
}

static void test_nq(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_NQ);
}

static void test_fo(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_FO);
}

static void test_ovf(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_OVF);
}

static void test_lblc(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_LBLC);
}

static void test_lblcr(void **state)
{
	(void)state;
	run_weights(BPVS_SCHED_LBLCR);
}

static void test_none(void **state)
{
	struct bpvs_svc svc = { 0 };
	static const struct bpvs_flow flow;

	(void)state;
	assert_int_equal(bpvs_sched_none(&svc, &flow), 0);
}

static void test_dh(void **state)
{
	(void)state;
	run_steps(BPVS_SCHED_DH, 4, BPVS_V4, 20000);
	run_steps(BPVS_SCHED_DH, 4, BPVS_V6, 20000);
}

static void test_sh(void **state)
{
	(void)state;
	for (int most = 1; most < 500; most *= 3) {
		run_steps(BPVS_SCHED_SH, most, BPVS_V4, 10000);
		run_steps(BPVS_SCHED_SH, most, BPVS_V6, 10000);
	}
	run_steps(BPVS_SCHED_SH, INT32_MAX, BPVS_V4, 10000);
}

static void test_mh(void **state)
{
	(void)state;
	for (int most = 1; most < 500; most *= 6) {
		run_steps(BPVS_SCHED_MH, most, BPVS_V4, 4000);
		run_steps(BPVS_SCHED_MH, most, BPVS_V6, 4000);
	}
	/* About where the weights begin to be halved. */
	run_steps(BPVS_SCHED_MH, 64, BPVS_V4, 4000);
	run_steps(BPVS_SCHED_MH, INT32_MAX, BPVS_V4, 4000);
}

/* A service between two of these has the table of one and the scheduler of the other. */
static void test_other_table(void **state)
{
	static const __u32 scheds[] = { BPVS_SCHED_DH, BPVS_SCHED_SH, BPVS_SCHED_MH };
	static struct world w;

	(void)state;
	for (int s = 0; s < 9; s++) {
		world_begin(&w, scheds[s / 3], 9, BPVS_V4);
		for (int key = 0; key < 3; key++) {
			struct bpvs_dest_info info = dest_info(&w, key, 1);

			assert_int_equal(bpvs_dest_add(w.in, &w.svc.key, &info), 0);
		}
		svc_of(&w)->sched = scheds[s % 3];
		for (int i = 0; i < 2000; i++) {
			struct bpvs_flow flow = rnd_flow(BPVS_V4);

			assert_in_range(schedule(&w, &flow), 1, 3);
		}
		fake_free(w.in);
	}
}

static void test_many(void **state)
{
	static const __u32 scheds[] = { BPVS_SCHED_DH, BPVS_SCHED_SH, BPVS_SCHED_MH };
	static struct world w;

	(void)state;
	for (int s = 0; s < 3; s++) {
		world_begin(&w, scheds[s], 9, s == 1 ? BPVS_V6 : BPVS_V4);
		for (int key = 0; key < MANY; key++)
			op_add(&w, key);
		for (int i = 0; i < 2000; i++)
			op_packet(&w);
		fake_free(w.in);
	}
}

/* More destinations than a scheduler's walk takes in one piece; all but one full. */
static void long_list(__u32 off, __u32 one)
{
	struct bpvs_svc svc = { .wrr_step = 1, .wrr_max = 1 };
	static struct bpvs_list_entry all[2048];
	struct bpvs_dest *dests = calloc(1001, sizeof(*dests));
	struct bpvs_list_entry *lists = all + off;
	static const struct bpvs_flow flow;

	bpvs_lists = (struct host_map){ all, sizeof(all[0]), 2048, NULL };
	bpvs_dests = (struct host_map){ dests, sizeof(*dests), 1001, NULL };
	svc.list = 1000ULL << 32 | off;
	for (__u32 i = 0; i < 1000; i++) {
		lists[i] = (struct bpvs_list_entry){ .dest = i + 1, .weight = 1 };
		dests[i + 1].active = i == one ? 1 : 2;
		dests[i + 1].overload = i != one;
	}
	assert_int_equal(bpvs_sched_rr(&svc, &flow), (int)one + 1);
	svc.sched_state = 1ULL << 32;
	assert_int_equal(bpvs_sched_wrr(&svc, &flow), (int)one + 1);
	for (__u32 i = 0; i < 1000; i++)
		dests[i + 1].overload = 0;
	assert_int_equal(bpvs_sched_lc(&svc, &flow), (int)one + 1);
	assert_int_equal(bpvs_sched_wlc(&svc, &flow), (int)one + 1);
	assert_int_equal(bpvs_sched_sed(&svc, &flow), (int)one + 1);
	dests[one + 1].active = 0;
	assert_int_equal(bpvs_sched_nq(&svc, &flow), (int)one + 1);
	lists[one].weight = 2;
	assert_int_equal(bpvs_sched_fo(&svc, &flow), (int)one + 1);
	assert_int_equal(bpvs_sched_ovf(&svc, &flow), (int)one + 1);
	free(dests);
}

/* Wherever it begins in an element of the map, and the element ends in it. */
static void test_long_list(void **state)
{
	(void)state;
	for (__u32 off = 0; off < 1048; off++)
		long_list(off, off * 7 % 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rr),	    cmocka_unit_test(test_wrr),
		cmocka_unit_test(test_lc),	    cmocka_unit_test(test_wlc),
		cmocka_unit_test(test_sed),	    cmocka_unit_test(test_nq),
		cmocka_unit_test(test_fo),	    cmocka_unit_test(test_ovf),
		cmocka_unit_test(test_none),	    cmocka_unit_test(test_lblc),
		cmocka_unit_test(test_lblcr),	    cmocka_unit_test(test_dh),
		cmocka_unit_test(test_sh),	    cmocka_unit_test(test_mh),
		cmocka_unit_test(test_other_table), cmocka_unit_test(test_many),
		cmocka_unit_test(test_long_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
