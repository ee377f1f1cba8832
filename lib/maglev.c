/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of mh. Each destination prefers the slots in an order of its own: from a first one on
 * in steps, both by hashes of its endpoint. They take turns, newest first, a destination as many in
 * a row as its weight says, each the best slot that is left to it, until all are taken.
 *
 * A destination whose weight is set to 0 keeps the share of its last weight, so that no other's
 * clients move, here or when it comes back.
 */
#include <arpa/inet.h>
#include <bpvs/hash.h>
#include <string.h>
#include "tables.h"

struct turn {
	__u32 dest;
	__u32 at;
	__u32 step;
	__u32 turns;
};

/* IPVS hashes the address as one of the service's family, whatever its own (tunnels may differ). */
static __u32 endpoint_fold(const struct bpvs_dest *d, __u8 svc_af)
{
	const __be32 *w = d->addr.w;
	__be32 fold;

	if (d->af == BPVS_V4)
		fold = w[3];
	else
		fold = svc_af == BPVS_V4 ? w[0] : w[0] ^ w[1] ^ w[2] ^ w[3];
	return ntohl(fold) + ntohs(d->port);
}

/* Weights count in units of their common divisor, halved until the largest is below 64. */
struct scale {
	__u32 divisor;
	__u32 shift;
};

static struct scale scale_of(const struct bpvs_instance *in, const struct bpvs_list_entry *list,
			     __u32 len)
{
	struct scale s = { 0, 0 };
	__u32 most = 0;

	for (__u32 pos = 0; pos < len; pos++) {
		__u32 weight = (__u32)in->dests[list[pos].dest].last_weight;

		s.divisor = bpvs_gcd(weight, s.divisor);
		if (weight > most)
			most = weight;
	}
	while (s.divisor && most / s.divisor >> s.shift >= 64)
		s.shift++;
	return s;
}

static __u32 turns_make(const struct bpvs_instance *in, const struct bpvs_svc *svc,
			struct turn *turns)
{
	const struct bpvs_list_entry *list = in->lists + bpvs_list_off(svc->list);
	__u32 len = bpvs_list_len(svc->list), num = 0;
	struct scale scale = scale_of(in, list, len);

	for (__u32 pos = len; pos-- > 0;) {
		const struct bpvs_dest *d = &in->dests[list[pos].dest];
		__u32 fold = endpoint_fold(d, svc->key.af), weight = (__u32)d->last_weight;

		if (!weight)
			continue;
		turns[num++] = (struct turn){
			.dest = list[pos].dest,
			.at = bpvs_hash_slot(fold),
			.step = bpvs_hash_sip(fold, BPVS_MH_KEY_STEP) % (BPVS_BUCKETS_MH - 1) + 1,
			.turns = weight / scale.divisor >> scale.shift ?: 1,
		};
	}
	return num;
}

void bpvs_maglev(const struct bpvs_instance *in, const struct bpvs_svc *svc, __u32 *slots)
{
	static struct turn turns[BPVS_LIST_MAX];
	__u32 num = turns_make(in, svc, turns), whose = 0, taken = 0;

	memset(slots, 0, BPVS_BUCKETS_MH * sizeof(*slots));
	for (__u32 n = 0; num && n < BPVS_BUCKETS_MH; n++) {
		struct turn *t = &turns[whose];

		while (slots[t->at])
			t->at = (t->at + t->step) % BPVS_BUCKETS_MH;
		slots[t->at] = t->dest;
		if (++taken < t->turns)
			continue;
		taken = 0;
		whose = (whose + 1) % num;
	}
}
