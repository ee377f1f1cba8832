/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Marks a network namespace as having an instance (include/bpvs/anchor.h), and sends out what came
 * round by lo (local_tc.h).
 */
#include "flow.h"
#include "maps.h"
#include <bpvs/anchor.h>
#include <linux/pkt_cls.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bpvs_anchor);
} bpvs_anchor_map SEC(".maps");

/*
 * Emptied by the kernel when lo goes, that is when the namespace goes: how a pin that outlived its
 * namespace is told from a live one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bpvs_alive SEC(".maps");

int bpvs_let_out(struct __sk_buff *ctx, __u32 id);

SEC("tc")
int bpvs_anchor(struct __sk_buff *skb)
{
	void *data = CTX_POINTER(skb, data), *from = data + ETH_ALEN;
	__u32 zero = 0;

	/* Never NULL; the look-up is there for the reference to the map. */
	if (!bpf_map_lookup_elem(&bpvs_anchor_map, &zero))
		return TC_ACT_OK;
	if (data + ETH_HLEN <= CTX_POINTER(skb, data_end) && *(__u16 *)from == BPVS_OUT_TAG)
		return bpvs_let_out(skb, *(__u32 *)(from + 2));
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") __weak = "GPL";
