/* SPDX-License-Identifier: GPL-2.0-only */
/* Entries of lblc and lblcr: finding, making and ending them. */
#include "locality.h"

/* Keyed, since clients may be those who choose the addresses. */
static __always_inline __u32 lblc_home(const struct bpvs_addr *a, __u32 table)
{
	__u64 h = (a->w[0] + bpvs_ro.hash_key[0]) * (a->w[1] + bpvs_ro.hash_key[1]) +
		  (a->w[2] + bpvs_ro.hash_key[2]) * (a->w[3] + bpvs_ro.hash_key[3]) +
		  (table + bpvs_ro.hash_key[4]) * bpvs_ro.hash_key[5];

	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ULL;
	return (__u32)(h >> 32);
}

/* Places that are vacant end nothing: an entry behind them may have come before they were left. */
__attribute__((noinline)) int bpvs_lblc_find(struct lblc_at *at)
{
	__u32 home, i, place;

	if (!at)
		return 0;
	at->vacant = LBLC_NOWHERE;
	home = lblc_home(&at->addr, at->table);
	for (i = 0; i < BPVS_LBLC_WINDOW; i++) {
		struct bpvs_lblc *e;

		place = (home + i) % BPVS_LBLC_PLACES;
		e = lblc_entry(place);
		if (!e) {
			if (at->vacant == LBLC_NOWHERE)
				at->vacant = place;
			continue;
		}
		if (e->table == at->table && e->addr.d[0] == at->addr.d[0] &&
		    e->addr.d[1] == at->addr.d[1])
			return (int)place + 1;
	}
	return 0;
}

/*
 * Another CPU may take the place a moment before: then the address is remembered next time. Nor is
 * the service's count more than nearly right while its table is exchanged.
 */
__attribute__((noinline)) int bpvs_lblc_put(struct bpvs_svc *svc, const struct lblc_at *at,
					    __u32 id)
{
	struct bpvs_dest *d = dest_get(id);
	struct bpvs_lblc e = { 0 };
	__u32 place;
	__u64 state;

	if (!svc || !at || !d)
		return 0;
	state = READ_ONCE(svc->sched_state);
	place = at->vacant;
	if ((__u32)state != at->table)
		return 0;
	if (place == LBLC_NOWHERE || (__s32)(state >> 32) >= BPVS_LBLC_MOST) {
		count(BPVS_EV_LBLC_FULL);
		return 0;
	}
	e.addr = at->addr;
	e.table = at->table;
	e.svc = d->svc;
	e.used = e.modified = clock_now();
	e.dests[0] = id;
	if (bpf_map_update_elem(&bpvs_lblc, &place, &e, BPF_NOEXIST))
		return 0;
	fetch_add(&svc->sched_state, 1ULL << 32);
	fetch_add(&bpvs_cfg.lblc_num, 1);
	return 1;
}

/* Apart, so that the verifier does not follow each of its outcomes through every round. */
__attribute__((noinline)) int bpvs_lblc_slack_at(__u32 off, __u32 pos)
{
	struct sched_list l = { .off = off };
	struct bpvs_list_entry e = sched_entry(l, pos);
	struct bpvs_dest *d = dest_get(e.dest);

	return d && (__s64)READ_ONCE(d->active) * 2 < e.weight;
}

__attribute__((noinline)) int bpvs_lblc_slack(struct bpvs_svc *svc)
{
	struct sched_list l;
	__u32 i, pos;

	if (!svc)
		return 0;
	l = sched_list(svc);
	pos = l.len;
	for (i = 0; i < BPVS_SCHED_MAX; i++) {
		if (pos == 0)
			break;
		pos--;
		if (bpvs_lblc_slack_at(l.off, pos))
			return 1;
	}
	return 0;
}

/* ---- the timer's ---- */

/* As IPVS's constants: a full check every half an hour; else what was not used for 6 minutes. */
#define LBLC_RUNS	30
#define LBLC_SHORT_TIME 360
#define LBLC_FULL_CHECK (-1)

/*
 * What a minute is for, decided when it comes to the service's first entry: a full check, when
 * there was none for half an hour; else, of a table that is too large, the removal of a third more
 * than what is too many; else nothing. lblc_runs counts the minutes that were for nothing. Of those
 * that passed without an entry nothing is known, and they were.
 */
static __always_inline void lblc_turn(struct bpvs_svc *svc, __u32 pass)
{
	__u32 passed = pass - svc->lblc_pass;
	__s32 over = (__s32)(READ_ONCE(svc->sched_state) >> 32) - BPVS_LBLC_MAX;

	if (!passed)
		return;
	svc->lblc_pass = pass;
	svc->lblc_runs = (svc->lblc_runs + passed - 2) % LBLC_RUNS + 1;
	svc->lblc_goal = 0;
	if (svc->lblc_runs == LBLC_RUNS) {
		svc->lblc_runs = 1;
		svc->lblc_goal = LBLC_FULL_CHECK;
	} else if (over <= 0) {
		svc->lblc_runs++;
	} else {
		over = over * 4 / 3;
		svc->lblc_goal = over > BPVS_LBLC_MAX / 2 ? BPVS_LBLC_MAX / 2 : over;
	}
}

static __always_inline bool lblc_stale(struct bpvs_svc *svc, const struct bpvs_lblc *e, __u32 now)
{
	__s32 seconds = LBLC_SHORT_TIME;

	if (!svc->lblc_goal)
		return false;
	if (svc->lblc_goal == LBLC_FULL_CHECK)
		seconds = svc->sched == BPVS_SCHED_LBLCR ? READ_ONCE(bpvs_cfg.lblcr_expiration)
							 : READ_ONCE(bpvs_cfg.lblc_expiration);
	/* Used again since `now` was read: not an age of nearly 2^32. */
	if ((__s32)(now - READ_ONCE(e->used)) < 0)
		return false;
	return lblc_older(e->used, now, seconds);
}

static __always_inline bool lblc_table_is(const struct bpvs_svc *svc, __u32 table)
{
	__u32 sched = READ_ONCE(svc->sched);

	return (sched == BPVS_SCHED_LBLC || sched == BPVS_SCHED_LBLCR) &&
	       (svc->flags & BPVS_SVC_IN_USE) && (__u32)READ_ONCE(svc->sched_state) == table;
}

__attribute__((noinline)) int bpvs_lblc_visit(__u32 place, __u32 pass, __u32 now)
{
	struct bpvs_lblc *e = lblc_entry(place);
	struct bpvs_svc *svc;

	if (!e)
		return 0;
	svc = svc_get(e->svc);
	if (svc && lblc_table_is(svc, e->table)) {
		lblc_turn(svc, pass);
		if (!lblc_stale(svc, e, now))
			return 0;
		if (svc->lblc_goal > 0)
			svc->lblc_goal--;
		fetch_add(&svc->sched_state, -(1ULL << 32));
	}
	bpf_map_delete_elem(&bpvs_lblc, &place);
	fetch_add(&bpvs_cfg.lblc_num, -1);
	return 1;
}
