/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What schedulers keep about a list, put right when the list changes: rr and wrr a position and a
 * weight; dh, sh and mh a table (bucket.c). The data path moves sched_state meanwhile, so it is
 * only ever swapped.
 */
#include "tables.h"

static __u64 state_word(__u32 last, __s32 weight)
{
	return (__u64)(__u32)weight << 32 | last;
}

static __s32 state_weight(__u64 state)
{
	return (__s32)(state >> 32);
}

__u32 bpvs_gcd(__u32 a, __u32 b)
{
	while (b) {
		__u32 r = a % b;

		a = b;
		b = r;
	}
	return a;
}

static void wrr_measure(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	const struct bpvs_list_entry *list = in->lists + bpvs_list_off(svc->list);
	__s32 step = 0, max = 0;

	for (__u32 pos = 0; pos < bpvs_list_len(svc->list); pos++) {
		if (list[pos].weight <= 0)
			continue;
		step = (__s32)bpvs_gcd((__u32)list[pos].weight, (__u32)step);
		if (list[pos].weight > max)
			max = list[pos].weight;
	}
	__atomic_store_n(&svc->wrr_step, step ?: 1, __ATOMIC_RELAXED);
	__atomic_store_n(&svc->wrr_max, max - ((step ?: 1) - 1), __ATOMIC_RELAXED);
}

/* Any change sends wrr back to the head of the list, with its weight cut to the new steps. */
static void wrr_changed(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	__u64 old = __atomic_load_n(&svc->sched_state, __ATOMIC_ACQUIRE);
	__s32 weight;

	wrr_measure(in, svc);
	do {
		weight = state_weight(old);
		if (weight > svc->wrr_max || !weight)
			weight = svc->wrr_max;
		else if (svc->wrr_step > 1)
			weight = weight / svc->wrr_step * svc->wrr_step + 1;
	} while (!__atomic_compare_exchange_n(&svc->sched_state, &old, state_word(0, weight), false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

/* Set in numbers of tables: what other schedulers keep in that half is never one. */
#define LBLC_TABLE 0x80000000U

/* A new table, empty; what is in the old one the timer removes. */
static __u32 lblc_table(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	svc->lblc_pass = __atomic_load_n(&in->cfg->lblc_pass, __ATOMIC_RELAXED);
	svc->lblc_runs = 1;
	svc->lblc_goal = 0;
	return LBLC_TABLE | ++in->cfg->tool_reserved[BPVS_TOOL_LBLC_TABLE];
}

int bpvs_sched_ready(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	return bpvs_buckets_open(in, svc);
}

int bpvs_sched_reserve(struct bpvs_instance *in, __u32 sched)
{
	return bpvs_buckets_reserve(in, sched);
}

void bpvs_sched_end(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	bpvs_buckets_drop(in, svc);
}

/*
 * What the new scheduler needs comes first: the tool may be killed before the next step. To the old
 * one a table of another's does for the moment.
 */
int bpvs_sched_start(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 sched)
{
	int err = bpvs_buckets_update(in, svc, sched);
	__u64 state = 0;

	if (err)
		return err;
	if (sched == BPVS_SCHED_LBLC || sched == BPVS_SCHED_LBLCR)
		state = lblc_table(in, svc);
	if (sched == BPVS_SCHED_WRR) {
		wrr_measure(in, svc);
		state = state_word(0, svc->wrr_max);
	}
	__atomic_store_n(&svc->sched, sched, __ATOMIC_RELEASE);
	if (!bpvs_buckets_len(sched))
		bpvs_buckets_drop(in, svc);
	__atomic_store_n(&svc->sched_state, state, __ATOMIC_RELEASE);
	return 0;
}

void bpvs_sched_changed(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	if (svc->sched == BPVS_SCHED_WRR)
		wrr_changed(in, svc);
	bpvs_buckets_update(in, svc, svc->sched);
}

/*
 * The one chosen last keeps its place under its new position. If it is the one that went, the one
 * before it in IPVS's order takes over, so that its successor is next: that is the position above,
 * which has just moved down to `pos`; with nothing above, the head of the list.
 */
static __u32 rr_last_after_removal(__u32 last, __u32 pos, __u32 len_before)
{
	if (last == pos + 1)
		return pos + 1 == len_before ? 0 : last;
	return last > pos + 1 ? last - 1 : last;
}

void bpvs_sched_removed(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 pos, __u64 before)
{
	__u32 len_before = bpvs_list_len(svc->list) + 1;
	__u32 last;

	bpvs_sched_changed(in, svc);
	if (svc->sched != BPVS_SCHED_RR)
		return;
	last = rr_last_after_removal((__u32)before, pos, len_before);
	/* Once: if the data path moved it since, it may have done so on the new list. */
	__atomic_compare_exchange_n(&svc->sched_state, &before,
				    state_word(last, state_weight(before)), false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
}
