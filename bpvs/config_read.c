/* SPDX-License-Identifier: GPL-2.0-only */
/* A file for `bpvs apply` as a whole: its sections, and what must hold between their parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "endpoint.h"

/* ---- orders ---- */

int svc_key_cmp(const struct bpvs_svc_key *a, const struct bpvs_svc_key *b)
{
	return memcmp(a, b, sizeof(*a));
}

int dest_cmp(const struct bpvs_dest_info *a, const struct bpvs_dest_info *b)
{
	return memcmp(&a->addr, &b->addr, sizeof(a->addr)) ?:
	       memcmp(&a->port, &b->port, sizeof(a->port));
}

static bool before(struct yaml_place a, struct yaml_place b)
{
	return a.line < b.line || (a.line == b.line && a.column < b.column);
}

/* Of equal ones the earlier comes first, so that the later is complained of. */
static int place_cmp(struct yaml_place a, struct yaml_place b)
{
	return before(a, b) ? -1 : before(b, a);
}

static int config_svc_cmp(const void *x, const void *y)
{
	const struct config_svc *a = x, *b = y;

	return svc_key_cmp(&a->info.key, &b->info.key) ?: place_cmp(a->at, b->at);
}

static int config_dest_cmp(const void *x, const void *y)
{
	const struct config_dest *a = x, *b = y;

	return dest_cmp(&a->info, &b->info) ?: place_cmp(a->at, b->at);
}

/* ---- services ---- */

static void dests_sort(struct yaml *y, struct config_svc *svc)
{
	char name[ENDPOINT_TEXT];

	if (svc->num_dests)
		qsort(svc->dests, svc->num_dests, sizeof(*svc->dests), config_dest_cmp);
	for (unsigned int i = 1; i < svc->num_dests; i++) {
		const struct config_dest *d = &svc->dests[i];

		if (!dest_cmp(&d[-1].info, &d->info))
			yaml_complain(y, d->at, "the service has %s already, in line %u",
				      endpoint_write(&d->info.addr, d->info.af, d->info.port, name),
				      d[-1].at.line);
	}
}

static void svcs_sort(struct config *c)
{
	char name[ENDPOINT_TEXT];

	if (c->num_svcs)
		qsort(c->svcs, c->num_svcs, sizeof(*c->svcs), config_svc_cmp);
	for (unsigned int i = 1; i < c->num_svcs; i++) {
		const struct config_svc *s = &c->svcs[i];

		if (!svc_key_cmp(&s[-1].info.key, &s->info.key))
			yaml_complain(&c->doc, s->at, "there is a service %s already, in line %u",
				      service_write(&s->info.key, name), s[-1].at.line);
	}
}

static void svcs_read(struct config *c, yaml_node_t *node)
{
	long num = yaml_items(&c->doc, node);

	if (num < 0)
		return;
	c->has_svcs = true;
	c->svcs = calloc((size_t)num + 1, sizeof(*c->svcs));
	if (!c->svcs) {
		yaml_complain(&c->doc, yaml_place(node), "%s", strerror(ENOMEM));
		return;
	}
	for (long i = 0; i < num; i++) {
		struct config_svc *svc = &c->svcs[c->num_svcs];

		if (!config_svc_read(&c->doc, yaml_item(&c->doc, node, i), svc))
			continue;
		c->num_svcs++;
		dests_sort(&c->doc, svc);
	}
	svcs_sort(c);
}

/* ---- timeouts and sysctls ---- */

static void timeouts_read(struct config *c, yaml_node_t *node)
{
	static const char *const names[] = { "tcp", "tcpfin", "udp", NULL };
	__u32 *to[] = { &c->timeouts.tcp, &c->timeouts.tcp_fin, &c->timeouts.udp };
	yaml_node_t *value[3];
	unsigned long long n;

	if (!yaml_fields(&c->doc, node, names, value))
		return;
	for (int i = 0; i < 3; i++)
		if (value[i] && yaml_number(&c->doc, value[i], 1, CONFIG_SECONDS_MAX, &n))
			*to[i] = (__u32)n;
}

static void sysctls_read(struct config *c, yaml_node_t *node)
{
	const char *const *names = bpvs_sysctl_names();
	size_t num = 0;
	yaml_node_t **value;

	while (names[num])
		num++;
	value = calloc(num, sizeof(*value));
	c->sysctls = calloc(num, sizeof(*c->sysctls));
	if (!value || !c->sysctls) {
		yaml_complain(&c->doc, yaml_place(node), "%s", strerror(ENOMEM));
	} else if (yaml_fields(&c->doc, node, names, value)) {
		for (size_t i = 0; i < num; i++) {
			struct config_sysctl *s = &c->sysctls[c->num_sysctls];

			if (!value[i] || !yaml_text(&c->doc, value[i], "expected a value", &s->value))
				continue;
			s->name = names[i];
			s->at = yaml_place(value[i]);
			c->num_sysctls++;
		}
	}
	free(value);
}

/* ---- the whole ---- */

static void root_read(struct config *c)
{
	static const char *const names[] = { "services", "timeouts", "sysctls", NULL };
	yaml_node_t *root = yaml_root(&c->doc), *value[3];

	if (!root) {
		yaml_complain(&c->doc, (struct yaml_place){ 1, 1 },
			      "nothing there ('services: []' is a file without services)");
		return;
	}
	if (!yaml_fields(&c->doc, root, names, value))
		return;
	if (value[1])
		timeouts_read(c, value[1]);
	if (value[2])
		sysctls_read(c, value[2]);
	if (value[0])
		svcs_read(c, value[0]);
}

bool config_read(struct config *c, const char *path)
{
	*c = (struct config){ 0 };
	if (!yaml_load(&c->doc, path))
		return false;
	root_read(c);
	if (!c->doc.complaints)
		return true;
	config_free(c);
	return false;
}

void config_free(struct config *c)
{
	for (unsigned int i = 0; i < c->num_svcs; i++)
		free(c->svcs[i].dests);
	free(c->svcs);
	free(c->sysctls);
	yaml_free(&c->doc);
}

/* ---- what only the engine's host knows ---- */

static void dest_check(struct config *c, const struct config_svc *svc, const struct config_dest *d)
{
	int err = bpvs_dest_check(&svc->info.key, &d->info);
	char name[ENDPOINT_TEXT];

	if (err == -EINVAL)
		yaml_complain(&c->doc, d->at, "no address for a real server: %s",
			      addr_write(&d->info.addr, d->info.af, name));
	else if (err)
		yaml_complain(&c->doc, d->at, "%s", strerror(-err));
}

bool config_check(struct config *c, struct bpvs_instance *in)
{
	for (unsigned int i = 0; i < c->num_svcs; i++)
		for (unsigned int j = 0; j < c->svcs[i].num_dests; j++)
			dest_check(c, &c->svcs[i], &c->svcs[i].dests[j]);
	for (unsigned int i = 0; i < c->num_sysctls; i++) {
		const struct config_sysctl *s = &c->sysctls[i];
		int err = bpvs_sysctl_differs(in, s->name, s->value);

		if (err < 0)
			yaml_complain(&c->doc, s->at, "%s does not take this: %s", s->name,
				      strerror(-err));
	}
	return !c->doc.complaints;
}
