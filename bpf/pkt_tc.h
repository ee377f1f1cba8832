/* SPDX-License-Identifier: GPL-2.0-only */
/* The packet as TC sees it (see pkt_xdp.h): a socket buffer, which can do all that XDP cannot. */
#pragma once

#include "conn.h"
#include "csum.h"
#include "flow.h"
#include "hop.h"
#include "maps.h"
#include "sctp.h"
#include <linux/pkt_cls.h>
#include <linux/udp.h>

typedef struct __sk_buff ctx_t;

/* The name of a global function, of which each hook has its own. */
#define HOOK(name) bpvs_tc_##name

/* Copy what may lie far inside the packet; 0 = done. */
#define PKT_LOAD bpf_skb_load_bytes

#include "pkt.h"

enum { PKT_COMPLETE = 1 };

/* UNSPEC lets other filters on the device have their say. */
enum { PKT_PASS = TC_ACT_UNSPEC, PKT_DROP = TC_ACT_SHOT };

/* Link header, tag, IP header with options or a few extension headers, transport header. */
#define PKT_HEADERS 160

/*
 * In the place of a segment's size: the buffer has the headers, and behind them a list of packets.
 * Only SCTP of a host that is one cable of ours away comes so.
 */
#define GSO_BY_FRAGS 0xffff

/* A piece of a packet that is summed; bpf_csum_diff() takes at most 512 bytes. */
#define PKT_PIECE 256

struct pkt_piece {
	__u8 bytes[PKT_PIECE];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pkt_piece);
} bpvs_piece SEC(".maps");

/*
 * Where the flow is: in the scratch memory, of whose content the verifier knows nothing. From a
 * stack it would follow each combination of flags, protocols and fragments through all that TC can
 * do.
 */
static __always_inline struct bpvs_flow *pkt_flow(struct bpvs_flow *local)
{
	struct conn_scratch *x = conn_scratch();

	(void)local;
	return x ? &x->flow : NULL;
}

static __always_inline void pkt_keep_flow(struct conn_scratch *x, const struct bpvs_flow *f)
{
	(void)x, (void)f;
}

/*
 * Behind generic XDP a packet may come without its link header, which the kernel forgets when it
 * copies the buffer to give XDP room: then one is made, of which only the type is known. (The
 * kernel takes it off again where the packet is passed.)
 */
static __always_inline void pkt_restore_link(ctx_t *ctx)
{
	__u16 proto = (__u16)ctx->protocol;
	void *data = CTX_POINTER(ctx, data);
	__u8 version = proto == bpf_htons(ETH_P_IP) ? 0x40 : 0x60;

	if (data + ETH_HLEN > CTX_POINTER(ctx, data_end))
		return;
	if (likely(*(__be16 *)(data + offsetof(struct ethhdr, h_proto)) == proto))
		return;
	if ((proto != bpf_htons(ETH_P_IP) && proto != bpf_htons(ETH_P_IPV6)) ||
	    (*(__u8 *)data & 0xf0) != version)
		return;
	if (bpf_skb_change_head(ctx, ETH_HLEN, 0))
		return;
	data = CTX_POINTER(ctx, data);
	if (data + ETH_HLEN <= CTX_POINTER(ctx, data_end))
		*(__be16 *)(data + offsetof(struct ethhdr, h_proto)) = proto;
}

/*
 * To pull bytes out of a list of packets would leave it with half a chunk in front. Global: it ends
 * in one way, as far as the verifier sees.
 */
__noinline int bpvs_pkt_pull(struct __sk_buff *ctx, __u32 want)
{
	return ctx->gso_size == GSO_BY_FRAGS ? 0 : (int)bpf_skb_pull_data(ctx, want);
}

static __always_inline void pkt_prepare(ctx_t *ctx)
{
	__u32 want = ctx->len < PKT_HEADERS ? ctx->len : PKT_HEADERS;

	pkt_restore_link(ctx);

	if (unlikely(CTX_POINTER(ctx, data) + want > CTX_POINTER(ctx, data_end)))
		bpvs_pkt_pull(ctx, want);
}

/* A tagged frame goes on to its VLAN device, where this program sees it without the tag. */
static __always_inline bool pkt_vlan_stripped(const pkt_t *pkt)
{
	return pkt->ctx->vlan_present;
}

static __always_inline __u32 pkt_mark(const ctx_t *ctx)
{
	return ctx->mark;
}

static __always_inline bool pkt_for_host(const pkt_t *pkt, const void *eth)
{
	(void)eth;
	return pkt->ctx->pkt_type == 0; /* PACKET_HOST */
}

static __always_inline __u32 pkt_l3_len(const pkt_t *pkt, __u32 l3, __u32 header_len)
{
	/* A buffer that will be cut into segments has one header for all of them. */
	return pkt->ctx->gso_size ? pkt->ctx->len - l3 : header_len;
}

static __always_inline bool pkt_is_gso(const pkt_t *pkt)
{
	return pkt->ctx->gso_size;
}

static __always_inline int pkt_csum_l4(pkt_t *pkt, const struct bpvs_flow *f, __u32 pseudo,
				       __u32 ports, bool udp)
{
	__u32 off = f->l4 + (udp ? UDP_CSUM : TCP_CSUM);
	__u64 mark = udp ? BPF_F_MARK_MANGLED_0 : 0;
	int err;

	/* The helper knows checksums that the device still has to complete. */
	err = (int)bpf_l4_csum_replace(pkt->ctx, off, 0, pseudo, BPF_F_PSEUDO_HDR | mark);
	if (!err)
		err = (int)bpf_l4_csum_replace(pkt->ctx, off, 0, ports, mark);
	pkt_open(pkt, pkt->ctx);
	return err;
}

/*
 * The sum of the first at most PKT_PIECE of `len` bytes at `off`, added to `sum`; negative on
 * failure. Global, as is the next: the verifier shall not follow 256 rounds of it at each call.
 */
__noinline __s64 bpvs_sum_piece(struct __sk_buff *pkt, __u32 off, __u32 len, __u32 sum)
{
	struct pkt_piece *piece;
	__u32 zero = 0;

	piece = bpf_map_lookup_elem(&bpvs_piece, &zero);
	if (!piece || !len)
		return -1;
	if (len >= PKT_PIECE) {
		if (bpf_skb_load_bytes(pkt, off, piece, PKT_PIECE))
			return -1;
	} else {
		__builtin_memset(piece, 0, sizeof(*piece));
		/*
		 * 6.1 learns no lower bound from len != 0, but does from this; hide it from clang.
		 */
		asm volatile("" : "+r"(len));
		if (bpf_skb_load_bytes(pkt, off, piece, ((len - 1) & (PKT_PIECE - 1)) + 1))
			return -1;
	}
	return (__u32)bpf_csum_diff(NULL, 0, (void *)piece, PKT_PIECE, sum);
}

/* The sum of `len` bytes at `off`, added to `sum`; negative on failure. */
__noinline __s64 bpvs_sum(struct __sk_buff *pkt, __u32 off, __u32 len, __u32 sum)
{
	__s64 s = sum;
	__u32 i, at;

	for (i = 0; i < 65536 / PKT_PIECE; i++) {
		at = i * PKT_PIECE;
		if (at >= len)
			return s;
		s = bpvs_sum_piece(pkt, off + at, len - at, (__u32)s);
		if (s < 0)
			return s;
	}
	return -1;
}

/* UDP without checksum gets one, over the datagram as it is now. */
static __always_inline enum bpvs_verdict pkt_udp_csum(pkt_t *pkt, const struct bpvs_flow *f,
						      const struct bpvs_addr *src,
						      const struct bpvs_addr *dst)
{
	__u32 len = f->len - (f->l4 - f->l3);
	__u64 pseudo = bpf_htons((__u16)len) + bpf_htons(IPPROTO_UDP);
	struct udphdr *uh;
	__s64 sum;
	__u16 check;
	int i;

	for (i = f->af == BPVS_V4 ? 3 : 0; i < 4; i++)
		pseudo += (__u64)src->w[i & 3] + dst->w[i & 3];
	sum = bpvs_sum(pkt->ctx, f->l4, len, csum_fold32(pseudo));
	if (sum < 0)
		return BPVS_WRITE;
	check = (__u16)~csum_fold32((__u64)sum);
	uh = pkt_at(pkt, f->l4, sizeof(*uh));
	if (!uh)
		return BPVS_WRITE;
	uh->check = check ? check : 0xffff;
	return BPVS_GO_ON;
}

/*
 * SCTP whose checksum is 0: is a device still to make it? The helper for Internet checksums knows,
 * and leaves such a one alone. To any other it adds what is taken back here.
 */
static __always_inline bool pkt_sctp_pending(pkt_t *pkt, const struct bpvs_flow *f)
{
	__u32 off = f->l4 + SCTP_CSUM;
	struct sctp_header *sh;
	bool pending;
	int err;

	err = (int)bpf_l4_csum_replace(pkt->ctx, off, 0, 1, 0);
	pkt_open(pkt, pkt->ctx);
	sh = pkt_at(pkt, f->l4, sizeof(*sh));
	if (err || !sh)
		return true;
	pending = !sh->check;
	sh->check = 0;
	return pending;
}

static __always_inline __s64 pkt_sum(pkt_t *pkt, __u32 off, __u32 len)
{
	__s64 sum = bpvs_sum(pkt->ctx, off, len, 0);

	pkt_open(pkt, pkt->ctx);
	return sum;
}

static __always_inline enum bpvs_verdict pkt_push_l3(pkt_t *pkt, struct bpvs_flow *f, __u32 len,
						     bool outer6, __u8 tunnel)
{
	__u64 flags = outer6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;

	if (unlikely(tunnel))
		flags |= (tunnel & BPVS_TUNNEL_TYPE) == BPVS_TUNNEL_GUE
				 ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP
				 : BPF_F_ADJ_ROOM_ENCAP_L4_GRE;

	/* TCP's segments shrink to make room; the size of a UDP batch's datagrams is not ours. */
	if (f->proto == IPPROTO_UDP)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (bpf_skb_adjust_room(pkt->ctx, (int)len, BPF_ADJ_ROOM_MAC, flags))
		return BPVS_WRITE;
	pkt_open(pkt, pkt->ctx);
	return BPVS_GO_ON;
}

/*
 * The neighbour is the kernel's to find. A function of its own: what it hands over by address is
 * not on the stack of whoever sends, below which there may be many calls.
 */
static __noinline int pkt_send_neigh(const struct bpvs_hop *hop)
{
	struct bpf_redir_neigh nh = {};

	if (hop->gateway_af == BPVS_V6) {
		nh.nh_family = 10; /* AF_INET6 */
		__builtin_memcpy(nh.ipv6_nh, &hop->gateway, sizeof(nh.ipv6_nh));
	} else {
		nh.nh_family = 2; /* AF_INET */
		nh.ipv4_nh = hop->gateway.w[3];
	}
	return (int)bpf_redirect_neigh(hop->ifindex, &nh, sizeof(nh), 0);
}

static __always_inline int pkt_to_hop(pkt_t *pkt, const struct bpvs_hop *hop)
{
	void *eth = pkt->data;

	if (eth + ETH_HLEN > pkt->end)
		return -1;
	if (!hop->resolve) {
		mac_write(eth, hop->dst);
		mac_write(eth + ETH_ALEN, hop->src);
		return (int)bpf_redirect(hop->ifindex, 0);
	}
	return pkt_send_neigh(hop);
}

/* What was made on this host goes round by lo (local_tc.h), its server in its link header. */
static __always_inline int pkt_send_out(pkt_t *pkt, bool resolve)
{
	struct conn_scratch *x = conn_scratch();
	__u64 id;

	if (!x || pkt->data + ETH_HLEN > pkt->end)
		return -1;
	id = x->hit.dest | resolve * BPVS_OUT_RESOLVE;
	mac_write(pkt->data, 0);
	mac_write(pkt->data + ETH_ALEN, BPVS_OUT_TAG | id << 16);
	return (int)bpf_redirect(1, BPF_F_INGRESS);
}

static __always_inline int pkt_send(pkt_t *pkt, const struct bpvs_flow *f,
				    const struct bpvs_hop *hop, bool v6)
{
	if (pkt->data + ETH_HLEN > pkt->end)
		return -1;
	*(__be16 *)(pkt->data + offsetof(struct ethhdr, h_proto)) =
		v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return unlikely(f->flags & FLOW_OUT) ? pkt_send_out(pkt, hop->resolve)
					     : pkt_to_hop(pkt, hop);
}
