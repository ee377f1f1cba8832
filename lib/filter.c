/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The filter of addresses that are worth a look-up. Bits are set before what needs them is
 * published; they are cleared here, word by word, never so that a needed one is missing meanwhile.
 */
#include "tables.h"

#define WORDS (BPVS_FILTER_BITS / 64)

static void bit_set(__u64 *bits, const struct bpvs_addr *addr)
{
	__u32 bit = bpvs_filter_bit(addr);

	bits[bit / 64] |= 1ULL << (bit % 64);
}

void bpvs_filter_set(__u64 *bits, const struct bpvs_addr *addr)
{
	__u32 bit = bpvs_filter_bit(addr);

	__atomic_or_fetch(&bits[bit / 64], 1ULL << (bit % 64), __ATOMIC_RELEASE);
}

static void bits_store(__u64 *to, const __u64 *from)
{
	for (int i = 0; i < WORDS; i++)
		if (to[i] != from[i])
			__atomic_store_n(&to[i], from[i], __ATOMIC_RELEASE);
}

bool bpvs_backup_only(const struct bpvs_instance *in)
{
	return in->cfg->backup_runs && in->cfg->backup_only;
}

void bpvs_filter_vip_set(struct bpvs_instance *in, const struct bpvs_addr *addr)
{
	if (!bpvs_backup_only(in))
		bpvs_filter_set(in->filter->vip, addr);
}

/*
 * Services, and those kept because connections to them may go on. A mark has no address: the data
 * path sets the bits of what it makes connections for, and while there may be some none is cleared.
 * On a director that is only a backup none is set: it costs the others' packets nothing to be told
 * so here.
 */
void bpvs_filter_vips(struct bpvs_instance *in)
{
	__u32 high = bpvs_backup_only(in) ? 0 : bpvs_tables_svc_high(in);
	__u64 bits[WORDS] = { 0 };
	bool marks = false;

	for (__u32 id = 1; id < high; id++) {
		const struct bpvs_svc *svc = &in->svcs[id];

		if (!(svc->flags & BPVS_SVC_IN_USE) && !in->tables->svc_refs[id])
			continue;
		if (svc->key.fwmark)
			marks = true;
		else
			bit_set(bits, &svc->key.addr);
	}
	if (!marks)
		bits_store(in->filter->vip, bits);
}

/* Destinations whose replies come back through here, removed ones included. */
void bpvs_filter_rips(struct bpvs_instance *in)
{
	__u64 bits[WORDS] = { 0 };

	for (__u32 id = 1; id < bpvs_tables_dest_high(in); id++) {
		const struct bpvs_dest *d = &in->dests[id];

		if ((d->flags & (BPVS_DEST_IN_USE | BPVS_DEST_NAT)) ==
		    (BPVS_DEST_IN_USE | BPVS_DEST_NAT))
			bit_set(bits, &d->addr);
	}
	bits_store(in->filter->rip, bits);
}

int bpvs_backup_set(struct bpvs_instance *in, __s32 *word, __s32 value)
{
	int err = bpvs_tables_enter(in);

	if (err)
		return err;
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	bpvs_filter_vips(in);
	bpvs_tables_leave(in);
	return 0;
}
