/* SPDX-License-Identifier: GPL-2.0-only */
/* From the network namespace to its instance: the anchor on lo, its map, the other maps by id. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "engine.h"
#include "tables.h"

struct mapping {
	char *at;
	size_t size;
};

/* Bytes of an array that are mapped, when not all of it is. */
struct span {
	size_t begin, end;
};

/* Statistics of services, and of destinations, in the set of one CPU or in the rates. */
struct stats_spans {
	struct span svcs, dests;
};

struct found {
	int fds[BPVS_MAPS];
	struct mapping maps[BPVS_MAPS];
	struct span used[BPVS_MAPS];
	struct stats_spans rates;
	struct stats_spans *stats; /* a set each CPU */
};

static size_t pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static int array_size(int fd, size_t *ret)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	/* Elements of an array stand 8 bytes aligned. */
	*ret = pages(((size_t)info.value_size + 7) / 8 * 8 * info.max_entries);
	return 0;
}

static void *map_array(int fd, int prot, size_t *ret_size)
{
	return array_size(fd, ret_size) ? MAP_FAILED
					: mmap(NULL, *ret_size, prot, MAP_SHARED, fd, 0);
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
	return 0;
}

int bpvs_anchor_check(const struct bpvs_anchor *a)
{
	if (a->abi == BPVS_ABI)
		return 0;
	return bpvs_fail(-EPROTO,
			 "the engine in this network namespace is another version's (map layout "
			 "%u, of this tool %u): it serves on as it is until it is taken out "
			 "(bpvs down)",
			 a->abi, BPVS_ABI);
}

/* What is attached serves on with the maps that it names itself; but no timer runs. */
static int lost(void)
{
	return bpvs_fail(-EIDRM,
			 "the engine in this network namespace was lost: the mounts that "
			 "kept it (/run/bpvs) have ended. Take out what is left of it (bpvs down), "
			 "then bring it up again");
}

int bpvs_anchor_whole(const struct bpvs_anchor *a)
{
	for (int i = 0; i < BPVS_MAPS; i++) {
		int fd = bpf_map_get_fd_by_id(a->map_ids[i]);

		if (fd < 0)
			return errno == ENOENT ? lost() : -errno;
		close(fd);
	}
	return 0;
}

void bpvs_anchor_unmap(struct bpvs_anchor *a)
{
	munmap(a, pages(sizeof(*a)));
}

/*
 * Which maps are mapped into the process, and how. To map an array is to enter each of its pages,
 * used or not, into the process: of the large ones that is put off until they are used, and goes as
 * far as that.
 */
static const struct {
	int prot;
	bool by_use;
} mapped[BPVS_MAPS] = {
	/* CONNS, CONNS6 and NEXTHOPS are mapped by bpvs_conns_open(). */
	[BPVS_MAP_SVCS] = { PROT_READ | PROT_WRITE, true },
	[BPVS_MAP_DESTS] = { PROT_READ | PROT_WRITE, true },
	[BPVS_MAP_LISTS] = { PROT_READ | PROT_WRITE, true },
	[BPVS_MAP_RATES] = { PROT_READ | PROT_WRITE, true },
	[BPVS_MAP_STATS] = { PROT_READ, true },
	[BPVS_MAP_COUNTERS] = { PROT_READ, false },
	[BPVS_MAP_DEVS] = { PROT_READ | PROT_WRITE, false },
	[BPVS_MAP_CFG] = { PROT_READ | PROT_WRITE, false },
	[BPVS_MAP_FILTER] = { PROT_READ | PROT_WRITE, false },
};

static void fill(struct bpvs_instance *in, struct found *f)
{
	in->ro = &in->anchor->ro;
	in->svcs = (void *)f->maps[BPVS_MAP_SVCS].at;
	in->dests = (void *)f->maps[BPVS_MAP_DESTS].at;
	in->lists = (void *)f->maps[BPVS_MAP_LISTS].at;
	in->rates = (void *)f->maps[BPVS_MAP_RATES].at;
	in->devs = (void *)f->maps[BPVS_MAP_DEVS].at;
	in->cfg = (void *)f->maps[BPVS_MAP_CFG].at;
	in->filter = (void *)f->maps[BPVS_MAP_FILTER].at;
	in->fd_svc_ids = f->fds[BPVS_MAP_SVC_IDS];
	in->stats = (void *)f->maps[BPVS_MAP_STATS].at;
	in->counters = (void *)f->maps[BPVS_MAP_COUNTERS].at;
	in->fd_spill = f->fds[BPVS_MAP_SPILL];
	in->fd_calls = f->fds[BPVS_MAP_CALLS];
	in->fd_buckets = f->fds[BPVS_MAP_BUCKETS];
}

static int map_one(struct found *f, enum bpvs_map_id i, int prot)
{
	void *at = map_array(f->fds[i], prot, &f->maps[i].size);

	if (at == MAP_FAILED)
		return -errno;
	f->maps[i].at = at;
	return 0;
}

/* Addresses for all of it, and nothing there yet. */
static int map_none(struct found *f, enum bpvs_map_id i)
{
	int err = array_size(f->fds[i], &f->maps[i].size);
	void *at;

	if (err)
		return err;
	at = mmap(NULL, f->maps[i].size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		  0);
	if (at == MAP_FAILED)
		return -errno;
	f->maps[i].at = at;
	return 0;
}

/* What grows, grows to twice of what it was, and by this at least. */
#define SPAN_STEP 65536

/* See to it that the bytes from `from`, where the span begins, up to `to` are mapped. */
static int span_reach(struct found *f, enum bpvs_map_id i, struct span *s, size_t from, size_t to)
{
	size_t end;

	if (to <= s->end)
		return 0;
	if (!s->end) {
		s->begin = s->end = from / pages(1) * pages(1);
		end = pages(to);
	} else {
		size_t grown = s->end + s->end - s->begin;

		if (grown < s->end + SPAN_STEP)
			grown = s->end + SPAN_STEP;
		end = pages(to > grown ? to : grown);
	}
	if (end > f->maps[i].size)
		end = f->maps[i].size;
	if (mmap(f->maps[i].at + s->end, end - s->end, mapped[i].prot, MAP_SHARED | MAP_FIXED,
		 f->fds[i], (off_t)s->end) == MAP_FAILED)
		return -errno;
	s->end = end;
	return 0;
}

/* How many elements are in use, never none. */
static size_t used(const struct bpvs_instance *in, enum bpvs_tool_word high)
{
	return __atomic_load_n(&in->cfg->tool_reserved[high], __ATOMIC_ACQUIRE) ?: 1;
}

int bpvs_reach_svcs(const struct bpvs_instance *in)
{
	struct found *f = in->priv;

	return span_reach(f, BPVS_MAP_SVCS, &f->used[BPVS_MAP_SVCS], 0,
			  used(in, BPVS_TOOL_SVC_HIGH) * sizeof(*in->svcs));
}

int bpvs_reach(const struct bpvs_instance *in)
{
	struct found *f = in->priv;
	struct span *s = f->used;

	return bpvs_reach_svcs(in)
		       ?: span_reach(f, BPVS_MAP_DESTS, &s[BPVS_MAP_DESTS], 0,
				     used(in, BPVS_TOOL_DEST_HIGH) * sizeof(*in->dests))
		       ?: span_reach(f, BPVS_MAP_LISTS, &s[BPVS_MAP_LISTS], 0,
				     used(in, BPVS_TOOL_LIST_HIGH) * sizeof(*in->lists));
}

/* Pages that are mapped already are mapped once more: to the same. */
static int range_reach(struct found *f, enum bpvs_map_id i, size_t from, size_t to)
{
	if (to <= f->used[i].end)
		return 0;
	from = from / pages(1) * pages(1);
	return mmap(f->maps[i].at + from, pages(to) - from, mapped[i].prot, MAP_SHARED | MAP_FIXED,
		    f->fds[i], (off_t)from) == MAP_FAILED
		       ? -errno
		       : 0;
}

int bpvs_reach_svc(const struct bpvs_instance *in, const struct bpvs_svc *svc)
{
	__u32 off = bpvs_list_off(svc->list), len = bpvs_list_len(svc->list);
	size_t low = SIZE_MAX, high = 0;
	int err;

	if (!len)
		return 0;
	err = range_reach(in->priv, BPVS_MAP_LISTS, off * sizeof(*in->lists),
			  (off + len) * sizeof(*in->lists));
	if (err)
		return err;
	for (__u32 pos = 0; pos < len; pos++) {
		size_t dest = in->lists[off + pos].dest;

		low = dest < low ? dest : low;
		high = dest > high ? dest : high;
	}
	return range_reach(in->priv, BPVS_MAP_DESTS, low * sizeof(*in->dests),
			   (high + 1) * sizeof(*in->dests));
}

/* Of one array of statistics, with elements of `size` bytes, the set that begins at `set`. */
static int set_reach(const struct bpvs_instance *in, enum bpvs_map_id i, struct stats_spans *s,
		     size_t set, size_t size)
{
	size_t dests = set + in->ro->max_svc;

	return span_reach(in->priv, i, &s->svcs, set * size,
			  (set + used(in, BPVS_TOOL_SVC_HIGH)) * size)
		       ?: span_reach(in->priv, i, &s->dests, dests * size,
				     (dests + used(in, BPVS_TOOL_DEST_HIGH)) * size);
}

int bpvs_reach_stats(const struct bpvs_instance *in)
{
	struct found *f = in->priv;
	size_t set = (size_t)in->ro->max_svc + in->ro->max_dest;
	int err;

	if (!f->stats)
		f->stats = calloc(in->ro->cpus, sizeof(*f->stats));
	if (!f->stats)
		return -ENOMEM;
	err = set_reach(in, BPVS_MAP_RATES, &f->rates, 0, sizeof(*in->rates));
	for (__u32 cpu = 0; cpu < in->ro->cpus && !err; cpu++)
		err = set_reach(in, BPVS_MAP_STATS, &f->stats[cpu], cpu * set, sizeof(*in->stats));
	return err;
}

static int open_maps(struct found *f, const struct bpvs_anchor *a)
{
	for (int i = 0; i < BPVS_MAPS; i++) {
		int err;

		f->fds[i] = bpf_map_get_fd_by_id(a->map_ids[i]);
		if (f->fds[i] < 0)
			return -errno;
		err = 0;
		if (mapped[i].by_use)
			err = map_none(f, (enum bpvs_map_id)i);
		else if (mapped[i].prot)
			err = map_one(f, (enum bpvs_map_id)i, mapped[i].prot);
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
	if (!err)
		err = map_one(f, BPVS_MAP_NEXTHOPS, PROT_READ | PROT_WRITE);
	if (err)
		return err;
	in->conns = (void *)f->maps[BPVS_MAP_CONNS].at;
	in->conns6 = (void *)f->maps[BPVS_MAP_CONNS6].at;
	in->nexthops = (void *)f->maps[BPVS_MAP_NEXTHOPS].at;
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
	free(f->stats);
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
		/* Or else it has just been taken down. */
		bool kept = __atomic_load_n(&a->ready, __ATOMIC_ACQUIRE);

		bpvs_close(in);
		if (err == -ENOENT && kept)
			return lost();
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
	bpvs_route_close();
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
