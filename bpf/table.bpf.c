/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection table (include/bpvs/conn.h tells its layout and the meaning of the word).
 *
 * Reading: hop word of the home, then each slot it names: word VALID, key, not expired, copy what
 * is needed, word again with the same generation. Only the copy is used afterwards.
 *
 * Every transition is a compare-and-swap of the whole word. On x86 stores are not reordered with
 * stores nor loads with loads, so compiler barriers suffice between the fields and the word; the
 * value-returning atomics order fully on every CPU.
 *
 * What a loop calls is a global function: the verifier looks at it once, not once a round.
 */
#include "conn_match.h"

/* Overflow slots tried before the table counts as full; one home may not have more spilled. */
#define SPILL_TRIES	16
#define SPILL_OF_A_HOME 64

#define EEXIST 17

/*
 * Between the thresholds the flag keeps its value, so that a server does not flap. Whoever moves a
 * counter calls this after. Who changes the flag looks at the counters again: held up between the
 * two, it could leave a server without connections marked as overloaded, and as none would come any
 * more, for ever.
 */
__noinline int bpvs_overload(struct bpvs_dest *d)
{
	__u32 upper, lower, is, want;
	__s32 total;
	int tries;

	if (!d)
		return 0;
	upper = READ_ONCE(d->u_threshold);
	if (!upper)
		return 0;
	lower = READ_ONCE(d->l_threshold);
	if (!lower)
		lower = upper - upper / 4;
	for (tries = 0; tries < 4; tries++) {
		total = READ_ONCE(d->active) + READ_ONCE(d->inactive);
		is = READ_ONCE(d->overload);
		want = total >= (__s32)upper ? 1 : total < (__s32)lower ? 0 : is;
		if (want == is)
			break;
		/* Orders the store before the look at the counters. */
		if (xchg32(&d->overload, want) == want)
			break;
	}
	return 0;
}

/*
 * The sweep passes over a block until the first of its connections may expire. It says "never"
 * there, then reads the slots, then says when; so whoever has published a word that expires earlier
 * than any before either meets "never" here and lowers it, or was seen. A later expiry needs no
 * word: the sweep comes, finds it so, and goes. Lowering races with lowering, so it is a swap; a
 * swap that fails too often gives way to "at once", which is never wrong.
 */
__noinline int bpvs_due_lower(__u32 block, __u32 expiry)
{
	__u32 *due = bpf_map_lookup_elem(&bpvs_due, &block), old;
	int tries;

	if (!due)
		return 0;
	for (tries = 0; tries < 4; tries++) {
		old = READ_ONCE(*due);
		if (!old || (__s32)(old - expiry) <= 0 || cas32(due, old, expiry) == old)
			return 0;
	}
	WRITE_ONCE(*due, 0);
	return 0;
}

/* Of the destination: templates count apart, and no threshold looks at them. */
static __always_inline void conn_count(__u8 flags, struct bpvs_dest *d, bool active, __s32 by)
{
	if (flags & BPVS_CONN_TEMPLATE)
		fetch_add(&d->persistent, by);
	else
		dest_count(d, active, by);
}

/* What a template must be, beyond its key: in use, and of the same call. */
static __always_inline bool template_fits(const struct bpvs_conn *c, __u64 word,
					  const struct conn_key *k)
{
	struct conn_scratch *x;

	if (likely(!(k->how & KEY_TEMPLATE)))
		return true;
	x = conn_scratch();
	return x && !(word & BPVS_WORD_STALE) && c->nh == x->n.call;
}

/* Is the flow's connection in this slot? */
__noinline int bpvs_conn_try(__u32 idx, const struct conn_key *k, struct conn_hit *ret)
{
	struct bpvs_conn *c;
	__u64 word;

	if (!k || !ret)
		return 0;
	c = conn_slot(idx);
	if (!c)
		return 0;
	word = READ_ONCE(c->word);
	barrier();
	if (unlikely(!word_valid(word)) &&
	    !((k->how & KEY_TENTATIVE) && (word & BPVS_WORD_STATUS) == BPVS_SLOT_TENTATIVE))
		return 0;
	return conn_matches(c, idx, k) && !conn_over(c, word, k->now) &&
	       template_fits(c, word, k) && conn_copy(c, idx, k, word, ret);
}

static __always_inline void spill_key(struct bpvs_spill_key *s, const struct bpvs_addr *client,
				      const struct bpvs_addr *peer, __be16 cport, __be16 pport,
				      __u8 proto, bool reply)
{
	s->caddr = *client;
	s->peer = *peer;
	s->cport = cport;
	s->pport = pport;
	s->proto = proto;
	s->reply = reply;
	s->zero = 0;
}

/* Index of the overflow slot that a flow has, or 0 (slot 0 is a home). */
static __always_inline __u32 spill_find(const struct conn_key *k)
{
	struct conn_scratch *x = conn_scratch();
	__u32 *idx;

	if (!x)
		return 0;
	spill_key(&x->spill, &k->client, &k->peer, k->cport, k->pport, k->proto, k->reply);
	idx = bpf_map_lookup_elem(&bpvs_spill, &x->spill);
	return idx ? *idx : 0;
}

/*
 * What making a connection needs beside its slot is as little in the caches as that. Read here, in
 * the shadow of the slot's own miss, it is fetched at the same time.
 */
static __always_inline void conn_foresee(const struct conn_key *k, __u32 home)
{
	__u32 block = home / BPVS_BLOCK, *due;
	struct bpvs_conn6 *c6 = NULL;

	if (k->reply)
		return;
	due = bpf_map_lookup_elem(&bpvs_due, &block);
	if (k->v6)
		c6 = bpf_map_lookup_elem(&bpvs_conns6, &home);
	if (due)
		(void)READ_ONCE(*due);
	if (c6)
		(void)READ_ONCE(c6->reserved[0]);
}

__noinline int bpvs_conn_find(const struct conn_key *k, struct conn_hit *ret)
{
	__u32 home, bits, d, idx;
	struct bpvs_conn *h;
	__u64 hop;

	if (!k || !ret)
		return 0;
	home = key_home(k);
	h = conn_slot(home);
	if (!h)
		return 0;
	conn_foresee(k, home);
	hop = READ_ONCE(h->hop);
	bits = (__u32)hop;
	/* Most homes hold one entry and most entries sit in their home. */
	for (d = 0; d < BPVS_CONN_WINDOW; d++) {
		if (!(bits >> d))
			break;
		if ((bits >> d & 1) && bpvs_conn_try(home + d, k, ret))
			return 1;
	}
	if (likely(!(hop >> 32)))
		return 0;
	idx = spill_find(k);
	return idx && bpvs_conn_try(idx, k, ret);
}

/*
 * Remove a key of the slot's. Of replies that two connections cannot be told apart by (one client
 * endpoint, one real server's, two virtual services) the key is the younger's.
 */
static __always_inline void spill_drop(const struct bpvs_spill_key *s, __u32 idx)
{
	__u32 *at = bpf_map_lookup_elem(&bpvs_spill, s);

	if (at && *at == idx)
		bpf_map_delete_elem(&bpvs_spill, s);
}

/*
 * Take a slot's entry out of the indexes that lead to it. The slot is BUSY and ours. What the
 * atomics return is used, so that on every CPU they are done before the slot is let go.
 */
static __always_inline void conn_unlink(__u32 idx, const struct bpvs_conn *c)
{
	struct bpvs_conn *h = conn_slot(c->home);
	__u64 bit;

	if (c->flags & BPVS_CONN_SPILLED) {
		struct bpvs_conn6 *c6 = bpf_map_lookup_elem(&bpvs_conns6, &idx);
		struct conn_scratch *x = conn_scratch();
		struct bpvs_spill_key *s = x ? &x->spill : NULL;

		/*
		 * An overflow slot has its addresses in bpvs_conns6 whatever its family. The
		 * request's key last: as long as it stands, nobody else's reply key is at stake.
		 */
		if (c6 && s) {
			spill_key(s, &c6->caddr, &c6->daddr, c->cport, c->dport, c->proto, true);
			spill_drop(s, idx);
			spill_key(s, &c6->caddr, &c6->vaddr, c->cport, c->vport, c->proto, false);
			spill_drop(s, idx);
		}
		bit = 1ULL << 32;
		if (h && !(fetch_add(&h->hop, -bit) >> 32))
			count(BPVS_BUG_TABLE);
	} else if (h) {
		bit = 1ULL << ((idx - c->home) & 31);
		if (!(fetch_and64(&h->hop, ~bit) & bit))
			count(BPVS_BUG_TABLE);
	}
}

static __always_inline void conn_release(struct bpvs_conn *c, __u64 word)
{
	__u64 gen = (word + (1ULL << BPVS_WORD_GEN_SHIFT)) & BPVS_WORD_GEN_MASK;

	barrier();
	WRITE_ONCE(c->word, gen | BPVS_SLOT_FREE);
}

/*
 * What expires with connections to control lives for a while longer, and a template from then on no
 * longer than that after each new one: IPVS's rule.
 */
static __always_inline void control_put_off(struct bpvs_conn *c, __u64 word)
{
	__u32 more = BPVS_CONTROL_AGAIN * bpvs_ro.clock_hz, now = clock_now();

	if (!word_expired(word, now))
		return;
	c->timeout = more;
	barrier();
	cas64(&c->word, word, (__u32)word | (__u64)(now + more) << BPVS_WORD_EXPIRY_SHIFT);
}

/*
 * The count first: who ends the slot's entry looks at it before the swap of the word, which fails
 * once the word was changed here. A count that came too late is taken back, whosever the slot is.
 */
__noinline int bpvs_control_hold(__u32 idx, __u64 word, __u32 now)
{
	struct bpvs_conn *t = conn_slot(idx);
	__u64 next, seen, later = 1ULL << BPVS_WORD_EXPIRY_SHIFT;
	int tries;

	if (!t)
		return 0;
	fetch_add(&t->controls, 1);
	for (tries = 0; tries < 4; tries++) {
		next = word + later;
		if (t->flags & BPVS_CONN_TEMPLATE)
			next = (__u32)word | (__u64)(now + READ_ONCE(t->timeout))
						     << BPVS_WORD_EXPIRY_SHIFT;
		if (next == word)
			next += later;
		seen = cas64(&t->word, word, next);
		if (seen == word) {
			bpvs_due_lower(idx / BPVS_BLOCK, word_expiry(next));
			return 1;
		}
		if (!word_valid(seen) || !word_same_gen(seen, word) || (seen & BPVS_WORD_STALE))
			break;
		word = seen;
	}
	fetch_add(&t->controls, -1);
	return 0;
}

__noinline int bpvs_control_release(__u32 control)
{
	struct bpvs_conn *t = conn_slot(control - 1);

	if (t && fetch_add(&t->controls, -1) <= 0)
		count(BPVS_BUG_TABLE);
	return 0;
}

__noinline int bpvs_template_assure(__u32 control)
{
	struct bpvs_conn *t = conn_slot(control - 1);
	__u64 bit = (__u64)BPVS_TEMPLATE_ASSURED << BPVS_WORD_STATE_SHIFT, word;
	int tries;

	if (!t || !(t->flags & BPVS_CONN_TEMPLATE))
		return 0;
	for (tries = 0; tries < 4; tries++) {
		word = READ_ONCE(t->word);
		if (!word_valid(word) || (word & bit) || cas64(&t->word, word, word | bit) == word)
			return 0;
	}
	return 0;
}

__noinline int bpvs_template_stale(__u32 idx, __u64 word)
{
	struct bpvs_conn *t = conn_slot(idx);
	struct bpvs_conn6 *c6 = bpf_map_lookup_elem(&bpvs_conns6, &idx);
	struct conn_scratch *x = conn_scratch();

	if (!t || !c6 || !x || cas64(&t->word, word, word | BPVS_WORD_STALE) != word)
		return 0;
	/* The key is its successor's. */
	if (t->flags & BPVS_CONN_SPILLED) {
		spill_key(&x->spill, &c6->caddr, &c6->vaddr, t->cport, t->vport, t->proto, false);
		spill_drop(&x->spill, idx);
	}
	return 1;
}

/* What is kept of some connections beside their slot goes with them. */
static __always_inline void conn_forget(__u32 idx, __u8 flags)
{
	if (flags & BPVS_CONN_APP)
		bpf_map_delete_elem(&bpvs_ftp, &idx);
	else if (flags & BPVS_CONN_TEMPLATE)
		bpf_map_delete_elem(&bpvs_calls, &idx);
	else if (!fetch_add(&bpvs_cfg.no_cport_num, -1))
		count(BPVS_BUG_TABLE);
}

__noinline int bpvs_conn_kill(__u32 idx, __u64 word)
{
	__u64 busy = (word & ~BPVS_WORD_STATUS) | BPVS_SLOT_BUSY;
	struct bpvs_conn *c = conn_slot(idx);
	struct bpvs_dest *d;
	__u32 control;

	if (!c || !word_valid(word))
		return 0;
	if (READ_ONCE(c->controls) > 0) {
		control_put_off(c, word);
		return 0;
	}
	if (cas64(&c->word, word, busy) != word)
		return 0;
	control = c->control;
	if (unlikely(c->flags & (BPVS_CONN_CALL | BPVS_CONN_APP)))
		conn_forget(idx, c->flags);
	d = dest_get(c->dest);
	if (d)
		conn_count(c->flags, d, word & BPVS_WORD_ACTIVE, -1);
	conn_unlink(idx, c);
	conn_release(c, word);
	if (control)
		bpvs_control_release(control);
	count(BPVS_EV_CONN_ENDED);
	return 1;
}

/* Claim a slot that is free or has expired: its word, BUSY, is ours then. */
__noinline int bpvs_slot_claim(__u32 idx, __u32 now)
{
	struct bpvs_conn *c = conn_slot(idx);
	__u64 word;

	if (!c)
		return 0;
	word = READ_ONCE(c->word);
	if (word_valid(word) && conn_over(c, word, now) && bpvs_conn_kill(idx, word))
		word = READ_ONCE(c->word);
	if ((word & BPVS_WORD_STATUS) != BPVS_SLOT_FREE)
		return 0;
	return cas64(&c->word, word, (word & BPVS_WORD_GEN_MASK) | BPVS_SLOT_BUSY) == word;
}

static __always_inline void slot_fill(struct bpvs_conn *c, __u32 idx, const struct conn_new *n,
				      __u8 flags)
{
	bool v6 = n->key.v6;

	c->caddr = conn_tag(&n->key.client, v6);
	c->vaddr = conn_tag(&n->key.peer, v6);
	c->daddr = conn_tag(&n->daddr, v6);
	c->cport = n->key.cport;
	c->vport = n->key.pport;
	c->dport = n->dport;
	c->proto = n->key.proto;
	c->flags = flags;
	c->dest = n->dest;
	c->home = n->home;
	c->pkts = 0;
	c->nh = n->call;
	c->control = n->control;
	c->timeout = n->timeout;
	if (v6 || (flags & BPVS_CONN_SPILLED)) {
		struct bpvs_conn6 *c6 = bpf_map_lookup_elem(&bpvs_conns6, &idx);

		if (c6) {
			c6->caddr = n->key.client;
			c6->vaddr = n->key.peer;
			c6->daddr = n->daddr;
		}
	}
	barrier();
}

static __always_inline __u64 new_word(const struct conn_new *n, __u64 gen, __u64 status)
{
	__u64 word = (gen & BPVS_WORD_GEN_MASK) | (__u64)n->state << BPVS_WORD_STATE_SHIFT |
		     n->here | status;
	__u32 fwd = n->flags & BPVS_CONN_FWD;

	/*
	 * To the kernel it is the destination that says so, and bypassed connections have none.
	 * Also where a first reply assures the template, so that it makes a move.
	 */
	if ((!bpvs_fwd_nat(fwd) && fwd != BPVS_FWD_BYPASS) ||
	    (n->control && n->key.proto == IPPROTO_UDP))
		word |= BPVS_WORD_NOOUTPUT;
	return word | (__u64)(n->key.now + n->timeout) << BPVS_WORD_EXPIRY_SHIFT;
}

/*
 * Does the entry at `idx`, seen beside ours at `mine`, win? A valid one does, unless it expired
 * and we end it: if that fails, somebody found it alive and it wins. Of two that are tentative the
 * lower index wins: a higher one we abort, and if that fails it has become valid and wins. Its
 * owner cleans up when its own last step fails.
 *
 * A slot that changes owners meanwhile may be taken for a rival that it is not: then we lose and
 * try again. It is never missed: a new owner of the slot sets its bit after ours, and finds us.
 */
__noinline int bpvs_rival_wins(__u32 idx, __u32 mine, const struct conn_key *k)
{
	struct bpvs_conn *c;
	__u64 word;

	if (!k)
		return 0;
	c = conn_slot(idx);
	if (!c)
		return 0;
	word = READ_ONCE(c->word);
	barrier();
	if ((word & BPVS_WORD_STATUS) < BPVS_SLOT_TENTATIVE || !conn_matches(c, idx, k) ||
	    !template_fits(c, word, k))
		return 0;
	if (word_valid(word)) {
		if (!conn_over(c, word, k->now) || bpvs_conn_kill(idx, word))
			return !conn_over(c, word, k->now);
	} else {
		if (idx < mine)
			return 1;
		if (cas64(&c->word, word, (word & ~BPVS_WORD_STATUS) | BPVS_SLOT_BUSY) == word)
			return 0;
	}
	/* The word moved under us: refreshed by a packet with an older clock, or published. */
	return word_valid(READ_ONCE(c->word));
}

static __always_inline bool rivals_win(__u64 hop, __u32 home, __u32 mine, const struct conn_key *k)
{
	__u32 bits = (__u32)hop, d, idx;

	for (d = 0; d < BPVS_CONN_WINDOW; d++) {
		if (!(bits >> d))
			break;
		if ((bits >> d & 1) && home + d != mine && bpvs_rival_wins(home + d, mine, k))
			return true;
	}
	if (!(hop >> 32))
		return false;
	idx = spill_find(k);
	return idx && idx != mine && bpvs_rival_wins(idx, mine, k);
}

/* The last step: publish, or undo everything when a rival won. */
static __always_inline enum conn_insert conn_promote(struct bpvs_conn *c, __u32 idx, __u64 word,
						     bool lost, struct conn_hit *ret)
{
	__u64 valid = (word & ~BPVS_WORD_STATUS) | BPVS_SLOT_VALID;
	struct bpvs_dest *d;

	if (!lost && cas64(&c->word, word, valid) == word) {
		count(BPVS_EV_CONN_NEW);
		bpvs_due_lower(idx / BPVS_BLOCK, word_expiry(valid));
		ret->idx = idx;
		ret->word = valid;
		return CONN_INSERTED;
	}
	/* Lost, or aborted by a rival: either way nobody but us frees this slot. */
	WRITE_ONCE(c->word, (word & ~BPVS_WORD_STATUS) | BPVS_SLOT_BUSY);
	d = dest_get(c->dest);
	if (d)
		conn_count(c->flags, d, false, -1);
	conn_unlink(idx, c);
	conn_release(c, word);
	count(BPVS_EV_CONN_RIVAL);
	return CONN_RIVAL;
}

/* Into the window behind the home. */
static __always_inline enum conn_insert conn_insert_near(struct bpvs_conn *h,
							 const struct conn_new *n,
							 struct bpvs_dest *dest,
							 struct conn_hit *ret)
{
	struct bpvs_conn *c;
	__u64 word, hop;
	__u32 d, idx;

	for (d = 0; d < BPVS_CONN_WINDOW; d++)
		if (bpvs_slot_claim(n->home + d, n->key.now))
			break;
	idx = n->home + d;
	c = conn_slot(idx);
	if (d == BPVS_CONN_WINDOW || !c)
		return CONN_FULL;
	slot_fill(c, idx, n, n->flags);
	word = new_word(n, READ_ONCE(c->word), BPVS_SLOT_TENTATIVE);
	WRITE_ONCE(c->word, word);
	conn_count(n->flags, dest, false, 1);
	hop = fetch_or64(&h->hop, 1ULL << d);
	return conn_promote(c, idx, word, rivals_win(hop, n->home, idx, &n->key), ret);
}

/* Into an overflow slot; bpvs_spill's refusal of a second key keeps two such inserters apart. */
static __always_inline enum conn_insert conn_insert_far(struct bpvs_conn *h,
							const struct conn_new *n,
							struct bpvs_dest *dest,
							struct conn_hit *ret)
{
	__u32 first = bpvs_ro.slots + BPVS_CONN_WINDOW, at = bpf_get_prandom_u32(), i, idx = 0;
	struct conn_scratch *x = conn_scratch();
	struct bpvs_spill_key *s;
	struct bpvs_conn *c;
	__u64 word, hop;
	int err;

	if (!x || !bpvs_ro.spills || READ_ONCE(h->hop) >> 32 >= SPILL_OF_A_HOME)
		return CONN_FULL;
	/* One that expired and was not swept yet would keep the key: this ends it. */
	idx = spill_find(&n->key);
	if (idx && bpvs_rival_wins(idx, ~0U, &n->key))
		return CONN_RIVAL;
	for (i = 0; i < SPILL_TRIES; i++) {
		idx = first + (at + i * 7) % bpvs_ro.spills;
		if (bpvs_slot_claim(idx, n->key.now))
			break;
	}
	c = conn_slot(idx);
	if (i == SPILL_TRIES || !c)
		return CONN_FULL;
	slot_fill(c, idx, n, n->flags | BPVS_CONN_SPILLED);
	word = new_word(n, READ_ONCE(c->word), BPVS_SLOT_TENTATIVE);
	WRITE_ONCE(c->word, word);
	s = &x->spill;
	spill_key(s, &n->key.client, &n->key.peer, n->key.cport, n->key.pport, n->key.proto, false);
	/* `int`, not long: on 6.1 the error does not compare equal as a long. */
	err = bpf_map_update_elem(&bpvs_spill, s, &idx, BPF_NOEXIST);
	if (err) {
		conn_release(c, word);
		return err == -EEXIST ? CONN_RIVAL : CONN_FULL;
	}
	if (bpvs_fwd_nat(n->flags & (BPVS_CONN_FWD | BPVS_CONN_TEMPLATE))) {
		spill_key(s, &n->key.client, &n->daddr, n->key.cport, n->dport, n->key.proto, true);
		bpf_map_update_elem(&bpvs_spill, s, &idx, BPF_ANY);
	}
	conn_count(n->flags, dest, false, 1);
	hop = fetch_add(&h->hop, 1ULL << 32);
	count(BPVS_EV_CONN_SPILLED);
	return conn_promote(c, idx, word, rivals_win(hop, n->home, idx, &n->key), ret);
}

__noinline int bpvs_conn_insert(struct conn_new *n, struct conn_hit *ret)
{
	struct bpvs_dest *dest;
	struct bpvs_conn *h;
	int r;

	if (!n || !ret)
		return CONN_FULL;
	n->home = key_home(&n->key);
	dest = dest_get(n->dest);
	h = conn_slot(n->home);
	if (!h || !dest)
		return CONN_FULL;
	ret->dest = n->dest;
	ret->to = n->daddr;
	ret->to_port = n->dport;
	ret->flags = n->flags;
	ret->nh = 0;
	r = conn_insert_near(h, n, dest, ret);
	if (unlikely(r == CONN_FULL))
		r = conn_insert_far(h, n, dest, ret);
	return r;
}

char _license[] SEC("license") __weak = "GPL";
