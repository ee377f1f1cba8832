/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services and destinations by random operations, against a twin that keeps plain arrays and does
 * everything the slow and obvious way. After each operation the two must list the same, and the
 * shared arrays must keep the promises that readers rely on.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fake.h"

#define SVCS  10
#define ADDRS 24
#define UNITS (2 * BPVS_CHUNK)

/* A destination as the twin knows it, present or removed. */
struct twin_dest {
	bool present;
	__s32 weight;
	__u32 id, removed_at;
};

struct twin_svc {
	bool present;
	__u32 sched;
	int order[ADDRS]; /* indices of present destinations, newest first */
	int num, last;	  /* last: the destination rr used last, -1 = none (the head) */
	struct twin_dest dests[ADDRS];
};

struct world {
	struct bpvs_instance *in;
	struct twin_svc svcs[SVCS];
	bool tight;		  /* too little list space for copies */
	unsigned int *entry_seen; /* by list entry: graces + 1 when it was last reachable */
	bool *entry_now;
	/* the same of the tables' units, and what was in them */
	unsigned int unit_seen[UNITS];
	bool unit_now[UNITS];
	struct bpvs_bucket_unit unit_was[UNITS];
	unsigned int steps;
};

static unsigned int rnd(unsigned int n)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)(state >> 33) % n;
}

static struct bpvs_svc_key svc_key(int s)
{
	return (struct bpvs_svc_key){
		.addr = s & 1 ? fake_v6(100 + (unsigned int)s / 4) : fake_v4(10, 0, 0, 100),
		.port = htons((uint16_t)(80 + s)),
		.proto = s & 2 ? IPPROTO_UDP : IPPROTO_TCP,
		.af = s & 1 ? BPVS_V6 : BPVS_V4,
	};
}

static struct bpvs_svc_info svc_info(int s, __u32 sched)
{
	return (struct bpvs_svc_info){
		.key = svc_key(s),
		.sched = sched,
		.netmask = s & 1 ? 128 : htonl(0xffffffff),
	};
}

static struct bpvs_dest_info dest_info(int s, int d, __s32 weight)
{
	return (struct bpvs_dest_info){
		.addr = s & 1 ? fake_v6(1000 + (unsigned int)d)
			      : fake_v4(10, 1, 0, (unsigned int)d + 1),
		.port = htons(8080),
		.af = s & 1 ? BPVS_V6 : BPVS_V4,
		.fwd = d % 3 ? BPVS_FWD_MASQ : BPVS_FWD_DROUTE,
		.weight = weight,
	};
}

/* ---- what must hold at any time ---- */

static int walk_svc(const struct bpvs_svc_info *info, void *arg)
{
	int *num = arg;

	(void)info;
	(*num)++;
	return 0;
}

struct walk {
	struct world *w;
	int svc, at;
};

static int walk_dest(const struct bpvs_dest_info *info, void *arg)
{
	struct walk *k = arg;
	struct twin_svc *t = &k->w->svcs[k->svc];
	struct bpvs_dest_info want;
	int d;

	assert_true(k->at < t->num);
	d = t->order[k->at++];
	want = dest_info(k->svc, d, t->dests[d].weight);
	assert_memory_equal(&info->addr, &want.addr, sizeof(want.addr));
	assert_int_equal(info->weight, want.weight);
	assert_int_equal(info->id, t->dests[d].id);
	assert_int_equal(k->w->in->dests[info->id].flags & 3, 3);
	return 0;
}

static int gcd_naive(int a, int b)
{
	for (int g = a < b ? b : a; g > 0; g--)
		if (a % g == 0 && b % g == 0)
			return g;
	return 0;
}

static void check_wrr(const struct twin_svc *t, const struct bpvs_svc *svc)
{
	int step = 0, max = 0;

	for (int i = 0; i < t->num; i++) {
		int w = t->dests[t->order[i]].weight;

		step = w > 0 ? gcd_naive(w, step) : step;
		max = w > max ? w : max;
	}
	step = step ? step : 1;
	assert_int_equal(svc->wrr_step, step);
	assert_int_equal(svc->wrr_max, max - (step - 1));
	assert_int_equal((__u32)svc->sched_state, 0);
	assert_true((__s32)(svc->sched_state >> 32) <= svc->wrr_max);
}

/* Every entry that a reader can reach belongs to one list, and was not pulled from another. */
static void check_entries(struct world *w)
{
	unsigned int grace = fake_of(w->in)->graces + 1;

	for (__u32 id = 1; id < bpvs_tables_svc_high(w->in); id++) {
		__u64 list = w->in->svcs[id].list;
		__u32 off = bpvs_list_off(list), len = bpvs_list_len(list);

		assert_true(off + bpvs_list_capacity(len) <= w->in->ro->max_list);
		for (__u32 e = off; e < off + len; e++) {
			assert_false(w->entry_now[e]);
			w->entry_now[e] = true;
		}
	}
	for (__u32 e = 0; e < w->in->ro->max_list; e++) {
		if (!w->entry_now[e])
			continue;
		w->entry_now[e] = false;
		/* Reachable before, not at the last step, and no grace period since. */
		if (!w->tight && w->entry_seen[e] && w->entry_seen[e] >> 24 != (w->steps & 0xff))
			assert_true((w->entry_seen[e] & 0xffffff) < grace);
		w->entry_seen[e] = ((w->steps + 1) & 0xff) << 24 | grace;
	}
}

/* How many units the service's table has; a reader must find one where it may look for it. */
static __u32 units_of(const struct bpvs_instance *in, __u32 id)
{
	const struct bpvs_svc *svc = &in->svcs[id];
	__u32 len = (__u32)(svc->buckets >> 32);

	assert_int_equal(len, svc->flags & BPVS_SVC_IN_USE ? bpvs_buckets_len(svc->sched) : 0);
	return (len + BPVS_UNIT - 1) / BPVS_UNIT;
}

/* A unit that a reader can reach belongs to one table and has not changed under its eyes. */
static void check_unit(struct world *w, __u32 u)
{
	const struct bpvs_bucket_unit *now = &fake_of(w->in)->units[u];
	unsigned int grace = fake_of(w->in)->graces + 1;
	bool at_last_step = w->unit_seen[u] >> 24 == (w->steps & 0xff);

	assert_true(u < UNITS);
	assert_false(w->unit_now[u]);
	w->unit_now[u] = true;
	if (w->unit_seen[u] && !at_last_step)
		assert_true((w->unit_seen[u] & 0xffffff) < grace);
	if (w->unit_seen[u] && (w->unit_seen[u] & 0xffffff) == grace)
		assert_memory_equal(now, &w->unit_was[u], sizeof(*now));
	w->unit_seen[u] = ((w->steps + 1) & 0xff) << 24 | grace;
	w->unit_was[u] = *now;
}

static void check_units(struct world *w)
{
	memset(w->unit_now, 0, sizeof(w->unit_now));
	for (__u32 id = 1; id < bpvs_tables_svc_high(w->in); id++)
		for (__u32 i = 0; i < units_of(w->in, id); i++)
			check_unit(w, (__u32)w->in->svcs[id].buckets + i);
}

static bool filter_has(const __u64 *bits, const struct bpvs_addr *a)
{
	__u32 bit = bpvs_filter_bit(a);

	return bits[bit / 64] >> (bit % 64) & 1;
}

static void check_svc(struct world *w, int s)
{
	struct walk k = { w, s, 0 };
	struct bpvs_svc_key key = svc_key(s);
	struct twin_svc *t = &w->svcs[s];
	__u32 id = fake_map_find(w->in, &key);

	assert_int_equal(!!id, t->present);
	if (!t->present) {
		assert_int_equal(bpvs_dest_walk(w->in, &key, walk_dest, &k), -ESRCH);
		return;
	}
	assert_int_equal(bpvs_dest_walk(w->in, &key, walk_dest, &k), 0);
	assert_int_equal(k.at, t->num);
	assert_true(filter_has(w->in->filter->vip, &key.addr));
	for (int i = 0; i < t->num; i++) {
		struct bpvs_dest_info d = dest_info(s, t->order[i], 0);

		if (d.fwd == BPVS_FWD_MASQ)
			assert_true(filter_has(w->in->filter->rip, &d.addr));
	}
	assert_int_equal(w->in->svcs[id].sched, t->sched);
	if (t->sched == BPVS_SCHED_WRR)
		check_wrr(t, &w->in->svcs[id]);
}

/* How many services have the endpoint of dest_info(s, d) as a NAT destination, and which id. */
static int rip_owners(struct world *w, int s, int d, __u32 *ret_id)
{
	int owners = 0;

	for (int other = s & 3; other < SVCS; other += 4) {
		struct twin_svc *t = &w->svcs[other];

		if (!t->present || !t->dests[d].present || dest_info(s, d, 0).fwd != BPVS_FWD_MASQ)
			continue;
		owners++;
		*ret_id = t->dests[d].id;
	}
	return owners;
}

/*
 * Family and protocol differ by the service's number modulo 4; the rest of the endpoint does not.
 */
static void check_rips(struct world *w)
{
	for (int s = 0; s < 4; s++)
		for (int d = 0; d < ADDRS; d++) {
			struct bpvs_dest_info info = dest_info(s, d, 0);
			struct bpvs_svc_key key = { .addr = info.addr,
						    .port = info.port,
						    .proto = svc_key(s).proto,
						    .af = info.af | BPVS_KEY_RIP };
			__u32 id = 0, found = 0;
			int owners = rip_owners(w, s, d, &id);

			assert_int_equal(fake_rip_find(w->in, &key, &found), owners > 0);
			assert_int_equal(!!(found & BPVS_RIP_SHARED), owners > 1);
			if (owners == 1)
				assert_int_equal(found, id);
		}
}

static void check_world(struct world *w)
{
	int num = 0, want = 0;

	for (int s = 0; s < SVCS; s++) {
		check_svc(w, s);
		want += w->svcs[s].present;
	}
	assert_int_equal(bpvs_svc_walk(w->in, walk_svc, &num), 0);
	assert_int_equal(num, want);
	assert_int_equal(w->in->cfg->services4 + w->in->cfg->services6, want);
	assert_int_equal(w->in->lock_depth, 0);
	check_entries(w);
	check_units(w);
	check_rips(w);
	w->steps++;
}

/* ---- the operations, on both ---- */

static void twin_retire(struct world *w, struct twin_svc *t, int d)
{
	t->dests[d].present = false;
	t->dests[d].removed_at = fake_of(w->in)->clock;
}

static void op_svc_add(struct world *w, int s)
{
	struct twin_svc *t = &w->svcs[s];
	__u32 sched = rnd(BPVS_SCHEDS);
	struct bpvs_svc_info info = svc_info(s, sched);
	int err = bpvs_svc_add(w->in, &info);

	if (t->present) {
		assert_int_equal(err, -EEXIST);
		return;
	}
	assert_int_equal(err, 0);
	t->present = true;
	t->sched = sched;
	t->num = 0;
	t->last = -1;
}

static void op_svc_edit(struct world *w, int s)
{
	struct twin_svc *t = &w->svcs[s];
	__u32 sched = rnd(BPVS_SCHEDS);
	struct bpvs_svc_info info = svc_info(s, sched);

	assert_int_equal(bpvs_svc_edit(w->in, &info), t->present ? 0 : -ESRCH);
	if (t->present && t->sched != sched) {
		t->sched = sched;
		t->last = -1;
	}
}

static void twin_svc_del(struct world *w, struct twin_svc *t)
{
	for (int i = 0; i < t->num; i++)
		twin_retire(w, t, t->order[i]);
	t->num = 0;
	t->present = false;
}

static void op_svc_del(struct world *w, int s)
{
	struct bpvs_svc_key key = svc_key(s);

	assert_int_equal(bpvs_svc_del(w->in, &key), w->svcs[s].present ? 0 : -ESRCH);
	if (w->svcs[s].present)
		twin_svc_del(w, &w->svcs[s]);
}

static void op_flush(struct world *w)
{
	assert_int_equal(bpvs_flush(w->in), 0);
	for (int s = 0; s < SVCS; s++)
		if (w->svcs[s].present)
			twin_svc_del(w, &w->svcs[s]);
}

static __u32 listed_id(struct world *w, int s)
{
	struct bpvs_svc_key key = svc_key(s);
	__u64 list = w->in->svcs[fake_map_find(w->in, &key)].list;

	return w->in->lists[bpvs_list_off(list) + bpvs_list_len(list) - 1].dest;
}

/* The slot that a destination had last, or NULL: that of an idle removed one may be another's. */
static struct bpvs_dest *slot_of(struct world *w, int s, int d)
{
	struct bpvs_dest *slot = &w->in->dests[w->svcs[s].dests[d].id];
	struct bpvs_addr addr = dest_info(s, d, 0).addr;
	struct bpvs_svc_key key = svc_key(s);

	if (!(slot->flags & BPVS_DEST_IN_USE) || memcmp(&slot->addr, &addr, sizeof(addr)) ||
	    memcmp(&w->in->svcs[slot->svc].key, &key, sizeof(key)))
		return NULL;
	return slot;
}

static void op_dest_add(struct world *w, int s, int d)
{
	struct twin_svc *t = &w->svcs[s];
	struct twin_dest *td = &t->dests[d];
	struct bpvs_svc_key key = svc_key(s);
	struct bpvs_dest_info info = dest_info(s, d, (int)rnd(4) * (int)rnd(7));
	bool kept = slot_of(w, s, d) && slot_of(w, s, d)->active > 0;
	int err = bpvs_dest_add(w->in, &key, &info);

	if (!t->present || td->present) {
		assert_int_equal(err, td->present && t->present ? -EEXIST : -ESRCH);
		return;
	}
	if (err == -ENOSPC && w->tight)
		return;
	assert_int_equal(err, 0);
	/* What connections refer to comes back; all else may have been given up when full. */
	if (kept)
		assert_int_equal(listed_id(w, s), td->id);
	td->id = listed_id(w, s);
	td->present = true;
	td->weight = info.weight;
	memmove(t->order + 1, t->order, (size_t)t->num++ * sizeof(t->order[0]));
	t->order[0] = d;
}

static void op_dest_edit(struct world *w, int s, int d)
{
	struct twin_svc *t = &w->svcs[s];
	struct bpvs_svc_key key = svc_key(s);
	struct bpvs_dest_info info = dest_info(s, d, (int)rnd(4) * (int)rnd(7));
	int want = !t->present ? -ESRCH : t->dests[d].present ? 0 : -ENOENT;

	assert_int_equal(bpvs_dest_edit(w->in, &key, &info), want);
	if (!want)
		t->dests[d].weight = info.weight;
}

static void op_dest_del(struct world *w, int s, int d)
{
	struct twin_svc *t = &w->svcs[s];
	struct bpvs_svc_key key = svc_key(s);
	struct bpvs_dest_info info = dest_info(s, d, 0);
	int want = !t->present ? -ESRCH : t->dests[d].present ? 0 : -ENOENT;
	int i = 0;

	assert_int_equal(bpvs_dest_del(w->in, &key, &info.addr, info.port), want);
	if (want)
		return;
	while (t->order[i] != d)
		i++;
	if (t->last == d)
		t->last = i ? t->order[i - 1] : -1;
	memmove(t->order + i, t->order + i + 1, (size_t)(--t->num - i) * sizeof(t->order[0]));
	twin_retire(w, t, d);
}

/* One choice of rr on both sides: the next in IPVS's order, whatever its weight. */
static void op_rr(struct world *w, int s)
{
	struct twin_svc *t = &w->svcs[s];
	struct bpvs_svc_key key = svc_key(s);
	struct bpvs_svc *svc = &w->in->svcs[fake_map_find(w->in, &key)];
	__u32 len, pos, last;
	int i = 0;

	if (!t->present || !t->num || t->sched != BPVS_SCHED_RR)
		return;
	while (t->last >= 0 && t->order[i] != t->last)
		i++;
	t->last = t->order[t->last < 0 ? 0 : (i + 1) % t->num];

	len = bpvs_list_len(svc->list);
	last = (__u32)svc->sched_state;
	assert_true(last <= len);
	pos = last <= 1 ? len - 1 : last - 2;
	svc->sched_state = pos + 1;
	assert_int_equal(w->in->lists[bpvs_list_off(svc->list) + pos].dest, t->dests[t->last].id);
}

/* Connections come and go on a destination, present or removed. */
static void op_conns(struct world *w, int s, int d)
{
	struct bpvs_dest *slot = slot_of(w, s, d);

	if (!slot)
		return;
	slot->active = slot->active ? 0 : 1 + (int)rnd(3);
}

static void step(struct world *w)
{
	int s = (int)rnd(SVCS), d = (int)rnd(ADDRS);
	unsigned int op = rnd(100);

	if (op < 12)
		op_svc_add(w, s);
	else if (op < 16)
		op_svc_del(w, s);
	else if (op < 18)
		op_svc_edit(w, s);
	else if (op < 52)
		op_dest_add(w, s, d);
	else if (op < 72)
		op_dest_del(w, s, d);
	else if (op < 80)
		op_dest_edit(w, s, d);
	else if (op < 88)
		op_rr(w, s);
	else if (op < 94)
		op_conns(w, s, d);
	else if (op < 97)
		fake_of(w->in)->clock += rnd(100 * FAKE_HZ);
	else if (op < 99)
		bpvs_tables_free(w->in); /* another process: everything is derived anew */
	else if (!rnd(4))
		op_flush(w);
}

static void run(struct fake_size size, bool tight, int steps)
{
	static struct world w;

	w = (struct world){ .in = fake_new(size), .tight = tight };
	w.entry_seen = calloc(size.list, sizeof(*w.entry_seen));
	w.entry_now = calloc(size.list, sizeof(*w.entry_now));
	for (int i = 0; i < steps; i++) {
		step(&w);
		check_world(&w);
	}
	if (!tight)
		assert_true(fake_of(w.in)->graces > 0);
	free(w.entry_seen);
	free(w.entry_now);
	fake_free(w.in);
}

static void test_random(void **state)
{
	(void)state;
	run((struct fake_size){ SVCS + 4, 400, 2000, 0 }, false, 30000);
}

/* So few slots and entries that ids are given up early and lists are closed up in place. */
static void test_random_tight(void **state)
{
	(void)state;
	run((struct fake_size){ SVCS + 1, 60, 70, 0 }, true, 20000);
}

/* ---- single facts ---- */

static struct bpvs_instance *one_service(struct bpvs_svc_info *ret_svc)
{
	struct bpvs_instance *in = fake_new((struct fake_size){ 8, 16, 64, 0 });

	*ret_svc = svc_info(0, BPVS_SCHED_RR);
	assert_int_equal(bpvs_svc_add(in, ret_svc), 0);
	return in;
}

static bool table_names(struct bpvs_instance *in, const struct bpvs_svc *svc, __u32 dest)
{
	const __u32 *table = fake_of(in)->units[(__u32)svc->buckets].dest;

	for (__u32 b = 0; b < svc->buckets >> 32; b++)
		if (table[b] == dest)
			return true;
	return false;
}

/* Room for 16 tables of mh: they can be changed, in place; a 17th finds none. */
static void test_tables_full(void **state)
{
	struct bpvs_instance *in = fake_new((struct fake_size){ 20, 64, 256, 0 });
	struct bpvs_svc_info svc = svc_info(0, BPVS_SCHED_MH);
	struct bpvs_dest_info d = dest_info(0, 1, 1);

	(void)state;
	fake_of(in)->chunks_most = 1;
	for (__u16 n = 1; n <= 17; n++) {
		svc.key.port = htons(n);
		assert_int_equal(bpvs_svc_add(in, &svc), n < 17 ? 0 : -ENOMEM);
		assert_int_equal(bpvs_dest_add(in, &svc.key, &d), n < 17 ? 0 : -ESRCH);
	}
	for (__u32 id = 1; id <= 16; id++) {
		assert_int_equal(in->svcs[id].buckets >> 32, BPVS_BUCKETS_MH);
		assert_true(table_names(in, &in->svcs[id],
					in->lists[bpvs_list_off(in->svcs[id].list)].dest));
	}
	svc.sched = BPVS_SCHED_RR;
	assert_int_equal(bpvs_svc_add(in, &svc), 0);
	svc.sched = BPVS_SCHED_SH;
	assert_int_equal(bpvs_svc_edit(in, &svc), -ENOMEM);
	svc.key.port = htons(5);
	assert_int_equal(bpvs_svc_edit(in, &svc), -ENOMEM);
	assert_int_equal(bpvs_svc_del(in, &svc.key), 0);
	svc.key.port = htons(17);
	assert_int_equal(bpvs_svc_edit(in, &svc), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	fake_free(in);
}

/* A tool died when it had taken a destination off the list: the next makes the table anew. */
static void test_table_repair(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1), e = dest_info(0, 2, 1);
	struct bpvs_svc *slot = &in->svcs[fake_map_find(in, &svc.key)];
	__u32 gone;

	(void)state;
	svc.sched = BPVS_SCHED_SH;
	assert_int_equal(bpvs_svc_edit(in, &svc), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &e), 0);
	gone = listed_id(&(struct world){ .in = in }, 0);
	assert_true(table_names(in, slot, gone));
	assert_int_equal(bpvs_tables_enter(in), 0);
	bpvs_tables_touch(in);
	bpvs_list_remove(in, slot, 1);
	bpvs_unlock(in);
	bpvs_tables_free(in);
	assert_true(table_names(in, slot, gone));
	assert_int_equal(bpvs_svc_get(in, &svc.key, &svc), 0);
	assert_false(table_names(in, slot, gone));
	fake_free(in);
}

static void test_errors(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1), bad;

	(void)state;
	svc.sched = 99;
	assert_int_equal(bpvs_svc_add(in, &svc), -EEXIST);
	assert_int_equal(bpvs_svc_edit(in, &svc), -ENOENT);
	bad = d;
	bad.addr = fake_v4(224, 0, 0, 1);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &bad), -EINVAL);
	bad = dest_info(1, 1, 1);
	bad.fwd = BPVS_FWD_DROUTE;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &bad), -EINVAL);
	bad.fwd = BPVS_FWD_TUNNEL;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &bad), 0);
	bad = d;
	bad.u_threshold = 4;
	bad.l_threshold = 5;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &bad), -ERANGE);
	bad = d;
	bad.weight = -1;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &bad), -ERANGE);
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), -ENOENT);
	svc.sched = BPVS_SCHED_RR;
	svc.flags = BPVS_SVC_PERSISTENT;
	svc.timeout = 7;
	assert_int_equal(bpvs_svc_edit(in, &svc), 0);
	assert_int_equal(bpvs_svc_get(in, &svc.key, &svc), 0);
	assert_int_equal(svc.flags, BPVS_SVC_PERSISTENT);
	assert_int_equal(svc.timeout, 7);
	fake_free(in);
}

/* No memory to see more of the arrays is not that they are full, and costs no place. */
static void test_out_of_reach(void **state)
{
	struct bpvs_svc_info svc, other = svc_info(2, BPVS_SCHED_RR);
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1);
	__u32 svcs = bpvs_tables_svc_high(in), dests = bpvs_tables_dest_high(in);

	(void)state;
	fake_of(in)->reach = -ENOMEM;
	assert_int_equal(bpvs_svc_add(in, &other), -ENOMEM);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), -ENOMEM);
	assert_int_equal(bpvs_tables_svc_high(in), svcs);
	assert_int_equal(bpvs_tables_dest_high(in), dests);
	fake_of(in)->reach = 0;
	assert_int_equal(bpvs_svc_add(in, &other), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	fake_free(in);
}

/* A tool killed between marking and listing: the list has the last word, however late. */
static void test_killed_between(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info removed = dest_info(0, 1, 1), added = dest_info(0, 2, 1);
	__u32 ids[2];

	(void)state;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &removed), 0);
	ids[0] = listed_id(&(struct world){ .in = in }, 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &added), 0);
	ids[1] = bpvs_tables_find_dest(in, in->dests[ids[0]].svc, &added.addr, added.port);
	assert_int_equal(bpvs_dest_del(in, &svc.key, &added.addr, added.port), 0);
	in->dests[ids[0]].flags &= ~BPVS_DEST_AVAILABLE;
	in->dests[ids[1]].flags |= BPVS_DEST_AVAILABLE;
	assert_int_equal(bpvs_map_svc_del(in, &svc.key), 0);
	in->cfg->tool_reserved[BPVS_TOOL_CHANGING] = 1;
	fake_of(in)->clock += 1000 * FAKE_HZ;
	bpvs_tables_free(in);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &removed), -EEXIST);
	/* and what is listed can be found by the data path */
	assert_int_equal(fake_map_find(in, &svc.key), in->dests[ids[0]].svc);
	assert_int_equal(bpvs_dest_del(in, &svc.key, &added.addr, added.port), -ENOENT);
	assert_true(in->dests[ids[0]].flags & BPVS_DEST_AVAILABLE);
	assert_false(in->dests[ids[1]].flags & BPVS_DEST_AVAILABLE);
	fake_free(in);
}

/* Connections, and statistics unless the service was another, come back with a destination. */
static void test_revival(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1);
	struct bpvs_stats_info st;
	__u32 id;

	(void)state;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	id = listed_id(&(struct world){ .in = in }, 0);
	in->dests[id].active = 1;
	fake_of(in)->stats[bpvs_stats_dest(in, id)].conns = 7;
	assert_int_equal(bpvs_dest_del(in, &svc.key, &d.addr, d.port), 0);
	fake_of(in)->clock += 1000 * FAKE_HZ;
	bpvs_tables_free(in);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_int_equal(listed_id(&(struct world){ .in = in }, 0), id);
	bpvs_stats_get(in, bpvs_stats_dest(in, id), &st);
	assert_int_equal(st.total.conns, 7);

	assert_int_equal(bpvs_flush(in), 0);
	fake_of(in)->clock += 1000 * FAKE_HZ;
	bpvs_tables_free(in);
	assert_int_equal(bpvs_svc_add(in, &svc), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_int_equal(listed_id(&(struct world){ .in = in }, 0), id);
	assert_int_equal(in->dests[id].active, 1);
	bpvs_stats_get(in, bpvs_stats_dest(in, id), &st);
	assert_int_equal(st.total.conns, 0);
	fake_free(in);
}

static void test_thresholds(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1);
	struct bpvs_dest *slot;

	(void)state;
	d.u_threshold = 8;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	slot = &in->dests[listed_id(&(struct world){ .in = in }, 0)];
	slot->active = 5;
	slot->inactive = 3;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	assert_int_equal(slot->overload, 1);
	slot->inactive = 1; /* 6: neither at 8 nor below 3/4 of it */
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	assert_int_equal(slot->overload, 1);
	slot->inactive = 0;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	assert_int_equal(slot->overload, 0);
	slot->active = 9;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	d.u_threshold = 0;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	assert_int_equal(slot->overload, 0);
	fake_free(in);
}

/* The host's own address is served by the host, but listed as it was configured. */
static void test_local(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 3, 1);
	struct bpvs_dest *slot;

	(void)state;
	d.addr = FAKE_LOCAL;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	slot = &in->dests[listed_id(&(struct world){ .in = in }, 0)];
	assert_int_equal(slot->fwd, BPVS_FWD_LOCAL);
	assert_int_equal(slot->fwd_set, BPVS_FWD_DROUTE);
	fake_free(in);
}

/* wrr's position goes to the head, its weight is cut to the new step. */
static int keep_dest(const struct bpvs_dest_info *info, void *arg)
{
	*(struct bpvs_dest_info *)arg = *info;
	return 0;
}

/* What was said of a tunnel is kept as it was; to the data path goes what means something. */
static void test_tunnels(void **state)
{
	static const struct {
		__u8 type;
		__u16 flags;
		__u8 tunnel;
	} rows[] = {
		{ BPVS_TUNNEL_IPIP, 0xffff, BPVS_TUNNEL_IPIP },
		{ BPVS_TUNNEL_GUE, 0xfffc, BPVS_TUNNEL_GUE },
		{ BPVS_TUNNEL_GUE, 1, BPVS_TUNNEL_GUE | BPVS_TUNNEL_CSUM },
		{ BPVS_TUNNEL_GUE, 2, BPVS_TUNNEL_GUE | BPVS_TUNNEL_REMCSUM },
		{ BPVS_TUNNEL_GUE, 3, BPVS_TUNNEL_GUE | BPVS_TUNNEL_REMCSUM },
		{ BPVS_TUNNEL_GRE, 2, BPVS_TUNNEL_GRE },
		{ BPVS_TUNNEL_GRE, 0x4003, BPVS_TUNNEL_GRE | BPVS_TUNNEL_CSUM },
		{ 3, 1, BPVS_TUNNEL_IPIP },
		{ 0x11, 1, BPVS_TUNNEL_IPIP },
	};
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1), got;

	(void)state;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		d.fwd = i % 2 ? BPVS_FWD_MASQ : BPVS_FWD_TUNNEL;
		d.tun_type = rows[i].type;
		d.tun_flags = rows[i].flags;
		d.tun_port = 0;
		assert_int_equal(bpvs_dest_edit(in, &svc.key, &d),
				 d.tun_type == BPVS_TUNNEL_GUE ? -EINVAL : 0);
		d.tun_port = (__be16)(i + 1);
		assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
		assert_int_equal(bpvs_dest_walk(in, &svc.key, keep_dest, &got), 0);
		assert_int_equal(got.tun_type, d.tun_type);
		assert_int_equal(got.tun_flags, d.tun_flags);
		assert_int_equal(got.tun_port, d.tun_port);
		assert_int_equal(in->dests[got.id].tunnel, rows[i].tunnel);
	}
	fake_free(in);
}

static void test_wrr_change(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 9), e = dest_info(0, 2, 6);
	struct bpvs_svc *slot = &in->svcs[fake_map_find(in, &svc.key)];

	(void)state;
	svc.sched = BPVS_SCHED_WRR;
	assert_int_equal(bpvs_svc_edit(in, &svc), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_int_equal(slot->sched_state >> 32, 1); /* step 9: 9 - 8 */
	assert_int_equal(bpvs_dest_add(in, &svc.key, &e), 0);
	assert_int_equal(slot->wrr_step, 3);
	assert_int_equal(slot->wrr_max, 7);
	assert_int_equal(slot->sched_state >> 32, 1); /* 1 / 3 * 3 + 1 */
	slot->sched_state = 5ULL << 32 | 2;
	e.weight = 4;
	d.weight = 10;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &e), 0); /* 9, 4: step 1 keeps it */
	assert_int_equal(slot->sched_state, 5ULL << 32);
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0); /* 10, 4: step 2, 5 / 2 * 2 + 1 */
	assert_int_equal(slot->sched_state, 5ULL << 32);
	fake_free(in);
}

/*
 * The keys by which replies are told while the table is full: of NAT alone, and of whom they name.
 */
static void test_rips(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1);
	struct bpvs_svc_key key = {
		.addr = d.addr, .port = d.port, .proto = svc.key.proto, .af = BPVS_V4 | BPVS_KEY_RIP
	};
	__u32 id, found;

	(void)state;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	id = listed_id(&(struct world){ .in = in }, 0);
	assert_true(fake_rip_find(in, &key, &found));
	assert_int_equal(found, id);
	d.fwd = BPVS_FWD_DROUTE;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	assert_false(fake_rip_find(in, &key, &found));
	d.fwd = BPVS_FWD_MASQ;
	assert_int_equal(bpvs_dest_edit(in, &svc.key, &d), 0);
	assert_true(fake_rip_find(in, &key, &found));
	/* Port 0 means the service's own. */
	d.port = 0;
	key.port = svc.key.port;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_true(fake_rip_find(in, &key, &found));

	/* A tool died after it had begun: the next makes the keys anew. */
	assert_int_equal(bpvs_map_svc_del(in, &key), 0);
	bpvs_tables_touch(in);
	bpvs_tables_free(in);
	assert_int_equal(bpvs_svc_get(in, &svc.key, &svc), 0);
	assert_true(fake_rip_find(in, &key, &found));
	assert_int_equal(bpvs_flush(in), 0);
	assert_false(fake_rip_find(in, &key, &found));
	fake_free(in);
}

/* A mark's destination is found by its port alone, one of a service of all ports as shared. */
static void test_rips_of_many(void **state)
{
	struct bpvs_svc_info svc, mark, all;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1);
	struct bpvs_svc_key key = { .addr = d.addr, .port = d.port, .af = BPVS_V4 | BPVS_KEY_RIP };
	__u32 found, id;

	(void)state;
	mark = all = svc;
	mark.key = (struct bpvs_svc_key){ .fwmark = 7, .af = BPVS_V4 };
	all.key.port = 0;
	all.flags |= BPVS_SVC_PERSISTENT;
	all.timeout = 60;
	assert_int_equal(bpvs_svc_add(in, &mark), 0);
	assert_int_equal(bpvs_svc_add(in, &all), 0);
	assert_int_equal(bpvs_dest_add(in, &mark.key, &d), 0);
	assert_true(fake_rip_find(in, &key, &found));
	assert_int_equal(bpvs_dest_del(in, &mark.key, &d.addr, d.port), 0);
	assert_false(fake_rip_find(in, &key, &found));

	key.proto = svc.key.proto;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_true(fake_rip_find(in, &key, &id));
	assert_false(id & BPVS_RIP_SHARED);
	/* It may have had the packet by another of its ports. */
	assert_int_equal(bpvs_dest_add(in, &all.key, &d), 0);
	assert_true(fake_rip_find(in, &key, &found));
	assert_int_equal(found, id | BPVS_RIP_SHARED);
	assert_int_equal(bpvs_dest_del(in, &svc.key, &d.addr, d.port), 0);
	assert_true(fake_rip_find(in, &key, &found));
	assert_true(found & BPVS_RIP_SHARED && found != (id | BPVS_RIP_SHARED));
	assert_int_equal(bpvs_dest_del(in, &all.key, &d.addr, d.port), 0);
	assert_false(fake_rip_find(in, &key, &found));

	/* A mark has no port that could stand in for the destination's. */
	d.port = key.port = 0;
	key.proto = 0;
	assert_int_equal(bpvs_dest_add(in, &mark.key, &d), 0);
	assert_false(fake_rip_find(in, &key, &found));
	fake_free(in);
}

/*
 * Where the clock is a slow one a look at it is a system call: one does for all that is removed,
 * and one for what was removed before.
 */
static void test_flush_clock_looks(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);

	(void)state;
	for (unsigned int n = 1; n <= 10; n++) {
		struct bpvs_dest_info d = dest_info(0, n, 1);

		assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	}
	bpvs_tables_free(in);
	fake_of(in)->clock_looks = 0;
	assert_int_equal(bpvs_flush(in), 0);
	assert_true(fake_of(in)->clock_looks <= 2);
	fake_free(in);
}

/* A filter made anew holds what is needed and nothing else. */
static void test_filter(void **state)
{
	struct bpvs_svc_info svc;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info nat = dest_info(0, 1, 1), dr = dest_info(0, 3, 1);

	(void)state;
	assert_int_equal(bpvs_dest_add(in, &svc.key, &nat), 0);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &dr), 0);
	assert_true(filter_has(in->filter->vip, &svc.key.addr));
	assert_true(filter_has(in->filter->rip, &nat.addr));
	assert_false(filter_has(in->filter->rip, &dr.addr));
	assert_int_equal(bpvs_flush(in), 0);
	/* Connections may go on for as long as the destinations are kept. */
	assert_true(filter_has(in->filter->vip, &svc.key.addr));
	assert_true(filter_has(in->filter->rip, &nat.addr));
	fake_of(in)->clock += 1000 * FAKE_HZ;
	bpvs_tables_free(in);
	assert_int_equal(bpvs_flush(in), 0);
	for (int i = 0; i < BPVS_FILTER_BITS / 64; i++)
		assert_true(!in->filter->vip[i] && !in->filter->rip[i]);
	fake_free(in);
}

/* While only a backup daemon runs nothing is for us, but replies of what was balanced before. */
static void test_backup(void **state)
{
	struct bpvs_svc_info svc, more;
	struct bpvs_instance *in = one_service(&svc);
	struct bpvs_dest_info d = dest_info(0, 1, 1);

	(void)state;
	more = svc;
	more.key.addr = fake_v4(10, 1, 2, 3);
	assert_int_equal(bpvs_dest_add(in, &svc.key, &d), 0);
	assert_int_equal(bpvs_sysctl_set(in, "backup_only", "1"), 0);
	assert_true(filter_has(in->filter->vip, &svc.key.addr));
	assert_int_equal(bpvs_backup_set(in, &in->cfg->backup_runs, 1), 0);
	assert_int_equal(bpvs_svc_add(in, &more), 0);
	assert_false(filter_has(in->filter->vip, &svc.key.addr));
	assert_false(filter_has(in->filter->vip, &more.key.addr));
	assert_true(filter_has(in->filter->rip, &d.addr));
	assert_int_equal(bpvs_sysctl_set(in, "backup_only", "0"), 0);
	assert_true(filter_has(in->filter->vip, &svc.key.addr));
	assert_true(filter_has(in->filter->vip, &more.key.addr));
	fake_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	     cmocka_unit_test(test_random_tight),
		cmocka_unit_test(test_errors),	     cmocka_unit_test(test_revival),
		cmocka_unit_test(test_out_of_reach), cmocka_unit_test(test_killed_between),
		cmocka_unit_test(test_thresholds),   cmocka_unit_test(test_local),
		cmocka_unit_test(test_wrr_change),   cmocka_unit_test(test_flush_clock_looks),
		cmocka_unit_test(test_filter),	     cmocka_unit_test(test_rips),
		cmocka_unit_test(test_rips_of_many), cmocka_unit_test(test_tables_full),
		cmocka_unit_test(test_table_repair), cmocka_unit_test(test_backup),
		cmocka_unit_test(test_tunnels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
