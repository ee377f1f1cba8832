/* SPDX-License-Identifier: GPL-2.0-only */
/* TC ingress' entry: every packet that XDP did not finish, or that no XDP program saw. */
#include "pkt_tc.h"
#include "parse.h"
#include "answer_tc.h"
#include "sip_tc.h"
#include "pipeline.h"
#include "emit_tc.h"
#include "icmp_tc.h"

SEC("tc")
int bpvs_tc(struct __sk_buff *ctx)
{
	return run(ctx);
}

char _license[] SEC("license") __weak = "GPL";
