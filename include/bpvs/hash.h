/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hashes by which dh, sh and mh choose. A client has to get the destination that IPVS gives it,
 * so they are the kernel's: hash_32() and hsiphash(), which is SipHash-1-3 on 64-bit machines. The
 * tools fill mh's table by them and the data path looks up in it.
 */
#pragma once

#include <bpvs/service.h>

/* Bucket of dh and sh: the upper 8 bits of the product. */
static inline __u32 bpvs_hash_bucket(__u32 value)
{
	return value * 0x61c88647U >> 24;
}

static inline __u64 bpvs_rotl(__u64 x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static inline void bpvs_sip_round(__u64 *v)
{
	v[0] += v[1];
	v[1] = bpvs_rotl(v[1], 13) ^ v[0];
	v[0] = bpvs_rotl(v[0], 32);
	v[2] += v[3];
	v[3] = bpvs_rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = bpvs_rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = bpvs_rotl(v[1], 17) ^ v[2];
	v[2] = bpvs_rotl(v[2], 32);
}

/* SipHash-1-3 of one 32-bit word, both halves of the key alike; its lower half. */
static inline __u32 bpvs_hash_sip(__u32 value, __u64 key)
{
	__u64 block = (__u64)sizeof(value) << 56 | value;
	__u64 v[4] = { 0x736f6d6570736575ULL ^ key, 0x646f72616e646f6dULL ^ key,
		       0x6c7967656e657261ULL ^ key, 0x7465646279746573ULL ^ key ^ block };

	bpvs_sip_round(v);
	v[0] ^= block;
	v[2] ^= 0xff;
	bpvs_sip_round(v);
	bpvs_sip_round(v);
	bpvs_sip_round(v);
	return (__u32)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* mh's two keys: of its slots and the destinations' first choice, and of their steps. */
#define BPVS_MH_KEY_SLOT 2654435761ULL
#define BPVS_MH_KEY_STEP 2654446892ULL

static inline __u32 bpvs_hash_slot(__u32 value)
{
	return bpvs_hash_sip(value, BPVS_MH_KEY_SLOT) % BPVS_BUCKETS_MH;
}
