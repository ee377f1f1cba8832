/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The SIP persistence engine: a datagram's Call-ID, by which its template is found in place of the
 * client alone. TC only, for XDP has no helper that reads as far. As the kernel finds it: a header
 * begins after a line's end, its name is "Call-ID" in any case or the short "i", and its value ends
 * with the line.
 */
#pragma once

#include "conn.h"
#include "nexthop.h"
#include "parse.h"
#include "schedule.h"

/* So much of a datagram is looked at. */
#define SIP_TEXT 4096

/*
 * A walk over the text; `at` is the byte that is looked at next. It is in the map's memory, of
 * whose content the verifier knows nothing: from a stack 7.2 would follow each combination of
 * values through every round of a loop.
 */
struct sip_walk {
	__u32 at;
	__u32 len;
	__u32 found; /* behind the header's name, or 0 */
	__u32 words; /* of the value: 1, 2 behind an @, 0 when that has no second */
	__u32 num;   /* bytes of the value */
	__u32 pad;
	__u64 hash;
};

struct sip_text {
	struct sip_walk w;
	__u8 c[SIP_TEXT];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sip_text);
} bpvs_sip SEC(".maps");

/* What words are made of, after RFC 3261. */
static const __u8 sip_word[256] = {
	['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['!'] = 1,	    ['"'] = 1,
	['%'] = 1,	   ['\''] = 1,	      ['(' ... '+'] = 1, ['-' ... '/'] = 1, [':'] = 1,
	['<'] = 1,	   ['>'] = 1,	      ['?'] = 1,	 ['[' ... ']'] = 1, ['_'] = 1,
	['`'] = 1,	   ['{'] = 1,	      ['}'] = 1,	 ['~'] = 1,
};

static __always_inline __u8 sip_at(const struct sip_text *t, __u32 i)
{
	return t->c[i & (SIP_TEXT - 1)];
}

static __always_inline __u8 sip_lower(__u8 c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Length of the name that begins here, or 0. The short one is followed by no other letter. */
static __always_inline __u32 sip_name(const struct sip_text *t, __u32 at, __u32 len)
{
	__u8 next = sip_lower(sip_at(t, at + 1));

	if (sip_lower(sip_at(t, at)) == 'i')
		return at + 2 <= len && (next < 'a' || next > 'z') ? 1 : 0;
	if (at + 7 <= len && sip_lower(sip_at(t, at)) == 'c' && next == 'a' &&
	    sip_lower(sip_at(t, at + 2)) == 'l' && sip_lower(sip_at(t, at + 3)) == 'l' &&
	    sip_at(t, at + 4) == '-' && sip_lower(sip_at(t, at + 5)) == 'i' &&
	    sip_lower(sip_at(t, at + 6)) == 'd')
		return 7;
	return 0;
}

/* One byte of the search for the header: a line's end, and what comes behind it. */
static long sip_search(__u32 i, void *arg)
{
	struct sip_walk *w;
	struct sip_text *t;
	__u32 zero = 0, name;
	__u8 c;

	(void)i, (void)arg;
	t = bpf_map_lookup_elem(&bpvs_sip, &zero);
	if (!t)
		return 1;
	w = &t->w;
	if (w->at >= w->len)
		return 1;
	c = sip_at(t, w->at++);
	if (c != '\r' && c != '\n')
		return 0;
	if (c == '\r' && sip_at(t, w->at) == '\n')
		w->at++;
	if (w->at >= w->len)
		return 1;
	name = sip_name(t, w->at, w->len);
	if (name) {
		w->found = w->at + name;
		return 1;
	}
	w->at++;
	return 0;
}

/* Blanks, and the colon that `found` becomes 0 by. */
static long sip_blanks(__u32 i, void *arg)
{
	struct sip_walk *w;
	struct sip_text *t;
	__u32 zero = 0;
	__u8 c;

	(void)i, (void)arg;
	t = bpf_map_lookup_elem(&bpvs_sip, &zero);
	if (!t)
		return 1;
	w = &t->w;
	if (w->at >= w->len)
		return 1;
	c = sip_at(t, w->at);
	if (c != ' ' && c != '\t') {
		if (c != ':' || !w->found)
			return 1;
		w->found = 0;
	}
	w->at++;
	return 0;
}

/* The value, a word or two with an @ between them: copied, and hashed with the instance's key. */
static long sip_value(__u32 i, void *arg)
{
	struct conn_scratch *x = conn_scratch();
	struct sip_walk *w;
	struct sip_text *t;
	__u32 zero = 0;
	__u8 c;

	(void)arg;
	t = bpf_map_lookup_elem(&bpvs_sip, &zero);
	if (!t || !x)
		return 1;
	w = &t->w;
	if (i >= sizeof(x->call.text) || w->at >= w->len)
		return 1;
	c = sip_at(t, w->at);
	if (c == '@' && w->words == 1 && i) {
		w->words = 0;
	} else if (sip_word[c]) {
		w->words = w->words == 1 ? 1 : 2;
	} else {
		return 1;
	}
	x->call.text[i] = c;
	w->hash = (w->hash + c) * 0x9e3779b97f4a7c15ULL;
	w->hash ^= w->hash >> 29;
	w->num = i + 1;
	w->at++;
	return 0;
}

/* The value ends with its line, or it is none. */
static __always_inline bool sip_ended(const struct sip_walk *w, const struct sip_text *t)
{
	__u8 c = sip_at(t, w->at);

	return w->num && w->words && w->at < w->len && (c == '\r' || c == '\n');
}

static __always_inline struct sip_text *sip_load(ctx_t *ctx, __u32 off)
{
	struct sip_text *t;
	__u32 zero = 0, len;

	t = bpf_map_lookup_elem(&bpvs_sip, &zero);
	if (!t || off >= ctx->len)
		return NULL;
	len = ctx->len - off;
	if (len > SIP_TEXT)
		len = SIP_TEXT;
	/* 6.1 learns no lower bound from len != 0, but does from this; hide it from clang. */
	asm volatile("" : "+r"(len));
	if (bpf_skb_load_bytes(ctx, off, t->c, ((len - 1) & (SIP_TEXT - 1)) + 1))
		return NULL;
	t->w.len = len;
	return t;
}

/* The value behind the header's name, which is where the walk stands. */
static __always_inline bool sip_parse(struct sip_text *t)
{
	struct sip_walk *w = &t->w;
	__u32 none = 0;

	w->at = 0;
	w->found = 0;
	w->words = 1;
	w->num = 0;
	w->hash = bpvs_ro.hash_key[0];
	bpf_loop(SIP_TEXT, sip_search, &none, 0);
	if (!w->found)
		return false;
	w->at = w->found;
	bpf_loop(SIP_TEXT, sip_blanks, &none, 0);
	if (w->found)
		return false;
	bpf_loop(sizeof(((struct bpvs_call *)0)->text) + 1, sip_value, &none, 0);
	return sip_ended(w, t);
}

/* Global, so that the verifier looks at it once. */
__noinline int HOOK(sip)(ctx_t *ctx)
{
	struct conn_scratch *x = conn_scratch();
	struct sip_text *t;

	if (!x)
		return 0;
	x->call.look = CALL_NONE;
	if (x->flow.proto != IPPROTO_UDP || (x->flow.flags & FLOW_FRAG_LATER))
		return 0;
	t = sip_load(ctx, x->flow.l4 + sizeof(struct udphdr));
	if (!t || !sip_parse(t))
		return 0;
	x->call.len = (__u8)t->w.num;
	x->call.hash = t->w.hash;
	x->call.look = CALL_FOUND;
	return 0;
}

static __always_inline int call_read(ctx_t *ctx, struct conn_scratch *x)
{
	(void)x;
	HOOK(sip)(ctx);
	return 0;
}

/*
 * May what a real server sends go on from here, as from its service? What is to this host itself,
 * as the answer to a health check is, begins no connection and is the stack's, to IPVS as well; and
 * what has no route would not get as far as IPVS.
 */
static __always_inline bool call_leaves(ctx_t *ctx, struct conn_scratch *x)
{
	__u32 id = (__u32)bpvs_reply_dest(&x->flow);
	struct bpvs_dest *d = id ? dest_get(id) : NULL;
	struct bpvs_svc *svc = d ? svc_get(d->svc) : NULL;
	struct hop_query q = { .to = &x->flow.daddr, .v6 = x->flow.af == BPVS_V6 };

	if (!svc || !READ_ONCE(svc->pe))
		return false;
	q.from = &svc->key.addr;
	fib_fill(&x->fib, &q);
	return hop_lookup(ctx, x) != BPVS_NO_ROUTE;
}

static __always_inline int call_out(ctx_t *ctx, struct conn_scratch *x)
{
	int v;

	if (!READ_ONCE(bpvs_cfg.caller_services) || x->flow.proto != IPPROTO_UDP ||
	    !call_leaves(ctx, x))
		return BPVS_NO_REPLY;
	v = bpvs_call_out(x, clock_now());
	return v == LATER_CALL ? call_read(ctx, x) ?: bpvs_call_out(x, clock_now()) : v;
}
