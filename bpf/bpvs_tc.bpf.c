/* SPDX-License-Identifier: GPL-2.0-only */
/* TC ingress' entry: every packet that XDP did not finish, or that no XDP program saw. */
#include "pkt_tc.h"
#include "parse.h"
#include "answer_tc.h"
#include "pipeline.h"
#include "icmp_tc.h"

/* The flow of the packet in hand; on the stack it would leave ICMP errors too little of that. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpvs_flow);
} bpvs_flows SEC(".maps");

SEC("tc")
int bpvs_tc(struct __sk_buff *ctx)
{
	struct bpvs_flow *f;
	__u32 zero = 0;

	f = bpf_map_lookup_elem(&bpvs_flows, &zero);
	if (!f)
		return PKT_PASS;
	__builtin_memset(f, 0, sizeof(*f));
	return run(ctx, f);
}

char _license[] SEC("license") __weak = "GPL";
