/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens without packets: a BPF timer sweeps the connection table for expired entries and
 * estimates rates, in slices that keep the CPU for some ten microseconds. The map that holds the
 * timer has to stay pinned: the kernel cancels the timer with the map's last user reference.
 */
#include "conn.h"
#include "defence.h"
#include "sched/locality.h"

#define TICK_NS	  4000000ULL
#define SECOND_NS 1000000000ULL
#define EST_NS	  (2 * SECOND_NS)
/*
 * A pass over the table takes a second, unless so many connections expire that a slice of it does
 * not end in time: then the ticks follow each other more quickly.
 */
#define TICKS_A_PASS 250
#define SLICE_NS     180000ULL
#define HASTE_NS     1000000ULL

#define CLOCK_MONOTONIC 1

struct bpvs_timer {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpvs_timer);
} bpvs_timer SEC(".maps");

/* So far ahead that it is never, for an empty block; within half of the clock's range. */
#define NEVER (1U << 30)

struct sweep {
	__u64 until; /* CLOCK_MONOTONIC: stop then */
	__u32 block;
	__u32 now;
	__u32 flush;	  /* BPVS_FLUSH_* */
	__u32 drop_entry; /* drop some that have not expired */
};

/* Is a connection to be ended by the flush `what` (BPVS_FLUSH_*)? */
static __always_inline bool flushed(const struct bpvs_conn *c, __u32 what)
{
	struct bpvs_dest *d;
	__u32 flags;

	if (what & BPVS_FLUSH_ALL)
		return true;
	d = dest_get(READ_ONCE(c->dest));
	/* One past all servers has none that could be gone. */
	if (!d || (c->flags & BPVS_CONN_FWD) == BPVS_FWD_BYPASS)
		return false;
	flags = READ_ONCE(d->flags);
	return (what & BPVS_FLUSH_REMOVED && !(flags & BPVS_DEST_AVAILABLE)) ||
	       (what & BPVS_FLUSH_MARKED && flags & BPVS_DEST_FLUSH);
}

/* End a connection although packets may be refreshing it. */
__noinline int bpvs_conn_flush(__u32 idx, __u32 what)
{
	struct bpvs_conn *c = conn_slot(idx);
	__u64 word, first;
	int tries;

	if (!c)
		return 0;
	first = word = READ_ONCE(c->word);
	if (!word_valid(word) || !flushed(c, what))
		return 0;
	for (tries = 0; tries < 16; tries++) {
		if (bpvs_conn_kill(idx, word))
			return 1;
		word = READ_ONCE(c->word);
		if (!word_valid(word) || !word_same_gen(word, first))
			return 0;
		/* Those that it controls may lie in blocks that are yet to come. */
		if (READ_ONCE(c->controls) > 0)
			break;
	}
	bpvs_cfg.flush_again |= 1;
	return 0;
}

/*
 * End what has expired in a block, and what the running flush is for, and note when the next one
 * may expire; see bpvs_due_lower().
 */
__noinline int bpvs_sweep_block(__u32 block, __u32 now, __u32 flush)
{
	__u32 *due = bpf_map_lookup_elem(&bpvs_due, &block), next = now + NEVER, i;

	if (!due)
		return 0;
	xchg32(due, next);
	for (i = 0; i < BPVS_BLOCK; i++) {
		__u32 idx = block * BPVS_BLOCK + i;
		struct bpvs_conn *c = conn_slot(idx);
		__u64 word;

		if (!c)
			break;
		word = READ_ONCE(c->word);
		if (!word_valid(word))
			continue;
		if (word_expired(word, now) && bpvs_conn_kill(idx, word))
			continue;
		if (unlikely(flush) && bpvs_conn_flush(idx, flush))
			continue;
		if ((__s32)(word_expiry(word) - next) < 0)
			next = word_expiry(word);
	}
	bpvs_due_lower(block, next);
	return 0;
}

static long sweep_one(__u32 i, void *arg)
{
	struct sweep *s = arg;
	__u32 block = s->block + i, due, *at;

	at = bpf_map_lookup_elem(&bpvs_due, &block);
	if (!at)
		return 1;
	if (unlikely(s->drop_entry) && !(bpf_get_prandom_u32() % DROP_ENTRY_SHARE))
		bpvs_drop_block(block, s->now);
	due = READ_ONCE(*at);
	if (due && (__s32)(due - s->now) > 0 && likely(!s->flush))
		return 0;
	bpvs_sweep_block(block, s->now, s->flush);
	/* The rest of the slice is for the next tick. */
	return bpf_ktime_get_ns() >= s->until;
}

/*
 * So many passes a flush may take, as a template may control FTP's control connection and that a
 * data connection. flush_again is twice the passes that were, and one more when this one leaves
 * something.
 */
#define FLUSH_PASSES 3

/*
 * A flush that the tools asked for takes a pass from the first block on. What is asked before what:
 * a tool that comes in between finds its part done by this pass, and waits for the next.
 */
static __always_inline void flush_begin(void)
{
	__u32 asked = READ_ONCE(bpvs_cfg.flush_asked);

	if (likely(asked == bpvs_cfg.flush_taken) || bpvs_cfg.flush_taken != bpvs_cfg.flush_done)
		return;
	bpvs_cfg.flush_now = xchg32(&bpvs_cfg.flush_what, 0);
	bpvs_cfg.flush_taken = asked;
	bpvs_cfg.flush_again = 0;
	bpvs_cfg.sweep_at = 0;
}

static __always_inline void flush_end(void)
{
	if (likely(bpvs_cfg.flush_taken == bpvs_cfg.flush_done))
		return;
	if ((bpvs_cfg.flush_again & 1) && bpvs_cfg.flush_again < 2 * (FLUSH_PASSES - 1)) {
		bpvs_cfg.flush_again += 1;
		return;
	}
	bpvs_cfg.flush_now = 0;
	barrier();
	WRITE_ONCE(bpvs_cfg.flush_done, bpvs_cfg.flush_taken);
}

/*
 * A slice of the blocks, or with a flush as many as there is time for; true when time ran out
 * before its end. Of a block that is not due its place in bpvs_due is read, and nothing else.
 */
static __always_inline bool sweep(__u64 now_ns)
{
	__u32 blocks = (bpvs_ro.slots + BPVS_CONN_WINDOW + bpvs_ro.spills) / BPVS_BLOCK + 1;
	__u32 slice = blocks / TICKS_A_PASS + 1, left;
	struct sweep s = {
		.until = now_ns + SLICE_NS,
		.now = clock_now(),
	};
	long done;

	flush_begin();
	s.block = bpvs_cfg.sweep_at;
	s.flush = bpvs_cfg.flush_now;
	s.drop_entry = bpvs_cfg.drop_entry_on;
	if (bpvs_cfg.flush_taken != bpvs_cfg.flush_done)
		slice = blocks;

	if (s.block >= blocks)
		s.block = 0;
	left = blocks - s.block;
	done = bpf_loop(slice < left ? slice : left, sweep_one, &s, 0);
	if (done < 0)
		return false;
	s.block += (__u32)done;
	if (s.block >= blocks) {
		s.block = 0;
		flush_end();
		count(BPVS_EV_SWEEPS);
	}
	bpvs_cfg.sweep_at = s.block;
	return done < slice && done < left;
}

/* avg += (sample - avg) / 4, as the kernel's estimator; an arithmetic shift. */
static __always_inline void est_step(__u64 *avg, __u64 delta, __u32 scale)
{
	*avg += (__s64)((delta << scale) - *avg) >> 2;
}

struct estimate {
	__u32 at;
	__u32 svcs;
};

static __always_inline bool est_used(__u32 index)
{
	struct bpvs_svc *svc;
	struct bpvs_dest *d;

	if (index == BPVS_STATS_TOTAL)
		return true;
	if (index < bpvs_ro.max_svc) {
		svc = svc_get(index);
		return svc && (svc->flags & BPVS_SVC_IN_USE);
	}
	d = dest_get(index - bpvs_ro.max_svc);
	return d && (d->flags & BPVS_DEST_IN_USE);
}

struct est_sum {
	struct bpvs_stats s;
	__u32 index;
	__u32 pad;
};

static long est_add(__u32 cpu, void *arg)
{
	struct est_sum *sum = arg;
	__u32 at = cpu * (bpvs_ro.max_svc + bpvs_ro.max_dest) + sum->index;
	struct bpvs_stats *s = bpf_map_lookup_elem(&bpvs_stats, &at);

	if (!s)
		return 1;
	sum->s.conns += s->conns;
	sum->s.inpkts += s->inpkts;
	sum->s.outpkts += s->outpkts;
	sum->s.inbytes += s->inbytes;
	sum->s.outbytes += s->outbytes;
	return 0;
}

static long est_one(__u32 i, void *arg)
{
	struct estimate *e = arg;
	struct est_sum sum = { .index = e->at + i };
	struct bpvs_rate *r;

	/* The total and the services first, then the destinations. */
	if (sum.index >= e->svcs)
		sum.index = BPVS_STATS_DEST(bpvs_ro.max_svc, sum.index - e->svcs);

	if (!est_used(sum.index))
		return 0;
	r = bpf_map_lookup_elem(&bpvs_rates, &sum.index);
	if (!r)
		return 1;
	bpf_loop(bpvs_ro.cpus, est_add, &sum, 0);
	est_step(&r->cps, sum.s.conns - r->last.conns, 9);
	est_step(&r->inpps, sum.s.inpkts - r->last.inpkts, 9);
	est_step(&r->outpps, sum.s.outpkts - r->last.outpkts, 9);
	est_step(&r->inbps, sum.s.inbytes - r->last.inbytes, 4);
	est_step(&r->outbps, sum.s.outbytes - r->last.outbytes, 4);
	r->last = sum.s;
	return 0;
}

/*
 * A round of 2 s walks all ids that were ever used evenly, so that each is visited every 2 s
 * whatever a tick takes. Ids first used meanwhile wait for the next round.
 */
static __always_inline void estimates(__u64 now_ns)
{
	__u32 all = bpvs_cfg.est_svcs + bpvs_cfg.est_dests, upto;
	struct estimate e = { .at = bpvs_cfg.est_at, .svcs = bpvs_cfg.est_svcs };
	__u64 since = now_ns - bpvs_cfg.est_start;

	if (!bpvs_cfg.run_estimation)
		return;
	upto = since >= EST_NS ? all : (__u32)(since * all / EST_NS);
	if (upto > e.at)
		bpf_loop(upto - e.at, est_one, &e, 0);
	if (upto > bpvs_cfg.est_at)
		bpvs_cfg.est_at = upto;
	if (since < EST_NS)
		return;
	bpvs_cfg.est_at = 0;
	bpvs_cfg.est_svcs = READ_ONCE(bpvs_cfg.tool_reserved[BPVS_TOOL_SVC_HIGH]) ?: 1;
	bpvs_cfg.est_dests = READ_ONCE(bpvs_cfg.tool_reserved[BPVS_TOOL_DEST_HIGH]) ?: 1;
	/* Rounds follow each other without drift; after a long pause a new one starts now. */
	bpvs_cfg.est_start = since < 2 * EST_NS ? bpvs_cfg.est_start + EST_NS : now_ns;
}

/*
 * lblc and lblcr: all places once a minute, a few at each tick. Minutes are those of the clock, so
 * that the next begins in time though there was nothing to walk.
 */
#define LBLC_PASS_NS (60 * SECOND_NS)
#define LBLC_SLICE   1024

struct lblc_walk {
	__u32 place;
	__u32 pass;
	__u32 now;
};

static long lblc_one(__u32 i, void *arg)
{
	const struct lblc_walk *w = arg;

	bpvs_lblc_visit(w->place + i, w->pass, w->now);
	return 0;
}

static __always_inline void lblc_pass(__u64 now_ns)
{
	__u32 pass = (__u32)(now_ns / LBLC_PASS_NS), num;
	__u32 upto = (__u32)(now_ns % LBLC_PASS_NS * BPVS_LBLC_PLACES / LBLC_PASS_NS);
	struct lblc_walk w = {
		.place = bpvs_cfg.lblc_at,
		.pass = bpvs_cfg.lblc_pass,
		.now = clock_now(),
	};

	if (!READ_ONCE(bpvs_cfg.lblc_num)) {
		bpvs_cfg.lblc_pass = pass;
		bpvs_cfg.lblc_at = upto;
		return;
	}
	/* What is left of the last minute's walk comes first. */
	if (bpvs_cfg.lblc_pass != pass)
		upto = BPVS_LBLC_PLACES;
	if (upto > w.place) {
		num = upto - w.place;
		if (num > LBLC_SLICE)
			num = LBLC_SLICE;
		bpf_loop(num, lblc_one, &w, 0);
		bpvs_cfg.lblc_at = w.place + num;
	}
	if (bpvs_cfg.lblc_pass != pass && bpvs_cfg.lblc_at >= BPVS_LBLC_PLACES) {
		bpvs_cfg.lblc_pass = pass;
		bpvs_cfg.lblc_at = 0;
	}
}

/*
 * Times are compared within half of the clock's range: one that has passed is carried along. Well
 * behind, for a packet that another CPU looks at has read the clock a moment ago, and to that one
 * the table must not look full.
 */
static __always_inline void full_until_carry(__u32 now)
{
	__u32 until = READ_ONCE(bpvs_cfg.full_until), hz = bpvs_ro.clock_hz;

	if ((__s32)(until - now) < -2 * (__s32)hz)
		cas32(&bpvs_cfg.full_until, until, now - hz);
}

static int tick(void *map, __u32 *key, struct bpvs_timer *t)
{
	__u64 start = bpf_ktime_get_ns(), cost;
	bool behind;

	(void)map;
	(void)key;
	if (bpvs_cfg.tick_ktime && start - bpvs_cfg.tick_ktime > bpvs_cfg.tick_gap)
		bpvs_cfg.tick_gap = start - bpvs_cfg.tick_ktime;
	bpvs_cfg.tick_clock = bpf_jiffies64();
	bpvs_cfg.tick_ktime = start;
	full_until_carry(clock_now());
	bpvs_defence(clock_now());
	behind = sweep(start);
	estimates(start);
	lblc_pass(start);
	cost = bpf_ktime_get_ns() - start;
	if (cost > bpvs_cfg.tick_cost)
		bpvs_cfg.tick_cost = cost;
	bpf_timer_start(&t->timer, behind ? HASTE_NS : TICK_NS, 0);
	return 0;
}

/* Run once by the engine. */
SEC("tc")
int bpvs_start(struct __sk_buff *skb)
{
	struct bpvs_timer *t;
	__u32 zero = 0;
	long err;

	(void)skb;
	t = bpf_map_lookup_elem(&bpvs_timer, &zero);
	if (!t)
		return 1;
	err = bpf_timer_init(&t->timer, &bpvs_timer, CLOCK_MONOTONIC);
	if (err)
		return 2;
	bpvs_cfg.full_until = clock_now() - bpvs_ro.clock_hz;
	bpvs_cfg.est_start = bpf_ktime_get_ns();
	if (bpf_timer_set_callback(&t->timer, tick) || bpf_timer_start(&t->timer, TICK_NS, 0))
		return 3;
	return 0;
}

char _license[] SEC("license") __weak = "GPL";
