/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Twins of dh, sh and mh for test_sched.c, the kernel's way: tables filled by walking the list, a
 * map of the slots taken, SipHash over bytes with a key of 16.
 */
#pragma once

#define DH_SIZE 256
#define MH_SIZE 4093

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

/* As the paper draws it, both sides at a time. */
static void sip_round(uint64_t *v)
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* Of less than 8 bytes, which is one block with the length on top. */
static uint64_t siphash_1_3(const unsigned char *in, size_t len, const uint64_t *key)
{
	static const unsigned char start[] = "somepseudorandomlygeneratedbytes";
	uint64_t v[4] = { 0 }, block = (uint64_t)len << 56;

	for (int i = 0; i < 32; i++)
		v[i / 8] = v[i / 8] << 8 | start[i];
	for (int i = 0; i < 4; i++)
		v[i] ^= key[i & 1];
	for (size_t i = 0; i < len; i++)
		block |= (uint64_t)in[i] << 8 * i;
	v[3] ^= block;
	sip_round(v);
	v[0] ^= block;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint32_t twin_fold(const struct bpvs_addr *a, __u8 af)
{
	uint32_t fold = 0;

	if (af == BPVS_V4)
		return ntohl(a->w[3]);
	for (int i = 0; i < 4; i++)
		fold ^= ntohl(a->w[i]);
	return fold;
}

static uint32_t hash_32_8(uint32_t value)
{
	return (uint32_t)(value * 0x61C88647ULL & 0xffffffffU) >> 24;
}

static uint32_t hash_mh(uint32_t value, uint64_t half)
{
	const unsigned char bytes[4] = { (unsigned char)value, (unsigned char)(value >> 8),
					 (unsigned char)(value >> 16),
					 (unsigned char)(value >> 24) };
	const uint64_t key[2] = { half, half };

	return (uint32_t)siphash_1_3(bytes, 4, key);
}

/* ---- filling ---- */

static void twin_fill_dh(struct twin *t)
{
	for (int b = 0; b < DH_SIZE; b++)
		t->table[b] = t->num ? t->list[b % t->num].key : -1;
}

static void twin_fill_sh(struct twin *t)
{
	int i = 0, count = 0;

	for (int b = 0; b < DH_SIZE; b++) {
		t->table[b] = t->num ? t->list[i].key : -1;
		if (t->num && ++count >= t->list[i].weight) {
			i = (i + 1) % t->num;
			count = 0;
		}
	}
}

static int twin_gcd(int a, int b)
{
	return b ? twin_gcd(b, a % b) : a;
}

static void twin_fill_mh(struct world *w)
{
	static uint32_t perm[MANY], skip[MANY];
	static int turns[MANY];
	struct twin *t = &w->t;
	int gcd = 0, most = 0, bits = 0, shift, n = 0;

	for (int i = 0; i < MH_SIZE; i++)
		t->table[i] = -1;
	for (int i = 0; i < t->num; i++) {
		gcd = twin_gcd(t->list[i].last_weight, gcd);
		most = t->list[i].last_weight > most ? t->list[i].last_weight : most;
	}
	if (!gcd)
		return;
	while (bits < 31 && most / gcd >> bits)
		bits++;
	shift = bits > 6 ? bits - 6 : 0;
	for (int i = 0; i < t->num; i++) {
		uint32_t v = twin_fold(&t->list[i].addr, w->svc.key.af) + ntohs(t->list[i].port);
		int weight = t->list[i].last_weight;

		perm[i] = hash_mh(v, 2654435761UL) % MH_SIZE;
		skip[i] = hash_mh(v, 2654446892UL) % (MH_SIZE - 1) + 1;
		turns[i] = weight / gcd >> shift;
		if (!turns[i] && weight)
			turns[i] = 1;
	}
	for (;;)
		for (int i = 0; i < t->num; i++)
			for (int k = 0; k < turns[i]; k++) {
				while (t->table[perm[i]] >= 0)
					perm[i] = (perm[i] + skip[i]) % MH_SIZE;
				t->table[perm[i]] = t->list[i].key;
				if (++n == MH_SIZE)
					return;
			}
}

/* ---- choosing ---- */

static int twin_at(const struct twin *t, int key)
{
	for (int i = 0; i < t->num; i++)
		if (t->list[i].key == key)
			return i;
	return -1;
}

static uint32_t twin_hash_of(const struct world *w, uint32_t value, uint32_t offset)
{
	switch (w->svc.sched) {
	case BPVS_SCHED_MH:
		return hash_mh(value + offset, 2654435761UL) % MH_SIZE;
	default:
		return (offset + hash_32_8(value)) % DH_SIZE;
	}
}

static int twin_hash(struct world *w, const struct bpvs_flow *f)
{
	uint32_t size = w->svc.sched == BPVS_SCHED_MH ? MH_SIZE : DH_SIZE;
	bool dh = w->svc.sched == BPVS_SCHED_DH;
	uint32_t value = twin_fold(dh ? &f->daddr : &f->saddr, f->af), home;
	struct twin *t = &w->t;
	int i;

	if (t->stale && w->svc.sched == BPVS_SCHED_MH)
		twin_fill_mh(w);
	else if (t->stale)
		dh ? twin_fill_dh(t) : twin_fill_sh(t);
	t->stale = false;
	if (!dh && w->svc.sched_flags & 0x10)
		value += ntohs(f->sport);
	home = twin_hash_of(w, value, 0);
	i = twin_at(t, t->table[home]);
	if (i < 0 || usable(&t->list[i]))
		return i;
	if (dh || !(w->svc.sched_flags & 0x08))
		return -1;
	for (uint32_t o = 0; o < size; o++) {
		i = twin_at(t, t->table[twin_hash_of(w, value, (o + home) % size)]);
		if (i < 0)
			return -1;
		if (usable(&t->list[i])) {
			w->moved++;
			return i;
		}
	}
	return -1;
}

static struct bpvs_flow rnd_flow(__u8 af)
{
	struct bpvs_flow f = { .af = af, .sport = htons((__u16)(1024 + rnd(60000))) };

	f.saddr = af == BPVS_V4 ? fake_v4(rnd(224), rnd(256), rnd(256), rnd(256))
				: fake_v6(rnd(1U << 31));
	f.daddr = af == BPVS_V4 ? fake_v4(10, 7, rnd(256), rnd(256)) : fake_v6(rnd(1U << 31));
	if (af == BPVS_V6)
		f.saddr.w[2] = rnd(1U << 31);
	return f;
}
