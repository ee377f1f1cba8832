/* SPDX-License-Identifier: GPL-2.0-only */
/* One hop less: what every forwarding method does to the client's header. */
#pragma once

/* Returns the checksum's diff; the caller applies it. */
static __always_inline __u32 ttl_down4(struct iphdr *ip)
{
	__be16 *word = (__be16 *)&ip->ttl, old = *word;

	ip->ttl--;
	return csum_diff16(old, *word);
}

/* For what is no hop after all. */
static __always_inline void ttl_up(pkt_t *pkt)
{
	if (pkt->af == BPVS_V4) {
		struct iphdr *ip = pkt->net;
		__be16 *word = (__be16 *)&ip->ttl, old = *word;

		ip->ttl++;
		ip->check = csum_update(ip->check, csum_diff16(old, *word));
	} else {
		struct ipv6hdr *ip = pkt->net;

		ip->hop_limit++;
	}
}

static __always_inline void ttl_down(pkt_t *pkt)
{
	if (pkt->af == BPVS_V4) {
		struct iphdr *ip = pkt->net;

		ip->check = csum_update(ip->check, ttl_down4(ip));
	} else {
		struct ipv6hdr *ip = pkt->net;

		ip->hop_limit--;
	}
}
