/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `bpvs realserver`: make this host a real server behind DR, TUN or NAT, and undo exactly that.
 *
 * What belongs on a real server is known from LVS: the VIP where it is served but not defended by
 * ARP (DR, TUN), an end of the tunnel (TUN), the director as gateway (NAT). Each change is printed,
 * recorded in a journal and undone in reverse, by `down` or when a later step fails.
 */
#include "realserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "verbs.h"

enum mode { MODE_NONE, MODE_DR, MODE_TUN, MODE_NAT };

struct wish {
	enum mode mode;
	const char *dev;
	bool arp_nft;
	enum { DECAP_AUTO, DECAP_KERNEL, DECAP_BPF } decap;
	struct rs_tunnel tunnel;
	bool has_type;
	struct rs_addr vip[RS_MAX_VIPS];
	size_t n_vips;
	struct rs_addr gateway[2]; /* one of each family */
	size_t n_gateways;
};

static void usage(FILE *to)
{
	fputs("Usage:\n", to);
	verb_usage(to, "realserver", "  ");
}

static int complain(const char *what, const char *detail)
{
	fprintf(stderr, "bpvs realserver: %s%s%s\n", what, detail ? ": " : "", detail ?: "");
	return -EINVAL;
}

int rs_addr_parse(const char *text, struct rs_addr *ret)
{
	struct rs_addr a = { .family = AF_INET };

	if (inet_pton(AF_INET, text, &a.in6.s6_addr32[3]) == 1) {
		a.in6.s6_addr32[2] = htonl(0xffff);
		inet_ntop(AF_INET, &a.in6.s6_addr32[3], a.text, sizeof(a.text));
	} else if (inet_pton(AF_INET6, text, &a.in6) == 1) {
		a.family = AF_INET6;
		inet_ntop(AF_INET6, &a.in6, a.text, sizeof(a.text));
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* An address that one host can have and others can reach. */
static bool is_unicast(const struct rs_addr *a)
{
	in_addr_t v4 = ntohl(a->in6.s6_addr32[3]);

	if (a->family == AF_INET)
		return v4 >> 24 != 0 && v4 >> 24 != 127 && v4 >> 28 < 14;
	return !IN6_IS_ADDR_UNSPECIFIED(&a->in6) && !IN6_IS_ADDR_LOOPBACK(&a->in6) &&
	       !IN6_IS_ADDR_MULTICAST(&a->in6) && !IN6_IS_ADDR_V4MAPPED(&a->in6);
}

static int add_addr(struct rs_addr *list, size_t *n, size_t max, const char *text)
{
	struct rs_addr addr;

	if (rs_addr_parse(text, &addr))
		return complain("not an IPv4 or IPv6 address", text);
	if (!is_unicast(&addr))
		return complain("not an address of a host", text);
	if (*n == max)
		return complain("too many addresses", text);
	list[(*n)++] = addr;
	return 0;
}

static int choose(const char *option, const char *value, const char *const names[], int *ret)
{
	for (int i = 0; names[i]; i++) {
		if (!strcmp(value, names[i])) {
			*ret = i;
			return 0;
		}
	}
	fprintf(stderr, "bpvs realserver: --%s: unknown value: %s\n", option, value);
	return -EINVAL;
}

static int set_port(struct wish *w, const char *value)
{
	char *end;
	unsigned long port = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || !port || port > 65535)
		return complain("not a port", value);
	w->tunnel.port = (unsigned short)port;
	return 0;
}

static int set_option(struct wish *w, int option, const char *value)
{
	static const char *const modes[] = { "", "dr", "tun", "nat", NULL };
	static const char *const arps[] = { "sysctl", "nft", NULL };
	static const char *const decaps[] = { "auto", "kernel", "bpf", NULL };
	static const char *const types[] = { "ipip", "gue", "gre", NULL };
	int i = 0, err = 0;

	switch (option) {
	case 'v':
		return add_addr(w->vip, &w->n_vips, RS_MAX_VIPS, value);
	case 'g':
		return add_addr(w->gateway, &w->n_gateways, 2, value);
	case 'd':
		w->dev = value;
		return 0;
	case 'm':
		err = choose("mode", value, modes, &i);
		w->mode = i;
		return err;
	case 'a':
		err = choose("arp", value, arps, &i);
		w->arp_nft = i;
		return err;
	case 'c':
		err = choose("decap", value, decaps, &i);
		w->decap = i;
		return err;
	case 't':
		err = choose("tun-type", value, types, &i);
		w->tunnel.type = i;
		w->has_type = true;
		return err;
	case 'p':
		return set_port(w, value);
	}
	return -EINVAL; /* getopt_long has said why */
}

static int parse(int argc, char **argv, struct wish *w)
{
	static const struct option options[] = {
		{ "vip", required_argument, NULL, 'v' },
		{ "mode", required_argument, NULL, 'm' },
		{ "gateway", required_argument, NULL, 'g' },
		{ "dev", required_argument, NULL, 'd' },
		{ "arp", required_argument, NULL, 'a' },
		{ "decap", required_argument, NULL, 'c' },
		{ "tun-type", required_argument, NULL, 't' },
		{ "tun-port", required_argument, NULL, 'p' },
		{},
	};
	int option, err = 0;

	argv[0] = (char[]){ "bpvs realserver" }; /* for getopt's messages */
	optind = 0; /* a fresh start: the caller may have used getopt for options of its own */
	while (!err && (option = verb_option("realserver", argc, argv, "", options, "vg")) != -1)
		err = set_option(w, option, optarg);
	if (!err && optind < argc)
		err = complain("unexpected argument", argv[optind]);
	return err;
}

static bool is_ethernet(const char *dev)
{
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool yes;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	yes = fd >= 0 && !ioctl(fd, SIOCGIFHWADDR, &ifr) &&
	      ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	if (fd >= 0)
		close(fd);
	return yes;
}

/* Only lo and tunl0 may carry the VIP of a real server: elsewhere it would be defended by ARP. */
static int check_vips(const struct wish *w)
{
	char dev[IFNAMSIZ];

	for (size_t i = 0; i < w->n_vips; i++) {
		if (!rs_addr_find(&w->vip[i], "lo", false, dev) || !strcmp(dev, "tunl0"))
			continue;
		fprintf(stderr, "bpvs realserver: %s is on %s: is this the director?\n",
			w->vip[i].text, dev);
		return -EADDRINUSE;
	}
	return 0;
}

static int check_tunnel(const struct wish *w)
{
	if (w->mode != MODE_TUN && (w->has_type || w->tunnel.port))
		return complain("--tun-type and --tun-port are for --mode tun", NULL);
	if (w->tunnel.type == RS_TUNNEL_GUE && !w->tunnel.port)
		return complain("--tun-type gue needs --tun-port, as the director has it", NULL);
	if (w->tunnel.type != RS_TUNNEL_GUE && w->tunnel.port)
		return complain("--tun-port is for --tun-type gue", NULL);
	if (w->tunnel.type != RS_TUNNEL_IPIP && w->decap == DECAP_KERNEL)
		return complain("--decap kernel is for ipip; gue and gre are taken apart by BPF",
				NULL);
	return 0;
}

static int check(const struct wish *w)
{
	if (w->mode == MODE_NONE)
		return complain("--mode dr, tun or nat is needed", NULL);
	if (w->mode != MODE_NAT && !w->n_vips)
		return complain("--vip is needed", NULL);
	if (w->mode == MODE_NAT && !w->n_gateways)
		return complain("--gateway, the director's address, is needed", NULL);
	if (w->mode != MODE_NAT && w->n_gateways)
		return complain("--gateway is for --mode nat: answers of DR and TUN bypass the "
				"director",
				NULL);
	if (w->n_gateways == 2 && w->gateway[0].family == w->gateway[1].family)
		return complain("more than one --gateway of a family", w->gateway[1].text);
	if (check_tunnel(w))
		return -EINVAL;
	if (geteuid())
		return complain("only root can do this", NULL);
	if (!if_nametoindex(w->dev))
		return complain("no such device", w->dev);
	return check_vips(w);
}

static bool has_family(const struct wish *w, int family)
{
	for (size_t i = 0; i < w->n_vips; i++) {
		if (w->vip[i].family == family)
			return true;
	}
	return false;
}

/* Before the VIP is there, so that not one request for it is answered. */
static int quiet_arp(struct rs_journal *j, const struct wish *w, const char *vip_dev)
{
	const char *const dev[] = { vip_dev, "all" };
	char key[64];
	int err = 0;

	if (has_family(w, AF_INET6))
		printf("IPv6: nothing to silence, neighbour discovery speaks only for a device's "
		       "own addresses\n");
	if (!has_family(w, AF_INET))
		return 0;
	if (w->arp_nft) {
		err = rs_arp_filter_set(j);
		for (size_t i = 0; !err && i < w->n_vips; i++) {
			if (w->vip[i].family == AF_INET)
				err = rs_arp_filter_add(j, &w->vip[i]);
		}
		return err;
	}
	for (size_t i = 0; !err && i < 2; i++) {
		snprintf(key, sizeof(key), "net/ipv4/conf/%s/arp_ignore", dev[i]);
		err = rs_sysctl_set(j, key, "1", "28"); /* stricter ones */
		if (err)
			break;
		snprintf(key, sizeof(key), "net/ipv4/conf/%s/arp_announce", dev[i]);
		err = rs_sysctl_set(j, key, "2", "");
	}
	return err;
}

static int add_vips(struct rs_journal *j, const struct wish *w, const char *dev)
{
	int err = 0;

	for (size_t i = 0; !err && i < w->n_vips; i++)
		err = rs_addr_add(j, &w->vip[i], dev);
	return err;
}

static int up_dr(struct rs_journal *j, const struct wish *w)
{
	int err = quiet_arp(j, w, "lo");

	return err ?: add_vips(j, w, "lo");
}

/* tunl0 appears with the module, in every network namespace. It takes IPv4 in IPv4 only. */
static bool kernel_tunnel(const struct wish *w)
{
	const char *const modprobe[] = { "modprobe", "-q", "ipip", NULL };

	if (w->decap == DECAP_BPF || w->tunnel.type != RS_TUNNEL_IPIP || has_family(w, AF_INET6))
		return false;
	if (if_nametoindex("tunl0"))
		return true;
	if (!rs_run(modprobe, NULL, NULL, 0) && if_nametoindex("tunl0")) {
		printf("kernel module ipip loaded (it stays)\n");
		return true;
	}
	return false;
}

static int up_tun_kernel(struct rs_journal *j, const struct wish *w)
{
	int err = quiet_arp(j, w, "tunl0");

	err = err ?: rs_link_up(j, "tunl0");
	err = err ?: rs_rp_filter_loosen(j, "tunl0");
	return err ?: add_vips(j, w, "tunl0");
}

/* The inner packet shows up on the device where the outer one came in. */
static int up_tun_bpf(struct rs_journal *j, const struct wish *w)
{
	int err;

	if (!is_ethernet(w->dev))
		return complain("not an Ethernet device", w->dev);
	err = quiet_arp(j, w, "lo");
	err = err ?: rs_rp_filter_loosen(j, w->dev);
	err = err ?: rs_decap_attach(j, w->dev);
	err = err ?: rs_decap_end_add(j, w->dev, &w->tunnel);
	for (size_t i = 0; !err && i < w->n_vips; i++)
		err = rs_decap_add(j, w->dev, &w->vip[i]);
	return err ?: add_vips(j, w, "lo");
}

static int up_tun(struct rs_journal *j, const struct wish *w)
{
	if (kernel_tunnel(w))
		return up_tun_kernel(j, w);
	if (w->decap == DECAP_KERNEL)
		return complain(has_family(w, AF_INET6) ? "tunl0 carries no IPv6"
							: "this kernel has no ipip tunnel",
				NULL);
	return up_tun_bpf(j, w);
}

static int up_nat(struct rs_journal *j, const struct wish *w)
{
	int err = 0;

	if (w->n_vips)
		printf("NAT: the VIP is the director's alone, nothing to do for it here\n");
	for (size_t i = 0; !err && i < w->n_gateways; i++)
		err = rs_gateway_set(j, &w->gateway[i], w->dev);
	return err;
}

enum { MAX_FIELDS = 6 };

/* Cuts the line; what it lacks is "". */
static void split(char *line, char *empty, char *field[MAX_FIELDS])
{
	for (size_t n = 0; n < MAX_FIELDS; n++)
		field[n] = line ? strsep(&line, "\t") : empty;
}

static int undo_line(char *line)
{
	static const struct {
		const char *kind;
		int (*undo)(char *const field[]);
	} kinds[] = {
		{ "sysctl", rs_sysctl_undo },
		{ "addr", rs_addr_undo },
		{ "link", rs_link_undo },
		{ "route", rs_route_undo },
		{ "arpfilter", rs_arp_filter_undo },
		{ "arpvip", rs_arp_filter_vip_undo },
		{ "decap", rs_decap_undo },
		{ "decapvip", rs_decap_vip_undo },
		{ "decapend", rs_decap_end_undo },
	};
	char empty[] = "", *field[MAX_FIELDS];

	split(line, empty, field);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(field[0], kinds[i].kind))
			return kinds[i].undo(field);
	}
	return complain("the journal has an unknown line", field[0]);
}

/* Undo all changes above the first keep, newest first; go on after a failure, report the first. */
static int undo(struct rs_journal *j, size_t keep)
{
	int first = 0;

	while (j->n > keep) {
		int err = undo_line(j->line[j->n - 1]);

		first = first ?: err;
		rs_journal_pop(j);
	}
	return first;
}

static int open_journal(struct rs_journal *j)
{
	int err = rs_journal_open(j);

	if (err)
		complain(j->path[0] ? j->path : "network namespace cookie", strerror(-err));
	return err;
}

static int up(int argc, char **argv)
{
	static int (*const up_mode[])(struct rs_journal *, const struct wish *) = {
		[MODE_DR] = up_dr,
		[MODE_TUN] = up_tun,
		[MODE_NAT] = up_nat,
	};
	static struct wish w = { .dev = "eth0" };
	struct rs_journal j;

	if (parse(argc, argv, &w) || check(&w)) {
		fputs("nothing changed; `bpvs realserver --help` tells more\n", stderr);
		return 2;
	}
	if (open_journal(&j))
		return 1;
	size_t before = j.n;
	int err = up_mode[w.mode](&j, &w);

	if (err && j.n > before) {
		printf("undoing what was changed:\n");
		undo(&j, before);
	}
	rs_journal_close(&j);
	return err ? 1 : 0;
}

static int down(void)
{
	struct rs_journal j;
	int err;

	if (open_journal(&j))
		return 1;
	if (!j.n)
		printf("nothing to undo in this network namespace\n");
	err = undo(&j, 0);
	rs_journal_close(&j);
	return err ? 1 : 0;
}

/* The changes as recorded, oldest first; for decapsulation its counters. */
static int status(void)
{
	struct rs_journal j;

	if (open_journal(&j))
		return 1;
	if (!j.n)
		printf("not a real server by bpvs, in this network namespace\n");
	for (size_t i = 0; i < j.n; i++) {
		char empty[] = "", *copy = strdup(j.line[i]), *field[MAX_FIELDS];

		if (!copy)
			break;
		split(copy, empty, field);
		if (!strcmp(field[0], "decap"))
			rs_decap_status(field);
		else
			printf("%s\n", j.line[i]);
		free(copy);
	}
	rs_journal_close(&j);
	return 0;
}

static int only_root(int (*verb)(void))
{
	if (!geteuid())
		return verb();
	complain("only root can do this", NULL);
	return 2;
}

int cmd_realserver(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	setlinebuf(stdout); /* so that changes and complaints stay in order in a pipe */
	if (!strcmp(verb, "up"))
		return up(argc - 1, argv + 1);
	if (!strcmp(verb, "down") && argc == 2)
		return only_root(down);
	if (!strcmp(verb, "status") && argc == 2)
		return only_root(status);
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		usage(stdout);
		return 0;
	}
	usage(stderr);
	return 2;
}
