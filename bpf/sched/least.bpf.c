/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk of the schedulers that compare all destinations (sched.h says what it does), as short a
 * way for each destination as can be: in runs of eight, a function for each measure, and a map is
 * not asked again while an element of it goes on.
 *
 * A piece of the list at a time is a function of its own: the verifier follows each outcome of each
 * round, so its work grows with the piece, not with the longest list.
 */
#include "sched.h"

#define RUN  8
#define RUNS 4 /* of a piece */

/* Of the longest list; where an element of bpvs_lists ends within a run, a piece ends early. */
#define PIECES (BPVS_SCHED_MAX / (RUN * RUNS) + 2)

/*
 * Where the walk is. What it has found is in struct sched_least, in memory: of that the verifier
 * remembers nothing, and so does not tell one round from the next by it.
 */
struct walk {
	/* Indices in bpvs_lists: the next is i - 1, the last one `end`. */
	__u32 i;
	__u32 end;
	struct bpvs_dest_chunk *dests; /* s->chunk */
	/* The weights of MEASURE_SUM so far, and whose was the last: not one by one to memory. */
	__s64 sum;
	__u32 last;
};

/* The destinations among which an id is; there is no such id where it is false. */
static __always_inline bool walk_chunk(struct walk *w, struct sched_least *s, __u32 id)
{
	if (likely(id / BPVS_CHUNK_OF == READ_ONCE(s->chunk)))
		return true;
	s->chunk = id / BPVS_CHUNK_OF;
	w->dests = dest_chunk(id / BPVS_CHUNK_OF);
	return w->dests != NULL;
}

/* The one for now: load / weight < least / its weight, without rounding; ties keep the first. */
static __always_inline void walk_compare(struct sched_least *s, __u32 id, __s64 load, __s64 weight)
{
	if (unlikely(READ_ONCE(s->least) * weight > load * READ_ONCE(s->weight))) {
		s->best = id;
		s->least = load;
		s->weight = weight;
	}
}

/* An entry's turn: true, and the walk ends there. */
static __always_inline bool walk_step(struct walk *w, struct sched_least *s, __u64 e,
				      enum sched_measure m)
{
	__s64 weight = (__s64)e >> 32;
	/* Any, where none is looked at: 6.1's verifier goes on with it as though one were. */
	struct bpvs_dest *d = w->dests->dest;
	__u32 id = (__u32)e;

	/* What needs no look at the destination first. */
	if (weight <= (m == MEASURE_ONE ? READ_ONCE(s->weight) : 0))
		return false;
	if (m != MEASURE_SUM_ALL && m != MEASURE_REACH_ALL) {
		if (!walk_chunk(w, s, id))
			return true;
		d = dest_in(w->dests, id);
		if (unlikely(!sched_open(d)))
			return false;
	}
	switch (m) {
	case MEASURE_OVERHEAD:
		walk_compare(s, id, sched_overhead(d), weight);
		return false;
	case MEASURE_UNWEIGHTED:
		walk_compare(s, id, sched_overhead(d), 1);
		return false;
	case MEASURE_DELAY:
		if (READ_ONCE(d->active) <= 0 && (s->flags & LEAST_IDLE_FIRST)) {
			s->best = id;
			return true;
		}
		walk_compare(s, id, (__s64)READ_ONCE(d->active) + 1, weight);
		return false;
	case MEASURE_ONE:
		if ((s->flags & LEAST_WITHIN) && READ_ONCE(d->active) > weight)
			return false;
		s->weight = weight;
		s->best = id;
		return false;
	case MEASURE_SUM:
	case MEASURE_SUM_ALL:
		w->sum += weight;
		w->last = id;
		return false;
	case MEASURE_REACH:
	case MEASURE_REACH_ALL:
		if (READ_ONCE(s->least) > 0 || !s->best)
			s->best = id;
		s->second = id;
		s->least -= weight;
		s->weight -= weight;
		return READ_ONCE(s->weight) <= 0;
	}
	return true;
}

/* The run below w->i, or NULL where it does not lie whole in the list and in an element. */
static __always_inline __u64 *walk_run(const struct walk *w)
{
	__u32 i = w->i - RUN, in = i % BPVS_CHUNK_OF;
	struct bpvs_list_chunk *c;

	if (w->i - w->end < RUN)
		return NULL;
	c = list_chunk(i / BPVS_CHUNK_OF);
	/* One register, or the verifier misses the limit. */
	asm volatile("" : "+r"(in));
	if (!c || in > BPVS_CHUNK_OF - RUN)
		return NULL;
	asm volatile("" : "+r"(c));
	return &c->entry[in];
}

enum walk_left {
	WALK_OVER,
	WALK_MORE,
	WALK_ODD, /* there is more, but no whole run next */
};

/* Written out, as two compilers have to understand it; true, and the walk ends. */
static __always_inline bool walk_steps(struct walk *w, struct sched_least *s, const __u64 *e,
				       enum sched_measure m)
{
	return walk_step(w, s, READ_ONCE(e[7]), m) || walk_step(w, s, READ_ONCE(e[6]), m) ||
	       walk_step(w, s, READ_ONCE(e[5]), m) || walk_step(w, s, READ_ONCE(e[4]), m) ||
	       walk_step(w, s, READ_ONCE(e[3]), m) || walk_step(w, s, READ_ONCE(e[2]), m) ||
	       walk_step(w, s, READ_ONCE(e[1]), m) || walk_step(w, s, READ_ONCE(e[0]), m);
}

/* MEASURE_REACH*, after a run's sum: it reaches neither mark, so that this is all of it. */
static __always_inline bool walk_past(struct walk *w, struct sched_least *s)
{
	__s64 first = READ_ONCE(s->least);

	if (w->sum >= READ_ONCE(s->weight) || (first > 0 ? w->sum >= first : !s->best))
		return false;
	if (first > 0)
		s->best = w->last;
	s->second = w->last;
	s->least = first - w->sum;
	s->weight -= w->sum;
	return true;
}

static __always_inline int walk_runs(struct walk *w, struct sched_least *s, enum sched_measure m)
{
	/* As wide as a place of the stack: of half of one the verifier would not know the count. */
	__u64 *e, k;

	for (k = 0; k < RUNS; k++) {
		e = walk_run(w);
		if (!e)
			return w->i == w->end ? WALK_OVER : WALK_ODD;
		w->i -= RUN;
		if (m == MEASURE_REACH || m == MEASURE_REACH_ALL) {
			w->sum = 0;
			w->last = s->second;
			if (walk_steps(w, s, e, m == MEASURE_REACH ? MEASURE_SUM : MEASURE_SUM_ALL))
				return WALK_OVER;
			if (walk_past(w, s))
				continue;
		}
		if (walk_steps(w, s, e, m))
			return WALK_OVER;
	}
	return WALK_MORE;
}

static __always_inline bool walk_begin(struct walk *w, struct sched_least *s)
{
	w->end = s->l.off;
	w->i = w->end + s->from;
	w->dests = dest_chunk(s->chunk);
	w->sum = 0;
	w->last = 0;
	return w->dests != NULL;
}

static __always_inline void walk_end(const struct walk *w, struct sched_least *s,
				     enum sched_measure m)
{
	s->from = w->i - w->end;
	if (m == MEASURE_SUM || m == MEASURE_SUM_ALL)
		s->weight += w->sum;
}

static __always_inline int walk_piece(struct sched_least *s, enum sched_measure m)
{
	struct walk w;
	int r;

	if (!s || !walk_begin(&w, s))
		return WALK_OVER;
	r = walk_runs(&w, s, m);
	walk_end(&w, s, m);
	return r;
}

/* As many as are in a run, one by one: a list's last ones, and where an element ends. */
__attribute__((noinline)) int bpvs_least_odd(struct sched_least *s)
{
	struct sched_list all = { 0 };
	struct bpvs_list_entry e;
	struct walk w;
	__u64 k;

	if (!s || !walk_begin(&w, s))
		return WALK_OVER;
	for (k = 0; k < RUN && w.i != w.end; k++) {
		w.i--;
		e = sched_entry(all, w.i);
		if (walk_step(&w, s, (__u64)(__u32)e.weight << 32 | e.dest, s->measure))
			return WALK_OVER;
	}
	walk_end(&w, s, s->measure);
	return w.i == w.end ? WALK_OVER : WALK_MORE;
}

__attribute__((noinline)) int bpvs_least_overhead(struct sched_least *s)
{
	return walk_piece(s, MEASURE_OVERHEAD);
}

__attribute__((noinline)) int bpvs_least_unweighted(struct sched_least *s)
{
	return walk_piece(s, MEASURE_UNWEIGHTED);
}

__attribute__((noinline)) int bpvs_least_delay(struct sched_least *s)
{
	return walk_piece(s, MEASURE_DELAY);
}

__attribute__((noinline)) int bpvs_least_one(struct sched_least *s)
{
	return walk_piece(s, MEASURE_ONE);
}

__attribute__((noinline)) int bpvs_least_sum(struct sched_least *s)
{
	return walk_piece(s, MEASURE_SUM);
}

__attribute__((noinline)) int bpvs_least_reach(struct sched_least *s)
{
	return walk_piece(s, MEASURE_REACH);
}

__attribute__((noinline)) int bpvs_least_sum_all(struct sched_least *s)
{
	return walk_piece(s, MEASURE_SUM_ALL);
}

__attribute__((noinline)) int bpvs_least_reach_all(struct sched_least *s)
{
	return walk_piece(s, MEASURE_REACH_ALL);
}

static __always_inline int least_piece(struct sched_least *s)
{
	switch (s->measure) {
	case MEASURE_SUM_ALL:
		return bpvs_least_sum_all(s);
	case MEASURE_REACH_ALL:
		return bpvs_least_reach_all(s);
	case MEASURE_SUM:
		return bpvs_least_sum(s);
	case MEASURE_REACH:
		return bpvs_least_reach(s);
	case MEASURE_OVERHEAD:
		return bpvs_least_overhead(s);
	case MEASURE_UNWEIGHTED:
		return bpvs_least_unweighted(s);
	case MEASURE_DELAY:
		return bpvs_least_delay(s);
	}
	return bpvs_least_one(s);
}

__attribute__((noinline)) int bpvs_sched_walk(struct sched_least *s)
{
	int r = WALK_MORE;
	__u32 i;

	if (!s)
		return 0;
	for (i = 0; i < PIECES && r != WALK_OVER; i++) {
		r = least_piece(s);
		if (r == WALK_ODD)
			r = bpvs_least_odd(s);
	}
	return s->best;
}

__attribute__((noinline)) int bpvs_sched_least(struct sched_least *s)
{
	if (!s)
		return 0;
	/* More by weight than anybody has. */
	s->least = 1;
	s->weight = 0;
	return bpvs_sched_walk(s);
}
