/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Send frames through one end of a veth pair and print what each cost by the kernel's own clock.
 * Under QEMU's -icount a nanosecond of that clock is one instruction.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "inject.h"

#include "inject.skel.h"

/* Below the budget of one NAPI poll (64), so that a batch is done when the poll ends. */
#define BATCH 32

struct options {
	const char *dev, *attach;
	struct ether_addr src, dst;
	struct in_addr client, server;
	unsigned int port, flows, first, count, repeats;
	bool udp, syn, ack, reply;
};

static void usage(void)
{
	fputs("usage: inject --dev DEV --src MAC --dst MAC --client IP --server IP --port N\n"
	      "              [--udp] [--syn] [--ack] [--reply] [--flows N] [--first N] [--count "
	      "N]\n"
	      "              [--repeats N]\n"
	      "       inject --dev DEV --attach PROGRAM\n"
	      "Prints JSON: instructions (nanoseconds) a frame for each repeat, frames sent,\n"
	      "frames that came back to DEV, and the first of those. --flows 0: each frame is\n"
	      "a flow of its own.\n",
	      stderr);
	exit(2);
}

static void parse_mac(const char *text, struct ether_addr *ret)
{
	if (!ether_aton_r(text, ret))
		usage();
}

static void parse_addr(const char *text, struct in_addr *ret)
{
	if (inet_pton(AF_INET, text, ret) != 1)
		usage();
}

static void parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "attach", 1, NULL, 'a' },

		{ "dev", 1, NULL, 'd' },     { "src", 1, NULL, 's' },	 { "dst", 1, NULL, 'm' },
		{ "client", 1, NULL, 'c' },  { "server", 1, NULL, 'v' }, { "port", 1, NULL, 'p' },
		{ "flows", 1, NULL, 'f' },   { "first", 1, NULL, '1' },	 { "count", 1, NULL, 'n' },
		{ "repeats", 1, NULL, 'r' }, { "udp", 0, NULL, 'u' },	 { "syn", 0, NULL, 'S' },
		{ "ack", 0, NULL, 'A' },     { "reply", 0, NULL, 'R' },	 { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->dev = optarg;
			break;
		case 's':
			parse_mac(optarg, &o->src);
			break;
		case 'm':
			parse_mac(optarg, &o->dst);
			break;
		case 'c':
			parse_addr(optarg, &o->client);
			break;
		case 'v':
			parse_addr(optarg, &o->server);
			break;
		case 'p':
			o->port = strtoul(optarg, NULL, 10);
			break;
		case 'f':
			o->flows = strtoul(optarg, NULL, 10);
			break;
		case '1':
			o->first = strtoul(optarg, NULL, 10);
			break;
		case 'n':
			o->count = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->repeats = strtoul(optarg, NULL, 10);
			break;
		case 'a':
			o->attach = optarg;
			break;
		case 'u':
			o->udp = true;
			break;
		case 'S':
			o->syn = true;
			break;
		case 'A':
			o->ack = true;
			break;
		case 'R':
			o->reply = true;
			break;
		default:
			usage();
		}
	}
	if (!o->syn)
		o->ack = true;
	if (o->dev && o->attach)
		return;
	if (!o->dev || !o->client.s_addr || !o->server.s_addr || !o->port || !o->count)
		usage();
}

static __u32 add_words(const void *data, size_t len)
{
	const __u8 *byte = data;
	__u32 sum = 0;
	__u16 word;

	for (size_t i = 0; i < len; i += 2) {
		memcpy(&word, byte + i, 2);
		sum += word;
	}
	return sum;
}

/* The template of inject.h; the payload is zeros, which no checksum notices. */
static void make_spec(const struct options *o, struct inject_spec *spec)
{
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_IP) };
	size_t l4_len = INJECT_FRAME - sizeof(eth) - sizeof(struct iphdr);
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .frag_off = htons(IP_DF) };
	struct tcphdr tcp = { .doff = 5,
			      .syn = o->syn,
			      .ack = o->ack,
			      .window = htons(1000),
			      .seq = htonl(1),
			      .ack_seq = htonl(o->ack) };
	struct udphdr udp = { .len = htons(l4_len) };
	void *l4 = o->udp ? (void *)&udp : (void *)&tcp;
	__u8 *frame;

	if (!o->udp)
		l4_len = sizeof(tcp);
	memcpy(eth.ether_shost, &o->src, 6);
	memcpy(eth.ether_dhost, &o->dst, 6);
	ip.tot_len = htons(sizeof(ip) + l4_len);
	ip.protocol = o->udp ? IPPROTO_UDP : IPPROTO_TCP;
	if (o->reply) {
		ip.saddr = o->server.s_addr;
		((__be16 *)l4)[0] = htons(o->port);
	} else {
		ip.daddr = o->server.s_addr;
		((__be16 *)l4)[1] = htons(o->port);
	}
	spec->ip_sum = add_words(&ip, sizeof(ip));
	spec->l4_sum = add_words(&ip.saddr, 8) + htons(ip.protocol) + htons(l4_len) +
		       add_words(l4, o->udp ? sizeof(udp) : sizeof(tcp));
	frame = (__u8 *)spec->words;
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), &ip, sizeof(ip));
	memcpy(frame + sizeof(eth) + sizeof(ip), l4, o->udp ? sizeof(udp) : sizeof(tcp));
	spec->client = ntohl(o->client.s_addr);
	spec->flows = o->flows;
	spec->first = o->first;
	spec->udp = o->udp;
	spec->reply = o->reply;
}

static int run_once(int prog_fd, unsigned int ifindex, unsigned int count, unsigned int *ret_ns)
{
	__u8 frame[INJECT_ROOM + INJECT_FRAME] = { 0 };
	struct xdp_md ctx = { .data_end = sizeof(frame), .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = count,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	int err = bpf_prog_test_run_opts(prog_fd, &opts);

	*ret_ns = opts.duration;
	return err;
}

static int run(const struct options *o, struct inject_bpf *skel, unsigned int ifindex)
{
	unsigned int ns;
	int err;

	printf("{\"insns\": [");
	for (unsigned int i = 0; i < o->repeats; i++) {
		err = run_once(bpf_program__fd(skel->progs.inject), ifindex, o->count, &ns);
		if (err)
			return err;
		printf("%s%u", i ? ", " : "", ns);
	}
	printf("], \"sent\": %llu, \"sunk\": %llu, \"frame\": \"",
	       (unsigned long long)o->count * o->repeats, (unsigned long long)skel->bss->sunk);
	for (size_t i = 0; i < sizeof(skel->bss->captured); i++)
		printf("%02x", skel->bss->captured[i]);
	puts("\"}");
	return 0;
}

/* Leave a program on the device: XDP, or TC ingress for those whose name says so. */
static int attach(struct inject_bpf *skel, const char *name, unsigned int ifindex)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(skel->obj, name);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);
	int err;

	if (!prog)
		return -ENOENT;
	if (strncmp(name, "tc_", 3) != 0)
		return bpf_xdp_attach(ifindex, bpf_program__fd(prog), XDP_FLAGS_DRV_MODE, NULL);
	opts.prog_fd = bpf_program__fd(prog);
	err = bpf_tc_hook_create(&hook);
	return err ? err : bpf_tc_attach(&hook, &opts);
}

static int inject(const struct options *o, struct inject_bpf *skel, unsigned int ifindex)
{
	int err;

	make_spec(o, &skel->bss->spec);
	skel->bss->next_flow = o->first;
	skel->bss->capture = 1;
	err = attach(skel, "sink", ifindex);
	if (err)
		return err;
	err = run(o, skel, ifindex);
	bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL);
	return err;
}

int main(int argc, char **argv)
{
	struct options o = { .repeats = 1 };
	struct inject_bpf *skel;
	unsigned int ifindex;
	int err;

	parse_options(argc, argv, &o);
	ifindex = if_nametoindex(o.dev);
	if (!ifindex) {
		fprintf(stderr, "inject: no device %s\n", o.dev);
		return 1;
	}
	skel = inject_bpf__open_and_load();
	if (!skel)
		return 1;
	err = o.attach ? attach(skel, o.attach, ifindex) : inject(&o, skel, ifindex);
	if (err)
		fprintf(stderr, "inject: cannot %s on %s: %s\n", o.attach ? o.attach : "inject",
			o.dev, strerror(-err));
	inject_bpf__destroy(skel);
	return err ? 1 : 0;
}
