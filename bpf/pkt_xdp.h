/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet as XDP sees it. pkt_xdp.h and pkt_tc.h define the same functions, each over its own
 * context type; what this hook cannot do is answered by the verdict that hands the packet to TC.
 */
#pragma once

#include "conn.h"
#include "csum.h"
#include "flow.h"
#include "hop.h"
#include "maps.h"

typedef struct xdp_md ctx_t;

/* The name of a global function, of which each hook has its own. */
#define HOOK(name) bpvs_xdp_##name

/* Copy what may lie far inside the packet; 0 = done. */
#define PKT_LOAD bpf_xdp_load_bytes

#include "pkt.h"

/* Does this hook finish every packet? XDP leaves what is rare or needs the stack to TC. */
enum { PKT_COMPLETE = 0 };

enum { PKT_PASS = XDP_PASS, PKT_DROP = XDP_DROP };

/* Where the flow is: on the stack, and what of it the common path needs in registers. */
static __always_inline struct bpvs_flow *pkt_flow(struct bpvs_flow *local)
{
	return local;
}

static __always_inline void pkt_keep_flow(struct conn_scratch *x, const struct bpvs_flow *f)
{
	x->flow = *f;
}

/* Make the headers directly readable: they are. */
static __always_inline void pkt_prepare(ctx_t *ctx)
{
	(void)ctx;
}

/* A tag that the device took off the frame: XDP sees tags in the frame only. */
static __always_inline bool pkt_vlan_stripped(const pkt_t *pkt)
{
	(void)pkt;
	return false;
}

/* In front of netfilter there is none. */
static __always_inline __u32 pkt_mark(const ctx_t *ctx)
{
	(void)ctx;
	return 0;
}

/* Is the frame for this host? Where the device or its address is not known, TC decides. */
static __always_inline bool pkt_for_host(const pkt_t *pkt, const void *eth)
{
	__u32 ifindex = pkt->ctx->ingress_ifindex, i = ifindex % BPVS_DEVS;
	struct bpvs_dev *dev = bpf_map_lookup_elem(&bpvs_devs, &i);

	return dev && dev->ifindex == ifindex && mac_eq(eth, dev->mac);
}

/* Length from the network header on: the frame may be padded, so the header's word counts. */
static __always_inline __u32 pkt_l3_len(const pkt_t *pkt, __u32 l3, __u32 header_len)
{
	(void)pkt;
	(void)l3;
	return header_len;
}

static __always_inline bool pkt_is_gso(const pkt_t *pkt)
{
	(void)pkt;
	return false;
}

/*
 * Adjust a transport checksum: `pseudo` is the change of the pseudo header, `ports` that of the
 * rest; both as csum_diff_*() give them. A UDP checksum that becomes 0 is written as all ones.
 */
static __always_inline int pkt_csum_l4(pkt_t *pkt, const struct bpvs_flow *f, __u32 pseudo,
				       __u32 ports, bool udp)
{
	__sum16 *sum = pkt->trans + (udp ? UDP_CSUM : TCP_CSUM);

	(void)f;
	/* Checked when parsing, but the verifier does not always see which protocol it was. */
	if ((void *)(sum + 1) > pkt->end)
		return -1;
	*sum = csum_update(*sum, pseudo + ports);
	if (udp && !*sum)
		*sum = 0xffff;
	return 0;
}

/* UDP without checksum: the whole datagram has to be summed, which is TC's. */
static __always_inline enum bpvs_verdict pkt_udp_csum(pkt_t *pkt, const struct bpvs_flow *f,
						      const struct bpvs_addr *src,
						      const struct bpvs_addr *dst)
{
	(void)pkt, (void)f, (void)src, (void)dst;
	return BPVS_UP_CSUM;
}

/* SCTP whose checksum is 0: TC knows whether a device is still to make it. */
static __always_inline bool pkt_sctp_pending(pkt_t *pkt, const struct bpvs_flow *f)
{
	(void)pkt, (void)f;
	return true;
}

/* To sum up a packet is TC's. */
static __always_inline __s64 pkt_sum(pkt_t *pkt, __u32 off, __u32 len)
{
	(void)pkt, (void)off, (void)len;
	return -1;
}

/*
 * Room for a tunnel's headers of `len` bytes in front of the network header. Afterwards it
 * starts behind an untagged link header, whose bytes are undefined until pkt_send() writes them.
 */
static __always_inline enum bpvs_verdict pkt_push_l3(pkt_t *pkt, struct bpvs_flow *f, __u32 len,
						     bool outer6, __u8 tunnel)
{
	int grow = (int)len + ETH_HLEN - f->l3;

	(void)outer6, (void)tunnel;
	if (bpf_xdp_adjust_head(pkt->ctx, -grow))
		return BPVS_UP_ROOM;
	pkt_open(pkt, pkt->ctx);
	f->l3 = ETH_HLEN;
	f->flags &= ~FLOW_VLAN;
	return BPVS_GO_ON;
}

/*
 * Write the link header for the next hop and send. The tag of the way in is replaced by hop->vlan.
 */
static __always_inline int pkt_send(pkt_t *pkt, const struct bpvs_flow *f,
				    const struct bpvs_hop *hop, bool v6)
{
	bool tagged = f->flags & FLOW_VLAN, tag = hop->vlan;
	void *eth;
	__be16 *proto;

	if (unlikely(tagged != tag)) {
		if (bpf_xdp_adjust_head(pkt->ctx, tagged ? 4 : -4))
			return -1;
		pkt_open(pkt, pkt->ctx);
	}
	eth = pkt->data;
	if (eth + ETH_HLEN + sizeof(struct vlan_tag) > pkt->end)
		return -1;
	mac_write(eth, hop->dst);
	mac_write(eth + ETH_ALEN, hop->src);
	proto = eth + offsetof(struct ethhdr, h_proto);
	if (unlikely(tag)) {
		proto[0] = bpf_htons(ETH_P_8021Q);
		proto[1] = hop->vlan;
		proto += 2;
	}
	*proto = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (hop->lower == pkt->ctx->ingress_ifindex)
		return XDP_TX;
	return (int)bpf_redirect(hop->lower, 0);
}
