/* SPDX-License-Identifier: GPL-2.0-only */
/* Ending connections before their time: asked for here, done by the sweep (bpf/timer.bpf.c). */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "lock.h"
#include "service.h"

/* A pass over millions of connections takes a second or two on a busy host. */
#define FLUSH_SECONDS 30

__u32 bpvs_flush_ask(struct bpvs_instance *in, __u32 what)
{
	__atomic_or_fetch(&in->cfg->flush_what, what, __ATOMIC_SEQ_CST);
	return __atomic_add_fetch(&in->cfg->flush_asked, 1, __ATOMIC_SEQ_CST);
}

static int flush_wait(struct bpvs_instance *in, __u32 asked)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	for (int i = 0; i < FLUSH_SECONDS * 1000; i++) {
		__u32 done = __atomic_load_n(&in->cfg->flush_done, __ATOMIC_ACQUIRE);

		if ((__s32)(done - asked) >= 0)
			return 0;
		nanosleep(&ms, NULL);
	}
	return -ETIMEDOUT;
}

int bpvs_conns_flush(struct bpvs_instance *in)
{
	int err = flush_wait(in, bpvs_flush_ask(in, BPVS_FLUSH_ALL));

	if (err)
		return err;
	/* The choice by hash goes with the connections that were in its way. */
	__atomic_store_n(&in->cfg->full_until, (__u32)bpvs_clock_since(in, 0), __ATOMIC_RELAXED);
	err = bpvs_tables_enter(in);
	if (err)
		return err;
	err = bpvs_tables_forget(in);
	bpvs_tables_leave(in);
	return err;
}

static bool dest_is(const struct bpvs_dest *d, __u32 svc, const struct bpvs_addr *addr, __be16 port)
{
	return d->flags & BPVS_DEST_IN_USE && !memcmp(&d->addr, addr, sizeof(*addr)) &&
	       (!port || d->port == port) && (!svc || d->svc == svc);
}

/* svc 0: of any. Marks that a tool left which was killed are cleared, too. */
static bool dests_mark(struct bpvs_instance *in, __u32 svc, const struct bpvs_addr *addr,
		       __be16 port)
{
	__u32 high = bpvs_tables_dest_high(in);
	bool any = false;

	for (__u32 id = 1; id < high; id++) {
		struct bpvs_dest *d = &in->dests[id];
		bool is = addr && dest_is(d, svc, addr, port);
		__u32 flags = is ? d->flags | BPVS_DEST_FLUSH : d->flags & ~BPVS_DEST_FLUSH;

		any |= is;
		if (flags != d->flags)
			__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
	}
	return any;
}

static int dest_ask(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		    const struct bpvs_addr *addr, __be16 port, __u32 *ret_asked)
{
	int err = bpvs_tables_enter(in);
	__u32 svc = 0;

	if (err)
		return err;
	if (key)
		svc = bpvs_tables_find_svc(in, key);
	if ((!key || svc) && dests_mark(in, svc, addr, port))
		*ret_asked = bpvs_flush_ask(in, BPVS_FLUSH_MARKED);
	else
		err = -ENOENT;
	bpvs_tables_leave(in);
	return err;
}

/*
 * Two of these would clear each other's marks: they take turns. To others the tables are open
 * meanwhile, for a sweep may take seconds.
 */
int bpvs_conns_flush_dest(struct bpvs_instance *in, const struct bpvs_svc_key *key,
			  const struct bpvs_addr *addr, __be16 port)
{
	int lock, err = bpvs_flush_lock_take(&lock);
	__u32 asked;

	if (err)
		return err;
	err = dest_ask(in, key, addr, port, &asked) ?: flush_wait(in, asked);
	if (!bpvs_tables_enter(in)) {
		dests_mark(in, 0, NULL, 0);
		bpvs_tables_leave(in);
	}
	bpvs_lock_drop(lock);
	return err;
}
