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

static __always_inline enum bpvs_verdict ttl_down(pkt_t *pkt, const struct bpvs_flow *f)
{
	if (f->af == BPVS_V4) {
		struct iphdr *ip = pkt_at(pkt, f->l3, sizeof(*ip));

		if (!ip)
			return BPVS_WRITE;
		ip->check = csum_update(ip->check, ttl_down4(ip));
	} else {
		struct ipv6hdr *ip = pkt_at(pkt, f->l3, sizeof(*ip));

		if (!ip)
			return BPVS_WRITE;
		ip->hop_limit--;
	}
	return BPVS_GO_ON;
}
