/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is measured: baselines, then each forwarding method at each table size, then new flows, and
 * those of each scheduler by the number of destinations.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/in.h>
#include "engine.h"
#include "run.h"
#include "baseline.skel.h"

#define TH_SYN 0x02
#define TH_ACK 0x10

static struct baseline *skel;

static struct variant variants[MAX_VARIANTS];
static int num_variants;

struct method {
	const char *name;
	const char *only;
	enum bpvs_fwd fwd;
	__u16 rport;
	unsigned int in, out; /* reasons; out 0: no replies pass by */
};

static const struct method nat = { "nat", "nat", BPVS_FWD_MASQ, 8080, BPVS_NAT_IN, BPVS_NAT_OUT };
static const struct method dr = { "dr", "dr", BPVS_FWD_DROUTE, 80, BPVS_DR, 0 };
static const struct method tun = { "tun", "tun", BPVS_FWD_TUNNEL, 80, BPVS_TUN, 0 };

static const char *const hook_names[] = { [XDP] = "xdp", [TC] = "tc" };

/* ---- programs ---- */

static void set_target(int map, __u32 target, int fd)
{
	int err = bpf_map_update_elem(map, &target, &fd, 0);

	if (err)
		die("put a program into the wrapper's array", err);
}

static void load_baseline(struct bench *b, bool frags)
{
	baseline__destroy(skel);
	skel = baseline__open();
	if (!skel)
		die("open the baseline programs", errno);
	if (frags) {
		struct bpf_program *p;

		bpf_object__for_each_program(p, skel->obj)
		{
			if (bpf_program__type(p) == BPF_PROG_TYPE_XDP)
				bpf_program__set_flags(p, BPF_F_XDP_HAS_FRAGS);
		}
	}
	if (baseline__load(skel))
		die("load the baseline programs", errno);
	b->ctl = &skel->bss->ctl;
	b->fd_wrap_xdp = bpf_program__fd(skel->progs.bench_xdp);
	b->fd_wrap_tc = bpf_program__fd(skel->progs.bench_tc);
	set_target(bpf_map__fd(skel->maps.xdp_progs), BENCH_AT_ONCE,
		   bpf_program__fd(skel->progs.bench_tx));
	set_target(bpf_map__fd(skel->maps.xdp_progs), BENCH_GROW4,
		   bpf_program__fd(skel->progs.bench_grow4));
	set_target(bpf_map__fd(skel->maps.xdp_progs), BENCH_GROW6,
		   bpf_program__fd(skel->progs.bench_grow6));
	set_target(bpf_map__fd(skel->maps.tc_progs), BENCH_AT_ONCE,
		   bpf_program__fd(skel->progs.bench_ok));
	set_target(bpf_map__fd(skel->maps.tc_progs), BENCH_GROW4,
		   bpf_program__fd(skel->progs.bench_grow4_tc));
	set_target(bpf_map__fd(skel->maps.tc_progs), BENCH_GROW6,
		   bpf_program__fd(skel->progs.bench_grow6_tc));
}

/* ---- an instance ---- */

static void engine_up(struct bench *b, unsigned int conns)
{
	static const char *const devs[] = { "c0", "s0", NULL };
	struct bpvs_up_opts up = { .mode = BPVS_MODE_GENERIC, .devs = devs, .conns = conns };
	__u32 key = BENCH_PRODUCT;
	int err = bpvs_up(&up);

	if (!err)
		err = bpvs_open(&b->in);
	if (err)
		die("bring an instance up", err);
	b->in->devs[b->c0 % BPVS_DEVS].flags |= BPVS_DEV_XDP | BPVS_DEV_REDIRECT;
	b->in->devs[b->s0 % BPVS_DEVS].flags |= BPVS_DEV_XDP | BPVS_DEV_REDIRECT;
	/* A program array takes programs of one kind only: with or without multi-buffer support. */
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.xdp_progs), &key, &b->in->fd_xdp, 0)) {
		load_baseline(b, true);
		set_target(bpf_map__fd(skel->maps.xdp_progs), BENCH_PRODUCT, b->in->fd_xdp);
	}
	set_target(bpf_map__fd(skel->maps.tc_progs), BENCH_PRODUCT, b->in->fd_tc);
}

static void engine_down(struct bench *b)
{
	__u32 key = BENCH_PRODUCT;
	int err;

	bpf_map_delete_elem(bpf_map__fd(skel->maps.xdp_progs), &key);
	bpf_map_delete_elem(bpf_map__fd(skel->maps.tc_progs), &key);
	bpvs_close(b->in);
	b->in = NULL;
	err = bpvs_down();
	if (err)
		die("take the instance down", err);
}

static void set_addr(struct bpvs_addr *a, bool v6, const char *text4, const char *text6)
{
	memset(a, 0, sizeof(*a));
	if (v6) {
		inet_pton(AF_INET6, text6, a->b);
		return;
	}
	a->b[10] = a->b[11] = 0xff;
	inet_pton(AF_INET, text4, &a->w[3]);
}

static void add_service(struct bench *b, bool v6, __u8 proto, __u16 port, const struct method *m,
			int dests)
{
	struct bpvs_svc_info svc = {
		.key = { .port = htons(port), .proto = proto, .af = v6 ? BPVS_V6 : BPVS_V4 },
		.netmask = v6 ? 128 : 0xffffffff,
	};
	int err = bpvs_sched_find("rr", &svc.sched);

	set_addr(&svc.key.addr, v6, "10.0.1.100", "2001:db8:1::100");
	err = err ? err : bpvs_svc_add(b->in, &svc);
	for (int i = 1; !err && i <= dests; i++) {
		struct bpvs_dest_info d = {
			.port = htons(m->rport), .af = svc.key.af, .fwd = m->fwd, .weight = 1
		};
		char a4[32], a6[32];

		snprintf(a4, sizeof(a4), "10.0.2.%d", i);
		snprintf(a6, sizeof(a6), "2001:db8:2::%d", i);
		set_addr(&d.addr, v6, a4, a6);
		err = bpvs_dest_add(b->in, &svc.key, &d);
	}
	if (err)
		die("add a service", err);
}

/* ---- variants ---- */

static struct variant *add(enum hook hook, const struct packet *p, enum bench_target target)
{
	struct variant *v = &variants[num_variants++];

	if (num_variants > MAX_VARIANTS)
		die("more variants than there is room for", ENOSPC);
	memset(v, 0, sizeof(*v));
	v->hook = hook;
	v->reply = p->reply;
	v->wrapper = v->grown = -1;
	packet_shape(&v->shape, p);
	v->shape.target = target;
	return v;
}

static struct variant *add_alone(struct bench *b, const char *name, enum hook hook,
				 const struct bpf_program *prog)
{
	struct packet p = { .tcp_flags = TH_ACK, .vport = 80 };
	struct variant *v = add(hook, &p, BENCH_AT_ONCE);

	(void)b;
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->alone = true;
	v->fd = bpf_program__fd(prog);
	return v;
}

/* Every set of variants begins with the empty runs, so that they take turns with the others. */
static void start_variants(struct bench *b)
{
	num_variants = 0;
	add_alone(b, "xdp/tx-at-once", XDP, skel->progs.bench_tx);
	add_alone(b, "tc/ok-at-once", TC, skel->progs.bench_ok);
}

/* The walk of bench.h, `steps` further. */
static __u32 flow_step(__u32 x, __u32 steps)
{
	while (steps--)
		x = BENCH_NEXT(x);
	return x;
}

/*
 * A product's variant with the wrapper's cost on the same packets before it, and, where it puts a
 * header in front, the cost of growing and undoing.
 */
static struct variant *add_figure(enum hook hook, const struct packet *p, unsigned int reason,
				  __u32 flows, bool grows)
{
	struct variant *v;
	int wrapper, grown = -1;

	v = add(hook, p, BENCH_AT_ONCE);
	v->shape.mask = flows - 1;
	wrapper = num_variants - 1;
	snprintf(v->name, sizeof(v->name), "%s/wrapper", hook_names[hook]);
	if (grows) {
		v = add(hook, p, p->v6 ? BENCH_GROW6 : BENCH_GROW4);
		v->shape.mask = flows - 1;
		grown = num_variants - 1;
		snprintf(v->name, sizeof(v->name), "%s/wrapper-grow", hook_names[hook]);
	}
	v = add(hook, p, BENCH_PRODUCT);
	v->shape.mask = flows - 1;
	/* Variants begin in different places, or one would find what another has just fetched. */
	v->x = flow_step(0, (num_variants % 16) * (flows / 16));
	v->reason = reason;
	v->wrapper = wrapper;
	v->grown = grown;
	return v;
}

/* ---- flows ---- */

/* Every flow once, in pieces short enough for the neighbours to stay confirmed; -> missed. */
static long sweep_flows(struct bench *b, enum hook hook, const struct packet *p, __u32 flows,
			unsigned int reason)
{
	struct variant v = { .hook = hook, .reply = p->reply, .reason = reason };
	long missed = 0;

	packet_shape(&v.shape, p);
	v.shape.mask = flows - 1;
	for (__u32 done = 0; done < flows;) {
		__u32 n = flows - done < 65536 ? flows - done : 65536;
		struct run r = {};
		int err = variant_run(b, &v, n, &r);

		if (err && err != -EAGAIN)
			die("inject flows", err);
		missed += r.missed;
		done += n;
	}
	return missed;
}

/*
 * Establish the flows through the product itself: SYN and ACK of each. By TC, which finishes every
 * packet, whatever XDP still has to learn about neighbours.
 */
static void make_flows(struct bench *b, bool v6, const struct method *m, __u32 flows)
{
	struct packet p = { .v6 = v6, .tcp_flags = TH_SYN, .vport = 80, .rport = m->rport };
	long missed;

	missed = sweep_flows(b, TC, &p, flows, BPVS_EV_CONN_NEW);
	if (missed)
		fprintf(stderr, "bench: %ld of %u %s flows not made\n", missed, flows, m->name);
	p.tcp_flags = TH_ACK;
	sweep_flows(b, TC, &p, flows, m->in);
	sweep_flows(b, XDP, &p, flows, m->in);
	if (m->out) {
		p.reply = true;
		sweep_flows(b, TC, &p, flows, m->out);
		sweep_flows(b, XDP, &p, flows, m->out);
	}
}

/* ---- the parts ---- */

static void report_all(struct bench *b)
{
	b->tx = variant_median(&variants[0]);
	b->ok = variant_median(&variants[1]);
	for (int i = 2; i < num_variants; i++) {
		if (variants[i].wrapper >= 0)
			report_figure(b, variants, &variants[i]);
	}
}

static void plan_baselines(struct bench *b)
{
	start_variants(b);
	add_alone(b, "xdp/swap-macs", XDP, skel->progs.bench_swap);
	add_alone(b, "xdp/parse-swap", XDP, skel->progs.bench_parse);
	rounds_run(b, variants, num_variants);
	b->tx = variant_median(&variants[0]);
	b->ok = variant_median(&variants[1]);
	report_title("baselines");
	for (int i = 0; i < num_variants; i++)
		report_value(variants[i].name, variant_median(&variants[i]), "ns", variants[i].n);
}

/* TC keeps a mark of an encapsulated skb that no program can take off again (bench.c, single). */
static void check_repeatable(struct bench *b, int at)
{
	struct variant *v = &variants[at];
	struct run r = {};

	if (v->hook != TC || v->grown < 0 || variant_run(b, v, 64, &r) != -EAGAIN)
		return;
	v->single = variants[v->wrapper].single = variants[v->grown].single = true;
}

static void add_direction(struct bench *b, const struct method *m, enum hook hook,
			  const struct packet *p, __u32 flows, const char *size, bool rested)
{
	struct variant *v =
		add_figure(hook, p, p->reply ? m->out : m->in, flows, m->fwd == BPVS_FWD_TUNNEL);
	const char *way = !m->out ? "" : p->reply ? "-out" : "-in";

	v->familiar = p->reply && !rested;
	v->flush = flows >= BENCH_COLD_FLOWS;
	/*
	 * Several packets of each flow in a round, so that as in life not every packet finds the
	 * flow's timer in need of a refresh; in a large table every one does in life, too.
	 */
	v->repeat = v->flush ? 0 : 4 * flows;
	snprintf(v->name, sizeof(v->name), "%s/%s%s%s/v%d/%s", hook_names[hook], m->name, way,
		 rested ? "-rested" : "", p->v6 ? 6 : 4, size);
	check_repeatable(b, num_variants - 1);
}

/*
 * A reply finds its way to the client remembered from the flow's last one, if that is not long
 * ago. In a large table the benchmark comes by too seldom: so both cases are measured.
 */
static void add_method(struct bench *b, const struct method *m, __u32 flows, const char *size)
{
	for (int i = 0; i < 8; i++) {
		enum hook hook = i & 1 ? TC : XDP;
		struct packet p = { .v6 = i & 2,
				    .reply = i & 4,
				    .tcp_flags = TH_ACK,
				    .vport = 80,
				    .rport = m->rport };

		if (p.reply && !m->out)
			continue;
		add_direction(b, m, hook, &p, flows, size, false);
		if (p.reply && flows >= BENCH_COLD_FLOWS)
			add_direction(b, m, hook, &p, flows, size, true);
	}
}

static void add_not_ours(void)
{
	for (int i = 0; i < 4; i++) {
		enum hook hook = i & 1 ? TC : XDP;
		struct packet p = { .v6 = i & 2, .tcp_flags = TH_ACK, .vport = 80, .other = true };
		struct variant *v = add_figure(hook, &p, BPVS_NOT_OURS, 1024, false);

		snprintf(v->name, sizeof(v->name), "%s/not-ours/v%d", hook_names[hook],
			 p.v6 ? 6 : 4);
	}
}

static void plan_established(struct bench *b, const struct method *m, __u32 flows, const char *size)
{
	char title[64];

	/* both families live in the table, at half load */
	engine_up(b, flows * 4 < 65536 ? 65536 : flows * 4);
	add_service(b, false, IPPROTO_TCP, 80, m, 1);
	add_service(b, true, IPPROTO_TCP, 80, m, 1);
	make_flows(b, false, m, flows);
	make_flows(b, true, m, flows);
	start_variants(b);
	add_method(b, m, flows, size);
	if (m == &nat && flows == 1024)
		add_not_ours();
	rounds_run(b, variants, num_variants);
	snprintf(title, sizeof(title), "established TCP, %s, %s flows a family", m->name, size);
	report_title(title);
	report_all(b);
	engine_down(b);
}

/* Flows never seen before, each range of numbers used by one variant only. */
static void add_fresh(const struct bench *b, enum hook hook, bool v6, bool udp, __u32 *base)
{
	struct packet p = { .v6 = v6, .udp = udp, .tcp_flags = TH_SYN, .vport = udp ? 53 : 80 };
	struct variant *v = add_figure(hook, &p, BPVS_EV_CONN_NEW, 1 << 20, false);

	v->fresh = true;
	v->shape.base = *base;
	v->x = 12345;
	variants[v->wrapper].fresh = true;
	*base += 1 << 20;
	snprintf(v->name, sizeof(v->name), "%s/new-%s/v%d", hook_names[hook], udp ? "udp" : "tcp",
		 v6 ? 6 : 4);
	(void)b;
}

static void plan_new(struct bench *b)
{
	__u32 base = 0;

	engine_up(b, 1 << 22);
	for (int v6 = 0; v6 < 2; v6++) {
		struct packet syn = { .v6 = v6, .tcp_flags = TH_SYN, .vport = 80 };
		struct packet udp = { .v6 = v6, .udp = true, .vport = 53 };

		add_service(b, v6, IPPROTO_TCP, 80, &nat, 4);
		add_service(b, v6, IPPROTO_UDP, 53, &nat, 4);
		/* every real server's neighbour is found by TC */
		sweep_flows(b, TC, &syn, 256, BPVS_EV_CONN_NEW);
		sweep_flows(b, TC, &udp, 256, BPVS_EV_CONN_NEW);
		base = 1 << 20;
	}
	start_variants(b);
	for (int i = 0; i < 8; i++)
		add_fresh(b, i & 1 ? TC : XDP, i & 2, i & 4, &base);
	rounds_run(b, variants, num_variants);
	report_title("new connections (NAT, rr over 4, table of 4M)");
	report_all(b);
	engine_down(b);
}

/* ---- schedulers ---- */

/*
 * A service of its own for a scheduler. Its real servers are behind one router, and heavy, so that
 * those that ask for room find some. `persistent` is the mask of a persistent one's clients.
 */
static void add_scheduled(struct bench *b, unsigned int sched, __u16 port, int dests,
			  const __be32 *persistent)
{
	struct bpvs_svc_info svc = {
		.key = { .port = htons(port), .proto = IPPROTO_TCP, .af = BPVS_V4 },
		.flags = persistent ? BPVS_SVC_PERSISTENT : 0,
		.timeout = 300,
		.netmask = persistent ? *persistent : 0xffffffff,
		.sched = sched,
	};
	int err;

	set_addr(&svc.key.addr, false, "10.0.1.100", NULL);
	err = bpvs_svc_add(b->in, &svc);
	for (int i = 0; !err && i < dests; i++) {
		struct bpvs_dest_info d = {
			.port = svc.key.port, .af = BPVS_V4, .fwd = BPVS_FWD_DROUTE, .weight = 65535
		};
		char text[32];

		snprintf(text, sizeof(text), "10.3.%d.%d", i / 250, i % 250 + 1);
		set_addr(&d.addr, false, text, NULL);
		err = bpvs_dest_add(b->in, &svc.key, &d);
	}
	if (err)
		die("add a service with many destinations", err);
}

/*
 * TCP's connections are active ones, so that none of the destinations stays idle. Each scheduler
 * has clients of its own: one client's connections to several services are in one bucket of the
 * table, and who is measured later would meet those of all before.
 */
static void plan_scheduler(struct bench *b, unsigned int sched, int dests)
{
	struct packet p = { .tcp_flags = TH_SYN, .vport = (__u16)(1000 + sched) };
	struct variant warm = { .hook = TC, .reason = BPVS_EV_CONN_NEW }, *v;
	struct run r = {};

	add_scheduled(b, sched, p.vport, dests, NULL);
	/* every destination's next hop is found by TC */
	packet_shape(&warm.shape, &p);
	warm.shape.mask = (1 << 19) - 1;
	variant_run(b, &warm, 2 * (__u32)dests, &r);
	start_variants(b);
	v = add_figure(XDP, &p, BPVS_EV_CONN_NEW, 1 << 19, false);
	v->fresh = true;
	v->shape.base = (2 + sched) << 19;
	variants[v->wrapper].fresh = true;
	snprintf(v->name, sizeof(v->name), "xdp/new-%s/%d", bpvs_sched_name(sched), dests);
	rounds_run(b, variants, num_variants);
	report_all(b);
}

/* A template for each client's connections, or one that all share and that is there. */
static void plan_persistent(struct bench *b, const char *name, __be32 mask, __u16 port)
{
	struct packet p = { .tcp_flags = TH_SYN, .vport = port };
	struct variant warm = { .hook = TC, .reason = BPVS_DR }, *v;
	struct run r = {};

	add_scheduled(b, BPVS_SCHED_RR, port, 8, &mask);
	packet_shape(&warm.shape, &p);
	warm.shape.mask = (1 << 20) - 1;
	variant_run(b, &warm, 64, &r);
	start_variants(b);
	v = add_figure(XDP, &p, BPVS_DR, 1 << 20, false);
	v->fresh = true;
	v->shape.base = 1 << 20;
	variants[v->wrapper].fresh = true;
	snprintf(v->name, sizeof(v->name), "xdp/new-persistent/%s", name);
	rounds_run(b, variants, num_variants);
	report_all(b);
}

static void plan_persistence(struct bench *b)
{
	engine_up(b, 1 << 22);
	report_title("new TCP connections of persistent services (rr over 8)");
	plan_persistent(b, "template-there", 0, 900);
	plan_persistent(b, "template-new", 0xffffffff, 901);
	engine_down(b);
}

/* ---- marks ---- */

/* A service by mark: where routing takes a marked packet, that program meets it. */
static void add_marked(struct bench *b, __u32 mark)
{
	struct bpvs_svc_info svc = {
		.key = { .fwmark = mark, .af = BPVS_V4 },
		.netmask = 0xffffffff,
		.sched = BPVS_SCHED_RR,
	};
	int fd, err = bpvs_svc_add(b->in, &svc);

	for (int i = 1; !err && i <= 4; i++) {
		struct bpvs_dest_info d = { .af = BPVS_V4, .fwd = BPVS_FWD_DROUTE, .weight = 1 };
		char text[32];

		snprintf(text, sizeof(text), "10.0.2.%d", i);
		set_addr(&d.addr, false, text, NULL);
		err = bpvs_dest_add(b->in, &svc.key, &d);
	}
	if (err)
		die("add a service by mark", err);
	b->bpvs0 = if_nametoindex("bpvs0");
	fd = bpf_prog_get_fd_by_id(bpvs_instance_anchor(b->in)->mark_id);
	if (!b->bpvs0 || fd < 0)
		die("find bpvs0 and its program", errno);
	set_target(bpf_map__fd(skel->maps.tc_progs), BENCH_MARKED, fd);
	close(fd);
}

/*
 * The first packet of a connection takes the way by bpvs0, of which this is the program's part;
 * the next ones are met where they come in. Beside it the same by address.
 */
static void plan_marks(struct bench *b)
{
	struct packet marked = { .tcp_flags = TH_SYN, .vport = 80, .other = true, .mark = 7 };
	struct packet plain = { .tcp_flags = TH_SYN, .vport = 80 };
	struct packet next = { .tcp_flags = TH_ACK, .vport = 80, .other = true };
	struct variant warm = { .hook = TC, .reason = BPVS_EV_CONN_NEW }, *v;
	struct run r = {};

	engine_up(b, 1 << 22);
	add_marked(b, marked.mark);
	add_service(b, false, IPPROTO_TCP, 80, &dr, 4);
	sweep_flows(b, TC, &plain, 256, BPVS_EV_CONN_NEW);
	packet_shape(&warm.shape, &marked);
	warm.shape.mask = 1023;
	warm.shape.target = BENCH_MARKED;
	if (variant_run(b, &warm, 1024, &r))
		fprintf(stderr, "bench: %ld of 1024 marked flows not made\n", r.missed);
	sweep_flows(b, TC, &next, 1024, BPVS_DR);
	sweep_flows(b, XDP, &next, 1024, BPVS_DR);
	start_variants(b);
	for (int i = 0; i < 2; i++) {
		v = add_figure(TC, i ? &marked : &plain, BPVS_EV_CONN_NEW, 1 << 20, false);
		v->fresh = variants[v->wrapper].fresh = true;
		v->shape.base = (1 + i) << 20;
		v->shape.target = i ? BENCH_MARKED : BENCH_PRODUCT;
		snprintf(v->name, sizeof(v->name), "tc/new-tcp/%s", i ? "mark" : "address");
	}
	for (int i = 0; i < 2; i++) {
		v = add_figure(i ? TC : XDP, &next, BPVS_DR, 1024, false);
		snprintf(v->name, sizeof(v->name), "%s/dr/mark/1k", hook_names[v->hook]);
	}
	rounds_run(b, variants, num_variants);
	report_title("services by firewall mark (DR, rr over 4, table of 4M)");
	report_all(b);
	engine_down(b);
}

static bool wanted(const struct bench *b, const char *part)
{
	return !b->only || !strcmp(b->only, part);
}

static bool wanted_sched(const struct bench *b, unsigned int sched)
{
	return sched != BPVS_SCHED_NONE &&
	       (wanted(b, "sched") || wanted(b, bpvs_sched_name(sched)));
}

static void plan_schedulers(struct bench *b)
{
	static const int lengths[] = { 8, 64, 512, 1000 };
	bool any = false;
	char title[64];

	for (unsigned int sched = 0; sched < BPVS_SCHEDS; sched++)
		any |= wanted_sched(b, sched);
	for (size_t i = 0; any && i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		engine_up(b, 1 << 22);
		snprintf(title, sizeof(title), "new TCP connections over %d destinations",
			 lengths[i]);
		report_title(title);
		for (unsigned int sched = 0; sched < BPVS_SCHEDS; sched++)
			if (wanted_sched(b, sched))
				plan_scheduler(b, sched, lengths[i]);
		engine_down(b);
	}
}

static void report_program(const char *name, int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	char text[64];

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return;
	snprintf(text, sizeof(text), "%s/verified-insns", name);
	report_value(text, info.verified_insns, "insns", 1);
	snprintf(text, sizeof(text), "%s/translated-insns", name);
	report_value(text, info.xlated_prog_len / 8, "insns", 1);
	snprintf(text, sizeof(text), "%s/jited", name);
	report_value(text, info.jited_prog_len, "B", 1);
}

static void report_maps(struct bench *b)
{
	__u32 ids[64], len;
	struct bpf_prog_info info = { .nr_map_ids = 64, .map_ids = (__u64)(unsigned long)ids };

	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(b->in->fd_tc, &info, &len))
		return;
	for (__u32 i = 0; i < info.nr_map_ids && i < 64; i++) {
		struct bpf_map_info m = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);
		double per = m.value_size;
		char text[64];

		len = sizeof(m);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &m, &len))
			continue;
		per = m.value_size;
		if (m.type == BPF_MAP_TYPE_PERCPU_ARRAY || m.type == BPF_MAP_TYPE_PERCPU_HASH)
			per *= b->in->ro->cpus;
		if (m.type == BPF_MAP_TYPE_HASH || m.type == BPF_MAP_TYPE_LRU_HASH)
			per += m.key_size;
		snprintf(text, sizeof(text), "map/%s", m.name);
		report_value(text, per * m.max_entries, "B", 1);
		close(fd);
	}
}

static void plan_sizes(struct bench *b)
{
	engine_up(b, 0);
	report_title("programs and maps (default size)");
	report_program("xdp", b->in->fd_xdp);
	report_program("tc", b->in->fd_tc);
	report_maps(b);
	engine_down(b);
}

void plan_run(struct bench *b)
{
	static const struct {
		__u32 flows;
		const char *name;
	} sizes[] = { { 1 << 10, "1k" }, { 1 << 16, "64k" }, { 1 << 20, "1M" } };
	static const struct method *const methods[] = { &dr, &nat, &tun };

	load_baseline(b, false);
	plan_baselines(b);
	if (wanted(b, "sizes"))
		plan_sizes(b);
	for (int m = 0; m < 3; m++) {
		for (int s = 0; s < 3; s++) {
			if (b->quick && (s == 1 || (s == 2 && methods[m] != &nat)))
				continue;
			if (wanted(b, methods[m]->only))
				plan_established(b, methods[m], sizes[s].flows, sizes[s].name);
		}
	}
	if (wanted(b, "new"))
		plan_new(b);
	plan_schedulers(b);
	if (wanted(b, "persist"))
		plan_persistence(b);
	if (wanted(b, "mark"))
		plan_marks(b);
	baseline__destroy(skel);
}
