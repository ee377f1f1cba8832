/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Round robin: the next usable destination after the one chosen last, at most once round.
 * sched_state holds the position chosen last plus one; 0 starts at the head.
 */
#include "sched.h"

__attribute__((noinline)) int bpvs_sched_rr(struct bpvs_svc *svc, const struct bpvs_flow *flow)
{
	struct sched_scan s = { .least = 1 };
	__u32 id = 0;
	int tries;

	if (!svc || !flow)
		return 0;
	for (tries = 0; tries < 4; tries++) {
		__u64 old = READ_ONCE(svc->sched_state);
		__u32 last = (__u32)old;

		s.l = sched_list(svc);
		s.from = last && last <= s.l.len ? last - 1 : s.l.len;
		id = bpvs_sched_scan(&s);
		if (!id && s.from != s.l.len) {
			s.from = s.l.len;
			id = bpvs_sched_scan(&s);
		}
		if (!id || cas64(&svc->sched_state, old, (__u64)s.pos + 1) == old)
			break;
	}
	/* Lost four races: the choice is as good as any, only the order among rivals is not. */
	return id;
}
