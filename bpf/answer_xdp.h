/* SPDX-License-Identifier: GPL-2.0-only */
/* What XDP hands up to TC. */
#pragma once

#include "conn.h"
#include "parse.h"

static __always_inline int answer_no_dest(struct conn_scratch *x, __u32 counts)
{
	(void)x, (void)counts;
	return BPVS_UP_ANSWER;
}

static __always_inline int answer_refused(const struct bpvs_flow *f, enum bpvs_verdict why,
					  const struct bpvs_addr *from, __u32 mtu, __u32 counts)
{
	(void)f, (void)why, (void)from, (void)mtu, (void)counts;
	return BPVS_UP_ANSWER;
}

static __always_inline int icmp_related(pkt_t *pkt, struct bpvs_flow *f)
{
	__u8 *type = pkt_at(pkt, f->l4, 1);

	return type && icmp_is_error(f->af, *type) ? BPVS_UP_ICMP : BPVS_ICMP_OTHER;
}

static __always_inline int pkt_local(pkt_t *pkt, const struct bpvs_flow *f,
				     const struct conn_hit *hit, const struct bpvs_dest *d)
{
	(void)pkt, (void)f, (void)hit, (void)d;
	return BPVS_UP_LOCAL;
}

static __always_inline int emit_here(const struct conn_hit *hit, bool reply)
{
	(void)hit, (void)reply;
	return BPVS_UP_LOCAL;
}

static __always_inline int fragment(bool started)
{
	(void)started;
	return BPVS_UP_FRAGMENT;
}

static __always_inline int call_read(ctx_t *ctx, struct conn_scratch *x)
{
	(void)ctx, (void)x;
	return BPVS_UP_PAYLOAD;
}

static __always_inline int call_out(ctx_t *ctx, struct conn_scratch *x)
{
	(void)ctx, (void)x;
	return BPVS_UP_PAYLOAD;
}

static __always_inline int conn_bypass(const struct bpvs_flow *f, const struct conn_hit *hit)
{
	(void)f, (void)hit;
	return BPVS_UP_BYPASS;
}

static __always_inline int run_bypass(ctx_t *ctx)
{
	(void)ctx;
	return BPVS_UP_BYPASS;
}

static __always_inline int run_emit(ctx_t *ctx, int v)
{
	(void)ctx;
	return v;
}

static __always_inline int run_special(ctx_t *ctx, struct conn_scratch *x, int later)
{
	(void)ctx, (void)x, (void)later;
	return BPVS_BUG_MAP;
}
