/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The power of two choices: of two destinations drawn at random, each by weight, the less loaded by
 * weight; the first drawn among equals.
 *
 * IPVS draws from 0 to the sum of the weights inclusive, so the first usable destination of the
 * list has one chance more than its weight. It walks the list for the sum, then for the two
 * numbers, as is done here; but sums and products have 64 bits (see sched_least), where the
 * kernel's overflow from 2^31 on.
 */
#include "sched.h"

/*
 * From 0 to the total; so many random bits that nobody is favoured by 1 in 2^16. By a product where
 * that has 64 bits, for a division takes longer than the rest.
 */
static __always_inline __u64 twos_draw(__u64 total)
{
	__u64 n = total + 1, low = bpf_get_prandom_u32(), high;

	if (likely(n <= 1ULL << 16))
		return low * n >> 32;
	high = bpf_get_prandom_u32();
	if (likely(n <= 1ULL << 32))
		return (high * n + (low * n >> 32)) >> 32;
	return (high << 32 | low) % n;
}

__attribute__((noinline)) int bpvs_sched_twos(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_least s = { .measure = MEASURE_SUM };
	struct bpvs_dest *d1, *d2;
	__u64 first, second;
	__u32 id1, id2;
	bool swap;

	if (!svc || !flow)
		return 0;
	s.l = sched_list(svc);
	s.from = s.l.len;
	bpvs_sched_walk(&s);
	if (s.weight <= 0)
		return 0;
	first = twos_draw((__u64)s.weight);
	second = twos_draw((__u64)s.weight);
	swap = first > second;
	s.measure = MEASURE_REACH;
	s.from = s.l.len;
	s.least = (__s64)(swap ? second : first);
	s.weight = (__s64)(swap ? first : second);
	bpvs_sched_walk(&s);
	id1 = swap ? s.second : s.best;
	id2 = swap ? s.best : s.second;
	d1 = dest_get(id1);
	d2 = dest_get(id2);
	if (!id1 || !id2 || !d1 || !d2)
		return (int)id1;
	return (int)(sched_overhead(d1) * READ_ONCE(d2->weight) >
				     sched_overhead(d2) * READ_ONCE(d1->weight)
			     ? id2
			     : id1);
}
