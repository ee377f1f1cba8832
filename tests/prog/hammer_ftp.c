/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hammer on FTP: both directions of a control connection at one moment, copies of a data
 * connection's first packet, and a flush while its client speaks.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "hammer.h"
#include "service.h"

#define VIP	0x0a000164 /* 10.0.1.100 */
#define REAL	0x0a000201 /* 10.0.2.1 */
#define CLIENTS 0x0a400000
#define CONTROL 2000
#define DATA	2001
#define PASSIVE 32001
#define ROUNDS	20000
#define FEWEST	300 /* on a busy machine a round takes long */
#define FLUSHES 40  /* a second of the run */

static const char pasv[] = "PASV\r\n", said[] = "227 ok (10,0,2,1,125,1)\r\n";

struct segment {
	__u32 client;
	bool reply;
	__u16 cport, sport;
	__u8 flags;
	__u32 seq, ack;
	const char *text;
};

static void put32(__u8 *at, __u32 v)
{
	v = htonl(v);
	memcpy(at, &v, sizeof(v));
}

static void put16(__u8 *at, unsigned int v)
{
	at[0] = (__u8)(v >> 8);
	at[1] = (__u8)v;
}

/* Through TC, as all of a control connection goes. Checksums are not looked at. */
static int segment(struct worker *w, const struct segment *s)
{
	unsigned int dev = s->reply ? w->h->s0 : w->h->c0;
	struct __sk_buff ctx = { .ifindex = dev, .ingress_ifindex = dev };
	__u32 len = s->text ? (__u32)strlen(s->text) : 0;
	__u8 *b = w->p.in, *ip = b + 14, *tcp = ip + 20;

	memset(b, 0, 54);
	memcpy(b, w->h->in->devs[dev % BPVS_DEVS].mac, 6);
	b[6] = 2;
	put16(b + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 40 + len);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put32(ip + 12, s->reply ? REAL : s->client);
	put32(ip + 16, s->reply ? s->client : VIP);
	put16(tcp, s->reply ? s->sport : s->cport);
	put16(tcp + 2, s->reply ? s->cport : s->sport);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = 0x50;
	tcp[13] = s->flags;
	if (len)
		memcpy(tcp + 20, s->text, len);
	w->p.len = 54 + len < 60 ? 60 : 54 + len;
	w->h->ops++;
	return run_tc(w->h->in, &ctx, &w->p);
}

static bool sent(struct worker *w, const struct segment *s)
{
	return !segment(w, s) && w->p.ret == 7; /* TC_ACT_REDIRECT */
}

static bool open_control(struct worker *w, __u32 client)
{
	struct segment s = { client, false, CONTROL, 21, F_SYN, 1000, 0, NULL };
	struct segment r = { client, true, CONTROL, 21, F_SYN | F_ACK, 5000, 1001, NULL };

	if (!sent(w, &s) || !sent(w, &r))
		return false;
	s.flags = F_ACK;
	s.seq = 1001;
	s.ack = 5001;
	return sent(w, &s);
}

static struct segment ask(__u32 client)
{
	return (struct segment){ client, false, CONTROL, 21, F_ACK, 1001, 5001, pasv };
}

struct talk {
	struct hammer_meeting m;
	_Atomic bool stop;
	__u32 round;
	_Atomic unsigned int lost;
};

/* The server answers, on CPU 0, while the others pass on copies of the question. */
static void speak(struct worker *w, __u32 client)
{
	struct segment r = { client, true, CONTROL, 21, F_ACK, 5001, 1007, said };
	struct segment q = ask(client);

	if (w->cpu) {
		for (int i = 0; i < 2; i++)
			if (!sent(w, &q))
				hammer_wrong(w->h, "a question was not passed on");
		return;
	}
	for (volatile __u32 wait = hammer_rnd(w, 2000); wait; wait--)
		;
	if (!sent(w, &r))
		hammer_wrong(w->h, "an answer was not passed on");
}

/* The answer grew by two bytes: so has what comes behind it. */
static void judge(struct worker *w, struct talk *t, __u32 client)
{
	__u32 seq, behind = 5001 + sizeof(said) - 1;
	struct segment r = { client, true, CONTROL, 21, F_ACK, behind, 1007, "200 ok\r\n" };

	if (!sent(w, &r))
		hammer_wrong(w->h, "an answer was not passed on");
	memcpy(&seq, w->p.out + 14 + 20 + 4, sizeof(seq));
	if (ntohl(seq) != r.seq + 2 && !t->lost++)
		hammer_wrong(w->h, "round %u: the offset was lost", t->round);
	w->h->judged++;
}

static void talk(struct worker *w)
{
	struct talk *t = w->arg;
	unsigned int turn = 0;

	for (;;) {
		struct segment data = { 0, false, DATA, PASSIVE, F_SYN, 1000, 0, NULL };
		__u32 client;

		if (!w->cpu) {
			struct segment q = ask(CLIENTS + t->round);

			t->stop = t->round == ROUNDS ||
				  (hammer_ns() > w->until && t->round >= FEWEST);
			if (!t->stop && (!open_control(w, q.client) || !sent(w, &q)))
				hammer_wrong(w->h, "no control connection");
		}
		hammer_meet(&t->m, w->cpus, &turn);
		if (t->stop)
			return;
		data.client = client = CLIENTS + t->round;
		speak(w, client);
		hammer_meet(&t->m, w->cpus, &turn);
		if (!w->cpu)
			judge(w, t, client);
		hammer_meet(&t->m, w->cpus, &turn);
		for (volatile __u32 wait = hammer_rnd(w, 64); wait; wait--)
			;
		if (!sent(w, &data))
			hammer_wrong(w->h, "round %u: a first packet's copy was not sent",
				     t->round);
		hammer_meet(&t->m, w->cpus, &turn);
		if (!w->cpu)
			t->round++;
	}
}

/* ---- a flush ---- */

/* Questions until the connection is gone: on all CPUs, for the sweep may be on any. */
static void repeat(struct worker *w)
{
	struct bpvs_config *cfg = w->h->in->cfg;
	struct segment q = ask(CLIENTS);
	struct talk *t = w->arg;
	unsigned int turn = 0;

	hammer_meet(&t->m, w->cpus, &turn);
	if (!w->cpu)
		t->round = bpvs_flush_ask(w->h->in, BPVS_FLUSH_ALL);
	hammer_meet(&t->m, w->cpus, &turn);
	while (__atomic_load_n(&cfg->flush_done, __ATOMIC_ACQUIRE) != t->round)
		segment(w, &q);
}

/* The records that there are, found among the program's maps. */
static int records(struct hammer *h)
{
	struct bpf_map_info m = {};
	struct bpf_prog_info info = {};
	__u32 ids[64], len = sizeof(info), at, *prev = NULL;
	int fd = -1, n = 0;

	info.nr_map_ids = 64;
	info.map_ids = (__u64)(uintptr_t)ids;
	if (bpf_obj_get_info_by_fd(h->in->fd_tc, &info, &len))
		return -1;
	for (__u32 i = 0; i < info.nr_map_ids && i < 64; i++) {
		fd = bpf_map_get_fd_by_id(ids[i]);
		len = sizeof(m);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &m, &len) && !strcmp(m.name, "bpvs_ftp"))
			break;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (fd < 0)
		return -1;
	while (!bpf_map_get_next_key(fd, prev, &at)) {
		prev = &at;
		n++;
	}
	close(fd);
	return n;
}

static int flushes(struct hammer *h)
{
	struct segment q = ask(CLIENTS);
	static struct worker w;
	int left = 0;

	w.h = h;
	if (bpvs_conns_flush(h->in))
		hammer_wrong(h, "no flush");
	for (unsigned int i = 0; i < h->seconds * FLUSHES; i++) {
		struct talk t = { 0 };

		if (!open_control(&w, CLIENTS) || !sent(&w, &q) || records(h) != 1)
			hammer_wrong(h, "no control connection, or no record of it");
		hammer_run(h, 0, repeat, &t);
		left += records(h);
	}
	if (left)
		hammer_wrong(h, "%d records outlived their connection", left);
	return left;
}

static int service(struct bpvs_instance *in)
{
	struct bpvs_addr vip = { .w = { 0, 0, htonl(0xffff), htonl(VIP) } };
	struct bpvs_svc_info svc = {
		.key = { .addr = vip, .port = htons(21), .proto = IPPROTO_TCP, .af = BPVS_V4 },
		.sched = BPVS_SCHED_RR,
		.netmask = 0xffffffff,
	};
	struct bpvs_dest_info d = {
		.addr = { .w = { 0, 0, htonl(0xffff), htonl(REAL) } },
		.port = htons(21),
		.af = BPVS_V4,
		.fwd = BPVS_FWD_MASQ,
		.weight = 1,
	};

	return bpvs_svc_add(in, &svc) ?: bpvs_dest_add(in, &svc.key, &d);
}

int hammer_ftp(struct hammer *h)
{
	static struct talk t;
	int left;

	if (service(h->in))
		return 2;
	hammer_run(h, h->seconds * 1000, talk, &t);
	left = flushes(h);
	run_say("{\"judged\": %lu, \"lost\": %u, \"left\": %d, \"rival\": %llu, \"wrong\": %lu}\n",
		h->judged, t.lost, left, hammer_counter(h, BPVS_EV_CONN_RIVAL), h->wrong);
	return 0;
}

/* So many control connections that ask for a data connection: none may be refused. */
int hammer_ftp_many(struct hammer *h, __u32 conns)
{
	static struct worker w;
	__u32 n;

	w.h = h;
	if (service(h->in))
		return 2;
	for (n = 0; n < conns && !h->wrong; n++) {
		struct segment q = ask(CLIENTS + n);

		if (!open_control(&w, q.client) || !sent(&w, &q))
			hammer_wrong(h, "connection %u has no room", n);
	}
	run_say("{\"opened\": %u, \"wrong\": %lu}\n", n, h->wrong);
	return 0;
}
