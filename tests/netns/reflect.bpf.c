/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sends UDP for ports 7001 and 7002 back to its sender, by XDP_TX and by XDP_REDIRECT: whether
 * frames from XDP cross a wire of the labs. It turns addresses and ports round, which leaves
 * checksums right.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

static void turn_round(struct ethhdr *eth, struct iphdr *ip, struct udphdr *udp)
{
	unsigned char mac[ETH_ALEN];
	__be32 addr = ip->saddr;
	__be16 port = udp->source;

	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	udp->source = udp->dest;
	udp->dest = port;
}

SEC("xdp")
int reflect(struct xdp_md *xdp)
{
	struct ethhdr *eth = (void *)(long)xdp->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__be16 port;

	if ((void *)(udp + 1) > (void *)(long)xdp->data_end || ip->protocol != IPPROTO_UDP ||
	    eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	port = udp->dest;
	if (port != bpf_htons(7001) && port != bpf_htons(7002))
		return XDP_PASS;
	turn_round(eth, ip, udp);
	return port == bpf_htons(7001) ? XDP_TX : bpf_redirect(xdp->ingress_ifindex, 0);
}

char bpvs_license[] SEC("license") = "GPL";
