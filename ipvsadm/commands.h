/* SPDX-License-Identifier: GPL-2.0-only */
/* What the commands do. All return the exit status, having complained on stderr. */
#pragma once

#include "endpoint.h"
#include "options.h"

int cmd_service(struct bpvs_instance *in, const struct args *a);
int cmd_flush(struct bpvs_instance *in);
int cmd_zero(struct bpvs_instance *in, const struct args *a);
int cmd_dest(struct bpvs_instance *in, const struct args *a);
int cmd_set(struct bpvs_instance *in, const struct args *a);
int cmd_daemon(const struct args *a);
int cmd_list(struct bpvs_instance *in, const struct args *a);
int cmd_list_conns(struct bpvs_instance *in, const struct args *a);
int cmd_list_json(struct bpvs_instance *in, const struct args *a);
int cmd_save(struct bpvs_instance *in, const struct args *a);
/* program: argv[0] */
int cmd_restore(struct bpvs_instance *in, const char *program);

/* Any of the above but cmd_restore(). */
int cmd_run(struct bpvs_instance *in, const struct args *a);

/* How endpoint_text() is to write them. */
static inline unsigned int args_names(const struct args *a)
{
	return (args_have(a, OPT_NUMERIC) ? ENDPOINT_NUMERIC : 0) |
	       (args_have(a, OPT_WIDE) || args_have(a, OPT_FULL) ? ENDPOINT_WHOLE : 0);
}

/* The scheduler's number, or complain. 0 = good. */
int sched_resolve(const char *name, unsigned int *ret);

/* ---- complaints.c ---- */

/* Exit status of an error of the engine, having said it in ipvsadm's words. */
int complain(enum command cmd, int err);
/* Exit status of a thing that this version lacks. */
#define STATUS_NOT_BUILT 2
int complain_not_built(const char *what);
/* Did complain_not_built() speak? */
bool anything_not_built(void);
