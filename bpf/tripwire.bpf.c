/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What comes past our programs. IPVS takes packets at LOCAL_IN, from whatever device they came; we
 * sit on devices, and one may have come since a tool last looked, be no Ethernet device, or not be
 * among those that were named. Such a packet for a service is delivered to this host, and ends at
 * the look-up of a socket for it: this program sits there, and counts.
 *
 * A socket look-up, and not a hook of netfilter, because that keeps its network namespace from
 * ending; and kernels have it since 5.9. What a socket of this host has for its own already, SCTP,
 * and what the firewall drops are not seen.
 */
#include "flow.h"
#include "maps.h"
#include "schedule.h"

#define LO_IFINDEX 1
#define AF_INET	   2

static __always_inline bool served(__u32 ifindex)
{
	__u32 at = ifindex % BPVS_DEVS;
	struct bpvs_dev *d = bpf_map_lookup_elem(&bpvs_devs, &at);

	/* This host's own packets are no device's; most come under the name of the address's. */
	if (ifindex == LO_IFINDEX || ifindex == READ_ONCE(bpvs_cfg.mark_ifindex))
		return true;
	/* Where the place is another device's, ours may be served all the same: do not cry wolf. */
	return d && READ_ONCE(d->ifindex) &&
	       (d->ifindex != ifindex || READ_ONCE(d->flags) & BPVS_DEV_COVERED);
}

SEC("sk_lookup")
int bpvs_tripwire(struct bpf_sk_lookup *ctx)
{
	struct bpvs_flow f = {};
	__u32 ifindex = ctx->ingress_ifindex, bit;

	if (likely(served(ifindex)))
		return SK_PASS;
	if (ctx->family == AF_INET) {
		f.af = BPVS_V4;
		addr_map4(&f.daddr, ctx->local_ip4);
	} else {
		f.af = BPVS_V6;
		f.daddr.w[0] = ctx->local_ip6[0];
		f.daddr.w[1] = ctx->local_ip6[1];
		f.daddr.w[2] = ctx->local_ip6[2];
		f.daddr.w[3] = ctx->local_ip6[3];
	}
	bit = bpvs_filter_bit(&f.daddr);
	if (!(READ_ONCE(bpvs_filter.vip[bit / 64 & (BPVS_FILTER_BITS / 64 - 1)]) >> (bit & 63) & 1))
		return SK_PASS;
	f.proto = (__u8)ctx->protocol;
	f.dport = bpf_htons((__u16)ctx->local_port);
	if (!bpvs_svc_find(&f))
		return SK_PASS;
	count(BPVS_EV_PAST);
	WRITE_ONCE(bpvs_cfg.past_ifindex, ifindex);
	return SK_PASS;
}

char _license[] SEC("license") __weak = "GPL";
