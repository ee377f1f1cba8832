/* SPDX-License-Identifier: GPL-2.0-only */
/* Moving a connection's state against other CPUs and the sweep. */
#include "state.h"

__noinline int bpvs_conn_move(__u32 idx, __u64 word, struct move *m, __u32 now)
{
	struct bpvs_conn *c = conn_slot(idx);
	__u64 next, seen, first = word;
	struct bpvs_dest *d;
	__u32 dest, control;
	int tries;

	if (!c || !m)
		return 0;
	/* Now: once the swap is done the connection may end, and the slot be another's. */
	dest = READ_ONCE(c->dest);
	control = READ_ONCE(c->control);
	barrier();
	for (tries = 0; tries < 4; tries++) {
		next = word_next_any(word, *m, now);
		if (word_settled(word, next))
			return 0;
		seen = cas64(&c->word, word, next);
		if (seen == word) {
			d = dest_get(dest);
			if (d && (next ^ word) & BPVS_WORD_ACTIVE)
				dest_move(d, next & BPVS_WORD_ACTIVE);
			if ((__s32)(word_expiry(next) - word_expiry(word)) < 0)
				bpvs_due_lower(idx / BPVS_BLOCK, word_expiry(next));
			if (control && move_assures(m, next))
				bpvs_template_assure(control);
			return 1;
		}
		word = seen;
		if (!word_valid(word) || !word_same_gen(word, first))
			return 0;
	}
	return 0;
}

char _license[] SEC("license") __weak = "GPL";
