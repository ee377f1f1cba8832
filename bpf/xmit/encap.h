/* SPDX-License-Identifier: GPL-2.0-only */
/* What GUE and GRE tunnels have between the outer IP header and the client's packet. */
#pragma once

#include "../conn.h"

/* Generic UDP encapsulation, version 0, without optional fields. */
struct gue_header {
	__u8 version_control_len;
	__u8 proto; /* the number of IPv4 or IPv6 in IP */
	__be16 flags;
};

struct gue_packet {
	struct udphdr udp;
	struct gue_header gue;
};

struct gre_header {
	__be16 flags;
	__be16 proto;  /* an ethertype */
	__sum16 check; /* these two only with GRE_CSUM */
	__be16 reserved;
};

#define GUE_LEN	     sizeof(struct gue_packet)
#define GRE_LEN	     offsetof(struct gre_header, check)
#define GRE_CSUM_LEN sizeof(struct gre_header)
#define GRE_CSUM     0x8000

/* With --tun-remcsum the kernel's outer header has a checksum, too (see docs/differences.md). */
#define TUNNEL_SUMMED (BPVS_TUNNEL_CSUM | BPVS_TUNNEL_REMCSUM)

/* By a tunnel's type and flags. Tables: the verifier follows each branch to the packet's end. */
#define TUNNELS 0x40

struct tunnel_kind {
	__u8 len;   /* of the header */
	__u8 proto; /* in the outer one; 0 = the client's packet's number */
};

static const struct tunnel_kind tunnel_kinds[TUNNELS] = {
	[BPVS_TUNNEL_GUE] = { GUE_LEN, IPPROTO_UDP },
	[BPVS_TUNNEL_GUE | BPVS_TUNNEL_CSUM] = { GUE_LEN, IPPROTO_UDP },
	[BPVS_TUNNEL_GUE | BPVS_TUNNEL_REMCSUM] = { GUE_LEN, IPPROTO_UDP },
	[BPVS_TUNNEL_GUE | TUNNEL_SUMMED] = { GUE_LEN, IPPROTO_UDP },
	[BPVS_TUNNEL_GRE] = { GRE_LEN, IPPROTO_GRE },
	[BPVS_TUNNEL_GRE | BPVS_TUNNEL_CSUM] = { GRE_CSUM_LEN, IPPROTO_GRE },
};

static __always_inline const struct tunnel_kind *tunnel_kind(__u8 tunnel)
{
	return &tunnel_kinds[tunnel & (TUNNELS - 1)];
}

/*
 * How the packet is wrapped: as its destination says. A batch, which will be cut into segments, has
 * one header for all of them, in which a checksum could be right for one of them at best: GUE's
 * goes without, which its receivers take. Those of GRE do not, so that has no batches.
 */
static __always_inline __u8 tunnel_of(const struct bpvs_flow *f, const struct bpvs_dest *d)
{
	__u8 tunnel = READ_ONCE(d->tunnel);

	return f->flags & FLOW_GSO ? tunnel & ~TUNNEL_SUMMED : tunnel;
}

static __always_inline bool tunnel_no_batch(const struct bpvs_flow *f, const struct bpvs_dest *d)
{
	return f->flags & FLOW_GSO && READ_ONCE(d->tunnel) == (BPVS_TUNNEL_GRE | BPVS_TUNNEL_CSUM);
}

/* GUE's source port: one a flow, out of the range that the kernel takes it from by default. */
#define PORT_FIRST 32768
#define PORT_COUNT 28232

static __always_inline __u16 tunnel_port(const struct bpvs_flow *f)
{
	bool v6 = f->af == BPVS_V6;
	__u64 h = (__u64)conn_tag(&f->saddr, v6) << 32 | conn_tag(&f->daddr, v6);

	h ^= ((__u64)f->sport << 16 | f->dport) * 0xd6e8feb86659fd93ULL;
	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ULL;
	return (__u16)(PORT_FIRST + ((h >> 32) * PORT_COUNT >> 32));
}

/*
 * Does the sum of the client's packet follow from its header alone? It does where the transport has
 * a checksum of the Internet's kind, which makes the sum of all that it covers a constant. So the
 * payload is not read, and it may be still to be filled in by a device.
 */
static __always_inline bool tunnel_sum_known(const pkt_t *pkt, const struct bpvs_flow *f)
{
	struct udphdr *uh = pkt->trans;
	__u32 len = f->l4 - f->l3;

	if (f->flags & FLOW_FRAG || (f->af == BPVS_V6 && len != sizeof(struct ipv6hdr)))
		return false;
	if (f->proto == IPPROTO_TCP)
		return true;
	return f->proto == IPPROTO_UDP && (void *)(uh + 1) <= pkt->end && uh->check &&
	       bpf_ntohs(uh->len) == f->len - len;
}

/* What HOOK(tunnel_head)() has to know of the client's packet, in a register. */
union tunnel_how {
	__u64 word;
	struct {
		__u16 port;   /* GUE's source */
		__u16 l4_len; /* from the transport header on */
		__u8 tunnel;
		__u8 proto;
		__u8 v6;
		__u8 known; /* tunnel_sum_known() */
	};
};

static __always_inline __u64 sum_words(const void *at, int bytes)
{
	const __u16 *w = at;
	__u64 sum = 0;
	int i;

	for (i = 0; i < bytes / 2; i++)
		sum += w[i];
	return sum;
}

/*
 * The sum of the client's packet, of which that is known. IPv4: header and its checksum make
 * nothing, the rest is what the pseudo header lacks. IPv6: the addresses of header and pseudo
 * header cancel out.
 */
static __always_inline __u64 tunnel_sum_inner(pkt_t *pkt, __u32 at, union tunnel_how how)
{
	__u64 pseudo = bpf_htons(how.l4_len) + bpf_htons(how.proto);
	struct iphdr *ip = pkt_at(pkt, at, sizeof(*ip));

	if (!ip)
		return 0;
	if (how.v6)
		return sum_words(ip, 8) + (__u16)~csum_fold32(pseudo);
	pseudo += sum_words(&ip->saddr, 8);
	return (__u16)~csum_fold32(pseudo);
}

/* That, or the sum of all `len` bytes, where the hook can (pkt_sum()); negative on failure. */
static __always_inline __s64 tunnel_sum(pkt_t *pkt, __u32 at, __u32 len, union tunnel_how how)
{
	if (how.known)
		return (__s64)tunnel_sum_inner(pkt, at, how);
	return pkt_sum(pkt, at, len);
}

static __always_inline int gue_head(pkt_t *pkt, const struct bpvs_dest *d, __u32 at, __u32 len,
				    union tunnel_how how)
{
	struct gue_packet *h = pkt_at(pkt, at, sizeof(*h));
	__u16 total = (__u16)(len + GUE_LEN), check;
	__u64 sum = bpf_htons(total) + bpf_htons(IPPROTO_UDP);
	__s64 inner;
	int i;

	if (!h)
		return BPVS_WRITE;
	h->udp.source = how.port;
	h->udp.dest = d->tun_port;
	h->udp.len = bpf_htons(total);
	h->udp.check = 0;
	h->gue.version_control_len = 0;
	h->gue.proto = how.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	h->gue.flags = 0;
	if (!(how.tunnel & TUNNEL_SUMMED))
		return BPVS_GO_ON;
	sum += sum_words(h, sizeof(*h));
	for (i = d->af == BPVS_V4 ? 3 : 0; i < 4; i++)
		sum += (__u64)d->tun_src.w[i & 3] + d->addr.w[i & 3];
	inner = tunnel_sum(pkt, at + GUE_LEN, len, how);
	h = pkt_at(pkt, at, sizeof(*h));
	if (inner < 0 || !h)
		return BPVS_WRITE;
	check = (__u16)~csum_fold32(sum + (__u64)inner);
	h->udp.check = check ? check : 0xffff;
	return BPVS_GO_ON;
}

static __always_inline int gre_head(pkt_t *pkt, __u32 at, __u32 len, union tunnel_how how)
{
	bool summed = how.tunnel & TUNNEL_SUMMED;
	__u32 size = summed ? GRE_CSUM_LEN : GRE_LEN;
	/* There is a packet behind it, longer than its optional part. */
	struct gre_header *h = pkt_at(pkt, at, sizeof(*h));
	__s64 inner;

	if (!h)
		return BPVS_WRITE;
	h->flags = summed ? bpf_htons(GRE_CSUM) : 0;
	h->proto = how.v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (!summed)
		return BPVS_GO_ON;
	h->reserved = 0;
	inner = tunnel_sum(pkt, at + size, len, how);
	h = pkt_at(pkt, at, sizeof(*h));
	if (inner < 0 || !h)
		return BPVS_WRITE;
	h->check = (__u16)~csum_fold32((__u64)h->flags + h->proto + (__u64)inner);
	return BPVS_GO_ON;
}

/*
 * Write the header between the outer one and the packet of `len` bytes for destination `id`. A
 * function of its own, as it is rare; global, so that the verifier looks at it once.
 */
__noinline int HOOK(tunnel_head)(ctx_t *ctx, __u32 id, __u32 len, __u64 word)
{
	union tunnel_how how = { .word = word };
	struct bpvs_dest *d = dest_get(id);
	__u32 at = ETH_HLEN;
	pkt_t pkt;

	if (!d)
		return BPVS_BUG_MAP;
	at += d->af == BPVS_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	pkt_open(&pkt, ctx);
	if ((how.tunnel & BPVS_TUNNEL_TYPE) == BPVS_TUNNEL_GUE)
		return gue_head(&pkt, d, at, len, how);
	return gre_head(&pkt, at, len, how);
}
