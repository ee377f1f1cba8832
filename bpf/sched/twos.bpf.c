/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The power of two choices: of two destinations drawn at random, each by weight, the less loaded by
 * weight; the first drawn among equals.
 *
 * IPVS draws from 0 to the sum of the weights inclusive, so the first usable destination of the
 * list has one chance more than its weight. It walks the list for the sum, then for the two
 * numbers; here the sums of pieces of the list are kept, so that the second walk is that of two
 * pieces. And sums and products have 64 bits (see sched_least), where the kernel's overflow from
 * 2^31 on.
 */
#include "sched.h"

#define PIECE  64
#define PIECES (BPVS_SCHED_MAX / PIECE)

struct twos {
	struct sched_list l;
	__u32 piece;
	__s32 weight; /* of the one found */
	__u64 sum[PIECES];
};

/* The entries of piece k begin below this position. */
static __always_inline __u32 twos_from(const struct twos *t, __u32 piece)
{
	return t->l.len > piece * PIECE ? t->l.len - piece * PIECE : 0;
}

__attribute__((noinline)) __u64 bpvs_twos_sum(struct twos *t)
{
	__u32 i, pos;
	__u64 sum = 0;

	if (!t)
		return 0;
	pos = twos_from(t, t->piece);
	for (i = 0; i < PIECE; i++) {
		if (pos == 0)
			break;
		pos--;
		sum += sched_usable(t->l, pos, false) >> 32;
	}
	return sum;
}

/*
 * The destination in a piece at which the sum of weights reaches a number. If some of them have
 * become unusable since the pieces were summed, that may be the last one that is left.
 */
__attribute__((noinline)) int bpvs_twos_reach(struct twos *t, __u64 number)
{
	__u32 i, pos, ret = 0;
	__u64 sum = 0;

	if (!t)
		return 0;
	pos = twos_from(t, t->piece);
	for (i = 0; i < PIECE; i++) {
		__u64 e;

		if (pos == 0)
			break;
		pos--;
		e = sched_usable(t->l, pos, false);
		if (!e)
			continue;
		ret = (__u32)e;
		t->weight = (__s32)(e >> 32);
		sum += e >> 32;
		if (sum >= number)
			break;
	}
	return (int)ret;
}

/* A destination drawn by weight, and t->weight; `total` is the sum of the pieces. */
__attribute__((noinline)) int bpvs_twos_draw(struct twos *t, __u64 total)
{
	__u64 number = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	__u32 i;

	if (!t)
		return 0;
	number %= total + 1;
	for (i = 0; i < PIECES; i++) {
		__u64 sum = t->sum[i];

		if (sum && sum >= number) {
			t->piece = i;
			return bpvs_twos_reach(t, number);
		}
		number -= sum;
	}
	return 0;
}

__attribute__((noinline)) int bpvs_sched_twos(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct twos t = { 0 };
	struct bpvs_dest *d1, *d2;
	__u32 i, id1, id2;
	__s64 weight1;
	__u64 total = 0;

	if (!svc || !flow)
		return 0;
	t.l = sched_list(svc);
	for (i = 0; i < PIECES; i++) {
		if (!twos_from(&t, i))
			break;
		t.piece = i;
		t.sum[i] = bpvs_twos_sum(&t);
		total += t.sum[i];
	}
	if (!total)
		return 0;
	id1 = (__u32)bpvs_twos_draw(&t, total);
	weight1 = t.weight;
	id2 = (__u32)bpvs_twos_draw(&t, total);
	d1 = dest_get(id1);
	d2 = dest_get(id2);
	if (!id1 || !id2 || !d1 || !d2)
		return (int)(id1 ? id1 : id2);
	return (int)(sched_overhead(d1) * t.weight > sched_overhead(d2) * weight1 ? id2 : id1);
}
