/* SPDX-License-Identifier: GPL-2.0-only */
/* XDP's entry: the fast path. */
#include "pkt_xdp.h"
#include "parse.h"
#include "answer_xdp.h"
#include "pipeline.h"

SEC("xdp.frags")
int bpvs_xdp(struct xdp_md *ctx)
{
	return run(ctx);
}

char _license[] SEC("license") __weak = "GPL";
