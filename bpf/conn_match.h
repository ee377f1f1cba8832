/* SPDX-License-Identifier: GPL-2.0-only */
/* Comparing a slot with a key and copying it, inline: what every look-up is made of. */
#pragma once

#include "conn.h"

static __always_inline bool conn6_matches(__u32 idx, const struct conn_key *k)
{
	struct bpvs_conn6 *c6 = bpf_map_lookup_elem(&bpvs_conns6, &idx);

	return c6 && addr_eq(&c6->caddr, &k->client) &&
	       addr_eq(k->reply ? &c6->daddr : &c6->vaddr, &k->peer);
}

static __always_inline bool conn_matches(const struct bpvs_conn *c, __u32 idx,
					 const struct conn_key *k)
{
	__u32 c_peer = k->reply ? c->daddr : c->vaddr;
	__be16 c_pport = k->reply ? c->dport : c->vport;

	if (c->cport != k->cport || c_pport != k->pport || c->proto != k->proto ||
	    c->caddr != conn_tag(&k->client, k->v6) || c_peer != conn_tag(&k->peer, k->v6))
		return false;
	if (likely(!k->v6))
		return !(c->flags & BPVS_CONN_V6);
	return (c->flags & BPVS_CONN_V6) && conn6_matches(idx, k);
}

/* Copy a matching slot; false when it changed meanwhile. */
static __always_inline bool conn_copy(const struct bpvs_conn *c, __u32 idx,
				      const struct conn_key *k, __u64 word, struct conn_hit *ret)
{
	ret->idx = idx;
	ret->dest = c->dest;
	ret->flags = c->flags;
	ret->nh = c->nh;
	ret->to_port = k->reply ? c->vport : c->dport;
	if (likely(!k->v6)) {
		addr_map4(&ret->to, k->reply ? c->vaddr : c->daddr);
	} else {
		struct bpvs_conn6 *c6 = bpf_map_lookup_elem(&bpvs_conns6, &idx);

		if (!c6)
			return false;
		ret->to = k->reply ? c6->vaddr : c6->daddr;
	}
	barrier();
	ret->word = READ_ONCE(c->word);
	if (likely(word_valid(ret->word)))
		return word_same_gen(ret->word, word);
	/* Not to be touched: its owner expects the word as it is. */
	ret->idx = ~0U;
	return (k->how & KEY_TENTATIVE) && ret->word == word;
}

/*
 * The entry that sits in its home, which most do: one cache line, no call, and all in registers
 * when inlined. False means no more than that bpvs_conn_find() has to look.
 */
static __always_inline bool conn_find_home(const struct conn_key *k, struct conn_hit *ret)
{
	__u32 home = conn_home(&k->client, k->cport, k->proto, k->v6);
	struct bpvs_conn *c = conn_slot(home);
	__u64 word;

	if (!c || !(READ_ONCE(c->hop) & 1))
		return false;
	word = READ_ONCE(c->word);
	barrier();
	return word_valid(word) && conn_matches(c, home, k) && !word_expired(word, k->now) &&
	       conn_copy(c, home, k, word, ret);
}
