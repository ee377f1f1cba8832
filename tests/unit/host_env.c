/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps and variables behind host_env.h. */
#include "fake.h"
#include "host_env.h"

struct host_map bpvs_lists, bpvs_dests, bpvs_svcs, bpvs_lblc, bpvs_buckets;
struct bpvs_config *host_cfg;
const struct bpvs_rodata *host_ro;
__u32 host_clock, host_counts[BPVS_COUNTERS];

static __u64 rnd64(void)
{
	static __u64 state = 0x2545f4914f6cdd1dULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

unsigned int rnd(unsigned int n)
{
	return (unsigned int)(rnd64() >> 33) % n;
}

__u32 host_random(void)
{
	return (__u32)(rnd64() >> 16);
}

void host_use(struct bpvs_instance *in)
{
	static struct bpvs_lblc lblc[BPVS_LBLC_PLACES];
	static bool used[BPVS_LBLC_PLACES];
	static struct host_map chunks[2];
	struct bpvs_rodata *ro = &fake_of(in)->ro;

	memset(used, 0, sizeof(used));
	for (int i = 0; i < 6; i++)
		ro->hash_key[i] = rnd64();
	bpvs_lists = (struct host_map){ in->lists, sizeof(*in->lists), ro->max_list, NULL };
	bpvs_dests = (struct host_map){ in->dests, sizeof(*in->dests), ro->max_dest, NULL };
	bpvs_svcs = (struct host_map){ in->svcs, sizeof(*in->svcs), ro->max_svc, NULL };
	bpvs_lblc = (struct host_map){ lblc, sizeof(lblc[0]), BPVS_LBLC_PLACES, used };
	for (__u32 i = 0; i < 2; i++)
		chunks[i] = (struct host_map){ fake_of(in)->units + i * BPVS_CHUNK,
					       sizeof(struct bpvs_bucket_unit), BPVS_CHUNK, NULL };
	bpvs_buckets = (struct host_map){ chunks, sizeof(chunks[0]), 2, NULL };
	host_cfg = in->cfg;
	host_ro = ro;
}
