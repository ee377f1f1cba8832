/* SPDX-License-Identifier: GPL-2.0-only */
/* What the library reads from the shared arrays: statistics, connections, settings. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fake.h"

static struct bpvs_instance *instance(void)
{
	struct bpvs_instance *in = fake_new((struct fake_size){ 8, 16, 64, 256 });

	bpvs_config_defaults(in->cfg, in->ro);
	return in;
}

/* ---- statistics ---- */

static void test_zero_point(void **state)
{
	struct bpvs_instance *in = instance();
	struct bpvs_stats_info st;

	(void)state;
	fake_of(in)->stats[0] = (struct bpvs_stats){ 10, 20, 30, 40, 50 };
	in->rates[0].inpps = 7 << 10;
	assert_int_equal(bpvs_stats_zero(in, NULL), 0);
	fake_of(in)->stats[0].outbytes += 5;
	assert_int_equal(bpvs_stats_get(in, BPVS_STATS_TOTAL, &st), 0);
	assert_int_equal(st.total.conns, 0);
	assert_int_equal(st.total.outbytes, 5);
	assert_int_equal(st.rate.inpkts, 0);
	assert_int_equal(bpvs_stats_get(in, 8 + 16, &st), -EINVAL);
	fake_free(in);
}

/* A rate of one half is shown as one, just below as none. */
static void test_rate_rounding(void **state)
{
	struct bpvs_instance *in = instance();
	struct bpvs_stats_info st;

	(void)state;
	in->rates[3] = (struct bpvs_rate){
		.cps = 0x200,
		.inpps = 0x201,
		.outpps = 5 << 10,
		.inbps = 0x10,
		.outbps = 0x11,
	};
	assert_int_equal(bpvs_stats_get(in, 3, &st), 0);
	assert_int_equal(st.rate.conns, 0);
	assert_int_equal(st.rate.inpkts, 1);
	assert_int_equal(st.rate.outpkts, 5);
	assert_int_equal(st.rate.inbytes, 0);
	assert_int_equal(st.rate.outbytes, 1);
	in->cfg->run_estimation = 0;
	assert_int_equal(bpvs_stats_get(in, 3, &st), 0);
	assert_int_equal(st.rate.outpkts, 5);
	fake_free(in);
}

/* ---- connections ---- */

static __u64 conn_word(struct bpvs_instance *in, enum bpvs_slot_status status, __u8 tcp, int units)
{
	__u32 expiry = fake_of(in)->clock + (__u32)units;

	return status | (__u64)tcp << BPVS_WORD_STATE_SHIFT |
	       (__u64)expiry << BPVS_WORD_EXPIRY_SHIFT;
}

struct found {
	struct bpvs_conn_info last;
	int num;
};

static int found_cb(const struct bpvs_conn_info *conn, void *arg)
{
	struct found *f = arg;

	f->last = *conn;
	f->num++;
	return 0;
}

static void test_conns(void **state)
{
	struct bpvs_instance *in = instance();
	struct found f = { 0 };
	struct bpvs_conn *c = in->conns;

	(void)state;
	c[0].word = conn_word(in, BPVS_SLOT_BUSY, 1, 100);
	c[1].word = conn_word(in, BPVS_SLOT_TENTATIVE, 1, 100);
	c[2].word = conn_word(in, BPVS_SLOT_VALID, 1, 0); /* expired just now */
	c[3].word = conn_word(in, BPVS_SLOT_VALID, 1, -5);
	assert_int_equal(bpvs_conn_walk(in, found_cb, &f), 0);
	assert_int_equal(f.num, 0);
	/* The last of the overflow slots; its expiry lies beyond the clock's wrap. */
	fake_of(in)->clock = 0xffffffff;
	c[256 + 15] = (struct bpvs_conn){
		.word = conn_word(in, BPVS_SLOT_VALID, BPVS_TCP_FIN_WAIT, 250) | BPVS_WORD_ACTIVE,
		.caddr = htonl(0x0a000001),
		.cport = htons(1234),
		.proto = IPPROTO_TCP,
		.flags = BPVS_FWD_TUNNEL,
	};
	assert_int_equal(bpvs_conn_walk(in, found_cb, &f), 0);
	assert_int_equal(f.num, 1);
	assert_int_equal(f.last.expires_ms, 2500);
	assert_int_equal(f.last.state, BPVS_TCP_FIN_WAIT);
	assert_int_equal(f.last.fwd, BPVS_FWD_TUNNEL);
	assert_true(f.last.active);
	assert_int_equal(f.last.af, BPVS_V4);
	assert_int_equal(f.last.caddr.w[3], htonl(0x0a000001));
	assert_int_equal(f.last.caddr.w[2], htonl(0xffff));
	assert_string_equal(bpvs_conn_state_name(IPPROTO_TCP, f.last.state), "FIN_WAIT");
	assert_string_equal(bpvs_conn_state_name(IPPROTO_UDP, 0), "UDP");
	fake_free(in);
}

/* A tunnel's other end may be of the other family; only the destination has its address. */
static void test_conn_mixed(void **state)
{
	struct bpvs_instance *in = instance();
	struct bpvs_addr other = fake_v6(5);
	struct found f = { 0 };

	(void)state;
	in->cfg->tool_reserved[BPVS_TOOL_DEST_HIGH] = 4;
	in->dests[3] = (struct bpvs_dest){ .flags = 3, .af = BPVS_V6, .addr = other };
	in->conns[7] = (struct bpvs_conn){
		.word = conn_word(in, BPVS_SLOT_VALID, 0, 100),
		.proto = IPPROTO_UDP,
		.dest = 3,
	};
	assert_int_equal(bpvs_conn_walk(in, found_cb, &f), 0);
	assert_int_equal(f.last.af, BPVS_V4);
	assert_int_equal(f.last.daf, BPVS_V6);
	assert_memory_equal(&f.last.daddr, &other, sizeof(other));
	fake_free(in);
}

/* ---- settings ---- */

static void test_timeouts(void **state)
{
	struct bpvs_instance *in = instance();
	struct bpvs_timeouts t = { .tcp = 100, .udp = 30 };

	(void)state;
	assert_int_equal(in->cfg->tcp_timeout[BPVS_TCP_SYN_RECV], 60 * FAKE_HZ);
	assert_int_equal(bpvs_timeouts_set(in, &t), 0);
	assert_int_equal(bpvs_timeouts_get(in, &t), 0);
	assert_int_equal(t.tcp, 100);
	assert_int_equal(t.tcp_fin, 120);
	assert_int_equal(t.udp, 30);
	t.tcp_fin = 0x7fffffff;
	assert_int_equal(bpvs_timeouts_set(in, &t), -EINVAL);
	fake_free(in);
}

/* What the kernel's files (6.1, 7.2) answer to a write, and what is read from them then. */
static const struct {
	const char *name, *write;
	int err;
	const char *then;
} writes[] = {
	{ "drop_entry", "3", 0, "3" },
	{ "drop_entry", "-1", -EINVAL, "0" },
	{ "drop_entry", "4", -EINVAL, "0" },
	{ "drop_packet", "1 2\n", 0, "1" },
	{ "sloppy_tcp", "2", 0, "2" },
	{ "sloppy_tcp", "-1", 0, "-1" },
	{ "sloppy_tcp", "0x10", 0, "16" },
	{ "sloppy_tcp", "010", 0, "8" },
	{ "sloppy_tcp", " 1 x", 0, "1" },
	{ "sloppy_tcp", "2147483648", -EINVAL, "0" },
	{ "sloppy_tcp", "-2147483648", 0, "-2147483648" },
	{ "sloppy_tcp", "99999999999999999999", -EINVAL, "0" },
	{ "sloppy_tcp", "", -EINVAL, "0" },
	{ "sloppy_tcp", "\n", -EINVAL, "0" },
	{ "sloppy_tcp", "x", -EINVAL, "0" },
	{ "sloppy_tcp", "1x", -EINVAL, "0" },
	{ "sloppy_tcp", "+1", -EINVAL, "0" },
	{ "conn_reuse_mode", "4", 0, "4" },
	{ "conn_max", "-1", -EINVAL, "1073741824" },
	{ "conn_max", "0", 0, "0" },
	{ "conn_max", "1073741825", -EINVAL, "1073741824" },
	{ "conn_lfactor", "9", -EINVAL, "-4" },
	{ "svc_lfactor", "-8", 0, "-8" },
	{ "est_nice", "-20", 0, "-20" },
	{ "est_nice", "20", -EINVAL, "0" },
	{ "lblc_expiration", "-1", 0, "-1" },
	{ "lblc_expiration", "21474836", 0, "21474836" },
	{ "lblcr_expiration", "21474837", -EINVAL, "86400" },
	{ "sync_ports", "128", 0, "128" },
	{ "sync_ports", "0", -EINVAL, "1" },
	{ "sync_ports", "65", -EINVAL, "1" },
	{ "sync_version", "2", -EINVAL, "1" },
	{ "sync_retries", "4", -EINVAL, "0" },
	{ "sync_qlen_max", "18446744073709551615", 0, "18446744073709551615" },
	{ "sync_threshold", "2", 0, "2\t50" },
	{ "sync_threshold", "1\t2", 0, "1\t2" },
	{ "sync_threshold", "0 0", 0, "0\t0" },
	{ "sync_threshold", "5 5", -EINVAL, "3\t50" },
	{ "sync_threshold", "-1 5", -EINVAL, "3\t50" },
	{ "sync_threshold", "64", -EINVAL, "3\t50" },
	{ "est_cpulist", "0-1", 0, "0-1" },
	{ "est_cpulist", "0,1,3", 0, "0-1,3" },
	{ "est_cpulist", "0-3:1/2", 0, "0,2" },
	{ "est_cpulist", "0 0", 0, "0" },
	{ "est_cpulist", "\n", 0, "" },
	{ "est_cpulist", "4", -ERANGE, "0-3" },
	{ "est_cpulist", "010", -ERANGE, "0-3" },
	{ "est_cpulist", "3-1", -EINVAL, "0-3" },
	{ "est_cpulist", "1x", -EINVAL, "0-3" },
	{ "est_cpulist", "18446744073709551616", -EOVERFLOW, "0-3" },
};

static void test_sysctl_writes(void **state)
{
	char value[BPVS_SYSCTL_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		struct bpvs_instance *in = instance();

		fake_of(in)->ro.cpus = 4;
		bpvs_sysctl_defaults(in->cfg, in->ro);
		assert_int_equal(bpvs_sysctl_set(in, writes[i].name, writes[i].write),
				 writes[i].err);
		assert_int_equal(bpvs_sysctl_get(in, writes[i].name, value, sizeof(value)), 0);
		assert_string_equal(value, writes[i].then);
		fake_free(in);
	}
}

static void test_sysctls(void **state)
{
	struct bpvs_instance *in = instance();
	const char *const *name = bpvs_sysctl_names();
	char value[BPVS_SYSCTL_SIZE];

	(void)state;
	for (; name[1]; name++)
		assert_true(strcmp(name[0], name[1]) < 0);
	for (name = bpvs_sysctl_names(); *name; name++)
		assert_true(strlen(bpvs_sysctl_effect(*name)) > 0);
	assert_int_equal(bpvs_sysctl_set(in, "sync_qlen_max", "-1"), -EINVAL);
	assert_int_equal(bpvs_sysctl_get(in, "no_such_knob", value, sizeof(value)), -ENOENT);
	assert_int_equal(bpvs_sysctl_set(in, "no_such_knob", "1"), -ENOENT);
	fake_free(in);
}

static void test_names(void **state)
{
	unsigned int sched;

	(void)state;
	assert_string_equal(bpvs_sched_name(BPVS_SCHED_WLC), "wlc");
	assert_null(bpvs_sched_name(BPVS_SCHEDS));
	assert_int_equal(bpvs_sched_find("wrr", &sched), 0);
	assert_int_equal(sched, BPVS_SCHED_WRR);
	assert_int_equal(bpvs_sched_find("RR", &sched), -ENOENT);
	assert_string_equal(bpvs_fwd_name(BPVS_FWD_DROUTE), "Route");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_point), cmocka_unit_test(test_rate_rounding),
		cmocka_unit_test(test_conns),	   cmocka_unit_test(test_conn_mixed),
		cmocka_unit_test(test_timeouts),   cmocka_unit_test(test_sysctls),
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_sysctl_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
