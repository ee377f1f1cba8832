/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual services and the ordered lists of their destinations. */
#pragma once

#include <bpvs/addr.h>

/* Key of bpvs_svc_ids. A fwmark service has fwmark and af set and all else zero. */
struct bpvs_svc_key {
	struct bpvs_addr addr;
	__u32 fwmark; /* host order */
	__be16 port;
	__u8 proto; /* IPPROTO_* */
	__u8 af;    /* enum bpvs_family */
};

/*
 * Or-ed into `af`: not a service but the endpoint of a NAT destination, and the value is its id.
 * BPVS_RIP_SHARED is or-ed to the id when what comes from there does not tell its service
 * (lib/rip.c). Used while the connection table is full, and for nat_icmp_send.
 */
#define BPVS_KEY_RIP	0x80
#define BPVS_RIP_SHARED 0x80000000

/* The order is the order of sched.def, which names them. */
enum bpvs_sched_id {
#define BPVS_SCHED(id, name) BPVS_SCHED_##id,
#include <bpvs/sched.def>
#undef BPVS_SCHED
	BPVS_SCHEDS
};

/* Persistence engines: by what else than the client a template is found. */
enum bpvs_pe { BPVS_PE_NONE, BPVS_PE_SIP, BPVS_PES };

#define BPVS_SVC_IN_USE	    0x1
#define BPVS_SVC_PERSISTENT 0x2 /* as IP_VS_SVC_F_* mean them, numbers are our own */
#define BPVS_SVC_ONEPACKET  0x4

/* Bits of sched_flags, numbered as IP_VS_SVC_F_SCHED1 and on; sh and mh mean these by them: */
#define BPVS_SCHED_FALLBACK 0x08 /* an unusable destination's clients go to others */
#define BPVS_SCHED_PORT	    0x10 /* the source port is hashed too */
#define BPVS_SCHED_FLAG_3   0x20 /* nothing to any of them */

/*
 * A service: slot `id` of bpvs_svcs; id 0 is never used. Written by the tools under the instance's
 * lock, but for sched_state, which the data path moves by compare-and-swap and the tools too.
 */
struct bpvs_svc {
	struct bpvs_svc_key key;
	__u32 flags;
	__u32 sched; /* enum bpvs_sched_id */
	__u32 sched_flags;
	/*
	 * The destination list: `off` (low half) and `len` (high half) in one word, so that one
	 * store publishes a new list. Entries bpvs_lists[off .. off+len-1] stand in the order of
	 * adding; IPVS puts a new destination at the head, so its order is from off+len-1 down to
	 * off. "Position" p everywhere means entry off+p.
	 */
	__u64 list;
	/*
	 * Low half: position of the destination chosen last, plus one; 0 = before the first.
	 * High half: wrr's current weight (signed).
	 * Of lblc and lblcr: number of the table, and how many entries it has (lblc.h).
	 */
	__u64 sched_state;
	__s32 wrr_step; /* greatest common divisor of the weights > 0, or 1 */
	__s32 wrr_max;	/* largest weight less (wrr_step - 1), or 0 without any */
	/* second line: what only the tools and the slow path read */
	__u32 timeout;	/* persistence, s */
	__be32 netmask; /* of persistence: IPv4 mask; for IPv6 the prefix length in host order */
	/*
	 * Counts the services that this slot held. A slot is kept for its endpoint while removed
	 * destinations refer to it; the epoch tells whether one was removed from this very service
	 * (its statistics go on) or from an earlier one of the same endpoint (they start anew).
	 */
	__u32 epoch;
	__u32 pe; /* enum bpvs_pe */
	/*
	 * The table of a scheduler that hashes: its first unit of bpvs_buckets (low half) and its
	 * number of buckets (high half) in one word; 0 = none. One store publishes a new table.
	 */
	__u64 buckets;
	/* lblc, lblcr: the timer's; see lblc_turn() */
	__u32 lblc_pass;
	__u32 lblc_runs;
	__s32 lblc_goal;
	__u32 reserved[7];
};

/*
 * Destinations of one service. A scheduler that compares them all walks so far and no farther, so
 * the tools refuse more (-ENOSPC).
 */
#define BPVS_LIST_MAX 1024

/*
 * The tables of dh, sh and mh: destinations by hash value, 0 = none. A table is a run of units; the
 * units are numbered through the chunks, which bpvs_buckets holds as far as they are needed.
 */
#define BPVS_BUCKETS	256  /* of dh and sh, as CONFIG_IP_VS_DH_TAB_BITS and _SH_ have it */
#define BPVS_BUCKETS_MH 4093 /* a prime, as CONFIG_IP_VS_MH_TAB_INDEX has it */
#define BPVS_UNIT	256  /* buckets */
#define BPVS_CHUNK	256  /* units */

struct bpvs_bucket_unit {
	__u32 dest[BPVS_UNIT]; /* each replaced by one store */
};

/* One destination in a list. Replaced whole by one 64-bit store. */
struct bpvs_list_entry {
	__u32 dest;   /* index into bpvs_dests */
	__s32 weight; /* <= 0: takes no new connections */
};

/*
 * Elements of bpvs_lists, and of bpvs_dests (struct bpvs_dest_chunk), are large, so that a walk
 * over a list looks up one or two and not one a destination. To the tools both maps are plain
 * arrays, and lists begin and end where they like.
 */
#define BPVS_CHUNK_OF 1024

struct bpvs_list_chunk {
	__u64 entry[BPVS_CHUNK_OF]; /* struct bpvs_list_entry: the weight is the high half */
};
