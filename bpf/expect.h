/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FTP's data connections under NAT. They are made before their first packet, when the control
 * connection announces them (ftp_tc.h), and that one controls them. Who connects to a server's
 * passive port does so from a port that nobody knows yet: such a connection stands under port 0
 * until the client's packet finds it there, which only flows without a connection look for.
 */
#pragma once

/* Part of schedule.bpf.c: what is inserted against other CPUs is there. */

static __always_inline __u32 listen_timeout(void)
{
	return READ_ONCE(bpvs_cfg.tcp_timeout[BPVS_TCP_LISTEN]);
}

/* Announced again, as the client may use one port for each of its files. */
static __always_inline void expect_again(const struct conn_hit *hit, __u32 now)
{
	__u64 listen = (__u64)BPVS_TCP_LISTEN << BPVS_WORD_STATE_SHIFT, word, next;
	__u32 expiry = now + listen_timeout();
	struct bpvs_conn *c = conn_slot(hit->idx);
	int tries;

	for (tries = 0; c && tries < 4; tries++) {
		word = READ_ONCE(c->word);
		if (!word_valid(word) || !word_same_gen(word, hit->word))
			return;
		next = (__u32)(word & ~BPVS_WORD_STATE_MASK) | listen |
		       (__u64)expiry << BPVS_WORD_EXPIRY_SHIFT;
		if (cas64(&c->word, word, next) != word)
			continue;
		bpvs_due_lower(hit->idx / BPVS_BLOCK, expiry);
		return;
	}
}

/*
 * End it: false, if somebody else had. If its word moves all the time nobody does; that is as good
 * as having ended it to who has made its successor, whose packet is not to be left to the stack.
 */
static __always_inline bool expect_end(const struct conn_hit *hit)
{
	struct bpvs_conn *c = conn_slot(hit->idx);
	__u64 word;
	int tries;

	for (tries = 0; c && tries < 4; tries++) {
		word = READ_ONCE(c->word);
		if (!word_valid(word) || !word_same_gen(word, hit->word))
			return false;
		if (bpvs_conn_kill(hit->idx, word))
			return true;
	}
	return true;
}

/*
 * Does x->data, found by x->n's key, stay? If it is this server's; or if it is not the speaker's
 * own (who may say any address), whose client would lose it. So does IPVS, with one's own, too.
 */
static __always_inline bool expect_stays(const struct conn_scratch *x)
{
	const struct conn_new *n = &x->n;

	if (n->key.cport && !addr_eq(&n->key.client, &x->flow.saddr))
		return true;
	return addr_eq(&x->data.to, &n->daddr) && x->data.to_port == n->dport;
}

/*
 * The data connection x->n (key, daddr, dport) of the control connection x->hit: 1, or 0 where
 * there is no room for it.
 */
__noinline int bpvs_expect(struct conn_scratch *x)
{
	struct conn_new *n;
	int r;

	if (!x)
		return 0;
	n = &x->n;
	if (bpvs_conn_find(&n->key, &x->data)) {
		if (expect_stays(x)) {
			expect_again(&x->data, n->key.now);
			return 1;
		}
		/* Another server's of this port: the client's packet can tell but one. */
		expect_end(&x->data);
	}
	n->dest = x->hit.dest;
	n->flags = (x->hit.flags & (BPVS_CONN_FWD | BPVS_CONN_V6));
	if (!n->key.cport)
		n->flags |= BPVS_CONN_NO_CPORT;
	n->state = BPVS_TCP_LISTEN;
	n->timeout = listen_timeout();
	n->control = x->hit.idx + 1;
	n->call = 0;
	n->here = (__u32)x->hit.word & BPVS_WORD_HERE;
	if (conn_max_reached() || !bpvs_control_hold(x->hit.idx, x->hit.word, n->key.now))
		return 0;
	/* Before it can be found: who does not look for it shall not miss it. */
	if (n->flags & BPVS_CONN_NO_CPORT)
		fetch_add(&bpvs_cfg.no_cport_num, 1);
	r = bpvs_conn_insert(n, &x->data);
	if (r == CONN_INSERTED)
		return 1;
	if (n->flags & BPVS_CONN_NO_CPORT)
		fetch_add(&bpvs_cfg.no_cport_num, -1);
	bpvs_control_release(n->control);
	return r == CONN_RIVAL;
}

/*
 * What controls the connection, counted once more; 0 = nothing does. As long as that connection
 * stands its controller does, so that needs to be looked at afterwards only.
 */
static __always_inline __u32 expected_control(const struct conn_hit *hit)
{
	struct bpvs_conn *c = conn_slot(hit->idx), *t;
	__u32 control = c ? READ_ONCE(c->control) : 0;
	__u64 word;

	t = control ? conn_slot(control - 1) : NULL;
	if (!c || !t)
		return 0;
	fetch_add(&t->controls, 1);
	word = READ_ONCE(c->word);
	if (word_valid(word) && word_same_gen(word, hit->word))
		return control;
	bpvs_control_release(control);
	return 0;
}

/* Is its server still to be had? conn_check() asks the same of a connection that was found. */
static __always_inline int expected_check(const struct conn_hit *hit, const struct bpvs_flow *f)
{
	bool expire = READ_ONCE(bpvs_cfg.expire_nodest_conn);
	struct bpvs_dest *d = dest_get(hit->dest);

	if (!d)
		return BPVS_NO_CONN;
	if (likely(READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE) &&
	    !(expire && f->tcp_flags & TH_SYN && READ_ONCE(d->weight) <= 0))
		return BPVS_GO_ON;
	if (!expire)
		return BPVS_DEST_GONE;
	expect_end(hit);
	return BPVS_NO_CONN;
}

/*
 * Is the flow, which has no connection, one that stands under port 0? Then that becomes one under
 * its own port, x->hit: GO_ON; or BPVS_NO_CONN, or why it is dropped. Another entry, as the
 * client's port is what entries are found by. It is made before the old one ends; who then cannot
 * end that was late, and takes his own back.
 */
__noinline int bpvs_expected(struct conn_scratch *x)
{
	struct conn_new *n;
	__be16 port;
	int r, v;

	/* A new one in the place of an old one is scheduled. */
	if (!x || x->old_word || (x->flow.flags & FLOW_FRAG_LATER))
		return BPVS_NO_CONN;
	n = &x->n;
	port = n->key.cport;
	n->key.cport = 0;
	v = bpvs_conn_find(&n->key, &x->data) && x->data.flags & BPVS_CONN_NO_CPORT
		    ? expected_check(&x->data, &x->flow)
		    : BPVS_NO_CONN;
	n->key.cport = port;
	if (v != BPVS_GO_ON)
		return v;
	n->control = expected_control(&x->data);
	if (!n->control)
		return BPVS_NO_CONN;
	n->daddr = x->data.to;
	n->dport = x->data.to_port;
	n->dest = x->data.dest;
	n->flags = x->data.flags & (BPVS_CONN_FWD | BPVS_CONN_V6);
	n->state = (__u8)word_state(x->data.word);
	n->timeout = listen_timeout();
	n->call = 0;
	n->here = (__u32)x->data.word & BPVS_WORD_HERE;
	r = conn_enter(n, &x->hit);
	if (r != CONN_INSERTED) {
		bpvs_control_release(n->control);
		return r == CONN_RIVAL ? BPVS_GO_ON : BPVS_TABLE_FULL;
	}
	if (expect_end(&x->data))
		return BPVS_GO_ON;
	bpvs_conn_kill(x->hit.idx, x->hit.word);
	return BPVS_NO_CONN;
}

/*
 * The flow, for which nothing stood under port 0, would be left to the stack, which refuses it: but
 * a copy of its packet may have found that, and have become its connection, while it was here.
 */
static __always_inline int expected_late(struct conn_scratch *x, int v)
{
	if (x->old_word || x->flow.proto != IPPROTO_TCP || !(x->flow.tcp_flags & TH_SYN))
		return v;
	return bpvs_conn_find(&x->n.key, &x->hit) ? BPVS_GO_ON : v;
}
