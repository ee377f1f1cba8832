/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Weighted round robin. A current weight cw falls from wrr_max by wrr_step, a pass over the list at
 * each value; a pass takes every usable destination whose weight is at least cw, so heavy ones are
 * taken in more passes. The kernel walks every pass; here the next cw at which anybody qualifies is
 * computed, which chooses the same and does not depend on how large the weights are.
 *
 * sched_state: low half position chosen last plus one (0 = before the head), high half cw.
 */
#include "sched.h"

/* The largest of top, top - step, top - 2 step, ... that is <= weight; below 1 where none is. */
static __always_inline __s64 wrr_rung(__s64 top, __u32 step, __s64 weight)
{
	__u32 over;

	if (top <= weight)
		return top;
	over = (__u32)(top - weight);
	return top - (__s64)((over + step - 1) / step) * step;
}

/* The state after the list held nobody: as the kernel leaves it. */
static __always_inline __u64 wrr_none(__u32 last, __s32 cw, __s32 max, __u32 step)
{
	__s32 low = (__s32)((__u32)(max - 1) % step) + 1;

	if (!last || cw > (__s32)step)
		return (__u64)(__u32)max << 32;
	return (__u64)(__u32)low << 32 | last;
}

static __always_inline __u32 wrr_pick(struct bpvs_svc *svc, __u64 old, __u64 *ret_state)
{
	struct sched_scan s = { .l = sched_list(svc), .least = (__s32)(old >> 32) };
	__u32 step = READ_ONCE(svc->wrr_step), last = (__u32)old, id;
	__s32 max = READ_ONCE(svc->wrr_max);
	__s64 next;

	*ret_state = old;
	if (max <= 0 || step == 0 || s.l.len == 0)
		return 0;
	if (last > s.l.len)
		last = 0;
	s.from = last ? last - 1 : s.l.len;
	id = bpvs_sched_scan(&s);
	if (!id) {
		/*
		 * The whole list from the head, at the next rung at which the heaviest qualifies.
		 */
		next = (__s64)s.least - step;
		s.from = s.l.len;
		s.least = 0x7fffffff;
		id = bpvs_sched_scan(&s);
		if (id) /* the largest weight there is, which the scan took */
			s.heaviest = 0x7fffffff;
		if (!id && s.heaviest <= 0) {
			*ret_state = wrr_none(last, (__s32)(old >> 32), max, step);
			return 0;
		}
		next = wrr_rung(next, step, s.heaviest);
		if (next < 1)
			next = wrr_rung(max, step, s.heaviest);
		s.least = next < 1 ? 1 : (__s32)next;
		id = bpvs_sched_scan(&s);
	}
	*ret_state = (__u64)(__u32)s.least << 32 | (s.pos + 1);
	return id;
}

__attribute__((noinline)) int bpvs_sched_wrr(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	__u32 id = 0;
	int tries;

	if (!svc || !flow)
		return 0;
	for (tries = 0; tries < 2; tries++) {
		__u64 old = READ_ONCE(svc->sched_state), state;

		id = wrr_pick(svc, old, &state);
		if (state == old || cas64(&svc->sched_state, old, state) == old)
			break;
	}
	return id;
}
