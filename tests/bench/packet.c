/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmark's packets: minimal frames between a client, the VIP and a real server. */
#include <arpa/inet.h>
#include <string.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "run.h"

/* As tests/bench/run sets the devices up. */
static const __u8 mac_c0[] = { 2, 0, 0, 0, 1, 0xfe }, mac_client[] = { 2, 0, 0, 0, 1, 1 };
static const __u8 mac_mark[] = BPVS_MARK_MAC;
static const __u8 mac_s0[] = { 2, 0, 0, 0, 2, 0xfe }, mac_server[] = { 2, 0, 0, 0, 2, 1 };

/* Transport header; its checksum is not right, which nothing on the way looks at, but not zero. */
static void fill_l4(void *at, const struct packet *p)
{
	struct tcphdr *th = at;
	struct udphdr *uh = at;
	__be16 client = htons(BENCH_PORT0);

	if (p->udp) {
		uh->source = p->reply ? htons(p->rport) : client;
		uh->dest = p->reply ? client : htons(p->vport);
		uh->len = htons(sizeof(*uh) + 12);
		uh->check = htons(0x1234);
		return;
	}
	th->source = p->reply ? htons(p->rport) : client;
	th->dest = p->reply ? client : htons(p->vport);
	th->doff = 5;
	((__u8 *)th)[13] = p->tcp_flags;
	th->window = htons(512);
	th->check = htons(0x1234);
}

/* Sum of the header with the client's address left out, which the wrapper adds. */
static __u32 ip_sum(const struct iphdr *ip, bool reply)
{
	struct iphdr h = *ip;
	__u16 words[sizeof(h) / 2];
	__u32 sum = 0;

	h.check = 0;
	if (reply)
		h.daddr = 0;
	else
		h.saddr = 0;
	memcpy(words, &h, sizeof(h));
	for (size_t i = 0; i < sizeof(h) / 2; i++)
		sum += words[i];
	return sum;
}

static void fill_ip4(struct bench_ctl *ctl, void *at, const struct packet *p)
{
	struct iphdr *ip = at;

	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->frag_off = htons(0x4000);
	ip->protocol = p->udp ? IPPROTO_UDP : IPPROTO_TCP;
	ip->tot_len = htons(40);
	ip->saddr = inet_addr(p->reply ? "10.0.2.1" : "10.64.0.0");
	ip->daddr = inet_addr(p->reply ? "10.64.0.0" : p->other ? "10.0.9.9" : "10.0.1.100");
	ctl->ip_sum = ip_sum(ip, p->reply);
	fill_l4(ip + 1, p);
}

static void fill_ip6(void *at, const struct packet *p)
{
	const char *src = p->reply ? "2001:db8:2::1" : "2001:db8:64::";
	const char *dst = p->reply   ? "2001:db8:64::"
			  : p->other ? "2001:db8:9::9"
				     : "2001:db8:1::100";
	struct ipv6hdr *ip = at;

	ip->version = 6;
	ip->payload_len = htons(20);
	ip->nexthdr = p->udp ? IPPROTO_UDP : IPPROTO_TCP;
	ip->hop_limit = 64;
	inet_pton(AF_INET6, src, &ip->saddr);
	inet_pton(AF_INET6, dst, &ip->daddr);
	fill_l4(ip + 1, p);
}

void packet_shape(struct bench_ctl *ctl, const struct packet *p)
{
	__u8 frame[BENCH_TEMPLATE] = {};
	struct ethhdr *eth = (void *)frame;

	memset(ctl, 0, sizeof(*ctl));
	memcpy(eth->h_dest, p->reply ? mac_s0 : p->mark ? mac_mark : mac_c0, ETH_ALEN);
	memcpy(eth->h_source, p->reply ? mac_server : mac_client, ETH_ALEN);
	eth->h_proto = htons(p->v6 ? ETH_P_IPV6 : ETH_P_IP);
	if (p->v6)
		fill_ip6(eth + 1, p);
	else
		fill_ip4(ctl, eth + 1, p);
	memcpy(ctl->tmpl, frame, sizeof(frame));
	ctl->len = p->v6 ? BENCH_LEN6 : BENCH_LEN4;
	ctl->v6 = p->v6;
	ctl->reply = p->reply;
	ctl->mark = p->mark;
}
