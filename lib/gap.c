/* SPDX-License-Identifier: GPL-2.0-only */
/* What is free between the regions in use of a shared array. */
#include <stdlib.h>
#include "tables.h"

static int gap_cmp(const void *a, const void *b)
{
	const struct bpvs_gap *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

void bpvs_gaps_set(struct bpvs_gaps *gaps, struct bpvs_gap *used, __u32 num, __u32 high)
{
	__u32 end = 0;

	used[num++] = (struct bpvs_gap){ high, 0 };
	qsort(used, num, sizeof(*used), gap_cmp);
	/* In place: a gap is written behind the used regions that were read. */
	gaps->num = 0;
	for (__u32 i = 0; i < num; i++) {
		struct bpvs_gap u = used[i];

		if (u.off > end)
			used[gaps->num++] = (struct bpvs_gap){ end, u.off - end };
		end = u.off + u.len;
	}
	free(gaps->gap);
	gaps->gap = used;
}

bool bpvs_gaps_have(const struct bpvs_gaps *gaps, __u32 len)
{
	for (__u32 i = 0; i < gaps->num; i++)
		if (gaps->gap[i].len >= len)
			return true;
	return false;
}

bool bpvs_gaps_take(struct bpvs_gaps *gaps, __u32 len, __u32 *ret)
{
	for (__u32 i = 0; i < gaps->num; i++) {
		struct bpvs_gap *g = &gaps->gap[i];

		if (g->len < len)
			continue;
		*ret = g->off;
		g->off += len;
		g->len -= len;
		if (!g->len)
			*g = gaps->gap[--gaps->num];
		return true;
	}
	return false;
}
