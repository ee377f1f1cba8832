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
	__u64 table;
	__u32 value; /* what is hashed, but for the offset */
	__u32 offset;
	__u32 left;
	int id;
};

/*
 * A piece at a time is a function of its own, for the verifier. The offset lives in memory, of
 * which it remembers nothing: it would follow each round on which the offset may begin anew. 0: the
 * walk is over.
 */
__attribute__((noinline)) int bpvs_mh_piece(struct mh_walk *w)
{
	__u32 i;

	if (!w)
		return 0;
	for (i = 0; i < PIECE; i++) {
		__u32 offset = READ_ONCE(w->offset);
		int id = bpvs_bucket(w->table, bpvs_hash_slot(w->value + offset));

		if (id != BUCKET_CLOSED) {
			w->id = id;
			return 0;
		}
		if (--w->left == 0)
			return 0;
		WRITE_ONCE(w->offset, offset + 1 < BPVS_BUCKETS_MH ? offset + 1 : 0);
	}
	return 1;
}

/* IPVS begins with the offset that is the number of the client's own slot. */
static __always_inline int mh_fallback(__u64 table, __u32 value, __u32 slot)
{
	struct mh_walk w = {
		.table = table,
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
	__u32 value, slot, flags;
	__u64 table;
	int id;

	if (!svc || !flow)
		return 0;
	table = READ_ONCE(svc->buckets);
	flags = READ_ONCE(svc->sched_flags);
	value = source_fold(flow, flags);
	slot = bpvs_hash_slot(value);
	id = bpvs_bucket(table, slot);
	if (id == BUCKET_CLOSED)
		id = flags & BPVS_SCHED_FALLBACK ? mh_fallback(table, value, slot) : 0;
	return id;
}
