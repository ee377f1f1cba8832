/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maglev hashing: the client's address, with mh-port its port too, chooses one of 4,093 slots. Each
 * destination fills slots in an order of its own, in proportion to its weight, so that few clients
 * change theirs when the list changes.
 *
 * The clients of a destination that takes no new connections are refused; with mh-fallback further
 * slots are tried, as many as there are, each by a hash of its own.
 */
#include "buckets.h"

#define PIECE  64
#define PIECES (BPVS_BUCKETS_MH / PIECE + 1)

struct mh_walk {
	__u32 unit;
	__u32 value; /* what is hashed, but for the offset */
	__u32 offset;
	__u32 left;
	int id;
};

/* The bucket that a value hashes to. Apart, as the hash is long and the walk would repeat it. */
__attribute__((noinline)) int bpvs_mh_bucket(__u32 unit, __u32 value)
{
	return bpvs_bucket(unit, bpvs_hash_slot(value));
}

/* A piece at a time is a function of its own, for the verifier. 0: the walk is over. */
__attribute__((noinline)) int bpvs_mh_piece(struct mh_walk *w)
{
	__u32 i, offset;

	if (!w)
		return 0;
	offset = w->offset;
	for (i = 0; i < PIECE; i++) {
		int id = bpvs_mh_bucket(w->unit, w->value + offset);

		if (id != BUCKET_CLOSED) {
			w->id = id;
			return 0;
		}
		if (--w->left == 0)
			return 0;
		offset = offset + 1 < BPVS_BUCKETS_MH ? offset + 1 : 0;
	}
	w->offset = offset;
	return 1;
}

/* IPVS begins with the offset that is the number of the client's own slot. */
static __always_inline int mh_fallback(__u32 unit, __u32 value, __u32 slot)
{
	struct mh_walk w = {
		.unit = unit,
		.value = value,
		.offset = slot,
		.left = BPVS_BUCKETS_MH,
	};
	__u32 i;

	for (i = 0; i < PIECES; i++)
		if (!bpvs_mh_piece(&w))
			break;
	return w.id;
}

__attribute__((noinline)) int bpvs_sched_mh(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	__u32 unit, value, slot, flags;
	int id;

	if (!svc || !flow || !buckets_get(svc, BPVS_BUCKETS_MH, &unit))
		return 0;
	flags = READ_ONCE(svc->sched_flags);
	value = source_fold(flow, flags);
	slot = bpvs_hash_slot(value);
	id = bpvs_bucket(unit, slot);
	if (id == BUCKET_CLOSED)
		id = flags & BPVS_SCHED_FALLBACK ? mh_fallback(unit, value, slot) : 0;
	return id;
}
