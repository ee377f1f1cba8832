/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs flush: end connections, all or those of one real server; services and their list stay. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "endpoint.h"
#include "json.h"
#include "verbs.h"

/* How many ended meanwhile, which a flush hardly shares with expiry. */
static int print_json(const char *dest, __u64 ended)
{
	struct bpvs_json_out out;

	bpvs_json_begin(&out, stdout);
	bpvs_json_put(&out, "destination", json_object_new_string(dest ?: "all"));
	bpvs_json_put(&out, "ended", json_object_new_uint64(ended));
	return bpvs_json_end(&out);
}

struct request {
	const char *dest; /* NULL: all */
	struct bpvs_addr addr;
	__be16 port;
	bool json;
};

static int flush(struct bpvs_instance *in, const struct request *r)
{
	__u64 before = 0, after = 0;
	int err;

	bpvs_counter_get(in, BPVS_EV_CONN_ENDED, &before);
	err = r->dest ? bpvs_conns_flush_dest(in, NULL, &r->addr, r->port) : bpvs_conns_flush(in);
	bpvs_counter_get(in, BPVS_EV_CONN_ENDED, &after);
	if (!err && r->json)
		err = print_json(r->dest, after - before);
	if (err == -ENOENT)
		fprintf(stderr, "bpvs flush: no such real server: %s\n", r->dest);
	else if (err)
		fprintf(stderr, "bpvs flush: %s\n", strerror(-err));
	return err ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "Usage: bpvs flush [--dest ADDRESS[:PORT]] [--json]\n");
	return 2;
}

static bool request_read(struct request *r, int argc, char **argv)
{
	static const struct option options[] = {
		{ "dest", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	__u8 af;
	int c;

	*r = (struct request){ 0 };
	while ((c = verb_option("flush", argc, argv, "", options, "")) != -1) {
		if (c == '?')
			return false;
		if (c == 'j')
			r->json = true;
		else if (!endpoint_read(optarg, &r->addr, &af, &r->port))
			return verb_refuse("flush", "an address or endpoint", optarg);
		else
			r->dest = optarg;
	}
	return optind == argc;
}

int cmd_flush(int argc, char **argv)
{
	struct bpvs_instance *in;
	struct request r;
	int err, status;

	if (!request_read(&r, argc, argv))
		return usage();
	err = bpvs_open(&in);
	if (err) {
		fprintf(stderr, "bpvs flush: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
		return 1;
	}
	status = flush(in, &r);
	bpvs_close(in);
	return status;
}
