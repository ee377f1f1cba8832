/* SPDX-License-Identifier: GPL-2.0-only */
/* The hammer's flows: services, packets, and what became of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include "hammer.h"

const struct hammer_svc hammer_svcs[HAMMER_SVCS] = {
	{ BPVS_V4, IPPROTO_TCP, BPVS_FWD_MASQ }, { BPVS_V4, IPPROTO_UDP, BPVS_FWD_MASQ },
	{ BPVS_V6, IPPROTO_TCP, BPVS_FWD_MASQ }, { BPVS_V4, IPPROTO_TCP, BPVS_FWD_DROUTE },
	{ BPVS_V6, IPPROTO_UDP, BPVS_FWD_MASQ },
};

static struct bpvs_addr v4(__u32 host_order)
{
	return (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), htonl(host_order) } };
}

static struct bpvs_addr v6(__u32 net, __u32 low)
{
	return (struct bpvs_addr){ .w = { htonl(0x20010db8), htonl(net << 16), 0, htonl(low) } };
}

struct bpvs_svc_key hammer_svc_key(unsigned int svc)
{
	bool six = hammer_svcs[svc].af == BPVS_V6;

	return (struct bpvs_svc_key){
		.addr = six ? v6(1, 0x100) : v4(0x0a000164),
		.port = htons(HAMMER_VPORT + svc),
		.proto = hammer_svcs[svc].proto,
		.af = hammer_svcs[svc].af,
	};
}

static struct bpvs_addr real_addr(unsigned int svc, unsigned int real)
{
	return hammer_svcs[svc].af == BPVS_V6 ? v6(2, real) : v4(0x0a000200 + real);
}

__be16 hammer_dport(unsigned int svc)
{
	return htons((hammer_svcs[svc].fwd == BPVS_FWD_MASQ ? HAMMER_RPORT : HAMMER_VPORT) + svc);
}

struct bpvs_addr hammer_client(struct flow f)
{
	__u32 n = f.client & 0x3fffff;

	return hammer_svcs[f.svc].af == BPVS_V6 ? v6(0x40, n) : v4(0x0a400000 | n);
}

__be16 hammer_cport(struct flow f)
{
	return htons(10000 + (f.client >> 22));
}

int hammer_services(struct bpvs_instance *in)
{
	for (unsigned int s = 0; s < HAMMER_SVCS; s++) {
		struct bpvs_svc_info svc = {
			.key = hammer_svc_key(s),
			.sched = BPVS_SCHED_RR,
			.netmask = hammer_svcs[s].af == BPVS_V6 ? 128 : 0xffffffff,
		};
		int err = bpvs_svc_add(in, &svc);

		if (err == -EEXIST)
			continue;
		for (unsigned int r = 1; !err && r <= HAMMER_DESTS; r++) {
			struct bpvs_dest_info d = {
				.addr = real_addr(s, r),
				.port = hammer_dport(s),
				.af = hammer_svcs[s].af,
				.fwd = hammer_svcs[s].fwd,
				.weight = 1,
				/* One flips between open and overloaded all the time. */
				.u_threshold = !s && r == 3 ? 16 : 0,
			};

			err = bpvs_dest_add(in, &svc.key, &d);
		}
		if (err)
			return err;
	}
	return 0;
}

__u32 hammer_home(const struct bpvs_instance *in, struct flow f)
{
	const struct bpvs_rodata *ro = in->ro;
	struct bpvs_addr c = hammer_client(f);
	__u64 h = ((__u64)c.w[3] + ro->hash_key[0]) *
		  (((__u32)hammer_cport(f) << 8 | hammer_svcs[f.svc].proto) + ro->hash_key[1]);

	if (hammer_svcs[f.svc].af == BPVS_V6)
		h += ((__u64)c.w[0] + ro->hash_key[2]) * (c.w[1] + ro->hash_key[3]) +
		     ((__u64)c.w[2] + ro->hash_key[4]) * ro->hash_key[5];
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ULL;
	return (__u32)(((h >> 32) * ro->slots) >> 32);
}

/* ---- frames ---- */

struct ends {
	struct bpvs_addr src, dst;
	__be16 sport, dport;
};

/* Checksums of the layer above are never looked at, only updated; the header's neither. */
static void build(struct run_packet *p, const struct hammer_svc *s, const __u8 *mac,
		  const struct ends *e, __u8 flags)
{
	__u16 l4_len = s->proto == IPPROTO_TCP ? 20 : 8;
	__u8 *b = p->in, *l4;

	memset(b, 0, 128);
	memcpy(b, mac, 6);
	b[6] = 2;
	b[11] = 1;
	b[12] = s->af == BPVS_V4 ? 0x08 : 0x86;
	b[13] = s->af == BPVS_V4 ? 0x00 : 0xdd;
	b += 14;
	if (s->af == BPVS_V4) {
		b[0] = 0x45;
		b[3] = 20 + l4_len;
		b[6] = 0x40;
		b[8] = 64;
		b[9] = s->proto;
		memcpy(b + 12, &e->src.w[3], 4);
		memcpy(b + 16, &e->dst.w[3], 4);
		l4 = b + 20;
	} else {
		b[0] = 0x60;
		b[5] = l4_len;
		b[6] = s->proto;
		b[7] = 64;
		memcpy(b + 8, &e->src, 16);
		memcpy(b + 24, &e->dst, 16);
		l4 = b + 40;
	}
	memcpy(l4, &e->sport, 2);
	memcpy(l4 + 2, &e->dport, 2);
	if (s->proto == IPPROTO_TCP) {
		l4[12] = 0x50;
		l4[13] = flags;
		l4[16] = 0x12;
	} else {
		l4[5] = 8;
		l4[6] = 0x12;
	}
	p->len = (__u32)(l4 + l4_len - p->in);
	if (p->len < 60)
		p->len = 60;
}

static int run(struct hammer *h, struct run_packet *p, unsigned int ifindex, bool tc)
{
	struct __sk_buff ctx = { .ifindex = ifindex, .ingress_ifindex = ifindex };
	int err = 0;

	h->ops++;
	if (!tc) {
		err = run_xdp(h->in, ifindex, p);
		if (err || p->ret != 2) /* XDP_PASS */
			return err;
	}
	return run_tc(h->in, &ctx, p);
}

int hammer_request(struct hammer *h, struct run_packet *p, struct flow f, __u8 flags, bool tc)
{
	struct bpvs_svc_key key = hammer_svc_key(f.svc);
	struct ends e = { hammer_client(f), key.addr, hammer_cport(f), key.port };

	build(p, &hammer_svcs[f.svc], h->in->devs[h->c0 % BPVS_DEVS].mac, &e, flags);
	return run(h, p, h->c0, tc);
}

int hammer_reply(struct hammer *h, struct run_packet *p, struct flow f, unsigned int real,
		 __u8 flags, bool tc)
{
	struct ends e = { real_addr(f.svc, real), hammer_client(f), hammer_dport(f.svc),
			  hammer_cport(f) };

	build(p, &hammer_svcs[f.svc], h->in->devs[h->s0 % BPVS_DEVS].mac, &e, flags);
	return run(h, p, h->s0, tc);
}

/* XDP_TX, XDP_REDIRECT, TC_ACT_REDIRECT */
static bool was_sent(const struct run_packet *p)
{
	return p->ret == 3 || p->ret == 4 || p->ret == 7;
}

static struct ends ends_of(const struct run_packet *p, __u8 af)
{
	const __u8 *b = p->out + 14, *l4 = b + (af == BPVS_V4 ? 20 : 40);
	struct ends e = { 0 };

	if (af == BPVS_V4) {
		e.src = v4(0);
		e.dst = v4(0);
		memcpy(&e.src.w[3], b + 12, 4);
		memcpy(&e.dst.w[3], b + 16, 4);
	} else {
		memcpy(&e.src, b + 8, 16);
		memcpy(&e.dst, b + 24, 16);
	}
	memcpy(&e.sport, l4, 2);
	memcpy(&e.dport, l4 + 2, 2);
	return e;
}

unsigned int hammer_server(struct hammer *h, const struct run_packet *p, struct flow f)
{
	struct ends e = ends_of(p, hammer_svcs[f.svc].af);

	/* Direct routing leaves the addresses; and the link header is the kernel's in TC. */
	if (!was_sent(p) || hammer_svcs[f.svc].fwd != BPVS_FWD_MASQ)
		return 0;
	for (unsigned int r = 1; r <= HAMMER_DESTS; r++) {
		struct bpvs_addr want = real_addr(f.svc, r);

		if (!memcmp(&want, &e.dst, sizeof(want)) && e.dport == hammer_dport(f.svc))
			return r;
	}
	hammer_wrong(h, "request of client %u, service %u went to a foreign server", f.client,
		     f.svc);
	return 0;
}

bool hammer_replied(struct hammer *h, const struct run_packet *p, struct flow f)
{
	struct ends e = ends_of(p, hammer_svcs[f.svc].af);
	struct bpvs_svc_key key = hammer_svc_key(f.svc);

	if (!was_sent(p))
		return false;
	if (memcmp(&e.src, &key.addr, sizeof(key.addr)) || e.sport != key.port)
		hammer_wrong(h, "reply to client %u, service %u came from a foreign service",
			     f.client, f.svc);
	return true;
}
