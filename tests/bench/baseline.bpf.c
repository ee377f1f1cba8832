/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark's own programs: the baselines, and the wrappers that put a fresh packet of another
 * flow before the measured program in every repetition of a test run.
 *
 * The kernel runs all repetitions on one buffer and resets nothing between them, so a repetition
 * starts with what the last one left: another length where a header was put in front, and rewritten
 * headers. The wrapper undoes the length, writes the template's head again with the next flow's
 * client in it, and tail calls the program.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "bench.h"

#define OFF_IP4_SUM   24
#define OFF_IP4_SRC   26
#define OFF_IP4_DST   30
#define OFF_IP4_PORTS 34
#define OFF_IP6_SRC   22
#define OFF_IP6_DST   38
#define OFF_IP6_PORTS 54

struct bench_ctl ctl;

#define PROGS(name)                                                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                             \
		__uint(max_entries, BENCH_TARGETS);                                                \
		__type(key, __u32);                                                                \
		__type(value, __u32);                                                              \
	} name SEC(".maps")

PROGS(xdp_progs);
PROGS(tc_progs);

/* ---- the packet of the next flow ---- */

static __always_inline void put16(void *data, int off, __u16 v)
{
	*(__u16 *)(data + off) = v;
}

static __always_inline void put32(void *data, int off, __u32 v)
{
	*(__u32 *)(data + off) = v;
}

static __always_inline __u32 next_flow(void)
{
	__u32 x = BENCH_NEXT(ctl.x);

	ctl.x = x;
	return ctl.base + (x & ctl.mask);
}

static __always_inline __u16 flow_port(__u32 flow)
{
	return bpf_htons(BENCH_PORT0 + flow % BENCH_PORTS);
}

static __always_inline void write_flow4(void *data, __u32 flow)
{
	__u32 client = bpf_htonl(0x0a400000 + flow / BENCH_PORTS), sum;

	sum = ctl.ip_sum + (client & 0xffff) + (client >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(data, OFF_IP4_SUM, ~sum);
	if (ctl.reply) {
		put32(data, OFF_IP4_DST, client);
		put16(data, OFF_IP4_PORTS + 2, flow_port(flow));
	} else {
		put32(data, OFF_IP4_SRC, client);
		put16(data, OFF_IP4_PORTS, flow_port(flow));
	}
}

static __always_inline void write_flow6(void *data, __u32 flow)
{
	__u32 low = bpf_htonl(flow / BENCH_PORTS);

	if (ctl.reply) {
		put32(data, OFF_IP6_DST + 12, low);
		put16(data, OFF_IP6_PORTS + 2, flow_port(flow));
	} else {
		put32(data, OFF_IP6_SRC + 12, low);
		put16(data, OFF_IP6_PORTS, flow_port(flow));
	}
}

/* In words: a memcpy() from an array of bytes would be compiled to single bytes. */
static __always_inline void write_head(__u64 *data, int words)
{
	for (int i = 0; i < words; i++)
		data[i] = ctl.tmpl[i];
}

/* The whole packet; the addresses' tails and ports are written twice, which costs next to nothing.
 */
static __always_inline int write_packet(void *data, void *end)
{
	if (ctl.v6) {
		if (data + BENCH_HEAD6 > end)
			return -1;
		write_head(data, BENCH_HEAD6 / 8);
		if (!ctl.fixed)
			write_flow6(data, next_flow());
	} else {
		if (data + BENCH_HEAD4 > end)
			return -1;
		write_head(data, BENCH_HEAD4 / 8);
		if (!ctl.fixed)
			write_flow4(data, next_flow());
	}
	return 0;
}

/* ---- XDP ---- */

static __always_inline int wrap_xdp(struct xdp_md *ctx)
{
	long len = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	int grown;

	/* The verifier refuses 32-bit arithmetic on packet pointers, which clang would make of it.
	 */
	asm volatile("" : "+r"(len));
	grown = (int)len - (int)ctl.len;
	if (grown && bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	if (write_packet((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &xdp_progs, ctl.target);
	return XDP_ABORTED;
}

SEC("xdp")
int bench_xdp(struct xdp_md *ctx)
{
	return wrap_xdp(ctx);
}

SEC("xdp")
int bench_tx(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_TX;
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
}

SEC("xdp")
int bench_swap(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	swap_macs(eth);
	return XDP_TX;
}

/* The least that any load balancer does: find the addresses and ports, then send. */
SEC("xdp")
int bench_parse(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *th;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl < 5)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	th = (void *)ip + ip->ihl * 4;
	if ((void *)(th + 1) > end || !th->dest || !ip->saddr)
		return XDP_PASS;
	swap_macs(eth);
	return XDP_TX;
}

SEC("xdp")
int bench_grow4(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -20) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp")
int bench_grow6(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -40) ? XDP_ABORTED : XDP_TX;
}

/* ---- TC ---- */

static __always_inline int wrap_tc(struct __sk_buff *skb)
{
	int grown = (int)skb->len - (int)ctl.len;

	if (grown && bpf_skb_adjust_room(skb, -grown, BPF_ADJ_ROOM_MAC, 0))
		return TC_ACT_SHOT;
	skb->mark = ctl.mark;
	if (write_packet((void *)(long)skb->data, (void *)(long)skb->data_end))
		return TC_ACT_SHOT;
	bpf_tail_call(skb, &tc_progs, ctl.target);
	return TC_ACT_SHOT;
}

SEC("tc")
int bench_tc(struct __sk_buff *skb)
{
	return wrap_tc(skb);
}

SEC("tc")
int bench_ok(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_OK;
}

SEC("tc")
int bench_grow4_tc(struct __sk_buff *skb)
{
	return bpf_skb_adjust_room(skb, 20, BPF_ADJ_ROOM_MAC, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int bench_grow6_tc(struct __sk_buff *skb)
{
	return bpf_skb_adjust_room(skb, 40, BPF_ADJ_ROOM_MAC, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
