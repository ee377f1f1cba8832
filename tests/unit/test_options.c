/* SPDX-License-Identifier: GPL-2.0-only */
/* ipvsadm's tables and small parsers, without any engine. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "endpoint.h"
#include "fake.h"
#include "list.h"
#include "options.h"

const char *bpvs_error(void)
{
	return "";
}

/* ---- legality ---- */

static void test_legality(void **state)
{
	static const struct {
		enum command cmd;
		uint64_t options;
		const char *want; /* NULL: legal */
	} cases[] = {
		{ CMD_ADD, OPT_BIT(SERVICE), NULL },
		{ CMD_ADD, 0,
		  "You need to supply the 'service-address' option for the "
		  "'add-service' command" },
		{ CMD_ADD, OPT_BIT(SERVICE) | OPT_BIT(WEIGHT),
		  "Illegal 'weight' option with the 'add-service' command" },
		{ CMD_FLUSH, OPT_BIT(SERVICE),
		  "Illegal 'service-address' option with the 'flush' "
		  "command" },
		{ CMD_ADDDEST, OPT_BIT(SERVICE),
		  "You need to supply the 'real-server' option for the "
		  "'add-server' command" },
		{ CMD_ADDDEST,
		  OPT_BIT(SERVICE) | OPT_BIT(SERVER) | OPT_BIT(WEIGHT) | OPT_BIT(TUN_TYPE), NULL },
		{ CMD_DELDEST, OPT_BIT(SERVICE) | OPT_BIT(SERVER) | OPT_BIT(WEIGHT),
		  "Illegal 'weight' option with the 'delete-server' command" },
		{ CMD_LIST, OPT_BIT(SERVICE) | OPT_BIT(STATS) | OPT_BIT(EXACT), NULL },
		{ CMD_LIST, OPT_BIT(SYNCID), NULL },
		{ CMD_LIST, OPT_BIT(CONNECTION) | OPT_BIT(SERVICE),
		  "The option 'service-address' conflicts with the 'connection' option in the "
		  "'list' command" },
		/* In the order of the options: the illegal weight is met before the conflict. */
		{ CMD_LIST, OPT_BIT(CONNECTION) | OPT_BIT(TIMEOUT) | OPT_BIT(WEIGHT),
		  "Illegal 'weight' option with the 'list' command" },
		{ CMD_SAVE, OPT_BIT(NUMERIC), NULL },
		{ CMD_TIMEOUT, OPT_BIT(NUMERIC),
		  "Illegal 'numeric' option with the 'set' command" },
		{ CMD_STOPDAEMON, OPT_BIT(SYNCID), NULL },
		{ CMD_STOPDAEMON, OPT_BIT(MCAST_PORT),
		  "Illegal 'mcast-port' option with the 'stop-daemon' command" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = options_illegal(cases[i].cmd, cases[i].options);

		if (cases[i].want)
			assert_string_equal(got, cases[i].want);
		else
			assert_null(got);
	}
}

static void test_conflicts(void **state)
{
	(void)state;
	assert_null(options_conflict(OPT_BIT(STATS) | OPT_BIT(RATE) | OPT_BIT(THRESHOLDS)));
	assert_null(options_conflict(OPT_BIT(CONNECTION) | OPT_BIT(PERSISTENT_CONN)));
	assert_non_null(options_conflict(OPT_BIT(CONNECTION) | OPT_BIT(STATS)));
	assert_non_null(options_conflict(OPT_BIT(TIMEOUT) | OPT_BIT(PERSISTENT_CONN)));
	assert_non_null(options_conflict(OPT_BIT(DAEMON) | OPT_BIT(RATE)));
}

static void test_tunnels(void **state)
{
	(void)state;
	assert_null(options_tunnel(TUNNEL_IPIP, OPT_BIT(TUN_TYPE)));
	assert_string_equal(options_tunnel(TUNNEL_IPIP, OPT_BIT(TUN_PORT)),
			    "Illegal 'tun-port' option with the 'ipip' tunnel type");
	assert_string_equal(options_tunnel(TUNNEL_GUE, 0),
			    "You need to supply the 'tun-port' option for the 'gue' tunnel type");
	assert_null(options_tunnel(TUNNEL_GUE, OPT_BIT(TUN_PORT) | OPT_BIT(TUN_REMCSUM)));
	assert_string_equal(
		options_tunnel(TUNNEL_GUE,
			       OPT_BIT(TUN_PORT) | OPT_BIT(TUN_CSUM) | OPT_BIT(TUN_REMCSUM)),
		"The option 'tun-remcsum' conflicts with the 'tun-csum' option in the 'gue' tunnel "
		"type");
	assert_string_equal(options_tunnel(TUNNEL_GRE, OPT_BIT(TUN_REMCSUM)),
			    "Illegal 'tun-remcsum' option with the 'gre' tunnel type");
}

static void test_sched_flags(void **state)
{
	(void)state;
	assert_int_equal(sched_flags_parse("sh-port,sh-fallback", "sh"),
			 BPVS_SCHED_FALLBACK | BPVS_SCHED_PORT);
	assert_int_equal(sched_flags_parse(",flag-3,", "rr"), BPVS_SCHED_FLAG_3);
	assert_string_equal(sched_flags_text(BPVS_SCHED_FALLBACK | BPVS_SCHED_PORT, "mh"),
			    "mh-fallback,mh-port");
	assert_string_equal(sched_flags_text(BPVS_SCHED_PORT | BPVS_SCHED_FLAG_3, "rr"),
			    "flag-2,flag-3");
	assert_string_equal(sched_flags_text(BPVS_SCHED_FALLBACK | BPVS_SCHED_FLAG_3, "sh"),
			    "sh-fallback");
	assert_string_equal(sched_flags_text(BPVS_SCHED_FLAG_3, "mh"), "");
	assert_null(sched_flags_text(0, "rr"));
}

/* ---- lines ---- */

static void parse(struct args *a, const char *line)
{
	char copy[256], *argv[32] = { (char[]){ "ipvsadm" } }, *save = NULL;
	int argc = 1;

	strncpy(copy, line, sizeof(copy) - 1);
	copy[sizeof(copy) - 1] = '\0';
	for (char *w = strtok_r(copy, " ", &save); w && argc < 31; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	assert_int_equal(args_parse(a, argc, argv, false), 0);
}

static void test_lines(void **state)
{
	struct args a;

	(void)state;
	/* Only NAT changes the port. */
	parse(&a, "-a -t 10.0.0.1:80 -r 10.0.0.2:8080");
	assert_int_equal(a.dest.fwd, BPVS_FWD_DROUTE);
	assert_int_equal(ntohs(a.dest.port), 80);
	args_free(&a);
	parse(&a, "-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 7");
	assert_int_equal(ntohs(a.dest.port), 8080);
	assert_int_equal(a.dest.weight, 7);
	args_free(&a);
	/* The service's port is copied when the server is read: one said before it gets none. */
	parse(&a, "-a -r 10.0.0.2 -t 10.0.0.1:80 -m");
	assert_int_equal(a.dest.port, 0);
	args_free(&a);
	parse(&a, "-A -t [::1]:80");
	assert_int_equal(a.svc.netmask, 128);
	assert_string_equal(a.sched, "wlc");
	args_free(&a);
	parse(&a, "-A -M 255.255.255.0 -t [::1]:80 -p");
	assert_int_equal(a.svc.netmask, 128);
	assert_int_equal(a.svc.timeout, 360);
	args_free(&a);
	parse(&a, "-A -f 9 -6 -M 64 -s rr");
	assert_int_equal(a.svc.key.fwmark, 9);
	assert_int_equal(a.svc.key.af, BPVS_V6);
	assert_int_equal(a.svc.netmask, 64);
	args_free(&a);
	parse(&a, "--set 1 2 3");
	assert_int_equal(a.timeouts.tcp_fin, 2);
	args_free(&a);
}

/* ---- endpoints ---- */

static void test_endpoints(void **state)
{
	static const struct {
		const char *text;
		__u8 proto;
		const char *want; /* as endpoint_text() prints it; NULL: refused */
		bool has_port;
	} cases[] = {
		{ "10.0.0.1:80", IPPROTO_TCP, "10.0.0.1:80", true },
		{ "10.0.0.1", IPPROTO_TCP, "10.0.0.1:0", false },
		{ "10.0.0.1:http", IPPROTO_TCP, "10.0.0.1:80", true },
		{ "10.0.0.1:tftp", IPPROTO_UDP, "10.0.0.1:69", true },
		{ "10.0.0.1:tftp", IPPROTO_TCP, NULL, false },
		{ "10.0.0.1:http", 0, NULL, false },
		{ "10.0.0.1:65535", IPPROTO_TCP, "10.0.0.1:65535", true },
		{ "10.0.0.1:65536", IPPROTO_TCP, NULL, false },
		{ "10.0.0.1:80x", IPPROTO_TCP, NULL, false },
		{ "10.0.0.1:-1", IPPROTO_TCP, NULL, false },
		{ "10.0.0.1:", IPPROTO_TCP, NULL, false },
		{ ":80", IPPROTO_TCP, NULL, false },
		{ "", IPPROTO_TCP, NULL, false },
		{ "80", IPPROTO_TCP, NULL, false },
		{ "10.1:80", IPPROTO_TCP, "10.0.0.1:80", true },
		{ "300.0.0.1:80", IPPROTO_TCP, NULL, false },
		{ "[2001:db8::1]:80", IPPROTO_TCP, "[2001:db8::1]:80", true },
		{ "2001:db8::1", IPPROTO_TCP, "[2001:db8::1]:0", false },
		{ "2001:db8::1:80", IPPROTO_TCP, "[2001:db8::1:80]:0", false },
		{ "[::1]", IPPROTO_TCP, NULL, false },
		{ "[::1]80", IPPROTO_TCP, NULL, false },
		{ "[::1:80", IPPROTO_TCP, NULL, false },
		{ "::1]:80", IPPROTO_TCP, NULL, false },
		/* Brackets are for IPv6; the port behind them is lost otherwise. */
		{ "[10.0.0.1]:80", IPPROTO_TCP, "10.0.0.1:0", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e;
		bool good = endpoint_parse(cases[i].text, cases[i].proto, &e);

		assert_int_equal(good, !!cases[i].want);
		if (!good)
			continue;
		assert_string_equal(endpoint_text(&e.addr, e.port, e.af, cases[i].proto, true),
				    cases[i].want);
		assert_int_equal(e.has_port, cases[i].has_port);
	}
}

/* ---- numbers ---- */

static void test_numbers(void **state)
{
	long long n;

	(void)state;
	assert_true(number_parse("010", 0, 100, &n));
	assert_int_equal(n, 10);
	assert_true(number_parse(" +5", 0, 100, &n));
	assert_false(number_parse("5 ", 0, 100, &n));
	assert_false(number_parse("0x10", 0, 100, &n));
	assert_false(number_parse("", 0, 100, &n));
	assert_false(number_parse("101", 0, 100, &n));
	assert_false(number_parse("99999999999999999999", 0, INT64_MAX, &n));
}

static void test_largenum(void **state)
{
	static const struct {
		uint64_t n;
		const char *exact, *brief;
	} cases[] = {
		{ 0, "        0", "        0" },
		{ 99999999, " 99999999", " 99999999" },
		{ 100000000, " 100000000", "  100000K" },
		{ 999999999, " 999999999", "  999999K" },
		{ 1000000000, " 1000000000", "    1000M" },
		{ 99999999999ULL, " 99999999999", "   99999M" },
		{ 100000000000ULL, " 100000000000", "     100G" },
		{ 99999999999999ULL, " 99999999999999", "   99999G" },
		{ 100000000000000ULL, " 100000000000000", "     100T" },
		{ UINT64_MAX, " 18446744073709551615", "18446744T" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(largenum_text(cases[i].n, true), cases[i].exact);
		assert_string_equal(largenum_text(cases[i].n, false), cases[i].brief);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legality), cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_tunnels),	 cmocka_unit_test(test_sched_flags),
		cmocka_unit_test(test_lines),	 cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_numbers),	 cmocka_unit_test(test_largenum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
