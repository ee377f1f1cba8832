/* SPDX-License-Identifier: GPL-2.0-only */
/* TC ingress' entry: every packet that XDP did not finish, or that no XDP program saw. */
#include "pkt_tc.h"
#include "parse.h"
#include "answer_tc.h"
#include "sip_tc.h"
#include "pipeline.h"
#include "emit_tc.h"
#include "bypass_tc.h"
#include "icmp_tc.h"
#include "mark_tc.h"
#include "local_tc.h"

SEC("tc")
int bpvs_tc(struct __sk_buff *ctx)
{
	return run(ctx);
}

/* Egress: what this host itself sends. */
SEC("tc")
int bpvs_out(struct __sk_buff *ctx)
{
	return run_out(ctx);
}

SEC("tc")
int bpvs_out_walk(struct __sk_buff *ctx)
{
	return run_out_walk(ctx);
}

/* bpvs0: what netfilter has marked. */
SEC("tc")
int bpvs_mark_out(struct __sk_buff *ctx)
{
	return run_mark_out(ctx);
}

SEC("tc")
int bpvs_mark(struct __sk_buff *ctx)
{
	return run_marked(ctx);
}

char _license[] SEC("license") __weak = "GPL";
