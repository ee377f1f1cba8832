/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shapes of what the tools print with --json (docs/ipvsadm.schema.json). A thing is made whole
 * as an object of json-c and written at once, so that a listing of millions needs no more memory
 * than its largest part. Want of memory anywhere is told by bpvs_json_end().
 */
#pragma once

#include <json-c/json.h>
#include <stdio.h>
#include "bpvs.h"

/* Each returns an object to be given to bpvs_json_put() or bpvs_json_add(). */
struct json_object *bpvs_json_stats(const struct bpvs_stats *s);
struct json_object *bpvs_json_timeouts(const struct bpvs_timeouts *t);
struct json_object *bpvs_json_conn(const struct bpvs_conn_info *c);
/* in NULL: what is configured, without counters. */
struct json_object *bpvs_json_dest(struct bpvs_instance *in, const struct bpvs_dest_info *d);
/* The same, and without "destinations". */
struct json_object *bpvs_json_svc(struct bpvs_instance *in, const struct bpvs_svc_info *svc);
/* {"sloppy_tcp": "0", ...}: all of them. */
struct json_object *bpvs_json_sysctls(struct bpvs_instance *in);
/* {"statistics", "rates"} of that index of bpvs_stats_get(). */
struct json_object *bpvs_json_counters(struct bpvs_instance *in, unsigned int index);

/* `to` takes the value; `name` is a literal, or lives as long as `to`. */
void bpvs_json_add(struct json_object *to, const char *name, struct json_object *value);
/* The same at the end of an array. */
void bpvs_json_append(struct json_object *to, struct json_object *value);

/* ---- writing {"name": value, "list": [value, value]}, one value a line ---- */

struct bpvs_json_out {
	FILE *file;
	bool list;  /* inside one */
	bool first; /* nothing stands in the innermost bracket yet */
};

void bpvs_json_begin(struct bpvs_json_out *out, FILE *file);
/* -ENOMEM: the document lacks something. */
int bpvs_json_end(struct bpvs_json_out *out);
void bpvs_json_list_begin(struct bpvs_json_out *out, const char *name);
void bpvs_json_list_end(struct bpvs_json_out *out);
/* Takes the value. name: NULL inside a list. */
void bpvs_json_put(struct bpvs_json_out *out, const char *name, struct json_object *value);
