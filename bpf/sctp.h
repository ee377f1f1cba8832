/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SCTP: its headers, and what a packet's chunks are to the connection's state. IPVS looks at the
 * first chunk alone, but for an ABORT behind a COOKIE_ECHO or COOKIE_ACK.
 */
#pragma once

#include "flow.h"

#ifndef IPPROTO_SCTP
#define IPPROTO_SCTP 132
#endif

struct sctp_header {
	__be16 source;
	__be16 dest;
	__be32 tag;
	__le32 check; /* CRC32c of the packet, this field taken as 0; no pseudo header */
};

struct sctp_chunk {
	__u8 type;
	__u8 flags;
	__be16 len; /* with this header, without the padding to 4 bytes */
};

#define SCTP_ABORT	 6
#define SCTP_COOKIE_ECHO 10
#define SCTP_COOKIE_ACK	 11
/* In place of the type (AUTH has it, which is as DATA): an ABORT behind another chunk. */
#define SCTP_ABORT_BEHIND 15

enum sctp_event {
	EV_DATA, /* and all that has no row of its own */
	EV_INIT,
	EV_INIT_ACK,
	EV_COOKIE_ECHO,
	EV_COOKIE_ACK,
	EV_SHUTDOWN,
	EV_SHUTDOWN_ACK,
	EV_SHUTDOWN_COMPLETE,
	EV_ERROR,
	EV_ABORT,
	EV_NO_CHUNK = FLOW_NOTHING >> 4,
};

/*
 * An event as a flow's tcp_flags: the number in the upper half, and what begins or breaks an
 * association has the bit of TCP's segment that does.
 */
#define SCTP_FLAGS(event)                                                                          \
	((event) << 4 | ((event) == EV_INIT ? TH_SYN : 0) | ((event) == EV_ABORT ? TH_RST : 0))

/* By type of chunk; those from 15 on are as DATA. */
static const __u8 sctp_flags[16] = {
	[1] = SCTP_FLAGS(EV_INIT),
	[2] = SCTP_FLAGS(EV_INIT_ACK),
	[6] = SCTP_FLAGS(EV_ABORT),
	[7] = SCTP_FLAGS(EV_SHUTDOWN),
	[8] = SCTP_FLAGS(EV_SHUTDOWN_ACK),
	[9] = SCTP_FLAGS(EV_ERROR),
	[10] = SCTP_FLAGS(EV_COOKIE_ECHO),
	[11] = SCTP_FLAGS(EV_COOKIE_ACK),
	[14] = SCTP_FLAGS(EV_SHUTDOWN_COMPLETE),
	/* To the state alone: who asks for TH_RST means the first chunk, as IPVS does. */
	[SCTP_ABORT_BEHIND] = EV_ABORT << 4,
};

/* What the CRC32c of a packet of `len` bytes changes by when its first four bytes do (by xor). */
__u32 bpvs_crc32c_diff(__u32 diff, __u32 len);
