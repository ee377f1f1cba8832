/* SPDX-License-Identifier: GPL-2.0-only */
/* The difference between what runs and a file, as steps in the order in which they are taken. */
#pragma once

#include "apply_config.h"

enum step_kind {
	STEP_SYSCTL,
	STEP_TIMEOUTS,
	STEP_SVC_ADD,
	STEP_SVC_EDIT,
	STEP_SVC_DEL,
	STEP_DEST_ADD,
	STEP_DEST_EDIT,
	STEP_DEST_DEL,
};

struct step {
	enum step_kind kind;
	/* Those that the kind has. What is added has no `was`, what is removed nothing else. */
	const struct bpvs_svc_info *svc, *svc_was; /* of a destination's step: its service */
	const struct bpvs_dest_info *dest, *dest_was;
	const struct bpvs_snapshot_row *row; /* of a service that goes */
	const struct config_sysctl *sysctl;
	char *sysctl_was;
};

struct plan {
	struct config *config; /* the steps point into it, and into `now` */
	struct bpvs_snapshot now;
	struct bpvs_timeouts timeouts, timeouts_was;
	struct step *steps;
	unsigned int num;
};

/*
 * Under the lock, if the steps are to be taken. in NULL: from what bpvs_up() would make. keep:
 * services that the file does not name stay. An error, or complaints in config->doc: no plan, and
 * nothing to free.
 */
int plan_make(struct plan *p, struct bpvs_instance *in, struct config *c, bool keep);
void plan_free(struct plan *p);

/*
 * Take all steps, or none: what was done before a step that the engine refuses is undone. Then that
 * step is at *ret_failed, and *ret_left says how many could not be undone.
 */
int plan_run(const struct plan *p, struct bpvs_instance *in, unsigned int *ret_failed,
	     unsigned int *ret_left);

/* ---- plan_text.c ---- */

/* A command line without its end; `to` has PLAN_TEXT bytes. */
#define PLAN_TEXT 512
const char *step_command(const struct plan *p, const struct step *s, char to[PLAN_TEXT]);
/* Sign, command and what was before, a line each. */
void plan_print(const struct plan *p);

/* ---- plan_json.c ---- */

int plan_print_json(const struct plan *p);
