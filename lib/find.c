/* SPDX-License-Identifier: GPL-2.0-only */
/* From the network namespace to its instance: the anchor on lo, its map, the other maps by id. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "engine.h"

struct mapping {
	void *at;
	size_t size;
};

struct found {
	int fds[BPVS_MAPS];
	struct mapping maps[BPVS_MAPS];
};

static void *map_array(int fd, int prot, size_t *ret_size)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size;
	void *at;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return MAP_FAILED;
	/* Elements of an array stand 8 bytes aligned. */
	size = ((size_t)info.value_size + 7) / 8 * 8 * info.max_entries;
	size = (size + page - 1) / page * page;
	at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
	*ret_size = size;
	return at;
}

struct bpvs_dev *bpvs_map_devs(int fd, size_t *ret_size)
{
	void *at = map_array(fd, PROT_READ | PROT_WRITE, ret_size);

	return at == MAP_FAILED ? NULL : at;
}

void bpvs_unmap_devs(struct bpvs_dev *devs, size_t size)
{
	if (devs)
		munmap(devs, size);
}

static int anchor_map_fd(__u32 prog_id)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info), ids[4] = { 0 };
	int fd = bpf_prog_get_fd_by_id(prog_id), err;

	if (fd < 0)
		return -errno;
	info.nr_map_ids = sizeof(ids) / sizeof(*ids);
	info.map_ids = (__u64)(unsigned long)ids;
	err = bpf_obj_get_info_by_fd(fd, &info, &len) ? -errno : 0;
	close(fd);
	if (err)
		return err;
	if (strcmp(info.name, "bpvs_anchor") || info.nr_map_ids < 1)
		return -ENOENT;
	fd = bpf_map_get_fd_by_id(ids[0]);
	return fd < 0 ? -errno : fd;
}

int bpvs_anchor_find(struct bpvs_anchor **ret)
{
	__u32 prog_id;
	size_t size;
	void *at;
	int fd, err = bpvs_tc_find(LO_IFINDEX, &prog_id);

	if (err)
		return err;
	fd = anchor_map_fd(prog_id);
	if (fd < 0)
		return fd;
	at = map_array(fd, PROT_READ | PROT_WRITE, &size);
	err = at == MAP_FAILED ? -errno : 0;
	close(fd);
	if (err)
		return err;
	*ret = at;
	if ((*ret)->abi == BPVS_ABI)
		return 0;
	err = bpvs_fail(-EPROTO,
			"the instance here speaks version %u of the map layout, this tool %u",
			(*ret)->abi, BPVS_ABI);
	bpvs_anchor_unmap(*ret);
	return err;
}

void bpvs_anchor_unmap(struct bpvs_anchor *a)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap(a, (sizeof(*a) + page - 1) / page * page);
}

/* Which maps are mapped into the process, and how. */
static const struct {
	int prot;
} mapped[BPVS_MAPS] = {
	/* CONNS and CONNS6 are mapped by bpvs_conns_open(). */
	[BPVS_MAP_SVCS] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_DESTS] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_LISTS] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_RATES] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_STATS] = { PROT_READ },
	[BPVS_MAP_COUNTERS] = { PROT_READ },
	[BPVS_MAP_DEVS] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_NEXTHOPS] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_CFG] = { PROT_READ | PROT_WRITE },
	[BPVS_MAP_FILTER] = { PROT_READ | PROT_WRITE },
};

static void fill(struct bpvs_instance *in, struct found *f)
{
	in->ro = &in->anchor->ro;
	in->svcs = f->maps[BPVS_MAP_SVCS].at;
	in->dests = f->maps[BPVS_MAP_DESTS].at;
	in->lists = f->maps[BPVS_MAP_LISTS].at;
	in->rates = f->maps[BPVS_MAP_RATES].at;
	in->devs = f->maps[BPVS_MAP_DEVS].at;
	in->nexthops = f->maps[BPVS_MAP_NEXTHOPS].at;
	in->cfg = f->maps[BPVS_MAP_CFG].at;
	in->filter = f->maps[BPVS_MAP_FILTER].at;
	in->fd_svc_ids = f->fds[BPVS_MAP_SVC_IDS];
	in->stats = f->maps[BPVS_MAP_STATS].at;
	in->counters = f->maps[BPVS_MAP_COUNTERS].at;
	in->fd_spill = f->fds[BPVS_MAP_SPILL];
	in->fd_calls = f->fds[BPVS_MAP_CALLS];
	in->fd_buckets = f->fds[BPVS_MAP_BUCKETS];
}

static int map_one(struct found *f, enum bpvs_map_id i, int prot)
{
	f->maps[i].at = map_array(f->fds[i], prot, &f->maps[i].size);
	if (f->maps[i].at != MAP_FAILED)
		return 0;
	f->maps[i].at = NULL;
	return -errno;
}

static int open_maps(struct found *f, const struct bpvs_anchor *a)
{
	for (int i = 0; i < BPVS_MAPS; i++) {
		int err;

		f->fds[i] = bpf_map_get_fd_by_id(a->map_ids[i]);
		if (f->fds[i] < 0)
			return -errno;
		err = mapped[i].prot ? map_one(f, (enum bpvs_map_id)i, mapped[i].prot) : 0;
		if (err)
			return err;
	}
	return 0;
}

/* The kernel maps an array page by page: for a million connections that takes 15 ms. */
int bpvs_conns_open(struct bpvs_instance *in)
{
	struct found *f = in->priv;
	int err;

	if (in->conns)
		return 0;
	err = map_one(f, BPVS_MAP_CONNS, PROT_READ | PROT_WRITE);
	if (!err)
		err = map_one(f, BPVS_MAP_CONNS6, PROT_READ);
	if (err)
		return err;
	in->conns = f->maps[BPVS_MAP_CONNS].at;
	in->conns6 = f->maps[BPVS_MAP_CONNS6].at;
	return 0;
}

static void found_free(struct found *f)
{
	for (int i = 0; i < BPVS_MAPS; i++) {
		if (f->maps[i].at)
			munmap(f->maps[i].at, f->maps[i].size);
		if (f->fds[i] >= 0)
			close(f->fds[i]);
	}
	free(f);
}

int bpvs_open_found(struct bpvs_anchor *a, struct bpvs_instance **ret)
{
	struct bpvs_instance *in = calloc(1, sizeof(*in));
	struct found *f = calloc(1, sizeof(*f));
	int err;

	if (!in || !f) {
		free(in);
		free(f);
		bpvs_anchor_unmap(a);
		return -ENOMEM;
	}
	memset(f->fds, 0xff, sizeof(f->fds));
	in->priv = f;
	in->anchor = a;
	in->fd_xdp = -1;
	in->fd_tc = -1;
	err = open_maps(f, a);
	if (err) {
		bpvs_close(in);
		return bpvs_fail(err, "cannot open the maps of the instance: %s", strerror(-err));
	}
	fill(in, f);
	in->fd_xdp = bpf_prog_get_fd_by_id(a->xdp_id);
	in->fd_tc = bpf_prog_get_fd_by_id(a->tc_id);
	*ret = in;
	return 0;
}

void bpvs_close(struct bpvs_instance *in)
{
	if (!in)
		return;
	while (in->lock_depth)
		bpvs_unlock(in);
	if (in->fd_xdp >= 0)
		close(in->fd_xdp);
	if (in->fd_tc >= 0)
		close(in->fd_tc);
	bpvs_tables_free(in);
	if (in->ro)
		bpvs_chunks_close(in);
	if (in->priv)
		found_free(in->priv);
	bpvs_anchor_unmap(in->anchor);
	free(in);
}

const struct bpvs_anchor *bpvs_instance_anchor(const struct bpvs_instance *in)
{
	return in->anchor;
}
