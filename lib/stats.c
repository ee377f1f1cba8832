/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters and rates: summed over CPUs, less the zero point, in the units of the listings. */
#include <errno.h>
#include "service.h"

unsigned int bpvs_stats_svc(const struct bpvs_instance *in, __u32 svc_id)
{
	(void)in;
	return BPVS_STATS_SVC(svc_id);
}

unsigned int bpvs_stats_dest(const struct bpvs_instance *in, __u32 dest_id)
{
	return BPVS_STATS_DEST(in->ro->max_svc, dest_id);
}

void bpvs_stats_cpu(const struct bpvs_instance *in, unsigned int index, unsigned int cpu,
		    struct bpvs_stats *ret)
{
	size_t set = (size_t)in->ro->max_svc + in->ro->max_dest;
	const volatile struct bpvs_stats *s = &in->stats[cpu * set + index];

	*ret = (struct bpvs_stats){ s->conns, s->inpkts, s->outpkts, s->inbytes, s->outbytes };
}

/* Each CPU adds to a set of its own; a sum may miss what happens while it is made. */
static int stats_sum(struct bpvs_instance *in, unsigned int index, struct bpvs_stats *ret)
{
	struct bpvs_stats sum = { 0 };
	int err;

	if (index >= in->ro->max_svc + in->ro->max_dest)
		return -EINVAL;
	err = bpvs_reach_stats(in);
	if (err)
		return err;
	for (__u32 cpu = 0; cpu < in->ro->cpus; cpu++) {
		struct bpvs_stats s;

		bpvs_stats_cpu(in, index, cpu, &s);
		sum.conns += s.conns;
		sum.inpkts += s.inpkts;
		sum.outpkts += s.outpkts;
		sum.inbytes += s.inbytes;
		sum.outbytes += s.outbytes;
	}
	*ret = sum;
	return 0;
}

static struct bpvs_stats stats_less(const struct bpvs_stats *a, const struct bpvs_stats *b)
{
	return (struct bpvs_stats){
		.conns = a->conns - b->conns,
		.inpkts = a->inpkts - b->inpkts,
		.outpkts = a->outpkts - b->outpkts,
		.inbytes = a->inbytes - b->inbytes,
		.outbytes = a->outbytes - b->outbytes,
	};
}

/* Averages are scaled by 2^10 and 2^5, see include/bpvs/stats.h; rounded as IPVS rounds. */
static struct bpvs_stats rates_read(const struct bpvs_rate *r)
{
	return (struct bpvs_stats){
		.conns = (r->cps + 0x1ff) >> 10,
		.inpkts = (r->inpps + 0x1ff) >> 10,
		.outpkts = (r->outpps + 0x1ff) >> 10,
		.inbytes = (r->inbps + 0xf) >> 5,
		.outbytes = (r->outbps + 0xf) >> 5,
	};
}

int bpvs_stats_get(struct bpvs_instance *in, unsigned int index, struct bpvs_stats_info *ret)
{
	struct bpvs_stats sum;
	int err = stats_sum(in, index, &sum);

	if (err)
		return err;
	ret->total = stats_less(&sum, &in->rates[index].zero);
	/* Without run_estimation what was estimated last, as the kernel shows it. */
	ret->rate = rates_read(&in->rates[index]);
	return 0;
}

static void rates_clear(struct bpvs_rate *r)
{
	__atomic_store_n(&r->cps, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->inpps, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->outpps, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->inbps, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->outbps, 0, __ATOMIC_RELAXED);
}

/* Also what the estimator compares with: what was counted so far is no traffic from now on. */
static int stats_zero_one(struct bpvs_instance *in, unsigned int index)
{
	struct bpvs_rate *r = &in->rates[index];
	int err = stats_sum(in, index, &r->zero);

	if (err)
		return err;
	r->last = r->zero;
	rates_clear(r);
	return 0;
}

void bpvs_stats_reset(struct bpvs_instance *in, unsigned int index)
{
	(void)stats_zero_one(in, index);
}

static int stats_zero_svc(struct bpvs_instance *in, __u32 id)
{
	__u64 list = in->svcs[id].list;
	int err = bpvs_reach_svc(in, &in->svcs[id]) ?: stats_zero_one(in, bpvs_stats_svc(in, id));

	for (__u32 pos = 0; pos < bpvs_list_len(list) && !err; pos++) {
		__u32 dest = in->lists[bpvs_list_off(list) + pos].dest;

		err = stats_zero_one(in, bpvs_stats_dest(in, dest));
	}
	return err;
}

static int stats_zero_all(struct bpvs_instance *in)
{
	int err = stats_zero_one(in, BPVS_STATS_TOTAL);

	for (__u32 id = 1; id < bpvs_tables_svc_high(in) && !err; id++)
		if (in->svcs[id].flags & BPVS_SVC_IN_USE)
			err = stats_zero_svc(in, id);
	return err;
}

int bpvs_stats_zero(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	int err = bpvs_tables_look(in);

	if (err)
		return err;
	if (key) {
		__u32 id = bpvs_svc_lookup(in, key);

		err = id ? stats_zero_svc(in, id) : -ESRCH;
	} else {
		err = stats_zero_all(in);
	}
	bpvs_tables_leave(in);
	return err;
}

int bpvs_counter_get(struct bpvs_instance *in, unsigned int counter, __u64 *ret)
{
	__u64 sum = 0;

	if (counter >= BPVS_COUNTERS)
		return -EINVAL;
	for (__u32 cpu = 0; cpu < in->ro->cpus; cpu++)
		sum += *(const volatile __u64 *)&in->counters[cpu * BPVS_COUNTERS + counter];
	*ret = sum;
	return 0;
}
