/* SPDX-License-Identifier: GPL-2.0-only */
/* What XDP hands up to TC. */
#pragma once

#include "parse.h"

static __always_inline enum bpvs_verdict answer_no_dest(pkt_t *pkt, struct bpvs_flow *f, int *act)
{
	(void)pkt, (void)f, (void)act;
	return BPVS_UP_ANSWER;
}

static __always_inline enum bpvs_verdict answer_refused(pkt_t *pkt, struct bpvs_flow *f,
							enum bpvs_verdict why,
							const struct bpvs_addr *from, __u32 mtu,
							int *act)
{
	(void)pkt, (void)f, (void)why, (void)from, (void)mtu, (void)act;
	return BPVS_UP_ANSWER;
}

static __always_inline enum bpvs_verdict icmp_related(pkt_t *pkt, struct bpvs_flow *f, __u32 now,
						      int *act)
{
	__u8 *type = pkt_at(pkt, f->l4, 1);

	(void)now, (void)act;
	return type && icmp_is_error(f->af, *type) ? BPVS_UP_ICMP : BPVS_ICMP_OTHER;
}

static __always_inline enum bpvs_verdict fragment(struct bpvs_flow *f)
{
	(void)f;
	return BPVS_UP_FRAGMENT;
}
