/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets for counting what a packet costs: a generator, a sink, and the least that can be done. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "inject.h"

#define SADDR	 26
#define SPORT	 34
#define IP_CSUM	 24
#define UDP_CSUM 40
#define TCP_CSUM 50
#define CAPTURE	 96

/* One CPU runs all of this, so plain counters do. */
struct inject_spec spec;
__u32 next_flow;
__u64 sunk;
__u8 capture;
__u8 captured[CAPTURE];

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/*
 * Run on live frames "received" on one end of a veth pair, XDP_TX hands them to the other end. The
 * kernel gives us recycled pages with whatever the last one did to them, so all headers are
 * written.
 */
SEC("xdp")
int inject(struct xdp_md *ctx)
{
	__u32 flow = next_flow;
	__u8 *frame;

	if (bpf_xdp_adjust_head(ctx, INJECT_ROOM))
		return XDP_ABORTED;
	frame = (__u8 *)(long)ctx->data;
	if ((void *)(frame + INJECT_FRAME) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	next_flow = spec.flows && flow + 1 == spec.first + spec.flows ? spec.first : flow + 1;

	__u32 addr = bpf_htonl(spec.client + flow / INJECT_PORTS);
	__u16 port = bpf_htons(INJECT_PORT0 + flow % INJECT_PORTS);
	__u32 addr_sum = (addr & 0xffff) + (addr >> 16);
	__u16 l4_csum = fold(spec.l4_sum + addr_sum + port);

	for (int i = 0; i < INJECT_WORDS; i++)
		((__u64 *)frame)[i] = spec.words[i];
	if (spec.reply) {
		*(__u32 *)(frame + SADDR + 4) = addr;
		*(__u16 *)(frame + SPORT + 2) = port;
	} else {
		*(__u32 *)(frame + SADDR) = addr;
		*(__u16 *)(frame + SPORT) = port;
	}
	*(__u16 *)(frame + IP_CSUM) = fold(spec.ip_sum + addr_sum);
	if (spec.udp)
		*(__u16 *)(frame + UDP_CSUM) = l4_csum;
	else
		*(__u16 *)(frame + TCP_CSUM) = l4_csum;
	return XDP_TX;
}

/* At the injecting end: count and drop what comes back, and show one of them when asked. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	sunk++;
	if (capture) {
		__u8 *data = (__u8 *)(long)ctx->data;
		void *end = (void *)(long)ctx->data_end;

		for (int i = 0; i < CAPTURE && (void *)(data + i + 1) <= end; i++)
			captured[i] = data[i];
		capture = 0;
	}
	return XDP_DROP;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("xdp")
int reflect(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_TX;
}

/* The same two for a packet that the stack has made an skb for. */
SEC("tc")
int tc_drop(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_SHOT;
}

SEC("tc")
int tc_reflect(struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex, 0);
}

char LICENSE[] SEC("license") = "GPL";
