/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FTP's control connections under NAT: what client and server say of data connections is read, and
 * the address that the server says becomes the virtual one. As the kernel's ip_vs_ftp does it: only
 * what begins a segment is understood (but for the client's PASV and EPSV), and an answer only
 * behind its question. TC only. expect.h makes the connections.
 *
 *   client   PASV, EPSV                                  wait for the server's answer
 *            PORT 10,0,0,1,4,5    EPRT |1|10.0.0.1|1029| the server will connect from port 20
 *   server   227 ... (10,0,0,2,4,5)   229 ... (|||1029|) the client will connect
 *
 * With the text's length the numbers of all that follows change, and are changed back in what the
 * client acknowledges.
 */
#pragma once

#include "conn.h"
#include "csum.h"
#include "parse.h"
#include "schedule.h"

/* A segment's text that is looked at; a longer one of the server's is left as it is. */
#define FTP_TEXT 512
/* Room for the longest address: 255,255,255,255,255,255 */
#define FTP_ADDR 32

enum ftp_form {
	FTP_NONE,
	FTP_PASV,
	FTP_PORT,
	FTP_EPSV,
	FTP_EPRT,
};

/* What the next byte is. */
enum ftp_state {
	FTP_SEEK,	/* something before what precedes the address: a blank, a bracket */
	FTP_SKIP,	/* one more of that, or the address */
	FTP_NUMBERS,	/* of PASV's and PORT's six, or a comma */
	FTP_DELIMITER,	/* the one that the client chose */
	FTP_FAMILY,	/* 1 or 2; or the server, who need not say it, says nothing */
	FTP_NO_ADDRESS, /* nothing either */
	FTP_FAMILY_END,
	FTP_ADDRESS,
	FTP_PORT_NUMBER,
	FTP_DONE,
	FTP_WRONG,
};

/* A walk over the text, in map memory for the reason that sip_tc.h gives. */
struct ftp_walk {
	__u32 at; /* the byte that is looked at next */
	__u32 len;
	__u32 state; /* enum ftp_state */
	__u32 form;  /* enum ftp_form */
	__u32 start; /* of the address in the text ... */
	__u32 end;   /* ... and behind it */
	__u32 value; /* of the number that is being read, ... */
	__u32 digits;
	__u32 num; /* ... and how many there were */
	__u32 gap; /* IPv6: `num` at the two colons, plus 1 */
	__u32 v6;
	__u32 prev; /* byte */
	__u32 delimiter;
	__be16 part[8]; /* numbers of an IPv6 address */
	__u8 quad[8];	/* numbers of an IPv4 address, and of a port */
	__be16 port;
	struct bpvs_addr addr;
};

struct ftp_text {
	struct ftp_walk w;
	__u32 unlocked; /* with what follows it a new struct bpvs_ftp, whose lock may not be here */
	struct bpvs_ftp_said said;
	__u8 c[2 * FTP_TEXT]; /* twice: the text's rest is as long as it may begin late */
	__u8 now[FTP_TEXT];   /* as it is when rewritten */
	__u8 addr[FTP_ADDR];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ftp_text);
} bpvs_ftp_text SEC(".maps");

static __always_inline struct ftp_text *ftp_text(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&bpvs_ftp_text, &zero);
}

static __always_inline bool ftp_digit(__u32 c)
{
	return c >= '0' && c <= '9';
}

/* Four bytes as a word, in lower case. */
static __always_inline __u32 ftp_word(const struct ftp_text *t, __u32 at)
{
	const __u8 *c = &t->c[at & (FTP_TEXT - 1)];

	return (__u32)(c[0] | c[1] << 8 | c[2] << 16 | (__u32)c[3] << 24) | 0x20202020;
}

#define FTP_WORD(a, b, c, d) ((__u32)(a) | (b) << 8 | (c) << 16 | (__u32)(d) << 24)

/* The client's PASV or EPSV, wherever: one look for each byte. Another EPSV ends the search. */
static long ftp_seek_passive(__u32 i, void *arg)
{
	struct ftp_text *t = ftp_text();
	struct ftp_walk *w;
	__u32 word, next;

	(void)arg;
	if (!t)
		return 1;
	w = &t->w;
	if (i + 6 > w->len)
		return 1;
	word = ftp_word(t, i);
	next = t->c[(i + 4) & (FTP_TEXT - 1)];
	if (word == FTP_WORD('p', 'a', 's', 'v') && !w->v6 && next == '\r' &&
	    t->c[(i + 5) & (FTP_TEXT - 1)] == '\n') {
		w->form = FTP_PASV;
		return 1;
	}
	if (word != FTP_WORD('e', 'p', 's', 'v') || (next != ' ' && next != '\r'))
		return 0;
	w->state = FTP_WRONG;
	if (next == '\r' ||
	    (i + 7 <= w->len && t->c[(i + 5) & (FTP_TEXT - 1)] == (w->v6 ? '2' : '1') &&
	     t->c[(i + 6) & (FTP_TEXT - 1)] == '\r'))
		w->form = FTP_EPSV;
	return 1;
}

static __always_inline __u32 ftp_numbers(struct ftp_walk *w, __u32 c)
{
	if (ftp_digit(c)) {
		w->value = w->value * 10 + c - '0';
		w->quad[w->num & 7] = (__u8)w->value;
		return w->value > 255 ? FTP_WRONG : FTP_NUMBERS;
	}
	if (c == ',' && w->num < 5) {
		w->num++;
		w->value = 0;
		w->quad[w->num & 7] = 0;
		return FTP_NUMBERS;
	}
	w->end = w->at;
	return w->num == 5 ? FTP_DONE : FTP_WRONG;
}

static __always_inline __u32 ftp_address4(struct ftp_walk *w, __u32 c)
{
	if (ftp_digit(c)) {
		w->value = w->value * 10 + c - '0';
		w->digits++;
		w->quad[w->num & 7] = (__u8)w->value;
		return w->value > 255 ? FTP_WRONG : FTP_ADDRESS;
	}
	if (!w->digits || c != (w->num < 3 ? (__u32)'.' : w->delimiter))
		return FTP_WRONG;
	w->num++;
	w->value = 0;
	w->digits = 0;
	return c == '.' ? FTP_ADDRESS : FTP_PORT_NUMBER;
}

/* Parts in hexadecimal; those that end with an IPv4 address are no client's own. */
static __always_inline __u32 ftp_address6(struct ftp_walk *w, __u32 c)
{
	__u32 low = c | 0x20;

	if (ftp_digit(c) || (low >= 'a' && low <= 'f')) {
		/* Behind one colon in front. */
		if (w->prev == ':' && !w->num && !w->gap)
			return FTP_WRONG;
		w->value = w->value << 4 | (ftp_digit(c) ? c - '0' : low - 'a' + 10);
		return ++w->digits > 4 ? FTP_WRONG : FTP_ADDRESS;
	}
	if (c != ':' && c != w->delimiter)
		return FTP_WRONG;
	if (w->digits) {
		if (w->num > 7)
			return FTP_WRONG;
		w->part[w->num & 7] = bpf_htons((__u16)w->value);
		w->num++;
		w->value = 0;
		w->digits = 0;
	} else if (c == ':' && w->prev == ':') {
		if (w->gap)
			return FTP_WRONG;
		w->gap = w->num + 1;
	} else if (c == ':' ? w->prev != w->delimiter : w->gap != w->num + 1) {
		return FTP_WRONG;
	}
	if (c == ':')
		return FTP_ADDRESS;
	return w->gap ? (w->num < 8 ? FTP_PORT_NUMBER : FTP_WRONG)
		      : (w->num == 8 ? FTP_PORT_NUMBER : FTP_WRONG);
}

static __always_inline __u32 ftp_port_number(struct ftp_walk *w, __u32 c)
{
	if (ftp_digit(c)) {
		w->value = w->value * 10 + c - '0';
		return w->value > 65535 ? FTP_WRONG : FTP_PORT_NUMBER;
	}
	if (!w->value || c != w->delimiter)
		return FTP_WRONG;
	w->end = w->at + 1;
	return FTP_DONE;
}

/* What comes before the address, and its family. */
static __always_inline __u32 ftp_lead(struct ftp_walk *w, __u32 c)
{
	bool extended = w->form == FTP_EPSV || w->form == FTP_EPRT;
	__u32 skip = w->form == FTP_PASV || w->form == FTP_EPSV ? '(' : ' ';

	if (w->state == FTP_SEEK && !(!extended && ftp_digit(c)))
		return c == skip ? FTP_SKIP : FTP_SEEK;
	if (w->state == FTP_SKIP && c == skip)
		return FTP_SKIP;
	w->start = w->at;
	if (!extended)
		return ftp_numbers(w, c);
	w->delimiter = c;
	return c < 33 || c > 126 ? FTP_WRONG : FTP_FAMILY;
}

static __always_inline __u32 ftp_family(struct ftp_walk *w, __u32 c)
{
	if (w->state == FTP_FAMILY) {
		if (c == w->delimiter)
			return w->form == FTP_EPSV ? FTP_NO_ADDRESS : FTP_WRONG;
		return c == (w->v6 ? '2' : '1') ? FTP_FAMILY_END : FTP_WRONG;
	}
	if (c != w->delimiter)
		return FTP_WRONG;
	return w->state == FTP_NO_ADDRESS ? FTP_PORT_NUMBER : FTP_ADDRESS;
}

/* One byte of the server's answer, or of the client's PORT or EPRT. */
static long ftp_byte(__u32 i, void *arg)
{
	struct ftp_text *t = ftp_text();
	struct ftp_walk *w;
	__u32 c, next;

	(void)i, (void)arg;
	if (!t)
		return 1;
	w = &t->w;
	if (w->at >= w->len)
		return 1;
	c = t->c[w->at & (FTP_TEXT - 1)];
	if (w->state <= FTP_SKIP)
		next = ftp_lead(w, c);
	else if (w->state == FTP_NUMBERS)
		next = ftp_numbers(w, c);
	else if (w->state < FTP_ADDRESS)
		next = ftp_family(w, c);
	else if (w->state == FTP_ADDRESS)
		next = w->v6 ? ftp_address6(w, c) : ftp_address4(w, c);
	else
		next = ftp_port_number(w, c);
	w->state = next;
	w->prev = c;
	w->at++;
	return next >= FTP_DONE;
}

/* The parts that were read, with zeros in the gap. */
static __always_inline void ftp_address_made(struct ftp_walk *w)
{
	__be16 *to = (__be16 *)&w->addr;
	__u32 i, gap = w->gap ? w->gap - 1 : 8, behind = 8 - w->num + gap;

	if (!w->v6) {
		addr_map4(&w->addr, *(__be32 *)w->quad);
		return;
	}
	for (i = 0; i < 8; i++)
		to[i] = i < gap ? w->part[i] : i < behind ? 0 : w->part[(i - behind + gap) & 7];
}

/* Read `form`, whose word is the text's first: is it whole? `preset`: where no address is said. */
static __always_inline bool ftp_read(struct ftp_text *t, __u32 form, const struct bpvs_addr *preset)
{
	struct ftp_walk *w = &t->w;
	__u32 none = 0;

	w->form = form;
	w->at = 4;
	w->state = FTP_SEEK;
	w->value = w->digits = w->num = w->gap = w->prev = 0;
	w->quad[0] = 0;
	bpf_loop(FTP_TEXT, ftp_byte, &none, 0);
	if (w->state != FTP_DONE)
		return false;
	if (form == FTP_EPSV && !w->num) {
		w->addr = *preset;
	} else {
		ftp_address_made(w);
	}
	if (form == FTP_PASV || form == FTP_PORT)
		w->port = *(__be16 *)&w->quad[4];
	else
		w->port = bpf_htons((__u16)w->value);
	/* Port 0 stands for one that is not known: expect.h. */
	return w->port;
}

/* Copy the segment's text, zeros behind it. */
static __always_inline bool ftp_load(ctx_t *ctx, __u8 *to, __u32 off, __u32 len)
{
	__builtin_memset(to, 0, FTP_TEXT);
	/* 6.1 learns no lower bound from len != 0, but does from this; hide it from clang. */
	asm volatile("" : "+r"(len));
	return !bpf_skb_load_bytes(ctx, off, to, ((len - 1) & (FTP_TEXT - 1)) + 1);
}

/* What was said on this connection before, in t->said. */
static __always_inline void ftp_recall(struct ftp_text *t, struct conn_scratch *x)
{
	struct bpvs_ftp *r = bpf_map_lookup_elem(&bpvs_ftp, &x->hit.idx);
	__u16 gen = (__u16)(x->hit.word >> BPVS_WORD_GEN_SHIFT);

	__builtin_memset(&t->said, 0, sizeof(t->said));
	t->said.slot = x->hit.idx;
	t->said.gen = gen;
	if (!r)
		return;
	bpf_spin_lock(&r->lock);
	if (r->said.slot == t->said.slot && r->said.gen == gen)
		t->said = r->said;
	bpf_spin_unlock(&r->lock);
}

/* A record that was made when its connection had ended: nobody else would remove it. */
static __always_inline void ftp_forget_late(const struct ftp_text *t, struct conn_scratch *x)
{
	struct bpvs_conn *c = conn_slot(x->hit.idx);
	struct bpvs_ftp *r;
	__u64 word;

	/* Who ends it makes it busy and then looks for a record. So: an atomic, not a look. */
	word = c ? fetch_or64(&c->word, 0) : 0;
	if (word_valid(word) && word_same_gen(word, x->hit.word))
		return;
	r = bpf_map_lookup_elem(&bpvs_ftp, &x->hit.idx);
	if (r && r->said.gen == t->said.gen)
		bpf_map_delete_elem(&bpvs_ftp, &x->hit.idx);
}

/*
 * Note that the client has asked for `form`; or (`reply`) that the answer at `seq`, which is that,
 * grows by `by`. Nothing but that is changed, as a packet of the other direction may change the
 * rest; t->said, whose slot and generation say which connection's it is, is as the record then is.
 */
__noinline int HOOK(ftp_note)(__u32 form, __u32 reply, __u32 seq, __s32 by)
{
	struct conn_scratch *x = conn_scratch();
	struct ftp_text *t = ftp_text();
	struct bpvs_ftp_said *s;
	struct bpvs_ftp *r;
	__s16 newer;

	if (!x || !t)
		return BPVS_BUG_MAP;
	t->unlocked = 0;
	bpf_map_update_elem(&bpvs_ftp, &x->hit.idx, &t->unlocked, BPF_NOEXIST);
	r = bpf_map_lookup_elem(&bpvs_ftp, &x->hit.idx);
	if (!r)
		return BPVS_TABLE_FULL;
	s = &r->said;
	bpf_spin_lock(&r->lock);
	newer = s->slot == t->said.slot ? (__s16)(t->said.gen - s->gen) : -1;
	if (newer > 0)
		*s = t->said;
	if (newer >= 0 && !reply) {
		s->asked = (__u8)form;
	} else if (newer >= 0) {
		if (by && (s->before == s->after || (__s32)(seq - s->pos) > 0)) {
			s->pos = seq;
			s->before = s->after;
			s->after += by;
		}
		s->asked = FTP_NONE;
		s->answer = (__u8)form;
		s->seq = seq;
	}
	if (newer >= 0)
		t->said = *s;
	bpf_spin_unlock(&r->lock);
	ftp_forget_late(t, x);
	return BPVS_GO_ON;
}

/* From the client. A global function, as are those below: the verifier looks at each once. */
__noinline int HOOK(ftp_in)(void)
{
	struct conn_scratch *x = conn_scratch();
	struct ftp_text *t = ftp_text();
	struct conn_key *k;
	__u32 none = 0, word, form;
	int v;

	if (!x || !t)
		return BPVS_BUG_MAP;
	t->w.form = FTP_NONE;
	t->w.state = FTP_SEEK;
	bpf_loop(FTP_TEXT, ftp_seek_passive, &none, 0);
	if (t->w.form != FTP_NONE)
		return HOOK(ftp_note)(t->w.form, false, 0, 0);
	word = ftp_word(t, 0);
	form = word == FTP_WORD('e', 'p', 'r', 't')		  ? FTP_EPRT
	       : word == FTP_WORD('p', 'o', 'r', 't') && !t->w.v6 ? FTP_PORT
								  : FTP_NONE;
	if (t->w.state == FTP_WRONG || form == FTP_NONE || !ftp_read(t, form, &x->flow.saddr))
		return BPVS_GO_ON;
	v = HOOK(ftp_note)(FTP_NONE, false, 0, 0);
	if (v != BPVS_GO_ON)
		return v;
	k = &x->n.key;
	key_request(k, &x->flow, clock_now());
	k->client = t->w.addr;
	k->cport = t->w.port;
	k->pport = bpf_htons(bpf_ntohs(x->flow.dport) - 1);
	x->n.daddr = x->hit.to;
	x->n.dport = bpf_htons(bpf_ntohs(x->hit.to_port) - 1);
	return bpvs_expect(x) ? BPVS_GO_ON : BPVS_TABLE_FULL;
}

/* A number in decimal at `at` of t->addr: behind it. */
__noinline int HOOK(ftp_number)(__u32 at, __u32 n)
{
	struct ftp_text *t = ftp_text();
	__u32 unit = 10000, i, digit;
	bool begun = false;

	if (!t)
		return 0;
	for (i = 0; i < 5; i++) {
		digit = n / unit % 10;
		begun |= digit || unit == 1;
		if (begun)
			t->addr[at++ & (FTP_ADDR - 1)] = (__u8)('0' + digit);
		unit /= 10;
	}
	return (int)at;
}

static __always_inline __u32 ftp_put(struct ftp_text *t, __u32 at, char c)
{
	t->addr[at & (FTP_ADDR - 1)] = (__u8)c;
	return at + 1;
}

/* What the client shall read, into t->addr: its length. */
static __always_inline __u32 ftp_written(struct ftp_text *t, const struct bpvs_addr *vip)
{
	__u32 port = bpf_ntohs(t->w.port), at = 0, i;

	if (t->w.form == FTP_EPSV) {
		for (i = 0; i < 3; i++)
			at = ftp_put(t, at, '|');
		return ftp_put(t, (__u32)HOOK(ftp_number)(at, port), '|');
	}
	for (i = 0; i < 6; i++) {
		if (i)
			at = ftp_put(t, at, ',');
		at = (__u32)HOOK(ftp_number)(at, i < 4	  ? vip->b[12 + i]
						 : i == 4 ? port >> 8
							  : port & 0xff);
	}
	return at;
}

/* The packet shall be `by` bytes longer, or shorter. */
static __always_inline int ftp_resize(ctx_t *ctx, struct conn_scratch *x, __s32 by)
{
	struct bpvs_dest *d = dest_get(x->hit.dest);
	struct bpvs_flow *f = &x->flow;
	__u32 check = f->l3 + offsetof(struct iphdr, check);
	bool v6 = f->af == BPVS_V6;
	__u32 at = f->l3 +
		   (v6 ? offsetof(struct ipv6hdr, payload_len) : offsetof(struct iphdr, tot_len));
	__u32 tcp = f->len - (f->l4 - f->l3), l4 = f->l4 + TCP_CSUM;
	__be16 was = bpf_htons((__u16)(v6 ? f->len - sizeof(struct ipv6hdr) : f->len));
	__be16 is = bpf_htons((__u16)(bpf_ntohs(was) + by));

	/*
	 * A sum that a device has made of the whole packet would lack what is cut off, which the
	 * text then has elsewhere. Room behind a packet, for a moment, has the kernel forget it.
	 */
	if ((by < 0 && bpf_skb_change_tail(ctx, f->l3 + f->len + 1, 0)) ||
	    bpf_skb_change_tail(ctx, f->l3 + f->len + by, 0) ||
	    bpf_skb_store_bytes(ctx, at, &is, sizeof(is), 0) ||
	    (!v6 && bpf_l3_csum_replace(ctx, check, was, is, sizeof(is))))
		return -1;
	f->len += by;
	if (d && (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE))
		account_longer(d, x->hit.dest, by);
	/* TCP's own length is in the pseudo header. */
	return (int)bpf_l4_csum_replace(
		ctx, l4, 0, csum_diff16(bpf_htons((__u16)tcp), bpf_htons((__u16)(tcp + by))),
		BPF_F_PSEUDO_HDR);
}

/* t->addr, `num` bytes of it, in the place of what the server said at `off` and on. */
__noinline int HOOK(ftp_rewrite)(ctx_t *ctx, __u32 off, __u32 num)
{
	struct conn_scratch *x = conn_scratch();
	struct ftp_text *t = ftp_text();
	__u32 end, rest, len;
	__s32 by;
	__s64 sum;

	if (!x || !t)
		return BPVS_BUG_MAP;
	len = t->w.len;
	end = t->w.end & (FTP_TEXT - 1);
	by = (__s32)(num - (t->w.end - t->w.start));
	rest = len - t->w.end;
	/* Never: ftp_out() has looked. The verifier does not know. */
	if (num > FTP_ADDR || len + by > FTP_TEXT || t->w.end > len)
		return BPVS_GO_ON;
	if (by && ftp_resize(ctx, x, by))
		return BPVS_WRITE;
	asm volatile("" : "+r"(num), "+r"(rest));
	if (bpf_skb_store_bytes(ctx, off + t->w.start, t->addr, ((num - 1) & (FTP_ADDR - 1)) + 1,
				0))
		return BPVS_WRITE;
	if (rest && bpf_skb_store_bytes(ctx, off + t->w.start + num, &t->c[end],
					((rest - 1) & (FTP_TEXT - 1)) + 1, 0))
		return BPVS_WRITE;
	if (!ftp_load(ctx, t->now, off, len + by))
		return BPVS_WRITE;
	sum = bpf_csum_diff((void *)t->c, FTP_TEXT, NULL, 0, 0);
	sum = bpf_csum_diff(NULL, 0, (void *)t->now, FTP_TEXT, (__u32)sum);
	return bpf_l4_csum_replace(ctx, x->flow.l4 + TCP_CSUM, 0, (__u64)(__u32)sum, 0)
		       ? BPVS_WRITE
		       : BPVS_GO_ON;
}

/* Is this what the client asked for, or again what answered it? */
static __always_inline __u32 ftp_answers(const struct ftp_text *t, __u32 seq)
{
	__u32 word = ftp_word(t, 0), form = t->said.asked;

	if (form == FTP_NONE && t->said.answer && t->said.seq == seq)
		form = t->said.answer;
	if (form == FTP_PASV && word == FTP_WORD('2', '2', '7', ' '))
		return form;
	return form == FTP_EPSV && word == FTP_WORD('2', '2', '9', ' ') ? form : FTP_NONE;
}

/*
 * Did the server say its own address, or another real server's? What is none of theirs is the one
 * that the server was told to say, the virtual one or that of a router before it: the client hears
 * that, and the connection is to this server.
 */
static __always_inline bool ftp_own(struct ftp_text *t, const struct bpvs_addr *server)
{
	if (addr_eq(&t->w.addr, server) || filter_hit(bpvs_filter.rip, &t->w.addr))
		return true;
	t->w.addr = *server;
	return false;
}

/* The connection that is announced by the answer x->flow: from any of the client's ports. */
static __always_inline int ftp_expect_passive(const struct ftp_text *t, struct conn_scratch *x)
{
	struct conn_key *k = &x->n.key;

	key_reply(k, &x->flow, clock_now());
	k->reply = 0;
	k->cport = 0;
	k->peer = x->hit.to;
	k->pport = t->w.port;
	x->n.daddr = t->w.addr;
	x->n.dport = t->w.port;
	return bpvs_expect(x);
}

/* From the server; the text is at `off`, and its first byte has the number `seq`. */
__noinline int HOOK(ftp_out)(ctx_t *ctx, __u32 off, __u32 seq)
{
	struct conn_scratch *x = conn_scratch();
	struct ftp_text *t = ftp_text();
	__u32 form, num;
	bool own;
	__s32 by;
	int v;

	if (!x || !t)
		return BPVS_BUG_MAP;
	form = ftp_answers(t, seq);
	if (form == FTP_NONE || !ftp_read(t, form, &x->flow.saddr))
		return BPVS_GO_ON;
	own = ftp_own(t, &x->flow.saddr);
	num = ftp_written(t, &x->hit.to);
	by = own ? (__s32)(num - (t->w.end - t->w.start)) : 0;
	/* As one that is too long already: before anything is noted of it. */
	if (t->w.len + by > FTP_TEXT)
		return BPVS_GO_ON;
	if (t->said.asked && !ftp_expect_passive(t, x))
		return BPVS_TABLE_FULL;
	v = HOOK(ftp_note)(form, true, seq, by);
	return v == BPVS_GO_ON && own ? HOOK(ftp_rewrite)(ctx, off, num) : v;
}

/* Put `is` in the place of one of TCP's numbers. */
static __always_inline int ftp_store(ctx_t *ctx, const struct bpvs_flow *f, __u32 at, __u32 was,
				     __u32 is)
{
	__be32 from = bpf_htonl(was), to = bpf_htonl(is);

	if (from == to)
		return 0;
	if (bpf_skb_store_bytes(ctx, f->l4 + at, &to, sizeof(to), 0))
		return -1;
	return (int)bpf_l4_csum_replace(ctx, f->l4 + TCP_CSUM, from, to, sizeof(to));
}

/* The server's numbers as the client shall see them, and what the client acknowledges back. */
static __always_inline int ftp_shift(ctx_t *ctx, const struct conn_scratch *x,
				     const struct bpvs_ftp_said *said, __u32 seq, __u32 ack,
				     bool reply)
{
	__s32 by;

	if (reply) {
		by = (__s32)(seq - said->pos) > 0 ? said->after : said->before;
		return ftp_store(ctx, &x->flow, offsetof(struct tcphdr, seq), seq, seq + by);
	}
	if (!(x->flow.tcp_flags & TH_ACK))
		return 0;
	by = (__s32)(ack - said->before - said->pos) > 0 ? said->after : said->before;
	return ftp_store(ctx, &x->flow, offsetof(struct tcphdr, ack_seq), ack, ack - by);
}

/* Is what was said of any use? As in the kernel, before and after is not. */
static __always_inline bool ftp_established(struct conn_scratch *x)
{
	struct bpvs_conn *c = conn_slot(x->hit.idx);
	__u64 word = c ? READ_ONCE(c->word) : 0;

	return c && word_valid(word) && word_same_gen(word, x->hit.word) &&
	       word_state(word) == BPVS_TCP_ESTABLISHED;
}

/* The packet x->flow of the control connection x->hit, before it is sent on: GO_ON, or its end. */
__noinline int HOOK(ftp)(ctx_t *ctx, __u32 reply)
{
	struct conn_scratch *x = conn_scratch();
	struct ftp_text *t = ftp_text();
	struct tcphdr th;
	__u32 off, seq, end;
	int v = BPVS_GO_ON;

	if (!x || !t || !(x->hit.flags & BPVS_CONN_APP) || x->hit.idx == ~0U ||
	    (x->flow.flags & FLOW_FRAG))
		return BPVS_GO_ON;
	if (bpf_skb_load_bytes(ctx, x->flow.l4, &th, sizeof(th)))
		return BPVS_WRITE;
	ftp_recall(t, x);
	seq = bpf_ntohl(th.seq);
	off = x->flow.l4 + th.doff * 4;
	end = x->flow.l3 + x->flow.len;
	if (off < end && ftp_established(x)) {
		t->w.len = end - off;
		t->w.v6 = x->flow.af == BPVS_V6;
		if (t->w.len > FTP_TEXT)
			t->w.len = FTP_TEXT;
		if (!ftp_load(ctx, t->c, off, t->w.len))
			return BPVS_WRITE;
		v = !reply		    ? HOOK(ftp_in)()
		    : end - off <= FTP_TEXT ? HOOK(ftp_out)(ctx, off, seq)
					    : (int)BPVS_GO_ON;
	}
	if (v == BPVS_GO_ON && (t->said.before || t->said.after) &&
	    ftp_shift(ctx, x, &t->said, seq, bpf_ntohl(th.ack_seq), reply))
		v = BPVS_WRITE;
	return v;
}
