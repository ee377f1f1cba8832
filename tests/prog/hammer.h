/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hammer: the instance's own programs, run from threads on all CPUs over flows that overlap,
 * and the checks of what the connection table promises meanwhile and afterwards.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include "run.h"

/*
 * Every service has endpoints that no other has: the virtual port is HAMMER_VPORT + number, the
 * real servers' HAMMER_RPORT + number (but for direct routing), so that a connection, listed or met
 * in a rewritten packet, that mixes two flows shows itself.
 */
#define HAMMER_SVCS  5
#define HAMMER_DESTS 3
#define HAMMER_VPORT 80
#define HAMMER_RPORT 8000

struct hammer_svc {
	__u8 af;
	__u8 proto;
	__u8 fwd;
};

extern const struct hammer_svc hammer_svcs[HAMMER_SVCS];

struct hammer {
	struct bpvs_instance *in;
	unsigned int c0, s0; /* devices towards clients and real servers */
	__u32 clients;	     /* client endpoints that the churn uses */
	unsigned int seconds;
	unsigned int verbose;
	bool fill; /* the table has to run full */
	/* what was found wrong; the first few are said on stderr */
	_Atomic unsigned long wrong;
	_Atomic unsigned long ops, judged, unjudged;
};

void hammer_wrong(struct hammer *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
__u64 hammer_ns(void);

/* ---- hammer_flow.c: flows, their packets, where they went ---- */

struct flow {
	__u32 client;
	unsigned int svc;
};

#define F_FIN 0x01
#define F_SYN 0x02
#define F_RST 0x04
#define F_ACK 0x10

/* -EEXIST is fine: the services are there from an earlier run. */
int hammer_services(struct bpvs_instance *in);
struct bpvs_svc_key hammer_svc_key(unsigned int svc);
struct bpvs_addr hammer_client(struct flow f);
__be16 hammer_cport(struct flow f);
__be16 hammer_dport(unsigned int svc);
/* As conn_home() in bpf/conn.h. */
__u32 hammer_home(const struct bpvs_instance *in, struct flow f);

/* Build a request, or a reply of real server `real` (1 ...), and run it: XDP, then TC if XDP
 * passes. */
int hammer_request(struct hammer *h, struct run_packet *p, struct flow f, __u8 flags, bool tc);
int hammer_reply(struct hammer *h, struct run_packet *p, struct flow f, unsigned int real,
		 __u8 flags, bool tc);
/*
 * Number of the real server that the request in p->out was sent to; 0: not sent, or not to be told.
 * A packet that mixes flows is reported.
 */
unsigned int hammer_server(struct hammer *h, const struct run_packet *p, struct flow f);
/* The same for replies: was it sent, and as the right virtual service? */
bool hammer_replied(struct hammer *h, const struct run_packet *p, struct flow f);

/* ---- hammer_check.c ---- */

/* Two entries for one flow, now? Exact whatever runs beside. */
void hammer_check_flow(struct hammer *h, struct flow f);
/* All that must hold while no packets run (the timer may): the number of faults found. */
unsigned long hammer_check_table(struct hammer *h);
/* Wait until all connections are gone, then check that nothing is left of them. */
void hammer_check_drained(struct hammer *h, unsigned int ms);
/* Plant faults in the table: does the check above see them? */
int hammer_selftest(struct hammer *h);
__u64 hammer_live(struct hammer *h);

/* ---- hammer_work.c ---- */

/* All CPUs at once: `work` in a pinned thread each. */
#define MOST_CPUS 64

struct worker {
	struct hammer *h;
	unsigned int cpu, cpus;
	__u64 seed;
	__u64 until; /* hammer_ns() */
	void *arg;
	struct run_packet p;
};

__u32 hammer_rnd(struct worker *w, __u32 n);
int hammer_run(struct hammer *h, unsigned int ms, void (*work)(struct worker *w), void *arg);
/* Every timeout, in clock units. */
void hammer_timeouts(struct hammer *h, __u32 units);
__u64 hammer_counter(struct hammer *h, unsigned int counter);

void hammer_churn(struct hammer *h, unsigned int ms);
void hammer_duels(struct hammer *h, unsigned int ms);
int hammer_full(struct hammer *h, __u32 flows);
int hammer_reopen(struct hammer *h);

/* Where all threads wait for the last of them; `turn` counts the meetings. */
struct hammer_meeting {
	_Atomic unsigned int arrived;
};

void hammer_meet(struct hammer_meeting *m, unsigned int cpus, unsigned int *turn);

/* ---- hammer_ftp.c ---- */
int hammer_ftp(struct hammer *h);
int hammer_ftp_many(struct hammer *h, __u32 conns);

/* ---- hammer_million.c ---- */
int hammer_million(struct hammer *h, __u32 conns);
int hammer_idle(struct hammer *h, __u32 conns);
