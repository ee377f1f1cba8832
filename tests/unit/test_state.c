/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data path's own step, compiled for the host: every table, every state, every event, against
 * IPVS's tables written out here. The packet tests see those that packets can reach.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "../../bpf/state.h"

#define NOW 1000U

/* Who moves the state, as the tables below are ordered. */
enum { BY_CLIENT, BY_SERVER, BY_CLIENT_ALONE };

static const char tcp_states[] = "NO ES SS SR FW TW CL CW LA LI SA";
static const char sctp_states[] = "NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL";

/* clang-format off */

/* Normal and secure_tcp's; by BY_*; SYN, FIN, ACK, RST. */
static const char *const tcp_rows[2][3][4] = {
	{
		{ /* normal in */
			"SR ES ES SR SR SR SR SR SR SR SR",
			"CL CW SS TW TW TW CL CW LA LI TW",
			"ES ES SS ES FW TW CL CW CL LI ES",
			"CL CL CL SR CL CL CL CL LA LI SR",
		},
		{ /* normal out */
			"SS ES SS SR SS SS SS SS SS LI SR",
			"TW FW SS TW FW TW CL TW LA LI TW",
			"ES ES SS ES FW TW CL CW LA ES ES",
			"CL CL SS CL CL TW CL CL CL CL CL",
		},
		{ /* normal in-only */
			"SR ES ES SR SR SR SR SR SR SR SR",
			"CL FW SS TW FW TW CL CW LA LI TW",
			"ES ES SS ES FW TW CL CW CL LI ES",
			"CL CL CL SR CL CL CL CL LA LI CL",
		},
	},
	{
		{ /* secure in */
			"SR ES ES SR SR SR SR SR SR SR SA",
			"CL CW SS TW TW TW CL CW LA LI SA",
			"ES ES SS SR FW TW CL CW CL LI SA",
			"CL CL CL SR CL CL CL CL LA LI CL",
		},
		{ /* secure out */
			"SS ES SS SA SS SS SS SS SS LI SA",
			"TW FW SS TW FW TW CL TW LA LI TW",
			"ES ES SS ES FW TW CL CW LA ES ES",
			"CL CL SS CL CL TW CL CL CL CL CL",
		},
		{ /* secure in-only */
			"SA ES ES SR SA SA SA SA SA SA SA",
			"CL FW SS TW FW TW CL CW LA LI TW",
			"ES ES SS ES FW TW CL CW CL LI ES",
			"CL CL CL SR CL CL CL CL LA LI CL",
		},
	},
};

/* By BY_*; in the order of sctp_types. */
static const char *const sctp_rows[3][10] = {
	{ /* in */
		"ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
		"I1 IN IN CS CR CW CO CE ES SS SR SA IN IN",
		"CW CW CW CS CR CO CO CE ES SS SR SA RJ CL",
		"CR IN IN CR CR CW CO CE ES SS SR SA RJ CL",
		"ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL",
		"SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL",
		"CL IN IN CS CR CW CO CE ES CL SR CL RJ CL",
		"CL CL CL CS CR CW CO CE ES SS SR CL RJ CL",
		"CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL",
		"CL CL CL CL CL RJ CL CL CL CL CL CL CL CL",
	},
	{ /* out */
		"ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
		"CW CW CW CW CW CW CW CW ES CW CW CW CW CW",
		"CS CS CS CS CR CW CO CE ES SS SR SA RJ CL",
		"CE CE CE CE CE CE CE CE ES SS SR SA RJ CL",
		"ES ES ES ES ES ES ES ES ES SS SR SA RJ CL",
		"SS SS SS SS SS SS SS SS SS SS SR SA RJ CL",
		"SA SA SA SA SA CW CO CE ES SA SA SA RJ CL",
		"CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
		"CL CL CL CL CL CW CO CE ES SS SR SA RJ CL",
		"CL RJ CL CL CL CL CL CL CL CL CL CL CL CL",
	},
	{ /* in-only */
		"ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL",
		"I1 IN IN IN IN IN CO CE ES SS SR SA IN IN",
		"CE CE CE CE CE CE CO CE ES SS SR SA RJ CL",
		"ES ES ES ES ES ES CO CE ES SS SR SA RJ CL",
		"ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL",
		"SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL",
		"CL IN IN CS CR CW CO CE CL CL SR CL RJ CL",
		"CL CL CL CL CL CW CO CE ES SS CL CL RJ CL",
		"CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
		"CL CL CL CL CL RJ CL CL CL CL CL CL CL CL",
	},
};

/* clang-format on */

/* DATA, INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, SHUTDOWN, its ACK, its COMPLETE, ERROR, ABORT */
static const __u8 sctp_types[10] = { 0, 1, 2, 10, 11, 7, 8, 14, 9, 6 };

static int number(const char *states, const char *name)
{
	return (int)(strstr(states, name) - states) / 3;
}

/* The entry of a row for a state, as a number. */
static int entry(const char *states, const char *row, int state)
{
	char name[3] = { row[3 * state], row[3 * state + 1] };

	return number(states, name);
}

/* Each state has a timeout of its own, so that a wrong one shows. */
static void configure(void)
{
	memset(&bpvs_cfg, 0, sizeof(bpvs_cfg));
	for (__u32 i = 0; i < BPVS_TCP_STATES; i++)
		bpvs_cfg.tcp_timeout[i] = 100 + i;
	for (__u32 i = 0; i < BPVS_SCTP_STATES; i++)
		bpvs_cfg.sctp_timeout[i] = 200 + i;
	bpvs_cfg.udp_timeout = 300;
}

static __u64 word_of(int state, int by, bool active)
{
	return BPVS_SLOT_VALID | (active ? BPVS_WORD_ACTIVE : 0) |
	       (by == BY_CLIENT_ALONE ? BPVS_WORD_NOOUTPUT : 0) |
	       (__u64)state << BPVS_WORD_STATE_SHIFT | 0xabcULL << BPVS_WORD_GEN_SHIFT |
	       7ULL << BPVS_WORD_EXPIRY_SHIFT;
}

/* One step, from a connection that counted as active and from one that did not. */
static void check(__u8 proto, __u8 flags, int by, int from, int to, bool active, __u32 timeout)
{
	struct move m = { .proto = proto, .tcp_flags = flags, .reply = by == BY_SERVER };

	for (int was = 0; was < 2; was++) {
		__u64 want = word_of(to, by, active), got;

		want = (__u32)want | (__u64)(NOW + timeout) << BPVS_WORD_EXPIRY_SHIFT;
		got = word_next_any(word_of(from, by, was), m, NOW);
		if (got != want)
			print_error("proto %u flags %#x by %d from %d\n", proto, flags, by, from);
		assert_int_equal(got, want);
		if (by != BY_SERVER)
			continue;
		/* The server's first packet is as its others, and is remembered. */
		got = word_next_any(word_of(from, BY_CLIENT_ALONE, was), m, NOW);
		assert_int_equal(got, want);
	}
}

static int tcp_event(int flags)
{
	return flags & 4 ? 3 : flags & 2 ? 0 : flags & 1 ? 1 : flags & 16 ? 2 : -1;
}

static bool tcp_active(int state)
{
	return state == number(tcp_states, "ES") || state == number(tcp_states, "SS") ||
	       state == number(tcp_states, "SR") || state == number(tcp_states, "SA");
}

static void test_tcp(void **unused)
{
	(void)unused;
	configure();
	for (int secure = 0; secure < 2; secure++) {
		bpvs_cfg.secure_tcp_on = secure;
		for (int i = 0; i < 3 * 32 * BPVS_TCP_STATES; i++) {
			int by = i % 3, flags = i / 3 % 32, from = i / 96, ev = tcp_event(flags);
			int to = number(tcp_states, "CL");

			if (ev >= 0)
				to = entry(tcp_states, tcp_rows[secure][by][ev], from);
			check(IPPROTO_TCP, flags, by, from, to, tcp_active(to), 100 + to);
		}
	}
}

static void test_sctp(void **unused)
{
	int established = number(sctp_states, "ES");

	(void)unused;
	configure();
	for (int i = 0; i < 3 * 10 * BPVS_SCTP_STATES; i++) {
		int by = i % 3, ev = i / 3 % 10, from = i / 30;
		int to = entry(sctp_states, sctp_rows[by][ev], from);

		check(IPPROTO_SCTP, sctp_flags[sctp_types[ev]], by, from, to, to == established,
		      200 + to);
	}
	/* Types without a row. */
	for (__u8 type = 3; type < SCTP_ABORT_BEHIND; type++)
		if (!strchr("\6\7\10\11\12\13\16", type))
			assert_int_equal(sctp_flags[type], sctp_flags[0]);
	/* The same to the state, wherever an ABORT stands. */
	assert_int_equal(sctp_flags[SCTP_ABORT_BEHIND], sctp_flags[SCTP_ABORT] & ~TH_RST);
}

/* What has no transport header, or no chunk, refreshes and moves nothing. */
static void test_no_event(void **unused)
{
	(void)unused;
	configure();
	for (int i = 0; i < 3 * BPVS_TCP_STATES; i++)
		check(IPPROTO_TCP, FLOW_NOTHING, i % 3, i / 3, i / 3, tcp_active(i / 3),
		      100 + i / 3);
	for (int i = 0; i < 3 * BPVS_SCTP_STATES; i++)
		check(IPPROTO_SCTP, FLOW_NOTHING, i % 3, i / 3, i / 3,
		      i / 3 == number(sctp_states, "ES"), 200 + i / 3);
}

/* What asks whether a packet may begin or end a connection asks TCP's bits of SCTP's, too. */
static void test_marks(void **unused)
{
	(void)unused;
	for (int type = 0; type < 16; type++) {
		assert_int_equal(!!(sctp_flags[type] & TH_SYN), type == 1);
		assert_int_equal(!!(sctp_flags[type] & TH_RST), type == 6);
	}
	assert_false(FLOW_NOTHING & (TH_SYN | TH_RST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_sctp),
		cmocka_unit_test(test_no_event),
		cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
