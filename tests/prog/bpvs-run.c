/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Drive the data path of this network namespace's instance by hand. A co-process for the packet
 * tests: one command a line on stdin, one line of answer on stdout, `ERR ...` when it went wrong.
 * Structured answers are JSON. `bpvs-run up [CONNS]` and `bpvs-run down` make and end the instance,
 * and any one command may be given as argument.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include "engine.h"
#include "run.h"

const char *const run_labels[BPVS_COUNTERS] = {
#define BPVS_REASON(id, kind, label, text) [BPVS_##id] = label,
#include <bpvs/reason.def>
#undef BPVS_REASON
#define BPVS_EVENT(id, label, text) [BPVS_EV_##id] = label,
#include <bpvs/event.def>
#undef BPVS_EVENT
};

int run_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	return 0;
}

static int complain(const char *what, int err)
{
	return run_say("ERR %s: %s %s\n", what, strerror(err < 0 ? -err : err), bpvs_error());
}

/* ---- packets ---- */

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int run_unhex(const char *hex, __u8 *buf, size_t size)
{
	size_t n = 0;

	for (; hex[0]; hex += 2, n++) {
		int hi = nibble(hex[0]), lo = hi < 0 ? -1 : nibble(hex[1]);

		if (lo < 0 || n == size)
			return -EINVAL;
		buf[n] = hi << 4 | lo;
	}
	return n;
}

static int parse_packet(char **save, unsigned int *ret_ifindex, struct run_packet *p)
{
	char *ifindex = strtok_r(NULL, " ", save), *hex = strtok_r(NULL, " ", save);
	int len = hex ? run_unhex(hex, p->in, sizeof(p->in)) : -EINVAL;

	if (len < 0)
		return len;
	*ret_ifindex = strtoul(ifindex, NULL, 10);
	p->len = len;
	return 0;
}

static int answer_packet(const struct run_packet *p)
{
	run_say("%d %u ", p->ret, p->out_len);
	for (__u32 i = 0; i < p->out_len; i++)
		run_say("%02x", p->out[i]);
	return run_say("\n");
}

static struct run_packet packet;

static int cmd_xdp(struct bpvs_instance *in, char **save)
{
	unsigned int ifindex;
	int err = parse_packet(save, &ifindex, &packet);

	if (err)
		return complain("packet", err);
	run_enable_devices(in);
	err = run_xdp(in, ifindex, &packet);
	return err ? complain("xdp", err) : answer_packet(&packet);
}

/* key=value of a TC run; linear is how much of the frame lies in the skb's head (since 6.18). */
static int skb_option(struct __sk_buff *ctx, const char *opt)
{
	const char *eq = strchr(opt, '=');
	__u32 v = eq ? strtoul(eq + 1, NULL, 0) : 0;

	if (!strncmp(opt, "mark=", 5))
		ctx->mark = v;
	else if (!strncmp(opt, "linear=", 7))
		ctx->data_end = v;
	else if (!strncmp(opt, "gso_size=", 9))
		ctx->gso_size = v;
	else if (!strncmp(opt, "gso_segs=", 9))
		ctx->gso_segs = v;
	else if (!strncmp(opt, "wire_len=", 9))
		ctx->wire_len = v;
	else
		return -EINVAL;
	return 0;
}

typedef int run_fn(struct bpvs_instance *in, struct __sk_buff *ctx, struct run_packet *p);

static int run_by_skb(struct bpvs_instance *in, char **save, run_fn *run, const char *name)
{
	struct __sk_buff ctx = {};
	unsigned int ifindex;
	int err = parse_packet(save, &ifindex, &packet);

	for (char *opt; !err && (opt = strtok_r(NULL, " ", save));)
		err = skb_option(&ctx, opt);
	if (err)
		return complain("packet", err);
	ctx.ifindex = ctx.ingress_ifindex = ifindex;
	err = run(in, &ctx, &packet);
	return err ? complain(name, err) : answer_packet(&packet);
}

static int cmd_tc(struct bpvs_instance *in, char **save)
{
	return run_by_skb(in, save, run_tc, "tc");
}

static int cmd_mark(struct bpvs_instance *in, char **save)
{
	return run_by_skb(in, save, run_mark, "mark");
}

/* ---- what the packets did ---- */

static int cmd_counters(struct bpvs_instance *in, char **save)
{
	__u64 v[BPVS_COUNTERS] = {};

	(void)save;
	for (int i = 1; i < BPVS_COUNTERS; i++) {
		int err = run_labels[i] ? bpvs_counter_get(in, i, &v[i]) : 0;

		if (err)
			return complain(run_labels[i], err);
	}
	for (int i = 1, n = 0; i < BPVS_COUNTERS; i++) {
		if (run_labels[i])
			run_say("%s\"%s\": %llu", n++ ? ", " : "{", run_labels[i],
				(unsigned long long)v[i]);
	}
	return run_say("}\n");
}

static const char *addr_text(const struct bpvs_addr *a)
{
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	static char text[4][INET6_ADDRSTRLEN];
	static unsigned int turn;
	char *s = text[turn++ % 4];

	if (memcmp(a->b, mapped, sizeof(mapped)))
		inet_ntop(AF_INET6, a->b, s, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET, &a->w[3], s, INET6_ADDRSTRLEN);
	return s;
}

struct list {
	struct bpvs_instance *in;
	int n;
};

static int print_conn(const struct bpvs_conn_info *c, void *arg)
{
	struct list *l = arg;

	run_say("%s{\"proto\": %u, \"client\": [\"%s\", %u], \"virtual\": [\"%s\", %u], ",
		l->n++ ? ", " : "", c->proto, addr_text(&c->caddr), ntohs(c->cport),
		addr_text(&c->vaddr), ntohs(c->vport));
	run_say("\"real\": [\"%s\", %u], \"state\": \"%s\", \"fwd\": \"%s\", \"active\": %s, ",
		addr_text(&c->daddr), ntohs(c->dport), bpvs_conn_state_name(c->proto, c->state),
		bpvs_fwd_name(c->fwd), c->active ? "true" : "false");
	run_say("\"dest\": %u, \"expires_ms\": %d, \"pkts\": %u}", c->dest, c->expires_ms, c->pkts);
	return 0;
}

static int cmd_conns(struct bpvs_instance *in, char **save)
{
	struct list l = { .in = in };

	(void)save;
	run_say("[");
	bpvs_conn_walk(in, print_conn, &l);
	return run_say("]\n");
}

static int print_dest(const struct bpvs_dest_info *d, void *arg)
{
	struct list *l = arg;

	run_say("%s{\"real\": [\"%s\", %u], \"fwd\": \"%s\", \"weight\": %d, \"active\": %u, ",
		l->n++ ? ", " : "", addr_text(&d->addr), ntohs(d->port), bpvs_fwd_name(d->fwd),
		d->weight, d->active);
	run_say("\"inactive\": %u, \"persistent\": %u, \"id\": %u}", d->inactive, d->persistent,
		d->id);
	return 0;
}

static int print_svc(const struct bpvs_svc_info *s, void *arg)
{
	struct list *l = arg, dests = { .in = l->in };

	run_say("%s{\"virtual\": [\"%s\", %u], \"proto\": %u, \"fwmark\": %u, \"sched\": \"%s\", ",
		l->n++ ? ", " : "", addr_text(&s->key.addr), ntohs(s->key.port), s->key.proto,
		s->key.fwmark, bpvs_sched_name(s->sched));
	run_say("\"id\": %u, \"dests\": [", s->id);
	bpvs_dest_walk(l->in, &s->key, print_dest, &dests);
	run_say("]}");
	return 0;
}

static int cmd_services(struct bpvs_instance *in, char **save)
{
	struct list l = { .in = in };

	(void)save;
	run_say("[");
	bpvs_svc_walk(in, print_svc, &l);
	return run_say("]\n");
}

/* stats total | stats svc ID | stats dest ID */
static int cmd_stats(struct bpvs_instance *in, char **save)
{
	const char *what = strtok_r(NULL, " ", save), *id = strtok_r(NULL, " ", save);
	struct bpvs_stats_info s;
	unsigned int index = BPVS_STATS_TOTAL;
	int err;

	if (what && id && !strcmp(what, "svc"))
		index = bpvs_stats_svc(in, strtoul(id, NULL, 10));
	else if (what && id && !strcmp(what, "dest"))
		index = bpvs_stats_dest(in, strtoul(id, NULL, 10));
	err = bpvs_stats_get(in, index, &s);
	if (err)
		return complain("stats", err);
	return run_say("{\"conns\": %llu, \"inpkts\": %llu, \"outpkts\": %llu, \"inbytes\": %llu, "
		       "\"outbytes\": %llu}\n",
		       (unsigned long long)s.total.conns, (unsigned long long)s.total.inpkts,
		       (unsigned long long)s.total.outpkts, (unsigned long long)s.total.inbytes,
		       (unsigned long long)s.total.outbytes);
}

/*
 * Every few seconds XDP leaves a packet to TC, which confirms the neighbour. Who runs XDP alone for
 * long says that all known next hops were confirmed just now.
 */
void run_warm(struct bpvs_instance *in)
{
	__u32 now = bpvs_clock_since(in, 0);

	if (bpvs_reach(in) || bpvs_conns_open(in))
		return;
	for (__u32 i = 1; i < in->cfg->tool_reserved[BPVS_TOOL_DEST_HIGH]; i++) {
		if (in->dests[i].nh.dst)
			in->dests[i].nh.checked = now;
	}
	for (__u32 i = 1; i < BPVS_NEXTHOPS; i++) {
		if (in->nexthops[i].dst)
			in->nexthops[i].checked = now;
	}
}

static int cmd_warm(struct bpvs_instance *in, char **save)
{
	(void)save;
	run_warm(in);
	return run_say("ok\n");
}

/* vlan IFINDEX LOWER TAG: what the engine would write for a VLAN device. */
static int cmd_vlan(struct bpvs_instance *in, char **save)
{
	__u32 v[3] = {};
	struct bpvs_dev *d;

	for (int i = 0; i < 3; i++) {
		char *word = strtok_r(NULL, " ", save);

		v[i] = word ? strtoul(word, NULL, 10) : 0;
	}
	d = &in->devs[v[0] % BPVS_DEVS];
	if (!v[0] || d->ifindex != v[0])
		return run_say("ERR no such device in the table\n");
	d->lower = v[1];
	d->vlan = htons(v[2]);
	return run_say("ok\n");
}

/* What the verifier had to look at, by program. */
static int cmd_insns(struct bpvs_instance *in, char **save)
{
	int mark = run_mark_fd(in);
	const int fds[] = { in->fd_xdp, in->fd_tc, mark };

	(void)save;
	for (int i = 0; i < 3; i++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(fds[i], &info, &len))
			return complain("program info", errno);
		run_say("%s\"%s\": %u", i ? ", " : "{", info.name, info.verified_insns);
	}
	close(mark);
	return run_say("}\n");
}

/* Labels of what is counted beside the packets' fates. */
static int cmd_events(struct bpvs_instance *in, char **save)
{
	(void)in;
	(void)save;
	for (int i = BPVS_EV_FIRST, n = 0; i < BPVS_COUNTERS; i++) {
		if (run_labels[i])
			run_say("%s\"%s\"", n++ ? ", " : "[", run_labels[i]);
	}
	return run_say("]\n");
}

/* Until `unlock`, or until this dies. */
static int cmd_lock(struct bpvs_instance *in, char **save)
{
	int err = bpvs_lock(in);

	(void)save;
	return err ? complain("lock", err) : run_say("ok\n");
}

static int cmd_unlock(struct bpvs_instance *in, char **save)
{
	(void)save;
	bpvs_unlock(in);
	return run_say("ok\n");
}

/* Leave a child behind that does nothing for a minute; answers its number. */
static int cmd_fork(struct bpvs_instance *in, char **save)
{
	pid_t child = fork();

	(void)in;
	(void)save;
	if (!child) {
		sleep(60);
		_exit(0);
	}
	return run_say("%d\n", (int)child);
}

static const struct {
	const char *name;
	int (*run)(struct bpvs_instance *in, char **save);
} commands[] = {
	{ "xdp", cmd_xdp },	  { "tc", cmd_tc },	  { "counters", cmd_counters },
	{ "conns", cmd_conns },	  { "stats", cmd_stats }, { "services", cmd_services },
	{ "warm", cmd_warm },	  { "fuzz", run_fuzz },	  { "template", run_template },
	{ "events", cmd_events }, { "vlan", cmd_vlan },	  { "insns", cmd_insns },
	{ "mark", cmd_mark },	  { "lock", cmd_lock },	  { "unlock", cmd_unlock },
	{ "fork", cmd_fork },
};

static int dispatch(struct bpvs_instance *in, char *line)
{
	char *save, *word = strtok_r(line, " \n", &save);

	for (size_t i = 0; word && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(word, commands[i].name))
			return commands[i].run(in, &save);
	}
	return run_say("ERR no such command\n");
}

/* With XDP, since what the data path knows of the devices depends on it. */
static int engine(int argc, char **argv)
{
	struct bpvs_up_opts up = { .mode = BPVS_MODE_GENERIC };
	int err;

	if (argc > 2)
		up.conns = strtoul(argv[2], NULL, 10);
	err = !strcmp(argv[1], "up") ? bpvs_up(&up) : bpvs_down();
	if (err)
		complain(argv[1], err);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct bpvs_instance *in;
	char *line = NULL;
	size_t size = 0;
	int err;

	if (argc > 1 && (!strcmp(argv[1], "up") || !strcmp(argv[1], "down")))
		return engine(argc, argv);
	err = bpvs_open(&in);
	if (err) {
		complain("open", err);
		return 1;
	}
	if (argc > 1)
		return dispatch(in, argv[1]);
	for (ssize_t n; (n = getline(&line, &size, stdin)) > 0;) {
		line[strcspn(line, "\n")] = 0;
		dispatch(in, line);
		fflush(stdout);
	}
	free(line);
	bpvs_close(in);
	return 0;
}
