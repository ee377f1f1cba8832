/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching bpf/decap.bpf.c for `bpvs realserver`. The TC filter alone keeps program and maps
 * alive: there is no pin and no process. A later run finds the maps through the filter.
 */
#include "realserver.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpvs/decap.h"
#include "decap.skel.h"

struct filter {
	int ifindex;
	uint32_t handle;
	uint32_t priority;
	uint32_t prog_id;
	bool own_qdisc; /* clsact was not there before */
};

static int complain(const char *dev, const char *what, int err)
{
	fprintf(stderr, "bpvs realserver: %s: %s: %s\n", dev, what, strerror(-err));
	return err;
}

/* A journal line's fields 2 to 5, as rs_decap_attach() writes them. */
static struct filter filter_read(const char *dev, char *const field[])
{
	struct filter f = {
		.ifindex = if_nametoindex(dev),
		.handle = strtoul(field[2], NULL, 10),
		.priority = strtoul(field[3], NULL, 10),
		.prog_id = strtoul(field[4], NULL, 10),
		.own_qdisc = !strcmp(field[5], "1"),
	};

	return f;
}

static bool filter_is_there(const struct filter *f)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = f->ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = f->handle, .priority = f->priority);

	return f->ifindex && !bpf_tc_query(&hook, &opts) && opts.prog_id == f->prog_id;
}

/* The newest filter that the journal knows of on the device, if it is still there. */
static bool filter_find(const struct rs_journal *j, const char *dev, struct filter *ret)
{
	char is_dev[IFNAMSIZ], handle[16], priority[16], prog_id[16], own[2];
	char *const field[] = { NULL, is_dev, handle, priority, prog_id, own };

	for (size_t i = j->n; i--;) {
		if (sscanf(j->line[i], "decap\t%15[^\t]\t%15[0-9]\t%15[0-9]\t%15[0-9]\t%1[01]",
			   is_dev, handle, priority, prog_id, own) != 5 ||
		    strcmp(is_dev, dev))
			continue;
		*ret = filter_read(dev, field);
		return filter_is_there(ret);
	}
	return false;
}

static int prog_id_of(int prog_fd, uint32_t *ret_id)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(prog_fd, &info, &len);

	if (!err)
		*ret_id = info.id;
	return err;
}

static int filter_attach(struct rs_journal *j, const char *dev, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(dev),
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd);
	int created = bpf_tc_hook_create(&hook);
	uint32_t prog_id;
	int err;

	if (created && created != -EEXIST)
		return complain(dev, "cannot add the clsact qdisc", created);
	err = bpf_tc_attach(&hook, &opts);
	if (!err)
		err = prog_id_of(prog_fd, &prog_id);
	if (!err)
		err = rs_journal_push(j, "decap\t%s\t%u\t%u\t%u\t%d", dev, opts.handle,
				      opts.priority, prog_id, !created);
	if (!err)
		return 0;
	complain(dev, "cannot attach the decapsulation", err);
	if (!created) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		bpf_tc_hook_destroy(&hook);
	}
	return err;
}

int rs_decap_attach(struct rs_journal *j, const char *dev)
{
	struct decap_bpf *skel;
	struct filter f;
	int err;

	libbpf_set_print(NULL);
	if (filter_find(j, dev, &f)) {
		printf("decapsulation is on %s already\n", dev);
		return 0;
	}
	skel = decap_bpf__open_and_load();
	if (!skel)
		return complain(dev, "cannot load the decapsulation", -errno);
	err = filter_attach(j, dev, bpf_program__fd(skel->progs.bpvs_decap));
	decap_bpf__destroy(skel);
	if (!err)
		printf("decapsulation by BPF added to %s ingress\n", dev);
	return err;
}

/* The map of that name among those of the program: descriptor, or negative errno. */
static int map_of_prog(uint32_t prog_id, const char *name)
{
	uint32_t ids[8];
	struct bpf_prog_info prog = { .nr_map_ids = 8, .map_ids = (uintptr_t)ids };
	uint32_t len = sizeof(prog);
	int fd = bpf_prog_get_fd_by_id(prog_id);
	int err;

	if (fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(fd, &prog, &len);
	close(fd);
	for (uint32_t i = 0; !err && i < prog.nr_map_ids && i < 8; i++) {
		struct bpf_map_info map = {};

		len = sizeof(map);
		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &map, &len) && !strcmp(map.name, name))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static const char *const tunnel_name[] = {
	[RS_TUNNEL_IPIP] = "ipip",
	[RS_TUNNEL_GUE] = "gue",
	[RS_TUNNEL_GRE] = "gre",
};

static uint32_t end_key(unsigned int type, unsigned int port)
{
	static const uint8_t proto[] = {
		[RS_TUNNEL_IPIP] = IPPROTO_IPIP,
		[RS_TUNNEL_GUE] = IPPROTO_UDP,
		[RS_TUNNEL_GRE] = IPPROTO_GRE,
	};

	return bpvs_decap_end(proto[type], (uint16_t)port);
}

static const char *port_text(char *buf, size_t size, unsigned int port)
{
	snprintf(buf, size, port ? " port %u" : "", port);
	return buf;
}

int rs_decap_end_add(struct rs_journal *j, const char *dev, const struct rs_tunnel *t)
{
	uint32_t key = end_key(t->type, t->port);
	char port[16];
	struct filter f;
	uint8_t one = 1;
	int map, err;

	if (!filter_find(j, dev, &f))
		return complain(dev, "the decapsulation has gone", -ENOENT);
	map = map_of_prog(f.prog_id, "bpvs_rs_ends");
	if (map < 0)
		return complain(dev,
				"the decapsulation there is another version's, take it off "
				"first (bpvs realserver down)",
				map);
	port_text(port, sizeof(port), t->port);
	if (!bpf_map_lookup_elem(map, &key, &one)) {
		printf("%s tunnels%s end on %s already\n", tunnel_name[t->type], port, dev);
		close(map);
		return 0;
	}
	err = rs_journal_push(j, "decapend\t%s\t%u\t%u\t%u", dev, t->type, t->port, f.prog_id);
	if (!err) {
		err = bpf_map_update_elem(map, &key, &one, BPF_ANY);
		if (err)
			rs_journal_pop(j);
	}
	close(map);
	if (err)
		return complain(dev, "cannot add an end of tunnels", err);
	printf("%s tunnels%s end on %s now\n", tunnel_name[t->type], port, dev);
	return 0;
}

int rs_decap_end_undo(char *const field[])
{
	unsigned int type = (unsigned int)strtoul(field[2], NULL, 10) % 3;
	unsigned int at = (unsigned int)strtoul(field[3], NULL, 10);
	uint32_t key = end_key(type, at);
	int map = map_of_prog(strtoul(field[4], NULL, 10), "bpvs_rs_ends");
	char port[16];

	port_text(port, sizeof(port), at);
	if (map < 0 || bpf_map_delete_elem(map, &key))
		printf("%s tunnels%s do not end on %s any more\n", tunnel_name[type], port,
		       field[1]);
	else
		printf("%s tunnels%s no longer end on %s\n", tunnel_name[type], port, field[1]);
	if (map >= 0)
		close(map);
	return 0;
}

int rs_decap_add(struct rs_journal *j, const char *dev, const struct rs_addr *vip)
{
	struct filter f;
	uint8_t one = 1;
	int map, err;

	if (!filter_find(j, dev, &f))
		return complain(dev, "the decapsulation has gone", -ENOENT);
	map = map_of_prog(f.prog_id, "bpvs_rs_vips");
	if (map < 0)
		return complain(dev, "cannot find the map of VIPs", map);
	if (!bpf_map_lookup_elem(map, &vip->in6, &one)) {
		printf("%s is decapsulated on %s already\n", vip->text, dev);
		close(map);
		return 0;
	}
	err = rs_journal_push(j, "decapvip\t%s\t%s\t%u", dev, vip->text, f.prog_id);
	if (!err) {
		err = bpf_map_update_elem(map, &vip->in6, &one, BPF_ANY);
		if (err)
			rs_journal_pop(j);
	}
	close(map);
	if (err)
		return complain(dev, "cannot add the VIP to the decapsulation", err);
	printf("%s is now decapsulated on %s\n", vip->text, dev);
	return 0;
}

int rs_decap_vip_undo(char *const field[])
{
	int map = map_of_prog(strtoul(field[3], NULL, 10), "bpvs_rs_vips");
	struct rs_addr vip;

	if (map < 0 || rs_addr_parse(field[2], &vip) || bpf_map_delete_elem(map, &vip.in6))
		printf("%s is not decapsulated on %s any more\n", field[2], field[1]);
	else
		printf("%s no longer decapsulated on %s\n", field[2], field[1]);
	if (map >= 0)
		close(map);
	return 0;
}

/* Somebody else may have put filters beside ours since. */
static bool has_filters(const char *dev, const char *direction)
{
	const char *const show[] = { "tc", "filter", "show", "dev", dev, direction, NULL };
	char said[256];

	return rs_run(show, NULL, said, sizeof(said)) || said[0];
}

int rs_decap_undo(char *const field[])
{
	const char *dev = field[1];
	struct filter f = filter_read(dev, field);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = f.ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = f.handle, .priority = f.priority);
	int err;

	libbpf_set_print(NULL);
	if (!filter_is_there(&f)) {
		printf("decapsulation is not on %s any more\n", dev);
		return 0;
	}
	err = bpf_tc_detach(&hook, &opts);
	if (err)
		return complain(dev, "cannot detach the decapsulation", err);
	printf("decapsulation removed from %s ingress\n", dev);
	if (!f.own_qdisc)
		return 0;
	if (has_filters(dev, "ingress") || has_filters(dev, "egress")) {
		printf("clsact qdisc left on %s: it has other filters now\n", dev);
		return 0;
	}
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	err = bpf_tc_hook_destroy(&hook);
	return err ? complain(dev, "cannot remove the clsact qdisc", err) : 0;
}

/* A per-CPU counter summed; 0 if it cannot be read. */
static uint64_t stat_sum(int map, uint32_t stat)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *value = cpus > 0 ? calloc(cpus, sizeof(*value)) : NULL;
	uint64_t sum = 0;

	if (value && !bpf_map_lookup_elem(map, &stat, value)) {
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += value[cpu];
	}
	free(value);
	return sum;
}

void rs_decap_status(char *const field[])
{
	static const char *const name[BPVS_DECAP_STATS] = {
		[BPVS_DECAP_DONE] = "decapsulated",
		[BPVS_DECAP_FRAGMENT] = "left alone, in fragments",
		[BPVS_DECAP_NOT_LOCAL] = "left alone, not to this host",
		[BPVS_DECAP_ECN] = "dropped, congestion mark nobody would hear of",
		[BPVS_DECAP_ERROR] = "dropped, header not removable or sum misplaced",
		[BPVS_DECAP_UNKNOWN] = "left alone, header not understood",
	};
	struct filter f = filter_read(field[1], field);
	int map;

	libbpf_set_print(NULL);
	map = filter_is_there(&f) ? map_of_prog(f.prog_id, "bpvs_rs_stats") : -ENOENT;
	if (map < 0) {
		printf("decapsulation on %s: gone\n", field[1]);
		return;
	}
	printf("decapsulation on %s, packets:\n", field[1]);
	for (uint32_t i = 0; i < BPVS_DECAP_STATS; i++)
		printf("  %-46s %" PRIu64 "\n", name[i], stat_sum(map, i));
	close(map);
}
