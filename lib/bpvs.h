/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libbpvs: the engine of the current network namespace, for the tools. No function prints or exits;
 * each returns 0 or a negative errno, and writes its ret_ parameters only on success. Not for
 * several threads. Addresses and ports are in network order, all else in host order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <bpvs/config.h>
#include <bpvs/dest.h>
#include <bpvs/reason.h>
#include <bpvs/service.h>
#include <bpvs/stats.h>

struct bpvs_instance;

/* ---- engine.c: bringing an instance up, finding it, taking it down ---- */

enum bpvs_mode {
	BPVS_MODE_AUTO, /* native XDP where the device gains from it, TC elsewhere */
	BPVS_MODE_XDP,	/* native XDP, or an error */
	BPVS_MODE_GENERIC,
	BPVS_MODE_TC,
};

struct bpvs_up_opts {
	enum bpvs_mode mode;
	const char *const
		*devs;	       /* NULL-terminated; NULL = every Ethernet device but bridge ports */
	unsigned int conns;    /* 0 = default (1 << 20) */
	unsigned int services; /* 0 = default */
	unsigned int dests;    /* 0 = default */
};

/* What went wrong, in words that name the missing thing; "" when the errno says all. Static. */
const char *bpvs_error(void);

/* -EEXIST: this namespace has an instance already. On any error nothing is left behind. */
int bpvs_up(const struct bpvs_up_opts *opts);

/* -ENOENT: no instance. Removes programs, maps, pins, and what else bpvs_up() made or changed. */
int bpvs_down(void);

/* May this process open one at all? Elsewhere the answer is -EPERM. */
bool bpvs_privileged(void);

/* -ENOENT: no instance in this namespace. Covers devices that appeared since the last call. */
int bpvs_open(struct bpvs_instance **ret);
/* As bpvs_open(), but brings an instance up with defaults where there is none. */
int bpvs_open_or_up(struct bpvs_instance **ret);
void bpvs_close(struct bpvs_instance *in);

/*
 * What an instance that bpvs_up() brings up begins with, in this process alone: to compare with.
 * Only timeouts and sysctls can be asked of it.
 */
int bpvs_blank_new(struct bpvs_instance **ret);
void bpvs_blank_free(struct bpvs_instance *in);

/* Clock units since `then`; negative when it lies ahead. clock_hz units make a second. */
int bpvs_clock_since(struct bpvs_instance *in, __u32 then);
unsigned int bpvs_clock_hz(const struct bpvs_instance *in);

struct bpvs_status {
	enum bpvs_mode mode;
	bool all_devs; /* devices that appear are covered too */
	__u64 conns;   /* connections in the table now */
	unsigned int conns_max;
	unsigned int conn_bytes; /* memory for each of conns_max */
	__u64 table_bytes;
	unsigned int services, services_max, dests_max;
	enum bpvs_memory {
		BPVS_MEMORY_KNOWN,
		BPVS_MEMORY_UNNAMED, /* the kernel's symbols do not say where it is counted */
		BPVS_MEMORY_LOCKED,  /* programs may not read the kernel's memory */
	} memory;
	__u64 free_pages;
	int few_pages; /* amemthresh */
	int tripwire;  /* 0, or the errno: what comes past our programs is not counted */
	unsigned int past_ifindex; /* the device that such a packet came by last; 0 = none did */
	__u64 tick_gap_ns, tick_cost_ns; /* of the timer, since it was brought up */
};

int bpvs_status_get(struct bpvs_instance *in, struct bpvs_status *ret);

struct bpvs_device_info {
	const char *name;
	const char *how; /* "xdp native + tc", "xdp generic + tc", "tc", "none" */
	const char *why; /* "" or a reason in parentheses, after a space */
};

/* Every device of the namespace; lo only where there is something amiss. */
int bpvs_device_walk(struct bpvs_instance *in,
		     int (*cb)(const struct bpvs_device_info *dev, void *arg), void *arg);

/*
 * watch.c: cover devices as they appear, until the descriptor can be read. Whether an instance is
 * there to cover them for is told at the start and after each change of devices: 0, -ENOENT for
 * none, or another error. named: the one that is there covers what it was told, and no others.
 */
int bpvs_watch(int stop, void (*tell)(int err, bool named, void *arg), void *arg);

/* Exclusive lock of the instance's tables between tools; given back by unlock, close or death. */
int bpvs_lock(struct bpvs_instance *in);
void bpvs_unlock(struct bpvs_instance *in);

/* ---- service.c: services and destinations ---- */

struct bpvs_svc_info {
	struct bpvs_svc_key key;
	__u32 flags; /* BPVS_SVC_PERSISTENT, BPVS_SVC_ONEPACKET */
	__u32 sched; /* enum bpvs_sched_id */
	__u32 sched_flags;
	__u32 timeout; /* s */
	__be32 netmask;
	__u32 pe;	 /* enum bpvs_pe */
	__u32 num_dests; /* only read */
	__u32 id;	 /* only read */
};

/* Of the wrapping of a tunnel, numbered as IP_VS_TUNNEL_ENCAP_FLAG_* in <linux/ip_vs.h>. */
#define BPVS_TUN_CSUM	 0x1
#define BPVS_TUN_REMCSUM 0x2

struct bpvs_dest_info {
	struct bpvs_addr addr;
	__be16 port;
	__u8 af;
	/* enum bpvs_fwd, as configured: to an address of this host the data path delivers */
	__u8 fwd;
	__s32 weight;
	__u32 u_threshold;
	__u32 l_threshold;
	/*
	 * Of a tunnel, kept as they were said whatever they mean, as the kernel does: see
	 * bpvs_dest_tunnel().
	 */
	__u8 tun_type;			    /* BPVS_TUNNEL_IPIP ...; any other is IPIP */
	__be16 tun_port;		    /* GUE's, which needs one */
	__u16 tun_flags;		    /* BPVS_TUN_* */
	__u32 active, inactive, persistent; /* only read */
	__u32 id;			    /* only read */
};

/*
 * Errors are the kernel's: -EEXIST, -ESRCH (no such service), -ENOENT (no such destination or
 * scheduler), -EINVAL, -ERANGE (l_threshold > u_threshold), -ENOSPC (tables full).
 * All take the lock themselves unless the caller holds it.
 */
int bpvs_svc_add(struct bpvs_instance *in, const struct bpvs_svc_info *svc);
int bpvs_svc_edit(struct bpvs_instance *in, const struct bpvs_svc_info *svc);
int bpvs_svc_del(struct bpvs_instance *in, const struct bpvs_svc_key *key);
int bpvs_svc_get(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		 struct bpvs_svc_info *ret);
int bpvs_flush(struct bpvs_instance *in);

/* What its packets are wrapped in, as BPVS_TUNNEL_*: of what was said that which has an effect. */
__u8 bpvs_dest_tunnel(const struct bpvs_dest_info *dest);
/* What bpvs_dest_add() would say of these whatever the tables hold. */
int bpvs_dest_check(const struct bpvs_svc_key *key, const struct bpvs_dest_info *dest);
int bpvs_dest_add(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		  const struct bpvs_dest_info *dest);
int bpvs_dest_edit(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		   const struct bpvs_dest_info *dest);
int bpvs_dest_del(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		  const struct bpvs_addr *addr, __be16 port);

/* Walks call back in the kernel's order; a non-zero return ends the walk and is handed on. */
typedef int (*bpvs_svc_cb)(const struct bpvs_svc_info *svc, void *arg);
typedef int (*bpvs_dest_cb)(const struct bpvs_dest_info *dest, void *arg);
int bpvs_svc_walk(struct bpvs_instance *in, bpvs_svc_cb cb, void *arg);
int bpvs_dest_walk(struct bpvs_instance *in, const struct bpvs_svc_key *key, bpvs_dest_cb cb,
		   void *arg);

/* ---- snapshot.c ---- */

struct bpvs_snapshot_row {
	struct bpvs_svc_info svc;
	struct bpvs_dest_info *dests;
	unsigned int num_dests;
};

/* A copy of the services and destinations; of one moment if the caller holds the lock. */
struct bpvs_snapshot {
	struct bpvs_snapshot_row *rows;
	unsigned int num;
};

/* All services, or one when key is given. `sorted`: by ipvsadm's order, else by the engine's. */
int bpvs_snapshot_read(struct bpvs_instance *in, const struct bpvs_svc_key *key, bool sorted,
		       struct bpvs_snapshot *ret);
void bpvs_snapshot_free(struct bpvs_snapshot *s);

/* ---- stats.c ---- */

/* Counters less the zero point, and rates as IPVS reports them (per second, whole numbers). */
struct bpvs_stats_info {
	struct bpvs_stats total;
	struct bpvs_stats rate; /* conns = cps, inpkts = inpps, ... */
};

/* index: BPVS_STATS_TOTAL, bpvs_stats_svc(), bpvs_stats_dest() */
int bpvs_stats_get(struct bpvs_instance *in, unsigned int index, struct bpvs_stats_info *ret);
unsigned int bpvs_stats_svc(const struct bpvs_instance *in, __u32 svc_id);
unsigned int bpvs_stats_dest(const struct bpvs_instance *in, __u32 dest_id);
/* What one CPU has counted, from the start on, whatever was zeroed. */
void bpvs_stats_cpu(const struct bpvs_instance *in, unsigned int index, unsigned int cpu,
		    struct bpvs_stats *ret);
/* key NULL = all services and the total. */
int bpvs_stats_zero(struct bpvs_instance *in, const struct bpvs_svc_key *key);
/* Sum over CPUs of a reason's or an event's counter. */
int bpvs_counter_get(struct bpvs_instance *in, unsigned int counter, __u64 *ret);

/* ---- conn.c ---- */

struct bpvs_conn_info {
	struct bpvs_addr caddr, vaddr, daddr;
	__be16 cport, vport, dport;
	__u8 af;
	__u8 daf; /* family of daddr: differs for tunnels */
	__u8 proto;
	__u8 state; /* enum bpvs_tcp_state; 0 for UDP; of a template BPVS_TEMPLATE_ASSURED or 0 */
	__u8 fwd;
	bool active;
	bool template; /* then proto may be IPPROTO_IP, and vaddr a firewall mark */
	__u32 dest;
	__s32 expires_ms; /* from now, never negative */
	__u32 pkts;
	const char *call; /* template by Call-ID: that; until the callback returns. Or NULL */
};

typedef int (*bpvs_conn_cb)(const struct bpvs_conn_info *conn, void *arg);
int bpvs_conn_walk(struct bpvs_instance *in, bpvs_conn_cb cb, void *arg);

/*
 * End connections, which takes the timer a second or two in a table of millions; those that are
 * made meanwhile may be among them. All of them: and forget the removed destinations. Those of
 * destinations with this address, and port unless it is 0, of one service unless svc is NULL:
 * -ENOENT if there is no such destination. -ETIMEDOUT: the timer does not answer.
 */
int bpvs_conns_flush(struct bpvs_instance *in);
int bpvs_conns_flush_dest(struct bpvs_instance *in, const struct bpvs_svc_key *svc,
			  const struct bpvs_addr *addr, __be16 port);
const char *bpvs_conn_state_name(__u8 proto, __u8 state);
const char *bpvs_conn_state(const struct bpvs_conn_info *conn);

/* ---- timeouts and sysctls: config.c ---- */

struct bpvs_timeouts {
	__u32 tcp, tcp_fin, udp; /* s; 0 on setting keeps the old value */
};

int bpvs_timeouts_get(struct bpvs_instance *in, struct bpvs_timeouts *ret);
int bpvs_timeouts_set(struct bpvs_instance *in, const struct bpvs_timeouts *t);

/*
 * The knobs of net.ipv4.vs as text, read and taken as the kernel's files in /proc/sys are: numbers
 * in decimal, 0x or 0 before octal; what follows the last one after a space is not looked at.
 * -ENOENT: no such knob. -EINVAL, -ERANGE, -EOVERFLOW: where the kernel refuses, as it does.
 */
#define BPVS_SYSCTL_SIZE 4096 /* the longest value, with its 0 */
int bpvs_sysctl_get(struct bpvs_instance *in, const char *name, char *ret, size_t size);
int bpvs_sysctl_set(struct bpvs_instance *in, const char *name, const char *value);
/*
 * Would setting it change it? 1, 0, or the error that bpvs_sysctl_set() would return. The automatic
 * modes of a defence, 1 and 2, are one: memory moves it between them.
 */
int bpvs_sysctl_differs(struct bpvs_instance *in, const char *name, const char *value);
/* What setting it does here; NULL: no such knob. */
const char *bpvs_sysctl_effect(const char *name);
/* Names in alphabetical order, NULL-terminated. */
const char *const *bpvs_sysctl_names(void);

/* ---- view.c: what /proc/net/ip_vs* say ---- */

/* NULL after the last one. */
const char *bpvs_view_name(unsigned int index);
/* -ENOENT: no such file. Errors of the stream are the caller's to look for. */
int bpvs_view_write(struct bpvs_instance *in, const char *name, FILE *to);

/* ---- stream.c: standard input and output, of a tool ---- */

/* First of all, so that where one of them is closed no other file takes its place. */
void bpvs_streams_hold(void);
/* After all was said: 0, or why not all of it has arrived. */
int bpvs_stream_end(FILE *file);

/* ---- names.c ---- */

const char *bpvs_sched_name(unsigned int sched); /* NULL: no such scheduler */
int bpvs_sched_find(const char *name, unsigned int *ret);
/* The names of the bits of sched_flags; those of a scheduler go with that scheduler only. */
struct bpvs_sched_flag {
	const char *name;  /* NULL: the end of the table */
	const char *sched; /* or NULL */
	__u32 bit;
};
extern const struct bpvs_sched_flag bpvs_sched_flags[];
/* "sh-port", or "flag-2" where the scheduler has no name of its own for it. */
const char *bpvs_sched_flag_name(unsigned int sched, __u32 bit);

const char *bpvs_pe_name(unsigned int pe);	       /* "" for none */
int bpvs_pe_find(const char *name, unsigned int *ret); /* -ENOENT */
const char *bpvs_fwd_name(unsigned int fwd);	       /* "Masq", "Local", "Tunnel", "Route" */
const char *bpvs_tunnel_name(unsigned int type);       /* "ipip", "gue", "gre" */
const char *bpvs_tunnel_checksum(unsigned int flag);   /* "none", "full", "remote" */
