/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection table as the data path uses it; table.bpf.c has the functions, include/bpvs/conn.h
 * the layout and the meaning of the word.
 */
#pragma once

#include "dest.h"
#include "flow.h"
#include "hop.h"
#include "maps.h"

/*
 * One direction's view of a flow: the client endpoint finds the slot, the peer is compared. The
 * addresses are in it by value: a global function may not follow a pointer within its argument.
 */
struct conn_key {
	struct bpvs_addr client;
	struct bpvs_addr peer; /* virtual endpoint of a request, real server of a reply */
	__be16 cport;
	__be16 pport;
	__u8 proto;
	__u8 v6;
	__u8 reply;
	__u8 how; /* KEY_* */
	__u32 now;
};

#define KEY_TENTATIVE 0x1 /* find one that is not published yet, too */
#define KEY_TEMPLATE  0x2 /* a template: its home is another */

/* The copy of a connection that its packet works with. */
struct conn_hit {
	__u64 word;
	__u32 idx;
	__u32 dest;
	struct bpvs_addr to; /* NAT: the address that replaces the peer's */
	__be16 to_port;
	__u8 flags; /* BPVS_CONN_* */
	__u8 pad;
	__u32 nh;
};

/* A connection to be: the key of its requests, and what else it is made of. */
struct conn_new {
	struct conn_key key;
	__be16 dport;
	__u8 flags; /* BPVS_CONN_* */
	__u8 state; /* that it begins in */
	struct bpvs_addr daddr;
	__u32 dest;
	__u32 timeout; /* clock units, until the first state is set; or a template's */
	__u32 home;
	__u32 control; /* slot of what controls it plus 1, 0 = none */
	__u32 call;    /* template: hash of its Call-ID, or 0 */
	__u32 here;    /* BPVS_WORD_HERE or 0 */
	__u32 svc;     /* that it counts at; a template may have led to another's destination */
};

/* An ICMP error to be sent. */
struct icmp_answer {
	struct bpvs_addr from;
	__u8 type;
	__u8 code;
	__u16 mtu;
	__be16 rest; /* the two bytes before it: of one that is passed on */
};

/* What was read of a datagram for a persistence engine; `text` is a struct bpvs_call's. */
enum call_look {
	CALL_UNREAD,
	CALL_NONE,
	CALL_FOUND,
};

struct call_id {
	__u64 hash;
	__u32 look; /* enum call_look */
	__u8 pad[3];
	__u8 len; /* with text: struct bpvs_call */
	char text[255];
	__u8 end;
};

/*
 * What the rarer stages work on. One packet at a time works on a CPU, so this is one a CPU: the
 * stack has 512 bytes for the whole chain of calls. And what is handed to a function by address has
 * to be in memory: on the common path nothing is, so flow, hit and next hop live in registers
 * there, and are copied here for the calls off that path.
 */
struct conn_scratch {
	struct bpvs_flow flow; /* first: 6.1 knows no sum of an offset and what may be NULL */
	struct conn_new n;
	struct conn_hit hit;
	struct conn_hit data; /* a data connection, while `hit` is what controls it */
	struct bpvs_hop hop;
	struct bpvs_spill_key spill;
	struct bpf_fib_lookup fib;
	int act; /* the hook's code, from stages that send */
	struct icmp_answer answer;
	__u32 why;    /* the verdict that the answer stands for */
	__u32 counts; /* the destination whose packet out it counts as; 0 = none's */
	struct call_id call;
	struct frag_first frag; /* of x->flow, which is a fragment */
	__u32 caller; /* the destination that the flow comes from, in place of a choice; 0 = none */
	/* What the flow's new connection takes the place of, once that is scheduled; 0 = nothing */
	__u64 old_word;
	__u32 old_idx;
	__u32 old_counts; /* whose packet out an error about the flow counts as, as x->counts */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conn_scratch);
} bpvs_scratch SEC(".maps") __weak;

static __always_inline struct conn_scratch *conn_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&bpvs_scratch, &zero);
}

/*
 * A stage that needs much stack or code leaves the walk with one of these beyond the verdicts;
 * run() does it from a shallow stack, with what the walk put into struct conn_scratch.
 */
enum later {
	/* x->flow needs a connection: bpvs_schedule(), then walk again */
	LATER_START = BPVS_COUNTERS,
	LATER_ICMP,   /* x->flow is an ICMP error: icmp_error() */
	LATER_BYPASS, /* x->flow has no server and x->hit no destination: run_bypass() */
	LATER_CALL,   /* x->flow's Call-ID is wanted: call_read(), then again */
	/* x->flow is from a real server, but of no connection: call_out(), answer_stray() */
	LATER_STRAY,
	/* x->flow leaves, perhaps a real server's answer: HOOK(out_reply)() */
	LATER_OUT,
	/* x->flow of x->hit is by NAT to a server on this host: HOOK(here)() */
	LATER_HERE,
	LATER_HERE_REPLY, /* the answer of one, or to a client on this host */
	LATER_ANSWER,	  /* x->answer is to be sent about x->flow; x->why is its verdict */
	/* From here on none is a detour. TC's packets to servers and clients, x->flow by x->hop: */
	LATER_EMIT,
	LATER_EMIT_REPLY,
	/* The same, but their payload is looked at first. In this order. */
	LATER_APP,
	LATER_APP_REPLY,
};

/* What a walk returned is one of them, but for the last four, which are no detour. */
static __always_inline bool is_later(int v)
{
	return (v & 0xffff) >= BPVS_COUNTERS && (v & 0xffff) < LATER_EMIT;
}

enum conn_insert {
	CONN_INSERTED,
	CONN_RIVAL, /* the flow is there: look it up */
	CONN_FULL,
};

/* Find the connection of a packet: 1, and *ret is a consistent copy of it; or 0. */
int bpvs_conn_find(const struct conn_key *k, struct conn_hit *ret);

/*
 * Insert a connection, against other CPUs that may be inserting the same flow: enum conn_insert.
 * When it was inserted, *ret is as bpvs_conn_find() would give it.
 */
int bpvs_conn_insert(struct conn_new *n, struct conn_hit *ret);

/*
 * End the connection in a slot: 1, or 0 when `word` is not its word any more, or it controls
 * connections (then its expiry is put off, if it has come).
 */
int bpvs_conn_kill(__u32 idx, __u64 word);

/* Keep look-ups from finding a template, until it expires. */
int bpvs_template_stale(__u32 idx, __u64 word);

/*
 * Count a connection to be made on what controls it, a template or an FTP control connection; a
 * template's timeout begins anew: 1; or 0 when it ended meanwhile. bpvs_control_release() takes the
 * count back; so does ending the connection.
 */
int bpvs_control_hold(__u32 idx, __u64 word, __u32 now);
int bpvs_control_release(__u32 control);

/* A connection that it controls is established; of note to templates. */
int bpvs_template_assure(__u32 control);

/* The connection of what leaves, by x->n.key: under NAT, or not. */
static __always_inline bool out_find(struct conn_scratch *x, bool nat)
{
	__u32 fwd;

	if (!bpvs_conn_find(&x->n.key, &x->hit))
		return false;
	fwd = x->hit.flags & BPVS_CONN_FWD;
	return fwd != BPVS_FWD_BYPASS && bpvs_fwd_nat(fwd) == nat;
}

static __always_inline struct bpvs_conn *conn_slot(__u32 idx)
{
	return bpf_map_lookup_elem(&bpvs_conns, &idx);
}

static __always_inline __u32 word_state(__u64 word)
{
	return (__u32)(word & BPVS_WORD_STATE_MASK) >> BPVS_WORD_STATE_SHIFT;
}

/* Whose packets move the state: the client's, the server's, the client's before any of those. */
enum state_table { TABLE_IN, TABLE_OUT, TABLE_IN_ONLY };

static __always_inline __u32 word_table(__u64 *word, bool reply)
{
	if (*word & BPVS_WORD_NOOUTPUT) {
		if (!reply)
			return TABLE_IN_ONLY;
		*word &= ~BPVS_WORD_NOOUTPUT;
	}
	return reply ? TABLE_OUT : TABLE_IN;
}

static __always_inline bool word_expired(__u64 word, __u32 now)
{
	return (__s32)(now - (__u32)(word >> BPVS_WORD_EXPIRY_SHIFT)) >= 0;
}

/* Has it ended, but for being swept? What controls connections has not. */
static __always_inline bool conn_over(const struct bpvs_conn *c, __u64 word, __u32 now)
{
	return word_expired(word, now) && READ_ONCE(c->controls) <= 0;
}

static __always_inline bool word_valid(__u64 word)
{
	return (word & BPVS_WORD_STATUS) == BPVS_SLOT_VALID;
}

static __always_inline bool word_same_gen(__u64 a, __u64 b)
{
	return !((a ^ b) & BPVS_WORD_GEN_MASK);
}

/* The sweep has to look at the slot's block when its clock is `expiry`. */
int bpvs_due_lower(__u32 block, __u32 expiry);

static __always_inline __u32 word_expiry(__u64 word)
{
	return (__u32)(word >> BPVS_WORD_EXPIRY_SHIFT);
}

/* What a slot holds of an address: all of an IPv4 one, a digest of an IPv6 one. */
static __always_inline __u32 conn_tag(const struct bpvs_addr *a, bool v6)
{
	if (!v6)
		return a->w[3];
	return (a->w[0] * 3 + a->w[1]) * 5 + a->w[2] * 0x9e3779b1U + a->w[3];
}

/*
 * Multilinear hash of the client endpoint: for any two endpoints chosen without knowledge of the
 * keys the chance of equal hashes is 2^-32. The last step only spreads neighbouring ports.
 */
static __always_inline __u32 conn_home(const struct bpvs_addr *c, __be16 port, __u8 proto, bool v6)
{
	__u64 h = ((__u64)c->w[3] + bpvs_ro.hash_key[0]) *
		  (((__u32)port << 8 | proto) + bpvs_ro.hash_key[1]);

	if (v6)
		h += ((__u64)c->w[0] + bpvs_ro.hash_key[2]) * (c->w[1] + bpvs_ro.hash_key[3]) +
		     ((__u64)c->w[2] + bpvs_ro.hash_key[4]) * bpvs_ro.hash_key[5];
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ULL;
	return (__u32)(((h >> 32) * bpvs_ro.slots) >> 32);
}

static __always_inline __u32 key_home(const struct conn_key *k)
{
	__be16 port = k->cport;

	if (k->how & KEY_TEMPLATE)
		port ^= k->pport ^ (__be16)(conn_tag(&k->peer, k->v6) * 0x9e3779b1U >> 16);
	return conn_home(&k->client, port, k->proto, k->v6);
}

static __always_inline void key_request(struct conn_key *k, const struct bpvs_flow *f, __u32 now)
{
	k->client = f->saddr;
	k->peer = f->daddr;
	k->cport = f->sport;
	k->pport = f->dport;
	k->proto = f->proto;
	k->v6 = f->af == BPVS_V6;
	k->reply = 0;
	k->how = 0;
	k->now = now;
}

static __always_inline void key_reply(struct conn_key *k, const struct bpvs_flow *f, __u32 now)
{
	k->client = f->daddr;
	k->peer = f->saddr;
	k->cport = f->dport;
	k->pport = f->sport;
	k->proto = f->proto;
	k->v6 = f->af == BPVS_V6;
	k->reply = 1;
	k->how = 0;
	k->now = now;
}

/* End what the flow's new connection takes the place of. */
static __always_inline void conn_end_old(struct conn_scratch *x)
{
	struct bpvs_conn *c;
	__u64 word;

	if (likely(!x->old_word))
		return;
	c = conn_slot(x->old_idx);
	/* Another CPU may have ended it, and the slot be the new connection's by now. */
	word = c ? READ_ONCE(c->word) : 0;
	if (c && word_same_gen(word, x->old_word))
		bpvs_conn_kill(x->old_idx, word);
	x->old_word = 0;
}
