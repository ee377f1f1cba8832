/* SPDX-License-Identifier: GPL-2.0-only */
/* The connection table: slots of one mmapable array, read and written without locks. */
#pragma once

#include <bpvs/addr.h>

/*
 * A connection lives in one 64-byte slot, found from the client endpoint (protocol, client address,
 * client port), so that request and reply meet the same slot. `home` is the slot that the hash
 * names; the entry sits within BPVS_CONN_WINDOW slots after it, or, when that window is full, in
 * the overflow slots behind the last home, where the map bpvs_spill finds it.
 *
 * `word` is the whole life of a slot and changes only by compare-and-swap:
 *
 *   bits  0..1   enum bpvs_slot_status
 *   bit   2      BPVS_WORD_ACTIVE: counted in the destination's active, else in its inactive count
 *   bit   3      BPVS_WORD_NOOUTPUT: no packet of the real server has been seen (input-only states)
 *   bit   4      BPVS_WORD_STALE: a template whose server is not to be had any more; it waits for
 *                its expiry, and no look-up finds it
 *   bit   5      BPVS_WORD_HERE: its client is this host itself
 *   bits  8..15  protocol state (enum bpvs_tcp_state, bpvs_sctp_state; 0 for UDP;
 *                BPVS_TEMPLATE_ASSURED)
 *   bits 16..31  generation, +1 each time the slot is freed
 *   bits 32..63  expiry, in clock units (struct bpvs_rodata), wraps
 *
 * The winner of the swap, and nobody else, moves the destination's counters. All other fields are
 * written between claiming (FREE to BUSY) and publishing (TENTATIVE), and do not change until the
 * slot is free again; pkts and nh are the exceptions, and are hints, and what templates count.
 *
 * A persistence template is an entry like a connection, from a client network to a service, with
 * ~protocol in `proto`: so no packet ever matches it, and what looks packets up need not ask. Its
 * home depends on the service, too, for one client may have templates with many. `controls` counts
 * the connections that were made by it; it does not end while there are any. The same holds for an
 * FTP control connection and its data connections.
 */
enum bpvs_slot_status {
	BPVS_SLOT_FREE = 0,
	BPVS_SLOT_BUSY = 1,	 /* claimed: being filled or emptied */
	BPVS_SLOT_TENTATIVE = 2, /* filled, but a rival for the same flow may still win */
	BPVS_SLOT_VALID = 3,
};

#define BPVS_WORD_STATUS       0x03ULL
#define BPVS_WORD_ACTIVE       0x04ULL
#define BPVS_WORD_NOOUTPUT     0x08ULL
#define BPVS_WORD_STALE	       0x10ULL
#define BPVS_WORD_HERE	       0x20ULL
#define BPVS_WORD_STATE_SHIFT  8
#define BPVS_WORD_GEN_SHIFT    16
#define BPVS_WORD_EXPIRY_SHIFT 32

#define BPVS_WORD_GEN_MASK   0xffff0000ULL
#define BPVS_WORD_STATE_MASK 0xff00ULL

/* Overflow slots begin this far behind the last home, so that every home has a whole window. */
#define BPVS_CONN_WINDOW 32

/* Slots that the sweep looks at together; a page of them. */
#define BPVS_BLOCK 64

/* flags of a connection */
#define BPVS_CONN_FWD	   0x07 /* enum bpvs_fwd */
#define BPVS_CONN_V6	   0x08
#define BPVS_CONN_SPILLED  0x10 /* in an overflow slot, keyed in bpvs_spill */
#define BPVS_CONN_TEMPLATE 0x20
#define BPVS_CONN_CALL	   0x40 /* a template by Call-ID, which is in bpvs_calls */
/* No template: FTP's, announced by its control connection; the client's port is yet to come (0). */
#define BPVS_CONN_NO_CPORT 0x40
#define BPVS_CONN_APP	   0x80 /* NAT, FTP's control connection: its payload is read, by TC */

/* State of a template: one of its connections was established. The kernel's is 1, too. */
#define BPVS_TEMPLATE_ASSURED 1

/* What still controls connections when it expires stays for so long (s) more. */
#define BPVS_CONTROL_AGAIN 60

struct bpvs_conn {
	__u64 word;
	/*
	 * Of this slot as a home, whatever it holds itself: bit d (0..31) set when slot home+d
	 * holds an entry of this home; bits 32..63 count the entries of this home that spilled.
	 */
	__u64 hop;
	__be32 caddr; /* IPv4; for IPv6 a hash of the three addresses, which are in bpvs_conn6 */
	__be32 vaddr;
	__be32 daddr;
	__be16 cport;
	__be16 vport;
	__be16 dport;
	__u8 proto; /* IPPROTO_*; of a template its complement */
	__u8 flags; /* BPVS_CONN_* */
	__u32 dest; /* index into bpvs_dests */
	__u32 home;
	__u32 pkts; /* packets from the client, not exact across CPUs */
	/*
	 * Next hop of replies (NAT): index in bpvs_nexthops << 16 | time it was checked. Template
	 * by Call-ID: the hash of that, of which cport has more.
	 */
	__u32 nh;
	__u32 control;	/* slot of what controls it (that template), plus 1; 0 = none */
	__s32 controls; /* connections that it controls; balanced whoever has the slot */
	__u32 timeout;	/* template: clock units from its latest connection on */
};

/* The Call-ID of a template, in bpvs_calls by its slot. */
struct bpvs_call {
	__u8 len;
	char text[255];
};

/* The addresses of an IPv6 connection, at the same index as its slot. */
struct bpvs_conn6 {
	struct bpvs_addr caddr;
	struct bpvs_addr vaddr;
	struct bpvs_addr daddr;
	__u64 reserved[2];
};

/*
 * Where a spilled connection is: two entries, one a direction. peer is the virtual endpoint for
 * requests (reply = 0) and the real server's for replies (reply = 1; NAT only).
 */
struct bpvs_spill_key {
	struct bpvs_addr caddr;
	struct bpvs_addr peer;
	__be16 cport;
	__be16 pport;
	__u8 proto;
	__u8 reply;
	__u16 zero;
};

/* TCP's states as IPVS numbers them; the order is that of the state tables. */
enum bpvs_tcp_state {
	BPVS_TCP_NONE = 0,
	BPVS_TCP_ESTABLISHED,
	BPVS_TCP_SYN_SENT,
	BPVS_TCP_SYN_RECV,
	BPVS_TCP_FIN_WAIT,
	BPVS_TCP_TIME_WAIT,
	BPVS_TCP_CLOSE,
	BPVS_TCP_CLOSE_WAIT,
	BPVS_TCP_LAST_ACK,
	BPVS_TCP_LISTEN,
	BPVS_TCP_SYNACK,
	BPVS_TCP_STATES
};

/* SCTP's, likewise. */
enum bpvs_sctp_state {
	BPVS_SCTP_NONE = 0,
	BPVS_SCTP_INIT1,
	BPVS_SCTP_INIT,
	BPVS_SCTP_COOKIE_SENT,
	BPVS_SCTP_COOKIE_REPLIED,
	BPVS_SCTP_COOKIE_WAIT,
	BPVS_SCTP_COOKIE,
	BPVS_SCTP_COOKIE_ECHOED,
	BPVS_SCTP_ESTABLISHED,
	BPVS_SCTP_SHUTDOWN_SENT,
	BPVS_SCTP_SHUTDOWN_RECEIVED,
	BPVS_SCTP_SHUTDOWN_ACK_SENT,
	BPVS_SCTP_REJECTED,
	BPVS_SCTP_CLOSED,
	BPVS_SCTP_STATES
};
