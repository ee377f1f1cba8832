/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs status: what is loaded, where, how large; with -v where packets went and why. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include "json.h"
#include "verbs.h"

static const struct {
	const char *kind;
	const char *label;
	const char *text;
} counters[BPVS_COUNTERS] = {
#define BPVS_REASON(id, kind, label, text) [BPVS_##id] = { #kind, label, text },
#include <bpvs/reason.def>
#undef BPVS_REASON
#define BPVS_EVENT(id, label, text) [BPVS_EV_##id] = { "EVENT", label, text },
#include <bpvs/event.def>
#undef BPVS_EVENT
};

static const char *const mode_names[] = { "auto", "xdp", "generic", "tc" };

static int print_device(const struct bpvs_device_info *d, void *arg)
{
	(void)arg;
	printf("  %-15s %s%s\n", d->name, d->how, d->why);
	return 0;
}

static void print_counters(struct bpvs_instance *in)
{
	for (unsigned int i = 0; i < BPVS_COUNTERS; i++) {
		__u64 n;

		if (!counters[i].label || bpvs_counter_get(in, i, &n))
			continue;
		printf("  %-5s %-15s %12llu  %s\n", counters[i].kind, counters[i].label,
		       (unsigned long long)n, counters[i].text);
	}
}

static void print_memory(const struct bpvs_status *s)
{
	static const char *const why[] = {
		[BPVS_MEMORY_UNNAMED] = "the kernel lists no variables (CONFIG_KALLSYMS_ALL)",
		[BPVS_MEMORY_LOCKED] = "programs may not read the kernel's memory (lockdown)",
	};

	if (s->memory == BPVS_MEMORY_KNOWN)
		printf("free memory: %llu pages; below %d the automatic defences are on\n",
		       (unsigned long long)s->free_pages, s->few_pages);
	else
		printf("free memory: not known, the automatic defences stay idle: %s\n",
		       why[s->memory]);
}

/* IPVS would have balanced these. */
static void print_past(struct bpvs_instance *in, const struct bpvs_status *s)
{
	char dev[IF_NAMESIZE];
	__u64 past;

	if (s->tripwire) {
		printf("past BPVS: not counted: %s\n", strerror(s->tripwire));
		return;
	}
	if (bpvs_counter_get(in, BPVS_EV_PAST, &past))
		return;
	printf("past BPVS: %llu packets for services, by devices that were not served",
	       (unsigned long long)past);
	if (past)
		printf(" (last: %s)", if_indextoname(s->past_ifindex, dev) ?: "one that is gone");
	putchar('\n');
}

static int print_status(struct bpvs_instance *in, bool verbose)
{
	struct bpvs_status s;
	int err = bpvs_status_get(in, &s);

	if (err)
		return err;
	printf("mode: %s%s\n", mode_names[s.mode], s.all_devs ? "" : ", named devices only");
	printf("devices:\n");
	bpvs_device_walk(in, print_device, NULL);
	printf("connections: %llu of %u, %u bytes each (%llu MiB)\n", (unsigned long long)s.conns,
	       s.conns_max, s.conn_bytes, (unsigned long long)s.table_bytes >> 20);
	printf("services: %u of %u\n", s.services, s.services_max);
	printf("real servers: at most %u in all\n", s.dests_max);
	print_past(in, &s);
	print_memory(&s);
	printf("timer: longest gap %llu us, longest run %llu us\n",
	       (unsigned long long)s.tick_gap_ns / 1000, (unsigned long long)s.tick_cost_ns / 1000);
	if (verbose) {
		printf("packets and events:\n");
		print_counters(in);
	}
	return 0;
}

/* ---- JSON: all that -v tells ---- */

static int add_device(const struct bpvs_device_info *d, void *arg)
{
	struct json_object *o = json_object_new_object();
	size_t len = strlen(d->why);

	bpvs_json_add(o, "name", json_object_new_string(d->name));
	bpvs_json_add(o, "how", json_object_new_string(d->how));
	/* " (reason)" in a line of text */
	if (len > 3)
		bpvs_json_add(o, "why", json_object_new_string_len(d->why + 2, (int)len - 3));
	bpvs_json_append(arg, o);
	return 0;
}

static struct json_object *make_use(__u64 now, __u64 most)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "now", json_object_new_uint64(now));
	bpvs_json_add(o, "most", json_object_new_uint64(most));
	return o;
}

static struct json_object *make_counters(struct bpvs_instance *in)
{
	struct json_object *all = json_object_new_object();

	for (unsigned int i = 0; i < BPVS_COUNTERS; i++) {
		struct json_object *o;
		__u64 n;

		if (!counters[i].label || bpvs_counter_get(in, i, &n))
			continue;
		o = json_object_new_object();
		bpvs_json_add(o, "kind", json_object_new_string(counters[i].kind));
		bpvs_json_add(o, "count", json_object_new_uint64(n));
		bpvs_json_add(all, counters[i].label, o);
	}
	return all;
}

static struct json_object *make_memory(const struct bpvs_status *s)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "known", json_object_new_boolean(s->memory == BPVS_MEMORY_KNOWN));
	if (s->memory == BPVS_MEMORY_KNOWN)
		bpvs_json_add(o, "free_pages", json_object_new_uint64(s->free_pages));
	bpvs_json_add(o, "few_pages", json_object_new_int(s->few_pages));
	return o;
}

static struct json_object *make_past(struct bpvs_instance *in, const struct bpvs_status *s)
{
	struct json_object *o = json_object_new_object();
	char dev[IF_NAMESIZE];
	__u64 past;

	bpvs_json_add(o, "counted", json_object_new_boolean(!s->tripwire));
	if (!s->tripwire && !bpvs_counter_get(in, BPVS_EV_PAST, &past))
		bpvs_json_add(o, "packets", json_object_new_uint64(past));
	if (s->past_ifindex && if_indextoname(s->past_ifindex, dev))
		bpvs_json_add(o, "last_device", json_object_new_string(dev));
	return o;
}

static struct json_object *make_timer(const struct bpvs_status *s)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "longest_gap_ns", json_object_new_uint64(s->tick_gap_ns));
	bpvs_json_add(o, "longest_run_ns", json_object_new_uint64(s->tick_cost_ns));
	return o;
}

static int print_json(struct bpvs_instance *in)
{
	struct json_object *devices = json_object_new_array();
	struct bpvs_json_out out;
	struct bpvs_status s;
	int err = bpvs_status_get(in, &s);

	if (err) {
		json_object_put(devices);
		return err;
	}
	bpvs_json_begin(&out, stdout);
	bpvs_device_walk(in, add_device, devices);
	bpvs_json_put(&out, "mode", json_object_new_string(mode_names[s.mode]));
	bpvs_json_put(&out, "all_devices", json_object_new_boolean(s.all_devs));
	bpvs_json_put(&out, "devices", devices);
	bpvs_json_put(&out, "connections", make_use(s.conns, s.conns_max));
	bpvs_json_put(&out, "connection_bytes", json_object_new_uint64(s.conn_bytes));
	bpvs_json_put(&out, "table_bytes", json_object_new_uint64(s.table_bytes));
	bpvs_json_put(&out, "services", make_use(s.services, s.services_max));
	bpvs_json_put(&out, "destinations_most", json_object_new_uint64(s.dests_max));
	bpvs_json_put(&out, "past", make_past(in, &s));
	bpvs_json_put(&out, "memory", make_memory(&s));
	bpvs_json_put(&out, "timer", make_timer(&s));
	bpvs_json_put(&out, "counters", make_counters(in));
	return bpvs_json_end(&out);
}

int cmd_status(int argc, char **argv)
{
	bool verbose = argc == 2 && (!strcmp(argv[1], "-v") || !strcmp(argv[1], "--verbose"));
	bool json = argc == 2 && !strcmp(argv[1], "--json");
	struct bpvs_instance *in;
	int err;

	if (argc > 1 && !verbose && !json) {
		fprintf(stderr, "bpvs status: unexpected argument: %s\n", argv[1]);
		return 2;
	}
	err = bpvs_open(&in);
	if (!err) {
		err = json ? print_json(in) : print_status(in, verbose);
		bpvs_close(in);
	}
	if (!err)
		return 0;
	fprintf(stderr, "bpvs status: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	/* So that scripts can tell an engine that is not theirs from none. */
	return err == -EPROTO ? 3 : 1;
}
