/* SPDX-License-Identifier: GPL-2.0-only */
/* The protocols' states: tables as in IPVS, and the one step that a packet takes in them. */
#pragma once

#include "conn.h"
#include "state_sctp.h"

enum tcp_event { EV_SYN, EV_FIN, EV_ACK, EV_RST, EV_NONE, EV_KEEP };

/* Or-ed to an enum state_table: the tables that secure_tcp chooses. */
#define SECURE 4

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

/* Of a packet that is no event: a later fragment, as IPVS sees datagrams whole. */
#define KEEP [EV_KEEP] = { NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA }

/* Rows: event. Columns: the state now; 16 of them so that an index needs no multiplication. */
static const __u8 tcp_next[2 * SECURE][8][16] = {
	[TABLE_IN] = {
		/*             NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		[EV_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[EV_FIN] = { CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EV_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR },
		[EV_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		KEEP,
	},
	[TABLE_OUT] = {
		[EV_SYN] = { SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR },
		[EV_FIN] = { TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES },
		[EV_RST] = { CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL },
		[EV_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		KEEP,
	},
	[TABLE_IN_ONLY] = {
		[EV_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[EV_FIN] = { CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EV_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
		[EV_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		KEEP,
	},
	[TABLE_IN | SECURE] = {
		[EV_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA },
		[EV_FIN] = { CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA },
		[EV_ACK] = { ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA },
		[EV_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
		[EV_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		KEEP,
	},
	[TABLE_OUT | SECURE] = {
		[EV_SYN] = { SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA },
		[EV_FIN] = { TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES },
		[EV_RST] = { CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL },
		[EV_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		KEEP,
	},
	[TABLE_IN_ONLY | SECURE] = {
		[EV_SYN] = { SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA },
		[EV_FIN] = { CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
		[EV_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EV_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
		[EV_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		KEEP,
	},
};

/* States in which a connection counts as active. */
#define TCP_ACTIVE                                                                                 \
	(1U << BPVS_TCP_ESTABLISHED | 1U << BPVS_TCP_SYN_SENT | 1U << BPVS_TCP_SYN_RECV |          \
	 1U << BPVS_TCP_SYNACK)

/*
 * Of RST, SYN, FIN and ACK the first that is set decides. A table, for the verifier would follow
 * each branch to the program's end. Its upper half is FLOW_NOTHING's.
 */
#define EVENT(i)                                                                                   \
	((i) & 32	? EV_KEEP                                                                  \
	 : (i) & TH_RST ? EV_RST                                                                   \
	 : (i) & TH_SYN ? EV_SYN                                                                   \
	 : (i) & TH_FIN ? EV_FIN                                                                   \
	 : (i) & TH_ACK ? EV_ACK                                                                   \
			: EV_NONE)
#define EVENTS4(i) EVENT(i), EVENT((i) + 1), EVENT((i) + 2), EVENT((i) + 3)

static const __u8 tcp_events[64] = {
	EVENTS4(0),  EVENTS4(4),  EVENTS4(8),  EVENTS4(12), EVENTS4(16), EVENTS4(20),
	EVENTS4(24), EVENTS4(28), EVENTS4(32), EVENTS4(36), EVENTS4(40), EVENTS4(44),
	EVENTS4(48), EVENTS4(52), EVENTS4(56), EVENTS4(60),
};

static __always_inline __u32 tcp_step(__u64 *word, __u8 flags, bool reply)
{
	__u32 ev = tcp_events[flags & 63] & 7, t = word_table(word, reply);

	t |= (READ_ONCE(bpvs_cfg.secure_tcp_on) & 1) * SECURE;
	return tcp_next[t][ev][word_state(*word) & 15];
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
#undef KEEP

/*
 * A refresh that moves the expiry by less than this many clock units (64 ms) is not worth a swap.
 */
#define REFRESH_GRAIN 8

/* What of a packet moves a state. */
struct move {
	__u8 proto;
	__u8 tcp_flags;
	__u8 reply;
	__u8 pad;
};

static __always_inline __u64 word_make(__u64 word, __u32 state, bool active, __u32 expiry)
{
	word &= ~(BPVS_WORD_ACTIVE | BPVS_WORD_STATE_MASK);
	word |= (__u64)state << BPVS_WORD_STATE_SHIFT;
	if (active)
		word |= BPVS_WORD_ACTIVE;
	return (__u32)word | (__u64)expiry << BPVS_WORD_EXPIRY_SHIFT;
}

static __always_inline __u64 word_next(__u64 word, struct move m, __u32 now)
{
	__u32 state, timeout;
	__u64 next = word;

	if (m.proto != IPPROTO_TCP) {
		timeout = READ_ONCE(bpvs_cfg.udp_timeout);
		next &= ~(m.reply ? BPVS_WORD_NOOUTPUT : 0ULL);
		return (__u32)next | (__u64)(now + timeout) << BPVS_WORD_EXPIRY_SHIFT;
	}
	state = tcp_step(&next, m.tcp_flags, m.reply);
	timeout = READ_ONCE(bpvs_cfg.tcp_timeout[state < BPVS_TCP_STATES ? state : 0]);
	return word_make(next, state, TCP_ACTIVE >> state & 1, now + timeout);
}

/* SCTP's is not inlined with every packet's walk. */
static __always_inline __u64 word_next_any(__u64 word, struct move m, __u32 now)
{
	__u32 state, timeout;
	__u64 next = word;

	if (m.proto != IPPROTO_SCTP)
		return word_next(word, m, now);
	state = sctp_step(&next, m.tcp_flags, m.reply);
	timeout = READ_ONCE(bpvs_cfg.sctp_timeout[state < BPVS_SCTP_STATES ? state : 0]);
	return word_make(next, state, state == BPVS_SCTP_ESTABLISHED, now + timeout);
}

static __always_inline bool word_settled(__u64 word, __u64 next)
{
	return (__u32)next == (__u32)word && (__u32)((next >> 32) - (word >> 32)) < REFRESH_GRAIN;
}

/* Does this step show that the client is served, which assures its template? */
static __always_inline bool move_assures(const struct move *m, __u64 next)
{
	if (m->proto == IPPROTO_TCP)
		return word_state(next) == BPVS_TCP_ESTABLISHED;
	if (m->proto == IPPROTO_SCTP)
		return word_state(next) == BPVS_SCTP_ESTABLISHED;
	return m->reply;
}

/*
 * Move a connection's state and timer, from `word` as it was seen. Nothing is lost when the slot
 * was freed meanwhile: the generation differs and it is left alone. In state.bpf.c.
 */
int bpvs_conn_move(__u32 idx, __u64 word, struct move *m, __u32 now);

/* Most packets change nothing that is worth a swap; only the others make a call. */
static __always_inline void conn_touch(const struct conn_hit *hit, const struct bpvs_flow *f,
				       __u32 now, bool reply)
{
	struct move m = { .proto = f->proto, .tcp_flags = f->tcp_flags, .reply = reply };
	struct bpvs_conn *c;

	if (!reply) {
		c = conn_slot(hit->idx);
		if (c)
			WRITE_ONCE(c->pkts, c->pkts + 1);
	}
	if (unlikely(f->proto == IPPROTO_SCTP ||
		     !word_settled(hit->word, word_next(hit->word, m, now))))
		bpvs_conn_move(hit->idx, hit->word, &m, now);
}
