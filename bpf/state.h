/* SPDX-License-Identifier: GPL-2.0-only */
/* The protocols' states: tables as in IPVS, and the one step that a packet takes in them. */
#pragma once

#include "conn.h"

enum tcp_event { EV_SYN, EV_FIN, EV_ACK, EV_RST, EV_NONE };
enum tcp_table { TABLE_IN, TABLE_OUT, TABLE_IN_ONLY, TABLES };

#define NO BPVS_TCP_NONE
#define ES BPVS_TCP_ESTABLISHED
#define SS BPVS_TCP_SYN_SENT
#define SR BPVS_TCP_SYN_RECV
#define FW BPVS_TCP_FIN_WAIT
#define TW BPVS_TCP_TIME_WAIT
#define CL BPVS_TCP_CLOSE
#define CW BPVS_TCP_CLOSE_WAIT
#define LA BPVS_TCP_LAST_ACK
#define LI BPVS_TCP_LISTEN
#define SA BPVS_TCP_SYNACK

/* Rows: event. Columns: the state now; 16 of them so that an index needs no multiplication. */
static const __u8 tcp_next[TABLES][4][16] = {
	[TABLE_IN] = {
		/*             NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		[EV_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[EV_FIN] = { CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EV_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR },
	},
	[TABLE_OUT] = {
		[EV_SYN] = { SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR },
		[EV_FIN] = { TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES },
		[EV_RST] = { CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL },
	},
	[TABLE_IN_ONLY] = {
		[EV_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[EV_FIN] = { CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EV_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
	},
};

/* States in which a connection counts as active. */
#define TCP_ACTIVE                                                                                 \
	(1U << BPVS_TCP_ESTABLISHED | 1U << BPVS_TCP_SYN_SENT | 1U << BPVS_TCP_SYN_RECV |          \
	 1U << BPVS_TCP_SYNACK)

/* The first that is set, in this order, decides. */
static __always_inline enum tcp_event tcp_event(__u8 flags)
{
	if (flags & TH_RST)
		return EV_RST;
	if (flags & TH_SYN)
		return EV_SYN;
	if (flags & TH_FIN)
		return EV_FIN;
	return flags & TH_ACK ? EV_ACK : EV_NONE;
}

static __always_inline __u32 tcp_step(__u64 *word, __u8 flags, bool reply)
{
	enum tcp_event ev = tcp_event(flags);
	enum tcp_table t = reply ? TABLE_OUT : TABLE_IN;
	__u32 state = word_state(*word) & 15;

	if (*word & BPVS_WORD_NOOUTPUT) {
		if (reply)
			*word &= ~BPVS_WORD_NOOUTPUT;
		else
			t = TABLE_IN_ONLY;
	}
	return ev == EV_NONE ? BPVS_TCP_CLOSE : tcp_next[t][ev & 3][state];
}

#undef NO
#undef ES
#undef SS
#undef SR
#undef FW
#undef TW
#undef CL
#undef CW
#undef LA
#undef LI
#undef SA

/* A refresh that moves the expiry by less than this many clock units (64 ms) is not worth a swap. */
#define REFRESH_GRAIN 8

static __always_inline __u64 word_next(__u64 word, const struct bpvs_flow *f, __u32 now, bool reply)
{
	__u32 state = 0, timeout;
	__u64 next = word;

	if (f->proto == IPPROTO_TCP) {
		state = tcp_step(&next, f->tcp_flags, reply);
		timeout = READ_ONCE(bpvs_cfg.tcp_timeout[state < BPVS_TCP_STATES ? state : 0]);
		next &= ~(BPVS_WORD_ACTIVE | BPVS_WORD_STATE_MASK);
		next |= (__u64)state << BPVS_WORD_STATE_SHIFT;
		if (TCP_ACTIVE >> state & 1)
			next |= BPVS_WORD_ACTIVE;
	} else {
		timeout = READ_ONCE(bpvs_cfg.udp_timeout);
	}
	return (__u32)next | (__u64)(now + timeout) << BPVS_WORD_EXPIRY_SHIFT;
}

/*
 * Move the connection's state by this packet and refresh its timer. Nothing is lost when the slot
 * was freed meanwhile: the generation differs and the packet leaves it alone.
 */
static __always_inline void conn_touch(const struct conn_hit *hit, struct bpvs_dest *d,
				       const struct bpvs_flow *f, __u32 now, bool reply)
{
	struct bpvs_conn *c = conn_slot(hit->idx);
	__u64 word = hit->word, next, seen;
	int tries;

	if (!c)
		return;
	if (!reply)
		WRITE_ONCE(c->pkts, c->pkts + 1);
	for (tries = 0; tries < 4; tries++) {
		next = word_next(word, f, now, reply);
		if ((__u32)next == (__u32)word &&
		    (__u32)((next >> 32) - (word >> 32)) < REFRESH_GRAIN)
			return;
		seen = cas64(&c->word, word, next);
		if (seen == word) {
			if ((next ^ word) & BPVS_WORD_ACTIVE)
				dest_move(d, next & BPVS_WORD_ACTIVE);
			if ((__s32)(word_expiry(next) - word_expiry(word)) < 0)
				due_lower(hit->idx / BPVS_BLOCK, word_expiry(next));
			return;
		}
		word = seen;
		if (!word_valid(word) || !word_same_gen(word, hit->word))
			return;
	}
}
