/* SPDX-License-Identifier: GPL-2.0-only */
/* --list --json: the same things as objects (docs/ipvsadm.md), whatever columns were asked for. */
#include <errno.h>
#include <stdio.h>
#include "commands.h"
#include "internal.h"
#include "json.h"

static void put_row(struct bpvs_json_out *out, struct bpvs_instance *in,
		    const struct bpvs_snapshot_row *row)
{
	struct json_object *svc = bpvs_json_svc(in, &row->svc);
	struct json_object *dests = json_object_new_array();

	for (unsigned int i = 0; i < row->num_dests; i++)
		bpvs_json_append(dests, bpvs_json_dest(in, &row->dests[i]));
	bpvs_json_add(svc, "destinations", dests);
	bpvs_json_put(out, NULL, svc);
}

static int put_conn(const struct bpvs_conn_info *c, void *arg)
{
	bpvs_json_put(arg, NULL, bpvs_json_conn(c));
	return 0;
}

static int put_conns(struct bpvs_json_out *out, struct bpvs_instance *in)
{
	int err;

	bpvs_json_list_begin(out, "connections");
	err = bpvs_conn_walk(in, put_conn, out);
	bpvs_json_list_end(out);
	return err;
}

static int put_timeouts(struct bpvs_json_out *out, struct bpvs_instance *in)
{
	struct bpvs_timeouts t;
	int err = bpvs_timeouts_get(in, &t);

	if (!err)
		bpvs_json_put(out, "timeouts", bpvs_json_timeouts(&t));
	return err;
}

/* No synchronisation daemon exists yet, so none is listed. */
static void put_daemons(struct bpvs_json_out *out)
{
	bpvs_json_put(out, "daemons", json_object_new_array());
}

static void put_services(struct bpvs_json_out *out, struct bpvs_instance *in,
			 const struct bpvs_snapshot *t)
{
	bpvs_json_list_begin(out, "services");
	for (unsigned int i = 0; i < t->num; i++)
		put_row(out, in, &t->rows[i]);
	bpvs_json_list_end(out);
}

static int put_head(struct bpvs_json_out *out, struct bpvs_instance *in)
{
	bpvs_json_put(out, "version", json_object_new_string("1.2.1"));
	bpvs_json_put(out, "size", json_object_new_uint64(in->ro->slots));
	bpvs_json_put(out, "total", bpvs_json_counters(in, BPVS_STATS_TOTAL));
	put_daemons(out);
	return put_timeouts(out, in);
}

static int put_chosen(struct bpvs_json_out *out, struct bpvs_instance *in, const struct args *a,
		      const struct bpvs_snapshot *t)
{
	int err = 0;

	if (args_have(a, OPT_CONNECTION))
		return put_conns(out, in);
	if (args_have(a, OPT_TIMEOUT))
		return put_timeouts(out, in);
	if (args_have(a, OPT_DAEMON)) {
		put_daemons(out);
		return 0;
	}
	if (!args_have(a, OPT_SERVICE))
		err = put_head(out, in);
	put_services(out, in, t);
	return err;
}

int cmd_list_json(struct bpvs_instance *in, const struct args *a)
{
	const struct bpvs_svc_key *key = args_have(a, OPT_SERVICE) ? &a->svc.key : NULL;
	struct bpvs_json_out out;
	struct bpvs_snapshot t;
	/* First, so that a service that is not there leaves no beginning of a document. */
	int err = bpvs_snapshot_read(in, key, !args_have(a, OPT_NOSORT), &t), end;

	if (err)
		return complain(CMD_LIST, err);
	bpvs_json_begin(&out, stdout);
	err = put_chosen(&out, in, a, &t);
	end = bpvs_json_end(&out);
	bpvs_snapshot_free(&t);
	return err || end ? complain(CMD_LIST, err ?: end) : 0;
}
