/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmark's files share. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include "bench.h"
#include "internal.h"

#define MAX_ROUNDS   31
#define MAX_VARIANTS 64
/* From here on the table is taken to be larger than the caches. */
#define BENCH_COLD_FLOWS (1 << 20)

enum hook {
	XDP,
	TC,
};

struct run {
	__u32 ns;
	int verdict;
	long missed; /* packets that the expected counter did not count */
};

/* One thing that is measured. */
struct variant {
	char name[64];
	enum hook hook;
	bool reply;
	bool alone;    /* run fd without a wrapper */
	bool fresh;    /* each packet makes a connection */
	bool single;   /* a new skb for each packet */
	bool familiar; /* the flows of a round have had a packet less than a second before */
	bool flush;    /* a round begins with cold caches */
	int fd;
	__u32 repeat;	     /* packets a round; 0 = the usual number */
	unsigned int reason; /* that counts the packets of the fast path */
	struct bench_ctl shape;
	__u32 x; /* where the walk through the flows is */
	/* places of the variants whose medians make the figure, or -1 */
	int wrapper;
	int grown;
	__u32 ns[MAX_ROUNDS];
	int n;
	int dirty; /* rounds with packets off the fast path */
	long missed;
	int verdict; /* of such a round's last packet */
};

struct bench {
	bool quick;
	const char *output;
	const char *only;
	int rounds;
	__u32 repeat, fresh, empty;
	unsigned int c0, s0, bpvs0;
	struct bpvs_instance *in; /* NULL: none is up */
	struct bench_ctl *ctl;	  /* of the loaded wrappers */
	int fd_wrap_xdp, fd_wrap_tc;
	double tx, ok; /* medians of the empty programs */
};

int die(const char *what, int err) __attribute__((noreturn));

int variant_run(struct bench *b, struct variant *v, __u32 repeat, struct run *ret);
void rounds_run(struct bench *b, struct variant *v, int num);
double variant_median(const struct variant *v);

/* plan.c: what is measured */
void plan_run(struct bench *b);

/* packet.c: templates */
struct packet {
	bool v6;
	bool reply;
	bool udp;
	__u8 tcp_flags;
	__u16 vport, rport;
	bool other; /* to an address that is nobody's service */
	__u32 mark; /* as it comes to bpvs0 */
};

void packet_shape(struct bench_ctl *ctl, const struct packet *p);

/* report.c: table and JSON */
void report_figure(const struct bench *b, const struct variant *all, const struct variant *v);
void report_value(const char *name, double value, const char *unit, int n);
void report_title(const char *text);
int report_write(const struct bench *b);
