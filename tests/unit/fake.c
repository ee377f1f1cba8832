/* SPDX-License-Identifier: GPL-2.0-only */
/* Stands in for engine.c and maps.c under the unit tests. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"
#include "lock.h"

static struct fake *current; /* bpvs_grace_wait() has no argument to find it by */

struct fake *fake_of(struct bpvs_instance *in)
{
	return (struct fake *)(void *)in;
}

static char *arena; /* memory for the arrays, or NULL: the heap */

void fake_use_arena(void *memory)
{
	arena = memory;
}

static void *take(size_t num, size_t size)
{
	if (arena) {
		char *at = arena;

		arena += ((num + 1) * size + 63) / 64 * 64;
		return at;
	}

	void *p = calloc(num + 1, size);

	if (!p)
		abort();
	return p;
}

struct bpvs_instance *fake_new(struct fake_size size)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->ro = (struct bpvs_rodata){
		.slots = size.slots,
		.spills = size.slots ? 16 : 0,
		.max_svc = size.svcs,
		.max_dest = size.dests,
		.max_list = size.list,
		.cpus = 1,
		.clock_hz = FAKE_HZ,
	};
	f->in.ro = &f->ro;
	f->in.cfg = take(1, sizeof(*f->in.cfg));
	f->in.filter = take(1, sizeof(*f->in.filter));
	f->in.svcs = take(size.svcs, sizeof(*f->in.svcs));
	f->in.dests = take(size.dests, sizeof(*f->in.dests));
	f->in.lists = take(size.list, sizeof(*f->in.lists));
	f->in.rates = take(size.svcs + size.dests, sizeof(*f->in.rates));
	f->in.conns = take(size.slots + BPVS_CONN_WINDOW + 16, sizeof(*f->in.conns));
	f->in.conns6 = take(size.slots + BPVS_CONN_WINDOW + 16, sizeof(*f->in.conns6));
	f->map_keys = take(size.svcs, sizeof(*f->map_keys));
	f->rips = take(size.dests, sizeof(*f->rips));
	f->map_used = take(size.svcs, sizeof(*f->map_used));
	f->stats = take(size.svcs + size.dests, sizeof(*f->stats));
	f->units = take(bpvs_chunks_max(&f->ro) * BPVS_CHUNK, sizeof(*f->units));
	f->in.stats = f->stats;
	f->clock = 0xfffff000; /* soon to wrap */
	current = f;
	return &f->in;
}

void fake_free(struct bpvs_instance *in)
{
	struct fake *f = fake_of(in);

	bpvs_tables_free(in);
	free(in->cfg);
	free(in->filter);
	free(in->svcs);
	free(in->dests);
	free(in->lists);
	free(in->rates);
	free(in->conns);
	free((void *)(uintptr_t)in->conns6);
	free(f->map_keys);
	free(f->map_used);
	free(f->rips);
	free(f->stats);
	bpvs_chunks_close(in);
	free(f->units);
	free(f);
}

struct bpvs_addr fake_v4(unsigned int a, unsigned int b, unsigned int c, unsigned int d)
{
	return (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff),
					  htonl(a << 24 | b << 16 | c << 8 | d) } };
}

struct bpvs_addr fake_v6(unsigned int n)
{
	return (struct bpvs_addr){ .w = { htonl(0x20010db8), 0, 0, htonl(n) } };
}

/* ---- engine.c ---- */

int bpvs_lock(struct bpvs_instance *in)
{
	in->lock_depth++;
	return 0;
}

void bpvs_unlock(struct bpvs_instance *in)
{
	if (!in->lock_depth--)
		abort();
}

int bpvs_flush_lock_take(int *ret_fd)
{
	*ret_fd = -1;
	return 0;
}

void bpvs_lock_drop(int fd)
{
	(void)fd;
}

int bpvs_clock_since(struct bpvs_instance *in, __u32 then)
{
	fake_of(in)->clock_looks++;
	return (int)(fake_of(in)->clock - then);
}

unsigned int bpvs_clock_hz(const struct bpvs_instance *in)
{
	return in->ro->clock_hz;
}

/* ---- maps.c ---- */

__u32 fake_map_find(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	struct fake *f = fake_of(in);

	for (__u32 id = 1; id < in->ro->max_svc; id++)
		if (f->map_used[id] && !memcmp(&f->map_keys[id], key, sizeof(*key)))
			return id;
	return 0;
}

/* Where the key is; if nowhere, a place for it, or NULL. */
static struct fake_rip *rip_slot(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	struct fake_rip *rips = fake_of(in)->rips, *unused = NULL;

	for (__u32 i = 0; i < in->ro->max_dest; i++) {
		if (rips[i].used && !memcmp(&rips[i].key, key, sizeof(*key)))
			return &rips[i];
		if (!rips[i].used && !unused)
			unused = &rips[i];
		if (!rips[i].key.af)
			break;
	}
	return unused;
}

bool fake_rip_find(struct bpvs_instance *in, const struct bpvs_svc_key *key, __u32 *ret)
{
	struct fake_rip *r = rip_slot(in, key);

	if (!r || !r->used)
		return false;
	*ret = r->value;
	return true;
}

static int rip_put(struct fake_rip *r, const struct bpvs_svc_key *key, __u32 id)
{
	if (!r)
		return -E2BIG;
	*r = (struct fake_rip){ .key = *key, .used = true, .value = id };
	return 0;
}

int bpvs_marks_sync(struct bpvs_instance *in)
{
	(void)in;
	return 0;
}

void bpvs_out_svc(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	(void)in, (void)key;
}

void bpvs_out_dest(struct bpvs_instance *in, int type)
{
	(void)in, (void)type;
}

void bpvs_out_repair(struct bpvs_instance *in)
{
	(void)in;
}

int bpvs_map_svc_put(struct bpvs_instance *in, const struct bpvs_svc_key *key, __u32 id)
{
	__u32 old = fake_map_find(in, key);

	if (key->af & BPVS_KEY_RIP)
		return rip_put(rip_slot(in, key), key, id);
	if (old)
		fake_of(in)->map_used[old] = false;
	fake_of(in)->map_keys[id] = *key;
	fake_of(in)->map_used[id] = true;
	return 0;
}

int bpvs_map_call_get(struct bpvs_instance *in, __u32 slot, struct bpvs_call *ret)
{
	(void)in, (void)slot, (void)ret;
	return -ENOENT;
}

int bpvs_map_svc_del(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	struct fake_rip *r = key->af & BPVS_KEY_RIP ? rip_slot(in, key) : NULL;
	__u32 id = fake_map_find(in, key);

	if (r && r->used) {
		r->used = false;
		return 0;
	}
	if (!id)
		return -ENOENT;
	fake_of(in)->map_used[id] = false;
	return 0;
}

int bpvs_reach(const struct bpvs_instance *in)
{
	return ((const struct fake *)in)->reach;
}

int bpvs_reach_svcs(const struct bpvs_instance *in)
{
	(void)in;
	return 0;
}

int bpvs_reach_svc(const struct bpvs_instance *in, const struct bpvs_svc *svc)
{
	(void)in;
	(void)svc;
	return 0;
}

int bpvs_reach_stats(const struct bpvs_instance *in)
{
	(void)in;
	return 0;
}

int bpvs_conns_open(struct bpvs_instance *in)
{
	(void)in;
	return 0;
}

int bpvs_map_chunk(struct bpvs_instance *in, __u32 chunk, bool create,
		   struct bpvs_bucket_unit **ret)
{
	struct fake *f = fake_of(in);

	if (create && f->chunks_most && chunk >= f->chunks_most)
		return -ENOMEM;
	*ret = f->units + chunk * BPVS_CHUNK;
	return 0;
}

void bpvs_unmap_chunk(struct bpvs_bucket_unit *units)
{
	(void)units;
}

int bpvs_grace_wait(void)
{
	current->graces++;
	return 0;
}
