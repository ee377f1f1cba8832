/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpvs drain: a real server takes no new clients, those that it has may finish, then what is left
 * is dropped. Waited for are its connections, active and inactive, and its templates, since a
 * client that has one comes back to a server of weight 0. Not waited for are TCP connections that
 * are over and stay in the table for a while all the same.
 *
 * A server that is removed meanwhile keeps its connections, for it may come back: a health check
 * may do both within a second. They are waited for, too, but not its templates, which bring nobody
 * to it.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <bpvs/conn.h>
#include "endpoint.h"
#include "json.h"
#include "verbs.h"

#define DEADLINE_DEFAULT 300
#define POLL_NS		 200000000L
#define POLL_REMOVED	 1 /* s; all connections are looked at then */

/* What a destination is to a drain. */
enum { NOT_MEANT, MEANT, REMOVED };

struct drain {
	const char *name; /* the destination as it was said */
	struct bpvs_addr addr;
	__be16 port; /* 0: any */
	struct bpvs_svc_key key;
	bool one_service;
	unsigned int deadline; /* s */
	bool json;
	__u8 *meant; /* by destination id, below dests_max */
	unsigned int dests_max;
	unsigned int num; /* destinations that were meant in the beginning */
};

/* The destinations that are meant: how many, and what they have. */
struct load {
	unsigned int dests, weighted; /* of these, how many have a weight again */
	__u64 active, inactive, templates;
};

enum outcome { DRAINED, DROPPED, INTERRUPTED, OVERRULED, FAILED };

static volatile sig_atomic_t interrupted;

static void interrupt(int sig)
{
	interrupted = sig;
}

/* ---- looking ---- */

static bool dest_meant(const struct drain *d, const struct bpvs_dest_info *dest)
{
	return !memcmp(&dest->addr, &d->addr, sizeof(d->addr)) &&
	       (!d->port || dest->port == d->port);
}

static bool svc_meant(const struct drain *d, const struct bpvs_svc_info *svc)
{
	return !d->one_service || !memcmp(&svc->key, &d->key, sizeof(d->key));
}

/* Calls back for each destination that is meant, until one returns non-zero. */
typedef int (*meant_cb)(struct bpvs_instance *in, const struct bpvs_svc_key *key,
			const struct bpvs_dest_info *dest, void *arg);

static int meant_walk(struct bpvs_instance *in, struct drain *d, meant_cb cb, void *arg)
{
	struct bpvs_snapshot now;
	int err = bpvs_snapshot_read(in, d->one_service ? &d->key : NULL, false, &now);

	if (err)
		return err;
	for (unsigned int i = 0; i < now.num && !err; i++) {
		const struct bpvs_snapshot_row *row = &now.rows[i];

		for (unsigned int j = 0; j < row->num_dests && !err; j++)
			if (svc_meant(d, &row->svc) && dest_meant(d, &row->dests[j])) {
				d->meant[row->dests[j].id] = MEANT;
				err = cb(in, &row->svc.key, &row->dests[j], arg);
			}
	}
	bpvs_snapshot_free(&now);
	return err;
}

static int load_add(struct bpvs_instance *in, const struct bpvs_svc_key *key,
		    const struct bpvs_dest_info *dest, void *arg)
{
	struct load *load = arg;

	(void)in, (void)key;
	load->dests++;
	load->weighted += !!dest->weight;
	load->active += dest->active;
	load->inactive += dest->inactive;
	load->templates += dest->persistent;
	return 0;
}

/* ---- connections that are over ---- */

struct over {
	const struct drain *d;
	__u64 num;
};

/*
 * Both sides have closed, or one has reset. Of direct routing and tunnels only the client's side is
 * seen, so there the former is not known.
 */
static bool conn_over(const struct bpvs_conn_info *c)
{
	if (c->proto == IPPROTO_TCP)
		return c->state == BPVS_TCP_CLOSE ||
		       (c->state == BPVS_TCP_TIME_WAIT && c->fwd == BPVS_FWD_MASQ);
	return c->proto == IPPROTO_SCTP && c->state == BPVS_SCTP_CLOSED;
}

/* A destination's number may be another's, once it is free. */
static bool conn_of(const struct drain *d, const struct bpvs_conn_info *c, int what)
{
	return !c->template && c->dest < d->dests_max && d->meant[c->dest] == what &&
	       !memcmp(&c->daddr, &d->addr, sizeof(d->addr)) && (!d->port || c->dport == d->port);
}

static int over_count(const struct bpvs_conn_info *c, void *arg)
{
	struct over *over = arg;

	over->num += conn_of(over->d, c, MEANT) && conn_over(c);
	return 0;
}

/* Walking the table is for when nothing else is left: it may be large. */
static bool load_over(struct bpvs_instance *in, const struct drain *d, const struct load *load)
{
	struct over over = { .d = d };

	if (load->active || load->templates)
		return false;
	if (!load->inactive)
		return true;
	return !bpvs_conn_walk(in, over_count, &over) && over.num >= load->inactive;
}

/* ---- those of removed destinations ---- */

struct removed {
	const struct drain *d;
	struct load *load;
};

static int removed_add(const struct bpvs_conn_info *c, void *arg)
{
	struct removed *r = arg;

	if (!conn_of(r->d, c, REMOVED) || conn_over(c))
		return 0;
	r->load->active += c->active;
	r->load->inactive += !c->active;
	return 0;
}

/* A service that went meanwhile has taken its destinations with it. */
static int load_read(struct bpvs_instance *in, struct drain *d, struct load *ret)
{
	struct removed removed = { .d = d, .load = ret };
	int err;

	*ret = (struct load){ 0 };
	for (unsigned int i = 0; i < d->dests_max; i++)
		d->meant[i] = d->meant[i] ? REMOVED : NOT_MEANT;
	err = meant_walk(in, d, load_add, ret);
	if (err && err != -ESRCH)
		return err;
	return ret->dests < d->num ? bpvs_conn_walk(in, removed_add, &removed) : 0;
}

/* ---- the weight ---- */

static int weight_clear(struct bpvs_instance *in, const struct bpvs_svc_key *key,
			const struct bpvs_dest_info *dest, void *arg)
{
	struct bpvs_dest_info quiet = *dest;
	unsigned int *num = arg;

	++*num;
	quiet.weight = 0;
	return dest->weight ? bpvs_dest_edit(in, key, &quiet) : 0;
}

/* Under the lock, or an edit in between would be undone. */
static int weights_clear(struct bpvs_instance *in, struct drain *d)
{
	int err = bpvs_lock(in);

	if (err)
		return err;
	d->num = 0;
	err = meant_walk(in, d, weight_clear, &d->num);
	bpvs_unlock(in);
	return err;
}

/* ---- waiting ---- */

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

/* Until nothing is left, the deadline, a signal, or somebody who gives it a weight again. */
static enum outcome drain_wait(struct bpvs_instance *in, struct drain *d,
			       const struct timespec *start, struct load *ret)
{
	struct timespec pause = { .tv_nsec = POLL_NS };

	for (;;) {
		if (load_read(in, d, ret))
			return FAILED;
		if (ret->weighted)
			return OVERRULED;
		if (load_over(in, d, ret))
			return DRAINED;
		if (interrupted)
			return INTERRUPTED;
		if (seconds_since(start) >= d->deadline)
			return DROPPED;
		pause.tv_sec = ret->dests < d->num ? POLL_REMOVED : 0;
		nanosleep(&pause, NULL);
	}
}

/* ---- saying ---- */

static const char *const outcomes[] = { "drained", "dropped", "interrupted", "overruled",
					"failed" };

static struct json_object *load_make(const struct load *load)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "active_connections", json_object_new_uint64(load->active));
	bpvs_json_add(o, "inactive_connections", json_object_new_uint64(load->inactive));
	bpvs_json_add(o, "persistent_connections", json_object_new_uint64(load->templates));
	return o;
}

static void report_json(const struct drain *d, const struct load *before, const struct load *after,
			enum outcome how, double seconds)
{
	struct bpvs_json_out out;
	char text[32];

	bpvs_json_begin(&out, stdout);
	bpvs_json_put(&out, "destination", json_object_new_string(d->name));
	bpvs_json_put(&out, "services", json_object_new_uint64(d->num));
	bpvs_json_put(&out, "outcome", json_object_new_string(outcomes[how]));
	snprintf(text, sizeof(text), "%.1f", seconds);
	bpvs_json_put(&out, "seconds", json_object_new_double_s(seconds, text));
	bpvs_json_put(&out, "before", load_make(before));
	bpvs_json_put(&out, "left", load_make(after));
	bpvs_json_end(&out);
}

static void load_print(const struct drain *d, const char *what, const struct load *load)
{
	printf("%s: %s: %llu active, %llu inactive connections, %llu templates\n", d->name, what,
	       (unsigned long long)load->active, (unsigned long long)load->inactive,
	       (unsigned long long)load->templates);
}

static void report(const struct drain *d, const struct load *before, const struct load *after,
		   enum outcome how, double seconds)
{
	static const char *const texts[] = {
		[DRAINED] = "drained in %.1f s",
		[DROPPED] = "deadline over after %.1f s, dropped what was left",
		[INTERRUPTED] = "interrupted after %.1f s, the weight stays 0, nothing is dropped",
		[OVERRULED] =
			"given a weight again by somebody else after %.1f s, nothing is dropped",
		[FAILED] = "failed after %.1f s, the weight stays 0",
	};
	char text[120];

	if (d->json) {
		report_json(d, before, after, how, seconds);
		return;
	}
	snprintf(text, sizeof(text), texts[how], seconds);
	load_print(d, text, after);
}

/* ---- the verb ---- */

static int fail(const struct drain *d, int err)
{
	if (err == -ESRCH)
		fprintf(stderr, "bpvs drain: no such service\n");
	else if (err == -ENOENT && !*bpvs_error())
		fprintf(stderr, "bpvs drain: no such real server: %s\n", d->name);
	else
		fprintf(stderr, "bpvs drain: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	return 1;
}

static int drain(struct bpvs_instance *in, struct drain *d)
{
	struct load before, after;
	struct timespec start;
	enum outcome how;
	int err = weights_clear(in, d);

	if (!err && !d->num)
		err = -ENOENT;
	err = err ?: load_read(in, d, &before);
	if (err)
		return fail(d, err);
	if (!d->json) {
		load_print(d, "weight 0", &before);
		fflush(stdout); /* for whoever waits with us */
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	how = drain_wait(in, d, &start, &after);
	/* Of what is drained, connections that are over, so that the server can be removed. */
	if (how == DRAINED || how == DROPPED)
		err = bpvs_conns_flush_dest(in, d->one_service ? &d->key : NULL, &d->addr, d->port);
	/* Nothing to drop where somebody has removed it, and 120 s have gone by. */
	if (err && err != -ENOENT)
		how = FAILED;
	report(d, &before, &after, how, seconds_since(&start));
	if (how == INTERRUPTED)
		return 128 + interrupted;
	return how == DRAINED || how == DROPPED ? 0 : 1;
}

/* 90, 90s, 5m, 1h */
static bool seconds_read(const char *text, unsigned int *ret)
{
	static const struct {
		const char *suffix;
		unsigned int unit;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix) || *text < '0' || *text > '9' ||
		    n > INT_MAX / 3600)
			continue;
		*ret = (unsigned int)n * units[i].unit;
		return true;
	}
	return false;
}

static int usage(void)
{
	fprintf(stderr,
		"Usage: bpvs drain ADDRESS[:PORT] [--service PROTOCOL:ADDRESS:PORT|fwmark:N|"
		"fwmark6:N] [--deadline 5m] [--json]\n");
	return 2;
}

static bool drain_read(struct drain *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "service", required_argument, NULL, 's' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	__u8 af;
	int c;

	*d = (struct drain){ .deadline = DEADLINE_DEFAULT };
	while ((c = verb_option("drain", argc, argv, "", options, "")) != -1) {
		if (c == '?')
			return false;
		if (c == 'j')
			d->json = true;
		else if (c == 's' && !(d->one_service = service_read(optarg, &d->key)))
			return verb_refuse("drain", "a service", optarg);
		else if (c == 'd' && !seconds_read(optarg, &d->deadline))
			return verb_refuse("drain", "a time", optarg);
	}
	if (optind != argc - 1)
		return false;
	if (!endpoint_read(argv[optind], &d->addr, &af, &d->port))
		return verb_refuse("drain", "an address or endpoint", argv[optind]);
	d->name = argv[optind];
	return true;
}

int cmd_drain(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = interrupt };
	struct bpvs_status s = { 0 };
	struct bpvs_instance *in;
	struct drain d;
	int err, status;

	if (!drain_read(&d, argc, argv))
		return usage();
	err = bpvs_open(&in);
	if (err)
		return fail(&d, err);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	err = bpvs_status_get(in, &s);
	d.dests_max = s.dests_max;
	d.meant = err ? NULL : calloc(s.dests_max, sizeof(*d.meant));
	status = d.meant ? drain(in, &d) : fail(&d, err ?: -ENOMEM);
	free(d.meant);
	bpvs_close(in);
	return status;
}
