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

/*
 * Two are drawn: `best` by the first number, `second` by the other. False where there is nobody to
 * draw from.
 */
static __always_inline bool twos_two(struct sched_least *s, bool all)
{
	__u64 first, second;
	__u32 swapped;
	bool swap;

	s->measure = all ? MEASURE_SUM_ALL : MEASURE_SUM;
	s->from = s->l.len;
	s->weight = 0;
	bpvs_sched_walk(s);
	if (s->weight <= 0)
		return false;
	first = twos_draw((__u64)s->weight);
	second = twos_draw((__u64)s->weight);
	swap = first > second;
	s->measure = all ? MEASURE_REACH_ALL : MEASURE_REACH;
	s->from = s->l.len;
	s->best = 0;
	s->second = 0;
	s->least = (__s64)(swap ? second : first);
	s->weight = (__s64)(swap ? first : second);
	bpvs_sched_walk(s);
	if (swap) {
		swapped = s->best;
		s->best = s->second;
		s->second = swapped;
	}
	return true;
}

static __always_inline bool twos_open(__u32 id)
{
	struct bpvs_dest *d = dest_get(id);

	return id && d && sched_open(d);
}

/*
 * First from all, as if nobody were over a threshold, which takes less than half the time; then, if
 * one of the two is, from the rest. What comes out has the same chances: those of two numbers that
 * are drawn again until they fit. But the first of the list, which has the chance more, has to be
 * open.
 */
__attribute__((noinline)) int bpvs_sched_twos(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_least s = { 0 };
	struct bpvs_dest *d1, *d2;

	if (!svc || !flow)
		return 0;
	s.l = sched_list(svc);
	if (!s.l.len)
		return 0;
	if (!(sched_usable(s.l, s.l.len - 1, false) && twos_two(&s, true) && twos_open(s.best) &&
	      twos_open(s.second)) &&
	    !twos_two(&s, false))
		return 0;
	d1 = dest_get(s.best);
	d2 = dest_get(s.second);
	if (!s.best || !s.second || !d1 || !d2)
		return (int)s.best;
	return (int)(sched_overhead(d1) * READ_ONCE(d2->weight) >
				     sched_overhead(d2) * READ_ONCE(d1->weight)
			     ? s.second
			     : s.best);
}
