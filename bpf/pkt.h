/* SPDX-License-Identifier: GPL-2.0-only */
/* The packet in hand, the same for both hooks; after pkt_xdp.h or pkt_tc.h named the context. */
#pragma once

/*
 * The pointers are read from the context once, and checked once against `end` when parsing; whoever
 * moves the packet's bytes opens it anew.
 */
typedef struct {
	ctx_t *ctx;
	void *data;
	void *end;
	void *net;   /* network header, checked for its fixed part */
	__u8 af;     /* a constant in each family's walk, and known as one */
	void *trans; /* transport header, checked for TCP's or UDP's; unset for later fragments */
} pkt_t;

static __always_inline void pkt_open(pkt_t *pkt, ctx_t *ctx)
{
	pkt->ctx = ctx;
	pkt->data = CTX_POINTER(ctx, data);
	pkt->end = CTX_POINTER(ctx, data_end);
}

/* `len` bytes at `off`, or NULL where the packet has not so many. */
static __always_inline void *pkt_at(const pkt_t *pkt, __u32 off, __u32 len)
{
	void *p = pkt->data + (off & 0x3ff);

	return p + len > pkt->end ? NULL : p;
}
