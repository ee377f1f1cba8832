/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tools tell the data path: fixed at load (rodata) or at any time (config). */
#pragma once

#include <bpvs/conn.h>

/* Fixed before the programs are loaded. */
struct bpvs_rodata {
	__u32 slots;  /* home slots of the connection table */
	__u32 spills; /* overflow slots, from index slots + BPVS_CONN_WINDOW on */
	__u32 max_svc;
	__u32 max_dest;
	__u32 max_list; /* entries of bpvs_lists */
	__u32 cpus;
	/*
	 * The clock of the data path is jiffies >> clock_shift, truncated to 32 bits, so that a
	 * unit is 7 to 10 ms whatever HZ is; clock_hz units make a second.
	 */
	__u32 clock_shift;
	__u32 clock_hz;
	/* Keys of the hash of client endpoints, random per instance. */
	__u64 hash_key[6];
};

/* Alterable while packets flow; each field is one aligned word, read once per packet. */
struct bpvs_config {
	__u32 tcp_timeout[BPVS_TCP_STATES]; /* clock units, indexed by state */
	__u32 udp_timeout;		    /* clock units */
	__u32 services4;		    /* services of each family; 0 switches the family off */
	__u32 services6;
	__u32 ftp_services;	 /* services of port 21, and of port 0: looked for ... */
	__u32 any_port_services; /* ... only where there is one */
	/* clock: replies without a connection are guessed statelessly until then */
	__u32 full_until;
	/* sysctls of the same name */
	__u32 expire_nodest_conn;
	__u32 conn_reuse_mode;
	__u32 expire_quiescent_template;
	__u32 sloppy_tcp;
	__u32 pmtu_disc;
	__u32 run_estimation;
	__u32 lblc_expiration; /* s */
	__u32 lblcr_expiration;
	__u32 icmp_rate; /* ICMP errors of our own a second and CPU */
	/* written by the timer */
	__u32 sweep_at; /* next block to sweep */
	__u32 est_at;	/* next of est_svcs + est_dests to estimate */
	__u32 est_svcs; /* ids that this round visits: those below */
	__u32 est_dests;
	__u32 lblc_at;		 /* next place of bpvs_lblc to look at ... */
	__u32 lblc_pass;	 /* ... in this minute */
	__u32 lblc_num;		 /* entries of bpvs_lblc; who makes or ends one */
	__u64 est_start;	 /* CLOCK_MONOTONIC of the estimator's running round, ns */
	__u64 tick_clock;	 /* jiffies of the last tick ... */
	__u64 tick_ktime;	 /* ... and CLOCK_MONOTONIC, ns */
	__u64 tick_gap;		 /* longest time between two ticks, ns; the tools may zero it */
	__u64 tick_cost;	 /* longest time in one tick, ns */
	__u32 tool_reserved[16]; /* enum bpvs_tool_word */
};

/* Words of tool_reserved: the tools' own, written under the instance's lock. */
enum bpvs_tool_word {
	BPVS_TOOL_GEN, /* moves before each change, so that another process sees its cache stale */
	BPVS_TOOL_LIST_HIGH, /* entries of bpvs_lists from here on were never used */
	BPVS_TOOL_SVC_HIGH,  /* the same of service ids; 0 means 1, as id 0 is never used */
	BPVS_TOOL_DEST_HIGH,
	BPVS_TOOL_LBLC_TABLE, /* number of the last table of lblc and lblcr */
	BPVS_TOOL_CHANGING,   /* a change has begun and not ended: whoever made it may be dead */
};

/*
 * Which packets are worth a look-up: one bit per hashed address, for the addresses of services and
 * for those of NAT real servers. Rebuilt by the tools; a set bit may be wrong, a clear one not.
 */
#define BPVS_FILTER_BITS 65536

struct bpvs_filter {
	__u64 vip[BPVS_FILTER_BITS / 64];
	__u64 rip[BPVS_FILTER_BITS / 64];
};

/* Bit of an address in the filter. Shared by both sides, so it is here. */
static inline __u32 bpvs_filter_bit(const struct bpvs_addr *a)
{
	__u32 h = (__u32)(a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]) * 0x9e3779b1U;

	return h >> 16;
}

/*
 * A device, in bpvs_devs at ifindex % BPVS_DEVS; two devices that share a place are no harm: the
 * one that has it not is served by TC alone.
 */
#define BPVS_DEVS	  4096
#define BPVS_DEV_XDP	  0x1 /* our XDP program sits on it (or on its parent) */
#define BPVS_DEV_REDIRECT 0x2 /* frames may be redirected to it from XDP */

struct bpvs_dev {
	__u32 ifindex;
	__u32 lower; /* the device that frames leave by: itself, or a VLAN device's parent */
	__u8 mac[6];
	__be16 vlan; /* tag that frames of this device carry on the lower one; 0 = none */
	__u32 flags;
	__u32 reserved;
};
