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
	/* Address of the kernel's vm_zone_stat, or why free memory is not known (lib/memory.c). */
	__u64 zone_stat;
};

#define BPVS_MEMORY_NO_SYMBOL	0 /* the kernel does not tell where it counts */
#define BPVS_MEMORY_FORBIDDEN	1 /* its memory may not be read (lockdown) */
#define BPVS_MEMORY_READABLE(v) ((v) > BPVS_MEMORY_FORBIDDEN)

/* CPUs that est_cpulist can name. */
#define BPVS_EST_CPUS 1024

/* Which connections a pass of the sweep ends though they have not expired. */
#define BPVS_FLUSH_ALL	   0x1
#define BPVS_FLUSH_REMOVED 0x2 /* whose destination was removed */
#define BPVS_FLUSH_MARKED  0x4 /* whose destination has BPVS_DEST_FLUSH */

/* Alterable while packets flow; each field is one aligned word, read once per packet. */
struct bpvs_config {
	__u32 tcp_timeout[BPVS_TCP_STATES]; /* clock units, indexed by state */
	__u32 udp_timeout;		    /* clock units */
	__u32 secure_tcp_on; /* TCP goes by the tables for times of attack; the timer writes it */
	__u32 services4;     /* services of each family; 0 switches the family off */
	__u32 services6;
	__u32 ftp_services;	 /* services of port 21, and of port 0: looked for ... */
	__u32 any_port_services; /* ... only where there is one */
	__u32 caller_services;	 /* services whose real servers may begin a connection (SIP) */
	/* clock: replies without a connection are guessed statelessly until then */
	__u32 full_until;
	/* sysctls of the same name */
	__u32 expire_nodest_conn;
	__u32 conn_reuse_mode;
	__u32 expire_quiescent_template;
	__u32 sloppy_tcp;
	__u32 pmtu_disc;
	__u32 run_estimation;
	__u32 icmp_rate;		      /* ICMP errors of our own a second and CPU */
	__u32 sctp_timeout[BPVS_SCTP_STATES]; /* clock units, indexed by state */
	/* written by the timer */
	__u32 sweep_at; /* next block to sweep */
	__u32 est_at;	/* next of est_svcs + est_dests to estimate */
	__u32 est_svcs; /* ids that this round visits: those below */
	__u32 est_dests;
	__u32 lblc_at;		 /* next place of bpvs_lblc to look at ... */
	__u32 lblc_pass;	 /* ... in this minute */
	__u32 lblc_num;		 /* entries of bpvs_lblc; who makes or ends one */
	__u32 no_cport_num;	 /* connections with BPVS_CONN_NO_CPORT; likewise */
	__u64 est_start;	 /* CLOCK_MONOTONIC of the estimator's running round, ns */
	__u64 tick_clock;	 /* jiffies of the last tick ... */
	__u64 tick_ktime;	 /* ... and CLOCK_MONOTONIC, ns */
	__u64 tick_gap;		 /* longest time between two ticks, ns; the tools may zero it */
	__u64 tick_cost;	 /* longest time in one tick, ns */
	__u32 tool_reserved[16]; /* enum bpvs_tool_word */
	/*
	 * A flush: the tools add to flush_what, then to flush_asked; the timer takes both, and when
	 * its pass has ended stores what it took of flush_asked in flush_done.
	 */
	__u32 flush_what; /* BPVS_FLUSH_* */
	__u32 flush_asked;
	__u32 flush_taken; /* the timer's: what the running pass answers ... */
	__u32 flush_now;   /* ... and which connections it ends */
	__u32 flush_done;
	__u32 flush_again; /* the timer's: what controls others was left, for a pass more */
	/*
	 * Defence (bpf/defence.bpf.c), written by the timer. It looks at the memory each second,
	 * and when the tools raise defence_asked; that is defence_done when it has.
	 */
	__u32 defence_at; /* clock of the next look */
	__u32 defence_asked;
	__u32 defence_done;
	__u32 drop_entry_on;  /* the sweep drops entries at random */
	__s32 drop_rate;      /* one new connection in so many is dropped; 0 = none */
	__s32 drop_counter;   /* until the next one; also moved by the data path */
	__s8 drop_classes[9]; /* drop_entry's, by packets of the connection */
	__u8 pad0[3];
	__u64 free_pages; /* at the last look */
	/* sysctls of the same name (lib/sysctl.def) */
	__s32 am_droprate;
	__s32 amemthresh;
	__s32 backup_only;
	__s32 cache_bypass;
	__s32 conn_lfactor;
	__s32 conn_max;
	__s32 conntrack;
	__s32 debug_level;
	__s32 drop_entry;
	__s32 drop_packet;
	__s32 est_nice;
	__s32 ignore_tunneled;
	__s32 lblc_expiration;	/* s */
	__s32 lblcr_expiration; /* s */
	__s32 nat_icmp_send;
	__s32 schedule_icmp;
	__s32 secure_tcp;
	__s32 sloppy_sctp;
	__s32 snat_reroute;
	__s32 svc_lfactor;
	__s32 sync_persist_mode;
	__s32 sync_ports;
	__s32 sync_refresh_period; /* s */
	__s32 sync_retries;
	__s32 sync_sock_size;
	__s32 sync_threshold[2];
	__s32 sync_version;
	__s32 backup_runs;  /* a synchronisation daemon receives, and none sends: see backup_only */
	__u32 mark_ifindex; /* bpvs0, while there are services of firewall marks; else 0 */
	__u32 past_ifindex; /* the device that bpf/tripwire.bpf.c counted last */
	__u32 pad1;
	__u64 sync_qlen_max;
	__u64 est_cpulist[BPVS_EST_CPUS / 64];
};

/* Words of tool_reserved: the tools' own, written under the instance's lock. */
enum bpvs_tool_word {
	BPVS_TOOL_GEN, /* moves before each change, so that another process sees its cache stale */
	BPVS_TOOL_LIST_HIGH, /* entries of bpvs_lists from here on were never used */
	BPVS_TOOL_SVC_HIGH,  /* the same of service ids; 0 means 1, as id 0 is never used */
	BPVS_TOOL_DEST_HIGH,
	BPVS_TOOL_CHANGING,   /* a change has begun and not ended: whoever made it may be dead */
	BPVS_TOOL_CHUNKS,     /* chunks of bpvs_buckets there are */
	BPVS_TOOL_UNIT_HIGH,  /* no table that may still be read lies behind this unit */
	BPVS_TOOL_LBLC_TABLE, /* number of the last table of lblc and lblcr */
	BPVS_TOOL_OUT,	      /* where the program at egress is (lib/out.c) */
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
 * The device that packets of firewall-mark services are routed out by, so that a program sees them
 * behind netfilter. Its address is fixed: by it a tool knows the device for ours.
 */
#define BPVS_MARK_DEV "bpvs0"
#define BPVS_MARK_MAC "\x02\x62\x70\x76\x73\x00"

/*
 * A device, in bpvs_devs at ifindex % BPVS_DEVS; two devices that share a place are no harm: the
 * one that has it not is served by TC alone.
 */
#define BPVS_DEVS	  4096
#define BPVS_DEV_XDP	  0x1	/* our XDP program sits on it (or on its parent) */
#define BPVS_DEV_REDIRECT 0x2	/* frames may be redirected to it from XDP */
#define BPVS_DEV_COVERED  0x100 /* our TC program sits on it */

struct bpvs_dev {
	__u32 ifindex;
	__u32 lower; /* the device that frames leave by: itself, or a VLAN device's parent */
	__u8 mac[6];
	__be16 vlan; /* tag that frames of this device carry on the lower one; 0 = none */
	__u32 flags;
	__u32 reserved;
};
