/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental Internet checksums (RFC 1624). A "diff" is the sum of ~old and new, in 16-bit words.
 */
#pragma once

#include "base.h"
#include <bpvs/addr.h>

static __always_inline __u32 csum_fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u32)((sum & 0xffff) + (sum >> 16));
}

static __always_inline __u16 csum_update(__u16 sum, __u32 diff)
{
	__u32 s = (__u16)~sum + diff;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (__u16)~s;
}

static __always_inline __u32 csum_diff16(__be16 old, __be16 new)
{
	return (__u16)~old + new;
}

static __always_inline __u32 csum_diff32(__be32 old, __be32 new)
{
	return csum_fold32((__u64)(__u32)~old + new);
}

static __always_inline __u32 csum_diff_addr(const struct bpvs_addr *old,
					    const struct bpvs_addr *new)
{
	__u64 sum = 0;
	int i;

	for (i = 0; i < 4; i++)
		sum += (__u64)(__u32)~old->w[i] + new->w[i];
	return csum_fold32(sum);
}
