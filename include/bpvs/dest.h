/* SPDX-License-Identifier: GPL-2.0-only */
/* Destinations (real servers of a service) and next hops. */
#pragma once

#include <bpvs/addr.h>
#include <bpvs/service.h>

/* Forwarding methods, numbered as IP_VS_CONN_F_MASQ ... IP_VS_CONN_F_BYPASS in <linux/ip_vs.h>. */
enum bpvs_fwd {
	BPVS_FWD_MASQ = 0,
	BPVS_FWD_LOCAL = 1,
	BPVS_FWD_TUNNEL = 2,
	BPVS_FWD_DROUTE = 3,
	BPVS_FWD_BYPASS = 4, /* of connections only: to where the client meant it */
	/* MASQ to an address of this host; what is configured says MASQ. A bit more than LOCAL. */
	BPVS_FWD_LOCAL_NAT = 5,
};

static inline _Bool bpvs_fwd_nat(__u32 fwd)
{
	return fwd == BPVS_FWD_MASQ || fwd == BPVS_FWD_LOCAL_NAT;
}

/* To this host itself, one way or the other. */
static inline _Bool bpvs_fwd_local(__u32 fwd)
{
	return (fwd & 3) == BPVS_FWD_LOCAL;
}

/* How a tunnel wraps, numbered as IP_VS_CONN_F_TUNNEL_TYPE_* there; the flags four bits up. */
#define BPVS_TUNNEL_IPIP     0x00
#define BPVS_TUNNEL_GUE	     0x01
#define BPVS_TUNNEL_GRE	     0x02
#define BPVS_TUNNEL_TYPE     0x0f
#define BPVS_TUNNEL_CSUM     0x10
#define BPVS_TUNNEL_REMCSUM  0x20
#define BPVS_TUNNEL_FLAGS(t) ((t) >> 4)

/*
 * How to reach a neighbour, found by the FIB and kept for about a second. A sequence lock of two
 * halves: a writer stores src (with the next sequence number), then the middle, then dst; a reader
 * takes dst, the middle, src, and has a torn read when the numbers differ. Number 0 = empty.
 */
struct bpvs_nexthop {
	__u64 dst;     /* bytes 0..5 destination MAC, 6..7 sequence number */
	__u32 ifindex; /* the route's device */
	__u16 mtu;
	__be16 vlan;   /* 802.1Q tag to push, 0 = none */
	__u32 checked; /* clock of the last look-up; who moves it by compare-and-swap looks up */
	__u32 lower;   /* device that XDP redirects to (a VLAN's parent), 0 = XDP cannot */
	__u64 src;     /* bytes 0..5 our MAC, 6..7 sequence number */
};

/* Entries of bpvs_nexthops, the next hops of replies; 0 is never used. */
#define BPVS_NEXTHOPS 1024

#define BPVS_DEST_IN_USE    0x1
#define BPVS_DEST_AVAILABLE 0x2 /* in its service's list; cleared when it is removed */
#define BPVS_DEST_NAT	    0x4 /* MASQ, or was while connections that may still live were made */
#define BPVS_DEST_FLUSH	    0x8 /* its connections are being ended (BPVS_FLUSH_MARKED) */

/*
 * A destination: slot `id` of bpvs_dests; id 0 is never used. A removed one keeps its slot, without
 * AVAILABLE, while connections refer to it (active + inactive + persistent > 0) and for 120 s after
 * removal; adding the same endpoint to the same service again revives it, as IPVS's trash does.
 */
struct bpvs_dest {
	/* line 0: all that a packet of an established connection needs */
	__u32 flags;
	__u32 svc; /* index into bpvs_svcs */
	struct bpvs_nexthop nh;
	__u16 pmtu; /* learned from ICMP for tunnels, 0 = none */
	__u16 pad;
	__u32 pmtu_at; /* clock when it was learned */
	__u8 pad0[16];
	/* line 1: configuration */
	struct bpvs_addr addr;
	struct bpvs_addr
		tun_src; /* what we speak to it from: source of a tunnel's outer header, and of
			  * errors to a NAT server; family of addr; all zero = unknown */
	__be16 port;
	__u8 af;
	__u8 fwd; /* enum bpvs_fwd */
	__u32 u_threshold;
	__u32 l_threshold;
	__s32 weight;
	__u32 removed_at;  /* clock */
	__u32 epoch;	   /* that of its service when it was added: see struct bpvs_svc */
	__u8 fwd_set;	   /* the method as configured; fwd differs from it for a local address */
	__u8 tunnel;	   /* BPVS_TUNNEL_*: what tun_type and tun_flags come to */
	__be16 tun_port;   /* GUE's */
	__s32 last_weight; /* the last that was not 0, unless it was added with 0: mh's */
	/* line 2: counters, moved by atomics in the data path */
	__s32 active;
	__s32 inactive;
	__s32 persistent;
	__u32 overload; /* 1 while the thresholds keep new connections away */
	/* configuration again, as it was said: see struct bpvs_dest_info */
	__u16 tun_flags;
	__u8 tun_type;
	__u8 pad2[45];
};

/* An element of bpvs_dests: see BPVS_CHUNK_OF. */
struct bpvs_dest_chunk {
	struct bpvs_dest dest[BPVS_CHUNK_OF];
};
