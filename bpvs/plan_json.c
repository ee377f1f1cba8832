/* SPDX-License-Identifier: GPL-2.0-only */
/* Steps as JSON: the command, and what it is about before and after (docs/bpvs.schema.json). */
#include "json.h"
#include "plan.h"

static const struct {
	const char *action, *what;
} kinds[] = {
	[STEP_SYSCTL] = { "edit", "sysctl" },	      [STEP_TIMEOUTS] = { "edit", "timeouts" },
	[STEP_SVC_ADD] = { "add", "service" },	      [STEP_SVC_EDIT] = { "edit", "service" },
	[STEP_SVC_DEL] = { "remove", "service" },     [STEP_DEST_ADD] = { "add", "destination" },
	[STEP_DEST_EDIT] = { "edit", "destination" }, [STEP_DEST_DEL] = { "remove", "destination" },
};

static struct json_object *sysctl_make(const char *name, const char *value)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "name", json_object_new_string(name));
	bpvs_json_add(o, "value", json_object_new_string(value));
	return o;
}

/* Its state before the step, or after; NULL: there is none. */
static struct json_object *subject_make(const struct plan *p, const struct step *s, bool before)
{
	const struct bpvs_dest_info *dest = before ? s->dest_was : s->dest;
	const struct bpvs_svc_info *svc = before ? s->svc_was : s->svc;

	switch (s->kind) {
	case STEP_SYSCTL:
		return sysctl_make(s->sysctl->name, before ? s->sysctl_was : s->sysctl->value);
	case STEP_TIMEOUTS:
		return bpvs_json_timeouts(before ? &p->timeouts_was : &p->timeouts);
	case STEP_SVC_ADD:
	case STEP_SVC_EDIT:
	case STEP_SVC_DEL:
		return svc ? bpvs_json_svc(NULL, svc) : NULL;
	case STEP_DEST_ADD:
	case STEP_DEST_EDIT:
	case STEP_DEST_DEL:
		return dest ? bpvs_json_dest(NULL, dest) : NULL;
	}
	return NULL;
}

static struct json_object *step_make(const struct plan *p, const struct step *s)
{
	struct json_object *o = json_object_new_object(), *subject;
	char command[PLAN_TEXT];

	bpvs_json_add(o, "action", json_object_new_string(kinds[s->kind].action));
	bpvs_json_add(o, "what", json_object_new_string(kinds[s->kind].what));
	if (s->dest || s->dest_was)
		bpvs_json_add(o, "service", bpvs_json_svc(NULL, s->svc));
	subject = subject_make(p, s, true);
	if (subject)
		bpvs_json_add(o, "before", subject);
	subject = subject_make(p, s, false);
	if (subject)
		bpvs_json_add(o, "after", subject);
	bpvs_json_add(o, "command", json_object_new_string(step_command(p, s, command)));
	return o;
}

int plan_print_json(const struct plan *p)
{
	struct bpvs_json_out out;

	bpvs_json_begin(&out, stdout);
	bpvs_json_list_begin(&out, "changes");
	for (unsigned int i = 0; i < p->num; i++)
		bpvs_json_put(&out, NULL, step_make(p, &p->steps[i]));
	bpvs_json_list_end(&out);
	return bpvs_json_end(&out);
}
