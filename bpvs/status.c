/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs status: what is loaded, where, how large; with -v where packets went and why. */
#include <stdio.h>
#include <string.h>
#include "bpvs.h"
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
	print_memory(&s);
	printf("timer: longest gap %llu us, longest run %llu us\n",
	       (unsigned long long)s.tick_gap_ns / 1000, (unsigned long long)s.tick_cost_ns / 1000);
	if (verbose) {
		printf("packets and events:\n");
		print_counters(in);
	}
	return 0;
}

int cmd_status(int argc, char **argv)
{
	bool verbose = argc == 2 && (!strcmp(argv[1], "-v") || !strcmp(argv[1], "--verbose"));
	struct bpvs_instance *in;
	int err;

	if (argc > 1 && !verbose) {
		fprintf(stderr, "bpvs status: unexpected argument: %s\n", argv[1]);
		return 2;
	}
	err = bpvs_open(&in);
	if (!err) {
		err = print_status(in, verbose);
		bpvs_close(in);
	}
	if (!err)
		return 0;
	fprintf(stderr, "bpvs status: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	return 1;
}
