/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From what runs to what a file asks for, by steps that take nothing away before its replacement is
 * there: of each service destinations are added, weights raised, the service itself edited, weights
 * lowered, destinations removed; services that are to go come last. So at every moment, and
 * whenever it is killed, there is at least what both states have in common.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plan.h"

/* ---- a growing list ---- */

/* NULL: no memory. */
static struct step *step_new(struct plan *p, enum step_kind kind)
{
	/* Grows at powers of two. */
	if (!(p->num & (p->num - 1))) {
		size_t room = p->num ? 2 * (size_t)p->num : 1;
		struct step *steps = realloc(p->steps, room * sizeof(*steps));

		if (!steps)
			return NULL;
		p->steps = steps;
	}
	p->steps[p->num] = (struct step){ .kind = kind };
	return &p->steps[p->num++];
}

static int svc_step(struct plan *p, enum step_kind kind, const struct bpvs_svc_info *svc,
		    const struct bpvs_svc_info *was)
{
	struct step *s = step_new(p, kind);

	if (!s)
		return -ENOMEM;
	s->svc = svc;
	s->svc_was = was;
	return 0;
}

static int dest_step(struct plan *p, enum step_kind kind, const struct bpvs_svc_info *svc,
		     const struct bpvs_dest_info *dest, const struct bpvs_dest_info *was)
{
	struct step *s = step_new(p, kind);

	if (!s)
		return -ENOMEM;
	s->svc = svc;
	s->dest = dest;
	s->dest_was = was;
	return 0;
}

/* ---- equal ---- */

/* What belongs to persistence says nothing about a service that has none. */
static bool svc_same(const struct bpvs_svc_info *a, const struct bpvs_svc_info *b)
{
	if (a->flags != b->flags || a->sched != b->sched || a->sched_flags != b->sched_flags)
		return false;
	return !(a->flags & BPVS_SVC_PERSISTENT) ||
	       (a->timeout == b->timeout && a->netmask == b->netmask && a->pe == b->pe);
}

/* What is said of a tunnel and has no effect, as a port without GUE, is no difference. */
static bool tunnel_same(const struct bpvs_dest_info *a, const struct bpvs_dest_info *b)
{
	__u8 tunnel = bpvs_dest_tunnel(a);

	if (a->fwd != BPVS_FWD_TUNNEL)
		return true;
	return tunnel == bpvs_dest_tunnel(b) &&
	       ((tunnel & BPVS_TUNNEL_TYPE) != BPVS_TUNNEL_GUE || a->tun_port == b->tun_port);
}

static bool dest_same(const struct bpvs_dest_info *a, const struct bpvs_dest_info *b)
{
	return a->fwd == b->fwd && a->weight == b->weight && a->u_threshold == b->u_threshold &&
	       a->l_threshold == b->l_threshold && tunnel_same(a, b);
}

static int row_cmp(const void *x, const void *y)
{
	const struct bpvs_snapshot_row *a = x, *b = y;

	return svc_key_cmp(&a->svc.key, &b->svc.key);
}

static int dest_info_cmp(const void *x, const void *y)
{
	return dest_cmp(x, y);
}

/* ---- a service that stays ---- */

struct pairing {
	const struct config_svc *wish;
	const struct bpvs_snapshot_row *row;
	const struct bpvs_dest_info **old; /* by the wish's destinations: what there is, or NULL */
	bool *stays;			   /* by the row's */
	unsigned int next; /* of the row's, which is to go and may have to go first */
};

static int pairing_make(struct pairing *m)
{
	const struct bpvs_snapshot_row *row = m->row;

	m->old = calloc(m->wish->num_dests + 1, sizeof(*m->old));
	m->stays = calloc(row->num_dests + 1, sizeof(*m->stays));
	if (!m->old || !m->stays)
		return -ENOMEM;
	for (unsigned int i = 0; i < m->wish->num_dests && row->num_dests; i++) {
		m->old[i] = bsearch(&m->wish->dests[i].info, row->dests, row->num_dests,
				    sizeof(*row->dests), dest_info_cmp);
		if (m->old[i])
			m->stays[m->old[i] - row->dests] = true;
	}
	return 0;
}

/* Remove one of those that go; false: there is none left. */
static bool remove_one(struct plan *p, struct pairing *m, int *err)
{
	while (m->next < m->row->num_dests && m->stays[m->next])
		m->next++;
	if (m->next == m->row->num_dests)
		return false;
	*err = dest_step(p, STEP_DEST_DEL, &m->wish->info, NULL, &m->row->dests[m->next++]);
	return !*err;
}

/* A list that is full to the brim takes a new one only in the place of one that goes. */
static int dests_add(struct plan *p, struct pairing *m)
{
	unsigned int len = m->row->num_dests;
	int err = 0;

	for (unsigned int i = 0; i < m->wish->num_dests && !err; i++) {
		const struct config_dest *d = &m->wish->dests[i];

		if (m->old[i])
			continue;
		config_dest_check(p->config, m->wish, d);
		if (len == BPVS_LIST_MAX && remove_one(p, m, &err))
			len--;
		len++;
		err = err ?: dest_step(p, STEP_DEST_ADD, &m->wish->info, &d->info, NULL);
	}
	return err;
}

static int dests_edit(struct plan *p, struct pairing *m, bool lower)
{
	int err = 0;

	for (unsigned int i = 0; i < m->wish->num_dests && !err; i++) {
		const struct bpvs_dest_info *d = &m->wish->dests[i].info, *old = m->old[i];

		if (old && !dest_same(d, old) && (d->weight < old->weight) == lower)
			err = dest_step(p, STEP_DEST_EDIT, &m->wish->info, d, old);
	}
	return err;
}

static int svc_change(struct plan *p, const struct config_svc *wish, struct bpvs_snapshot_row *row)
{
	struct pairing m = { .wish = wish, .row = row };
	int err;

	if (row->num_dests)
		qsort(row->dests, row->num_dests, sizeof(*row->dests), dest_info_cmp);
	err = pairing_make(&m) ?: dests_add(p, &m) ?: dests_edit(p, &m, false);
	if (!err && !svc_same(&wish->info, &row->svc))
		err = svc_step(p, STEP_SVC_EDIT, &wish->info, &row->svc);
	err = err ?: dests_edit(p, &m, true);
	while (!err && remove_one(p, &m, &err))
		;
	free(m.old);
	free(m.stays);
	return err;
}

/* ---- services ---- */

static int svc_create(struct plan *p, const struct config_svc *wish)
{
	int err = svc_step(p, STEP_SVC_ADD, &wish->info, NULL);

	for (unsigned int i = 0; i < wish->num_dests && !err; i++) {
		config_dest_check(p->config, wish, &wish->dests[i]);
		err = dest_step(p, STEP_DEST_ADD, &wish->info, &wish->dests[i].info, NULL);
	}
	return err;
}

static int svc_remove(struct plan *p, const struct bpvs_snapshot_row *row)
{
	struct step *s = step_new(p, STEP_SVC_DEL);

	if (!s)
		return -ENOMEM;
	s->svc_was = &row->svc;
	s->row = row;
	return 0;
}

static int svcs_plan(struct plan *p, bool keep)
{
	struct bpvs_snapshot *now = &p->now;
	bool *stays = calloc(now->num + 1, sizeof(*stays));
	int err = stays ? 0 : -ENOMEM;

	if (now->num)
		qsort(now->rows, now->num, sizeof(*now->rows), row_cmp);
	for (unsigned int i = 0; i < p->config->num_svcs && !err; i++) {
		const struct config_svc *wish = &p->config->svcs[i];
		struct bpvs_snapshot_row key = { .svc.key = wish->info.key }, *row = NULL;

		if (now->num)
			row = bsearch(&key, now->rows, now->num, sizeof(key), row_cmp);
		if (row)
			stays[row - now->rows] = true;
		err = row ? svc_change(p, wish, row) : svc_create(p, wish);
	}
	for (unsigned int i = 0; i < now->num && !err && !keep; i++)
		if (!stays[i])
			err = svc_remove(p, &now->rows[i]);
	free(stays);
	return err;
}

/* ---- the rest ---- */

static int sysctls_plan(struct plan *p, struct bpvs_instance *in)
{
	char was[BPVS_SYSCTL_SIZE];

	for (unsigned int i = 0; i < p->config->num_sysctls; i++) {
		const struct config_sysctl *knob = &p->config->sysctls[i];
		struct step *s;

		if (config_sysctl_differs(p->config, in, knob) <= 0)
			continue;
		s = step_new(p, STEP_SYSCTL);
		if (!s || bpvs_sysctl_get(in, knob->name, was, sizeof(was)))
			return -ENOMEM;
		s->sysctl = knob;
		s->sysctl_was = strdup(was);
		if (!s->sysctl_was)
			return -ENOMEM;
	}
	return 0;
}

static int timeouts_plan(struct plan *p, struct bpvs_instance *in)
{
	const struct bpvs_timeouts *wish = &p->config->timeouts;
	struct bpvs_timeouts *was = &p->timeouts_was;
	int err = bpvs_timeouts_get(in, was);

	if (err)
		return err;
	p->timeouts = (struct bpvs_timeouts){
		.tcp = wish->tcp ?: was->tcp,
		.tcp_fin = wish->tcp_fin ?: was->tcp_fin,
		.udp = wish->udp ?: was->udp,
	};
	if (!memcmp(&p->timeouts, was, sizeof(*was)))
		return 0;
	return step_new(p, STEP_TIMEOUTS) ? 0 : -ENOMEM;
}

static int config_plan(struct plan *p, struct bpvs_instance *in)
{
	return sysctls_plan(p, in) ?: timeouts_plan(p, in);
}

static int blank_plan(struct plan *p)
{
	struct bpvs_instance *blank;
	int err = bpvs_blank_new(&blank);

	if (err)
		return err;
	err = config_plan(p, blank);
	bpvs_blank_free(blank);
	return err;
}

int plan_make(struct plan *p, struct bpvs_instance *in, struct config *c, bool keep)
{
	int err;

	*p = (struct plan){ .config = c };
	if (in)
		err = bpvs_snapshot_read(in, NULL, false, &p->now) ?: config_plan(p, in);
	else
		err = blank_plan(p);
	if (!err && c->has_svcs)
		err = svcs_plan(p, keep);
	if (err || c->doc.complaints)
		plan_free(p);
	return err;
}

void plan_free(struct plan *p)
{
	for (unsigned int i = 0; i < p->num; i++)
		free(p->steps[i].sysctl_was);
	free(p->steps);
	bpvs_snapshot_free(&p->now);
}

/* ---- doing it ---- */

static int step_do(const struct plan *p, struct bpvs_instance *in, const struct step *s)
{
	switch (s->kind) {
	case STEP_SYSCTL:
		return bpvs_sysctl_set(in, s->sysctl->name, s->sysctl->value);
	case STEP_TIMEOUTS:
		return bpvs_timeouts_set(in, &p->timeouts);
	case STEP_SVC_ADD:
		return bpvs_svc_add(in, s->svc);
	case STEP_SVC_EDIT:
		return bpvs_svc_edit(in, s->svc);
	case STEP_SVC_DEL:
		return bpvs_svc_del(in, &s->svc_was->key);
	case STEP_DEST_ADD:
		return bpvs_dest_add(in, &s->svc->key, s->dest);
	case STEP_DEST_EDIT:
		return bpvs_dest_edit(in, &s->svc->key, s->dest);
	case STEP_DEST_DEL:
		return bpvs_dest_del(in, &s->svc->key, &s->dest_was->addr, s->dest_was->port);
	}
	return -EINVAL;
}

/* The row has the newest destination first. */
static int svc_restore(struct bpvs_instance *in, const struct bpvs_snapshot_row *row)
{
	int err = bpvs_svc_add(in, &row->svc);

	for (unsigned int i = row->num_dests; i-- && !err;)
		err = bpvs_dest_add(in, &row->svc.key, &row->dests[i]);
	return err;
}

static int step_undo(const struct plan *p, struct bpvs_instance *in, const struct step *s)
{
	switch (s->kind) {
	case STEP_SYSCTL:
		return bpvs_sysctl_set(in, s->sysctl->name, s->sysctl_was);
	case STEP_TIMEOUTS:
		return bpvs_timeouts_set(in, &p->timeouts_was);
	case STEP_SVC_ADD:
		return bpvs_svc_del(in, &s->svc->key);
	case STEP_SVC_EDIT:
		return bpvs_svc_edit(in, s->svc_was);
	case STEP_SVC_DEL:
		return svc_restore(in, s->row);
	case STEP_DEST_ADD:
		return bpvs_dest_del(in, &s->svc->key, &s->dest->addr, s->dest->port);
	case STEP_DEST_EDIT:
		return bpvs_dest_edit(in, &s->svc->key, s->dest_was);
	case STEP_DEST_DEL:
		return bpvs_dest_add(in, &s->svc->key, s->dest_was);
	}
	return -EINVAL;
}

int plan_run(const struct plan *p, struct bpvs_instance *in, unsigned int *ret_failed,
	     unsigned int *ret_left)
{
	unsigned int done = 0, left = 0;
	int err = 0;

	while (done < p->num && !err) {
		err = step_do(p, in, &p->steps[done]);
		done += !err;
	}
	if (!err)
		return 0;
	*ret_failed = done;
	while (done--)
		left += !!step_undo(p, in, &p->steps[done]);
	*ret_left = left;
	return err;
}
