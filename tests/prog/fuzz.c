/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs-run's fuzzer: mutated templates and noise through one hook; repeatable from its seed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/pkt_cls.h>
#include "run.h"

#define TEMPLATES    256
#define TEMPLATE_MAX 2048
#define FRAME_MIN    14
#define FRAME_MAX    2048

static struct {
	__u32 len;
	__u8 data[TEMPLATE_MAX];
} templates[TEMPLATES];
static __u32 num_templates;

/* What a run is judged by. */
struct tally {
	__u64 ran;
	__u64 refused; /* frames that the kernel's test run does not take */
	__u64 passed, dropped, sent, aborted, unknown;
	__u64 touched;	       /* passed, but not as they came */
	__u8 first[FRAME_MAX]; /* the first frame that broke a rule */
	__u32 first_len;
	int first_ret;
};

static __u64 rng_state;

/* splitmix64 */
static __u32 rng(__u32 below)
{
	__u64 z = rng_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return below ? (z >> 32) % below : 0;
}

int run_template(struct bpvs_instance *in, char **save)
{
	char *hex = strtok_r(NULL, " ", save);
	int len;

	(void)in;
	if (!hex || num_templates == TEMPLATES)
		return run_say("ERR template\n");
	len = run_unhex(hex, templates[num_templates].data, TEMPLATE_MAX);
	if (len < FRAME_MIN)
		return run_say("ERR template\n");
	templates[num_templates].len = len;
	return run_say("%u\n", ++num_templates);
}

/* Values at which length checks and state tables tend to break. */
static __u8 edge(void)
{
	static const __u8 v[] = { 0,	1,    4,    5,	  6,	0x0f, 0x11, 0x29, 0x3a,
				  0x40, 0x45, 0x46, 0x4f, 0x60, 0x7f, 0x80, 0xff };

	return v[rng(sizeof(v))];
}

static void mutate(struct run_packet *p)
{
	/* most damage is done to headers: aim at the first 96 bytes */
	__u32 span = p->len < 96 ? p->len : 96, at = rng(span), other;

	switch (rng(7)) {
	case 0:
		p->in[at] ^= 1 << rng(8);
		break;
	case 1:
		p->in[at] = rng(256);
		break;
	case 2:
		p->in[at] = edge();
		break;
	case 3:
		p->len = FRAME_MIN + rng(p->len - FRAME_MIN + 1);
		break;
	case 4: /* make it longer */
		other = rng(200);
		for (__u32 i = 0; i < other && p->len < FRAME_MAX; i++)
			p->in[p->len++] = rng(256);
		break;
	case 5: /* an end of another template */
		other = rng(num_templates);
		if (templates[other].len > at) {
			memcpy(p->in + at, templates[other].data + at, templates[other].len - at);
			p->len = templates[other].len;
		}
		break;
	default: /* move bytes along, as an inserted header does */
		other = 1 + rng(40);
		if (p->len + other > FRAME_MAX)
			break;
		memmove(p->in + at + other, p->in + at, p->len - at);
		p->len += other;
	}
}

static void next_frame(struct run_packet *p)
{
	__u32 pick = rng(num_templates + 1), times = rng(6);

	if (pick == num_templates) {
		p->len = FRAME_MIN + rng(200);
		for (__u32 i = 0; i < p->len; i++)
			p->in[i] = rng(256);
		return;
	}
	p->len = templates[pick].len;
	memcpy(p->in, templates[pick].data, p->len);
	while (times--)
		mutate(p);
}

enum fate {
	FATE_PASS,
	FATE_DROP,
	FATE_SENT,
	FATE_ABORT,
	FATE_UNKNOWN,
};

static enum fate xdp_fate(int ret)
{
	switch (ret) {
	case XDP_PASS:
		return FATE_PASS;
	case XDP_DROP:
		return FATE_DROP;
	case XDP_TX:
	case XDP_REDIRECT:
		return FATE_SENT;
	case XDP_ABORTED:
		return FATE_ABORT;
	default:
		return FATE_UNKNOWN;
	}
}

static enum fate tc_fate(int ret)
{
	switch (ret) {
	case TC_ACT_UNSPEC:
	case TC_ACT_OK:
	case TC_ACT_PIPE:
		return FATE_PASS;
	case TC_ACT_SHOT:
	case TC_ACT_STOLEN:
		return FATE_DROP;
	case TC_ACT_REDIRECT:
		return FATE_SENT;
	default:
		return FATE_UNKNOWN;
	}
}

static void judge(struct tally *t, const struct run_packet *p, enum fate fate)
{
	int wrong = 0;

	t->ran++;
	switch (fate) {
	case FATE_PASS:
		t->passed++;
		wrong = p->out_len != p->len || memcmp(p->in, p->out, p->len);
		t->touched += wrong;
		break;
	case FATE_DROP:
		t->dropped++;
		break;
	case FATE_SENT:
		t->sent++;
		break;
	case FATE_ABORT:
		t->aborted++;
		wrong = 1;
		break;
	case FATE_UNKNOWN:
		t->unknown++;
		wrong = 1;
		break;
	}
	if (wrong && !t->first_len) {
		memcpy(t->first, p->in, p->len);
		t->first_len = p->len;
		t->first_ret = p->ret;
	}
}

static int report(const struct tally *t)
{
	run_say("{\"ran\": %llu, \"refused\": %llu, \"passed\": %llu, \"dropped\": %llu, ",
		(unsigned long long)t->ran, (unsigned long long)t->refused,
		(unsigned long long)t->passed, (unsigned long long)t->dropped);
	run_say("\"sent\": %llu, \"aborted\": %llu, \"unknown\": %llu, \"touched\": %llu, ",
		(unsigned long long)t->sent, (unsigned long long)t->aborted,
		(unsigned long long)t->unknown, (unsigned long long)t->touched);
	run_say("\"first_ret\": %d, \"first\": \"", t->first_ret);
	for (__u32 i = 0; i < t->first_len; i++)
		run_say("%02x", t->first[i]);
	return run_say("\"}\n");
}

/* Now and then part of the frame lies outside the skb's head, where the kernel can do that (6.18).
 */
static int fuzz_tc(struct bpvs_instance *in, unsigned int ifindex, struct run_packet *p)
{
	struct __sk_buff ctx = { .ifindex = ifindex, .ingress_ifindex = ifindex };

	if (!rng(3)) {
		ctx.data_end = FRAME_MIN + rng(p->len - FRAME_MIN + 1);
		if (!run_tc(in, &ctx, p))
			return 0;
		ctx.data_end = 0;
	}
	return run_tc(in, &ctx, p);
}

int run_fuzz(struct bpvs_instance *in, char **save)
{
	char *seed = strtok_r(NULL, " ", save), *count = strtok_r(NULL, " ", save);
	char *hook = strtok_r(NULL, " ", save), *dev = strtok_r(NULL, " ", save);
	static struct run_packet p;
	static struct tally t;
	unsigned int ifindex;
	int xdp;

	if (!dev || !num_templates)
		return run_say("ERR fuzz SEED COUNT xdp|tc IFINDEX, after templates\n");
	xdp = !strcmp(hook, "xdp");
	ifindex = strtoul(dev, NULL, 10);
	rng_state = strtoull(seed, NULL, 0);
	memset(&t, 0, sizeof(t));
	for (unsigned long n = strtoul(count, NULL, 0); n; n--) {
		if (n % 65536 == 0)
			run_warm(in);
		next_frame(&p);
		if (xdp ? run_xdp(in, ifindex, &p) : fuzz_tc(in, ifindex, &p))
			t.refused++;
		else
			judge(&t, &p, xdp ? xdp_fate(p.ret) : tc_fate(p.ret));
	}
	return report(&t);
}
