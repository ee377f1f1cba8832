/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * twos chooses at random, so its frequencies are compared: with the exact probabilities, which a
 * twin finds by going through every pair of numbers that the kernel could draw, in the kernel's
 * way.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "fake.h"
#include "host_env.h"
#include "../../bpf/sched/sched.h"

#define MOST  150
#define DRAWS 60000

struct world {
	struct bpvs_svc svc;
	struct bpvs_list_entry list[MOST]; /* the last is IPVS's first */
	struct bpvs_dest dests[MOST + 1];
	int num;
	double p[MOST + 1]; /* by id */
};

static bool usable(const struct world *w, int i)
{
	return w->list[i].weight > 0 && !w->dests[w->list[i].dest].overload;
}

/* The first at which what is left of the number is 0 or less. */
static int twin_hit(const struct world *w, long number)
{
	for (int i = w->num - 1; i >= 0; i--) {
		if (!usable(w, i))
			continue;
		number -= w->list[i].weight;
		if (number <= 0)
			return i;
	}
	return -1;
}

static int twin_better(const struct world *w, int a, int b)
{
	const struct bpvs_dest *x = &w->dests[w->list[a].dest], *y = &w->dests[w->list[b].dest];
	long load_a = 257L * x->active + x->inactive, load_b = 257L * y->active + y->inactive;

	return w->list[b].weight * load_a > w->list[a].weight * load_b ? b : a;
}

static long total(const struct world *w)
{
	long sum = 0;

	for (int i = 0; i < w->num; i++)
		sum += usable(w, i) ? w->list[i].weight : 0;
	return sum;
}

static void twin(struct world *w)
{
	long sum = total(w);
	double each = 1.0 / ((double)(sum + 1) * (double)(sum + 1));

	for (int id = 0; id <= MOST; id++)
		w->p[id] = 0;
	for (long x = 0; x <= sum; x++)
		for (long y = 0; y <= sum; y++) {
			int i = twin_better(w, twin_hit(w, x), twin_hit(w, y));

			w->p[w->list[i].dest] += each;
		}
}

static void set_weight(struct world *w, int i, int weight)
{
	w->list[i].weight = weight;
	w->dests[w->list[i].dest].weight = weight;
}

static void fill(struct world *w, int num, int most_weight)
{
	w->num = num;
	w->svc = (struct bpvs_svc){ .list = (__u64)num << 32 };
	for (int i = 0; i < num; i++) {
		__u32 id = (__u32)i + 1;

		w->list[i].dest = id;
		set_weight(w, i, (int)rnd((__u32)most_weight + 1));
		w->dests[id].active = (int)rnd(4);
		w->dests[id].inactive = (int)rnd(600);
		w->dests[id].overload = !rnd(5);
	}
	bpvs_lists = (struct host_map){ w->list, sizeof(w->list[0]), MOST, NULL };
	bpvs_dests = (struct host_map){ w->dests, sizeof(w->dests[0]), MOST + 1, NULL };
}

/* Within five standard deviations, each destination. */
static void compare(struct world *w)
{
	static const struct bpvs_flow flow;
	unsigned int seen[MOST + 1] = { 0 };

	for (int i = 0; i < DRAWS; i++)
		seen[bpvs_sched_twos(&w->svc, &flow)]++;
	for (int id = 0; id <= w->num; id++) {
		double want = w->p[id] * DRAWS, off = fabs(seen[id] - want);

		if (off > 5 * sqrt(want * (1 - w->p[id])) + 1e-6)
			fail_msg("destination %d of %d: %u times, not %.0f", id, w->num, seen[id],
				 want);
	}
}

static void test_few(void **state)
{
	static struct world w;

	(void)state;
	for (int i = 0; i < 60; i++) {
		fill(&w, 1 + (int)rnd(8), 1 + (int)rnd(6));
		if (!total(&w))
			continue;
		twin(&w);
		compare(&w);
	}
}

/* Several runs of the walk, and its odd ones. */
static void test_many(void **state)
{
	static struct world w;

	(void)state;
	for (int i = 0; i < 6; i++) {
		fill(&w, 100 + (int)rnd(MOST - 100), 2);
		/* Nobody over a threshold, and a first one that is there or is not. */
		for (int k = 0; i > 3 && k < w.num; k++)
			w.dests[w.list[k].dest].overload = i == 5 && k == w.num - 1;
		twin(&w);
		compare(&w);
	}
}

static void test_nobody(void **state)
{
	static const struct bpvs_flow flow;
	static struct world w;

	(void)state;
	fill(&w, 5, 1);
	for (int i = 0; i < 5; i++)
		w.list[i].weight = 0;
	assert_int_equal(bpvs_sched_twos(&w.svc, &flow), 0);
	w.svc.list = 0;
	assert_int_equal(bpvs_sched_twos(&w.svc, &flow), 0);
}

/* The largest weights: alike, unlike, and the busier of two, which is taken when drawn twice. */
static void test_large(void **state)
{
	static struct world w;

	(void)state;
	fill(&w, 3, 1);
	for (int i = 0; i < 3; i++) {
		w.dests[i + 1] = (struct bpvs_dest){ .active = 0 };
		set_weight(&w, i, INT32_MAX);
	}
	w.p[0] = 0;
	w.p[1] = w.p[2] = w.p[3] = 1 / 3.0;
	compare(&w);
	set_weight(&w, 1, INT32_MAX / 4);
	set_weight(&w, 2, INT32_MAX / 4);
	w.p[1] = 4 / 6.0;
	w.p[2] = w.p[3] = 1 / 6.0;
	compare(&w);
	set_weight(&w, 0, INT32_MAX);
	set_weight(&w, 1, INT32_MAX);
	set_weight(&w, 2, 0);
	w.dests[1].active = 1 << 23;
	w.dests[2].active = (1 << 23) - 1;
	w.p[1] = 1 / 4.0;
	w.p[2] = 3 / 4.0;
	w.p[3] = 0;
	compare(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
