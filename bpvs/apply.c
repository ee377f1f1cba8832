/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs apply, bpvs diff: a file that says what there is to be, and what differs from it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "plan.h"
#include "verbs.h"

struct request {
	const char *verb, *file;
	bool keep, verbose, json;
};

/* Exit status of diff; the others are ipvsadm's and everybody's. */
enum { SAME, DIFFERENT, TROUBLE };

static int request_read(struct request *r, int argc, char **argv, const char *usage)
{
	static const struct option options[] = {
		{ "file", required_argument, NULL, 'f' },
		{ "keep", no_argument, NULL, 'k' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*r = (struct request){ .verb = argv[0] };
	while ((c = verb_option(r->verb, argc, argv, "f:v", options, "")) != -1) {
		if (c == 'f')
			r->file = optarg;
		else if (c == 'k')
			r->keep = true;
		else if (c == 'v')
			r->verbose = true;
		else if (c == 'j')
			r->json = true;
		else
			return 2;
	}
	if (r->file && optind == argc)
		return 0;
	fprintf(stderr, "Usage: %s\n", usage);
	return 2;
}

static void complain(const struct request *r, int err)
{
	const char *why = bpvs_error();

	fprintf(stderr, "bpvs %s: %s\n", r->verb, *why ? why : strerror(-err));
}

/* A step that the engine refused, though nothing was wrong with the file. */
static void complain_of_step(const struct request *r, const struct plan *p, int err,
			     unsigned int failed, unsigned int left)
{
	char text[PLAN_TEXT];

	fprintf(stderr, "bpvs %s: %s: %s\n", r->verb, step_command(p, &p->steps[failed], text),
		*bpvs_error()	 ? bpvs_error()
		: err == -ENOSPC ? "no room in the tables (bpvs up --services, --dests)"
				 : strerror(-err));
	if (left)
		fprintf(stderr, "bpvs %s: %u of the %u changes before it could not be undone\n",
			r->verb, left, failed);
	else
		fprintf(stderr, "bpvs %s: nothing is changed\n", r->verb);
}

static int show(const struct request *r, const struct plan *p)
{
	int err = 0;

	if (r->json)
		err = plan_print_json(p);
	else
		plan_print(p);
	if (err)
		complain(r, err);
	return err;
}

/* ---- apply ---- */

/* What there is to say is said without the lock, for whoever reads it may take his time. */
static int apply_to(const struct request *r, struct bpvs_instance *in, struct config *c)
{
	unsigned int failed, left;
	struct plan p;
	int err = bpvs_lock(in), run = 0;

	/* Two at once take turns, each with what the other has made. */
	if (!err) {
		err = plan_make(&p, in, c, r->keep);
		if (!err && !c->doc.complaints)
			run = plan_run(&p, in, &failed, &left);
		bpvs_unlock(in);
	}
	if (err)
		complain(r, err);
	if (err || c->doc.complaints)
		return 1;
	if (run)
		complain_of_step(r, &p, run, failed, left);
	else if (r->verbose || r->json)
		run = show(r, &p);
	plan_free(&p);
	return run ? 1 : 0;
}

/* An engine is not brought up to say what is wrong with the file. */
static int open_for(const struct request *r, struct config *c, struct bpvs_instance **ret)
{
	int err = bpvs_open(ret);
	struct plan p;

	if (err != -ENOENT)
		return err;
	err = plan_make(&p, NULL, c, r->keep);
	if (err || c->doc.complaints)
		return err ?: -EINVAL;
	plan_free(&p);
	return bpvs_open_or_up(ret);
}

int cmd_apply(int argc, char **argv)
{
	struct bpvs_instance *in;
	struct request r;
	struct config c;
	int status = request_read(&r, argc, argv, "bpvs apply -f FILE [--keep] [-v | --json]"), err;

	if (status)
		return status;
	if (!config_read(&c, r.file))
		return 1;
	err = open_for(&r, &c, &in);
	if (err) {
		if (!c.doc.complaints)
			complain(&r, err);
		status = 1;
	} else {
		status = apply_to(&r, in, &c);
		bpvs_close(in);
	}
	config_free(&c);
	return status;
}

/* ---- diff ---- */

/* in NULL: there is none, and none is brought up. */
static int diff_with(const struct request *r, struct bpvs_instance *in, struct config *c)
{
	struct plan p;
	int err = in ? bpvs_lock(in) : 0, status;

	if (!err) {
		err = plan_make(&p, in, c, r->keep);
		if (in)
			bpvs_unlock(in);
	}
	if (err)
		complain(r, err);
	if (err || c->doc.complaints)
		return TROUBLE;
	status = show(r, &p) ? TROUBLE : p.num ? DIFFERENT : SAME;
	plan_free(&p);
	return status;
}

int cmd_diff(int argc, char **argv)
{
	struct bpvs_instance *in = NULL;
	struct request r;
	struct config c;
	int status = request_read(&r, argc, argv, "bpvs diff -f FILE [--keep] [--json]"), err;

	if (status)
		return TROUBLE;
	if (!config_read(&c, r.file))
		return TROUBLE;
	err = bpvs_open(&in);
	if (err && err != -ENOENT) {
		complain(&r, err);
		status = TROUBLE;
	} else {
		status = diff_with(&r, in, &c);
		if (in)
			bpvs_close(in);
	}
	config_free(&c);
	return status;
}
