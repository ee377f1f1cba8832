/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nanoseconds per packet of the loaded programs, by test runs on one CPU. The wrappers of
 * baseline.bpf.c inject a packet of another flow in each repetition; what they cost is measured in
 * the same rounds and taken off:
 *
 *	figure = (wrapper + program) - (wrapper + return at once) - undoing the growth
 *		 + (return at once, no wrapper)
 *
 * so that a figure contains the empty run once, as that of a program run alone would. Undoing the
 * growth is half of what growing and undoing cost together. All variants of a table take turns
 * within each round; a figure is the median of the rounds. Rounds over a large table begin with
 *none of it in the caches. A round in which a packet left the fast path is done again, and a
 *variant that cannot do without is marked.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include "run.h"

#define CACHE_FLUSH (128UL << 20)

static struct bench bench = {
	.rounds = 15,
	.repeat = 50000,
	.fresh = 10000,
	.empty = 500000,
};

int die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s %s\n", what, strerror(err < 0 ? -err : err), bpvs_error());
	bpvs_down();
	exit(1);
}

/* ---- one run ---- */

static int test_run(struct bench *b, int fd, enum hook hook, const struct variant *v, __u32 repeat,
		    struct run *ret)
{
	static __u8 frame[128];
	__u32 len = b->ctl->len ? b->ctl->len : BENCH_LEN4;
	__u32 dev = v->reply ? b->s0 : v->shape.mark ? b->bpvs0 : b->c0;
	struct xdp_md md = { .data_end = len, .ingress_ifindex = dev };
	struct __sk_buff skb = { .ifindex = dev, .ingress_ifindex = dev };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = len, .repeat = repeat,
		    .ctx_in = hook == XDP ? (void *)&md : (void *)&skb,
		    .ctx_size_in = hook == XDP ? sizeof(md) : sizeof(skb));
	int err;

	memcpy(frame, b->ctl->tmpl, sizeof(b->ctl->tmpl));
	err = bpf_prog_test_run_opts(fd, &o);
	ret->ns = o.duration;
	ret->verdict = o.retval;
	return err;
}

/*
 * Some state of an skb outlives a repetition and cannot be undone by a program: the mark of an
 * encapsulated one. Such a variant gets a new skb, so a system call, for each packet.
 */
static int test_runs(struct bench *b, int fd, const struct variant *v, __u32 repeat,
		     struct run *ret)
{
	__u64 sum = 0;
	int err = 0;

	if (!v->single)
		return test_run(b, fd, v->hook, v, repeat, ret);
	for (__u32 i = 0; i < repeat && !err; i++) {
		err = test_run(b, fd, v->hook, v, 1, ret);
		sum += ret->ns;
	}
	ret->ns = sum / repeat;
	return err;
}

static __u64 counter(struct bench *b, unsigned int reason)
{
	__u64 n = 0;

	if (reason && b->in)
		bpvs_counter_get(b->in, reason, &n);
	return n;
}

/* XDP leaves a packet to TC once a second to confirm the neighbour: not while we measure. */
static void confirm_neighbours(struct bpvs_instance *in)
{
	__u32 now = bpvs_clock_since(in, 0);

	if (bpvs_reach(in) || bpvs_conns_open(in))
		return;
	for (__u32 i = 1; i < in->cfg->tool_reserved[BPVS_TOOL_DEST_HIGH]; i++) {
		if (in->dests[i].nh.dst)
			in->dests[i].nh.checked = now;
	}
	for (int i = 0; i < BPVS_NEXTHOPS; i++) {
		if (in->nexthops[i].dst)
			in->nexthops[i].checked = now;
	}
}

/* Run `repeat` packets of a variant; -EAGAIN when some were not treated as it says. */
int variant_run(struct bench *b, struct variant *v, __u32 repeat, struct run *ret)
{
	__u64 before;
	int err;

	if (b->in)
		confirm_neighbours(b->in);
	if (v->alone)
		return test_run(b, v->fd, v->hook, v, repeat, ret);
	v->shape.x = v->x;
	*b->ctl = v->shape;
	before = counter(b, v->reason);
	err = test_runs(b, v->hook == XDP ? b->fd_wrap_xdp : b->fd_wrap_tc, v, repeat, ret);
	v->x = b->ctl->x;
	if (err)
		return err;
	if (v->shape.target != BENCH_PRODUCT && v->shape.target != BENCH_MARKED)
		return 0;
	ret->missed = repeat - (counter(b, v->reason) - before);
	return ret->missed ? -EAGAIN : 0;
}

/* ---- rounds ---- */

static __u32 variant_repeat(const struct bench *b, const struct variant *v)
{
	__u32 usual = v->repeat > b->repeat ? v->repeat : b->repeat;

	if (v->alone)
		return b->empty;
	return v->fresh ? b->fresh : v->single ? usual / 10 : usual;
}

/*
 * Write more than any cache holds. A round visits a part of a large table only, and variants follow
 * each other within its rounds: without this it would depend on their number how much of the table
 * each finds in the caches.
 */
static void flush_caches(void)
{
	static volatile __u8 *big;

	if (!big)
		big = calloc(1, CACHE_FLUSH);
	if (!big)
		die("memory to flush the caches with", ENOMEM);
	for (size_t i = 0; i < CACHE_FLUSH; i += 64)
		big[i]++;
}

/*
 * Let the flows of the coming round have a packet each, so that what the product remembers of them
 * is fresh, but in a large table long enough before for their timers to be due again.
 */
static void make_familiar(struct bench *b, struct variant *v, __u32 repeat)
{
	__u32 x = v->x;
	struct run r = {};
	int err = variant_run(b, v, repeat, &r);

	if (err && err != -EAGAIN)
		die(v->name, err);
	v->x = x;
	if (v->flush)
		usleep(100000);
}

static void round_run(struct bench *b, struct variant *v)
{
	__u32 repeat = variant_repeat(b, v);
	struct run r = {};

	for (int try = 0; try < 3; try++) {
		int err;

		if (v->familiar)
			make_familiar(b, v, repeat);
		if (v->flush)
			flush_caches();
		err = variant_run(b, v, repeat, &r);

		if (err && err != -EAGAIN)
			die(v->name, err);
		if (!err) {
			v->ns[v->n++] = r.ns;
			return;
		}
	}
	v->ns[v->n++] = r.ns;
	v->dirty++;
	v->missed += r.missed;
	v->verdict = r.verdict;
}

void rounds_run(struct bench *b, struct variant *v, int num)
{
	for (int round = 0; round < b->rounds; round++) {
		for (int i = 0; i < num; i++)
			round_run(b, &v[i]);
	}
}

static int by_value(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

double variant_median(const struct variant *v)
{
	__u32 s[MAX_ROUNDS];

	if (!v->n)
		return 0;
	memcpy(s, v->ns, v->n * sizeof(s[0]));
	qsort(s, v->n, sizeof(s[0]), by_value);
	return v->n % 2 ? s[v->n / 2] : (s[v->n / 2 - 1] + s[v->n / 2]) / 2.0;
}

/* ---- start ---- */

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("pin to a CPU", errno);
}

static void options(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "quick", no_argument, NULL, 'q' },	 { "output", required_argument, NULL, 'o' },
		{ "cpu", required_argument, NULL, 'c' }, { "only", required_argument, NULL, 'O' },
		{ "down", no_argument, NULL, 'd' },	 {},
	};
	long cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;

	for (int c; (c = getopt_long(argc, argv, "qo:c:O:d", longopts, NULL)) != -1;) {
		switch (c) {
		case 'q':
			bench.quick = true;
			bench.rounds = 5;
			bench.repeat = 20000;
			bench.fresh = 4000;
			bench.empty = 100000;
			break;
		case 'o':
			bench.output = optarg;
			break;
		case 'c':
			cpu = strtol(optarg, NULL, 10);
			break;
		case 'O':
			bench.only = optarg;
			break;
		case 'd': /* after a run that was interrupted */
			exit(bpvs_down() ? 1 : 0);
		default:
			fprintf(stderr,
				"usage: bench [--quick] [--output FILE] [--cpu N] "
				"[--only baseline|nat|dr|tun|new|sched|SCHEDULER|persist|mark]\n");
			exit(2);
		}
	}
	pin(cpu);
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	options(argc, argv);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	bench.c0 = if_nametoindex("c0");
	bench.s0 = if_nametoindex("s0");
	if (!bench.c0 || !bench.s0)
		die("devices c0 and s0 (tests/bench/run makes them)", ENODEV);
	plan_run(&bench);
	return report_write(&bench) ? 1 : 0;
}
