/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lblc and lblcr remember, beyond whom they choose (test_sched.c): how much, for how long, and
 * what ends it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fake.h"
#include "host_env.h"
#include "../../bpf/sched/locality.h"

static struct bpvs_instance *in;
static struct bpvs_svc_info info;
static struct bpvs_svc *svc;

static void service(__u32 sched, int dests)
{
	in = fake_new((struct fake_size){ 4, 64, 512, 0 });
	host_use(in);
	host_cfg->lblc_expiration = host_cfg->lblcr_expiration = 86400;
	memset(host_counts, 0, sizeof(host_counts));
	info = (struct bpvs_svc_info){
		.key = { .addr = fake_v4(10, 0, 0, 1),
			 .port = htons(80),
			 .proto = IPPROTO_TCP,
			 .af = BPVS_V4 },
		.sched = sched,
		.netmask = 0xffffffff,
	};
	assert_int_equal(bpvs_svc_add(in, &info), 0);
	svc = &in->svcs[fake_map_find(in, &info.key)];
	for (int i = 0; i < dests; i++) {
		struct bpvs_dest_info d = {
			.addr = fake_v4(10, 1, 0, (unsigned int)i + 1),
			.port = htons(80),
			.af = BPVS_V4,
			.fwd = BPVS_FWD_DROUTE,
			.weight = 1,
		};

		assert_int_equal(bpvs_dest_add(in, &info.key, &d), 0);
	}
}

static __u32 choose(unsigned int addr)
{
	struct bpvs_flow flow = { .daddr = fake_v4(10, addr >> 16, addr >> 8 & 255, addr & 255) };

	if (svc->sched == BPVS_SCHED_LBLCR)
		return (__u32)bpvs_sched_lblcr(svc, &flow);
	return (__u32)bpvs_sched_lblc(svc, &flow);
}

static struct bpvs_dest *dest(unsigned int i)
{
	return &in->dests[in->lists[bpvs_list_off(svc->list) + i].dest];
}

static __u32 entries(void)
{
	__u32 n = 0;

	for (__u32 p = 0; p < BPVS_LBLC_PLACES; p++)
		n += bpvs_lblc.used[p];
	assert_int_equal(host_cfg->lblc_num, n);
	return n;
}

/* A minute passes, and the timer looks at all places. */
static void minute(void)
{
	__u32 pass = ++host_cfg->lblc_pass;

	host_clock += 60 * FAKE_HZ;
	for (__u32 p = 0; p < BPVS_LBLC_PLACES; p++)
		bpvs_lblc_visit(p, pass, host_clock);
}

static void minutes(int n)
{
	while (n--)
		minute();
}

/* Every 30th minute those not used for so long; not before, and not those that were used. */
static void full_check(__u32 sched)
{
	__s32 *expiration;

	service(sched, 3);
	expiration =
		sched == BPVS_SCHED_LBLC ? &host_cfg->lblc_expiration : &host_cfg->lblcr_expiration;
	*expiration = 20 * 60;
	choose(1);
	choose(2);
	minutes(11);
	choose(2);
	minutes(18);
	assert_int_equal(entries(), 2);
	minute();
	assert_int_equal(entries(), 1);
	assert_int_equal((__u32)(svc->sched_state >> 32), 1);
	minutes(29);
	assert_int_equal(entries(), 1);
	minute();
	assert_int_equal(entries(), 0);
	/* Minutes go on while there is nothing to look at. */
	host_cfg->lblc_pass += 15;
	choose(3);
	minutes(14);
	*expiration = 60;
	assert_int_equal(entries(), 1);
	minute();
	assert_int_equal(entries(), 0);
	fake_free(in);
}

static void test_full_check(void **state)
{
	(void)state;
	full_check(BPVS_SCHED_LBLC);
	full_check(BPVS_SCHED_LBLCR);
}

/* Beyond the limit: a third more than what is too many, of those not used for six minutes. */
static void test_too_many(void **state)
{
	(void)state;
	service(BPVS_SCHED_LBLC, 3);
	for (unsigned int a = 0; a < BPVS_LBLC_MAX; a++)
		choose(a);
	minutes(7);
	assert_int_equal(entries(), BPVS_LBLC_MAX);
	for (unsigned int a = 0; a < 300; a++)
		choose(BPVS_LBLC_MAX + a);
	minute();
	assert_int_equal(entries(), BPVS_LBLC_MAX + 300 - 400);
	for (unsigned int a = 0; a < 300; a++)
		choose(a << 4 | 1 << 20);
	for (unsigned int a = 0; a < BPVS_LBLC_MAX; a++)
		choose(a);
	/* All were used a moment ago. */
	minutes(5);
	assert_true(entries() > BPVS_LBLC_MAX);
	minutes(2);
	assert_true(entries() <= BPVS_LBLC_MAX);
	fake_free(in);
}

/* Half as many again is all that is remembered; the others are served all the same. */
static void test_full(void **state)
{
	(void)state;
	service(BPVS_SCHED_LBLCR, 3);
	for (unsigned int a = 0; a < BPVS_LBLC_MOST + 100; a++)
		assert_true(choose(a) != 0);
	assert_int_equal(entries(), BPVS_LBLC_MOST);
	assert_int_equal(host_counts[BPVS_EV_LBLC_FULL], 100);
	fake_free(in);
}

/* Another scheduler, or another service: the table is empty, and its entries go. */
static void test_new_table(void **state)
{
	__u32 first;

	(void)state;
	service(BPVS_SCHED_LBLC, 2);
	first = choose(1);
	dest(first == in->lists[bpvs_list_off(svc->list)].dest ? 0 : 1)->active = 1;
	assert_int_equal(choose(1), first);
	/* The same again is no change. */
	assert_int_equal(bpvs_svc_edit(in, &info), 0);
	assert_int_equal(choose(1), first);
	info.sched = BPVS_SCHED_LBLCR;
	assert_int_equal(bpvs_svc_edit(in, &info), 0);
	assert_int_not_equal(choose(1), first);
	assert_int_equal(entries(), 2);
	minute();
	assert_int_equal(entries(), 1);
	assert_int_equal((__u32)(svc->sched_state >> 32), 1);
	info.sched = BPVS_SCHED_RR;
	assert_int_equal(bpvs_svc_edit(in, &info), 0);
	minute();
	assert_int_equal(entries(), 0);
	info.sched = BPVS_SCHED_LBLC;
	assert_int_equal(bpvs_svc_edit(in, &info), 0);
	choose(1);
	assert_int_equal(bpvs_svc_del(in, &info.key), 0);
	minute();
	assert_int_equal(entries(), 0);
	fake_free(in);
}

/* Load those of the set, one after the other, until it holds as many as it can. */
static void test_set(void **state)
{
	struct bpvs_lblc *e = NULL;
	__u32 most = 0;

	(void)state;
	service(BPVS_SCHED_LBLCR, BPVS_LBLC_SET + 4);
	for (int i = 0; i < BPVS_LBLC_SET; i++) {
		__u32 id = choose(1);

		/* Overloaded, and each less than the one before. */
		in->dests[id].active = 100 - i;
		most = most ? most : id;
	}
	for (__u32 p = 0; p < BPVS_LBLC_PLACES; p++)
		e = bpvs_lblc.used[p] ? (struct bpvs_lblc *)bpvs_lblc.at + p : e;
	assert_non_null(e);
	assert_int_equal(e->dests[0], most);
	assert_int_not_equal(e->dests[BPVS_LBLC_SET - 1], 0);
	/* The next one takes the place of the most loaded. */
	assert_int_not_equal(choose(1), most);
	for (int i = 0; i < BPVS_LBLC_SET; i++) {
		assert_int_not_equal(e->dests[i], 0);
		assert_int_not_equal(e->dests[i], most);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(e->dests[i], e->dests[k]);
	}
	fake_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_check), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_full),	   cmocka_unit_test(test_new_table),
		cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
