/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lblc and lblcr share: entries by destination address (include/bpvs/lblc.h).
 *
 * An entry is read and written without a lock, word by word. The kernel may give the memory of one
 * that was ended to a new one at once, so a write to it can hit another: it then has a time, or a
 * destination, that is not its own. Each is judged before it is used, and the worst is an address
 * that has to be scheduled once more.
 */
#pragma once

#include "sched.h"
#include <bpvs/lblc.h>

#define LBLC_NOWHERE (~0U)

/* Whose entry is looked for. */
struct lblc_at {
	struct bpvs_addr addr;
	__u32 table;
	__u32 vacant; /* a place for it, or LBLC_NOWHERE */
};

/* -> its place plus one, or 0 and a place where it could be. */
int bpvs_lblc_find(struct lblc_at *at);
/* Remember a destination for an address that has no entry, if there is room. */
int bpvs_lblc_put(struct bpvs_svc *svc, const struct lblc_at *at, __u32 id);
/* Is there a destination that is less than half as busy as its weight would have it? */
int bpvs_lblc_slack(struct bpvs_svc *svc);
/* The timer at a place, in the minute `pass`. */
int bpvs_lblc_visit(__u32 place, __u32 pass, __u32 now);

static __always_inline struct bpvs_lblc *lblc_entry(__u32 place)
{
	return bpf_map_lookup_elem(&bpvs_lblc, &place);
}

/*
 * A destination that an entry names: still of its service, and in its list? The id may have been
 * given to another meanwhile, which is as good if it is of the same service.
 */
static __always_inline bool lblc_lives(const struct bpvs_lblc *e, const struct bpvs_dest *d)
{
	return d->svc == e->svc && (READ_ONCE(d->flags) & BPVS_DEST_AVAILABLE);
}

/* More connections than weight, while others have less than half of theirs. */
static __always_inline bool lblc_overloaded(struct bpvs_svc *svc, const struct bpvs_dest *d)
{
	return READ_ONCE(d->active) > READ_ONCE(d->weight) && bpvs_lblc_slack(svc);
}

static __always_inline __u32 lblc_wlc(struct bpvs_svc *svc)
{
	struct sched_least s = { LEAST_OVERHEAD };

	s.l = sched_list(svc);
	s.from = s.l.len;
	return (__u32)bpvs_sched_least(&s);
}

/* Is a time further back than that many seconds? Of less than none any is, as in IPVS. */
static __always_inline bool lblc_older(__u32 then, __u32 now, __s32 seconds)
{
	return (__s64)(__u32)(now - then) > (__s64)seconds * bpvs_ro.clock_hz;
}
