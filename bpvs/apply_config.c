/* SPDX-License-Identifier: GPL-2.0-only */
/* A file for `bpvs apply` as a whole: its sections, and what must hold between their parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "apply_config.h"
#include "endpoint.h"

/* ---- orders ---- */

int svc_key_cmp(const struct bpvs_svc_key *a, const struct bpvs_svc_key *b)
{
	return memcmp(a, b, sizeof(*a));
}

int dest_cmp(const struct bpvs_dest_info *a, const struct bpvs_dest_info *b)
{
	return memcmp(&a->addr, &b->addr, sizeof(a->addr))
		       ?: memcmp(&a->port, &b->port, sizeof(a->port));
}

static bool before(struct doc_place a, struct doc_place b)
{
	return a.line < b.line || (a.line == b.line && a.column < b.column);
}

/* ---- services ---- */

/* Of equal ones the earlier comes first, so that the later is complained of. */
static int place_cmp(struct doc_place a, struct doc_place b)
{
	return before(a, b) ? -1 : before(b, a);
}

static int svc_ref_cmp(const void *x, const void *y)
{
	const struct config_svc *a = *(const struct config_svc *const *)x;
	const struct config_svc *b = *(const struct config_svc *const *)y;

	return svc_key_cmp(&a->info.key, &b->info.key) ?: place_cmp(a->at, b->at);
}

static int dest_ref_cmp(const void *x, const void *y)
{
	const struct config_dest *a = *(const struct config_dest *const *)x;
	const struct config_dest *b = *(const struct config_dest *const *)y;

	return dest_cmp(&a->info, &b->info) ?: place_cmp(a->at, b->at);
}

/* The order of the file is that of adding, and stays. */
static void dests_unique(struct doc *y, const struct config_svc *svc)
{
	const struct config_dest **ref = calloc(svc->num_dests + 1, sizeof(*ref));
	char name[ENDPOINT_TEXT];

	if (!ref) {
		doc_complain(y, svc->at, "%s", strerror(ENOMEM));
		return;
	}
	for (unsigned int i = 0; i < svc->num_dests; i++)
		ref[i] = &svc->dests[i];
	qsort(ref, svc->num_dests, sizeof(*ref), dest_ref_cmp);
	for (unsigned int i = 1; i < svc->num_dests; i++)
		if (!dest_cmp(&ref[i - 1]->info, &ref[i]->info))
			doc_complain(y, ref[i]->at, "the service has %s already, in line %u",
				     endpoint_write(&ref[i]->info.addr, ref[i]->info.af,
						    ref[i]->info.port, name),
				     ref[i - 1]->at.line);
	free(ref);
}

static void svcs_unique(struct config *c)
{
	const struct config_svc **ref = calloc(c->num_svcs + 1, sizeof(*ref));
	char name[ENDPOINT_TEXT];

	if (!ref) {
		doc_complain(&c->doc, (struct doc_place){ 0 }, "%s", strerror(ENOMEM));
		return;
	}
	for (unsigned int i = 0; i < c->num_svcs; i++)
		ref[i] = &c->svcs[i];
	qsort(ref, c->num_svcs, sizeof(*ref), svc_ref_cmp);
	for (unsigned int i = 1; i < c->num_svcs; i++)
		if (!svc_key_cmp(&ref[i - 1]->info.key, &ref[i]->info.key))
			doc_complain(&c->doc, ref[i]->at,
				     "there is a service %s already, in line %u",
				     service_write(&ref[i]->info.key, name), ref[i - 1]->at.line);
	free(ref);
}

static void svcs_read(struct config *c, yaml_node_t *node)
{
	long num = doc_items(&c->doc, node);

	if (num < 0)
		return;
	c->has_svcs = true;
	c->svcs = calloc((size_t)num + 1, sizeof(*c->svcs));
	if (!c->svcs) {
		doc_complain(&c->doc, doc_place(node), "%s", strerror(ENOMEM));
		return;
	}
	for (long i = 0; i < num; i++) {
		struct config_svc *svc = &c->svcs[c->num_svcs];

		if (!config_svc_read(&c->doc, doc_item(&c->doc, node, i), svc))
			continue;
		c->num_svcs++;
		dests_unique(&c->doc, svc);
	}
	svcs_unique(c);
}

/* ---- timeouts and sysctls ---- */

static void timeouts_read(struct config *c, yaml_node_t *node)
{
	static const char *const names[] = { "tcp", "tcpfin", "udp", NULL };
	__u32 *to[] = { &c->timeouts.tcp, &c->timeouts.tcp_fin, &c->timeouts.udp };
	yaml_node_t *value[3];
	unsigned long long n;

	if (!doc_fields(&c->doc, node, names, value))
		return;
	for (int i = 0; i < 3; i++)
		if (value[i] && doc_number(&c->doc, value[i], 1, CONFIG_SECONDS_MAX, &n))
			*to[i] = (__u32)n;
}

/* Numbers, ranges and lists of them; the engine knows more. A number's x is that of 0x10. */
static bool value_read(struct doc *y, yaml_node_t *node, const char **ret)
{
	static const char what[] = "expected a sysctl's value";

	if (!doc_text(y, node, what, ret))
		return false;
	if (!(*ret)[strspn(*ret, "0123456789abcdefABCDEFx-,:/ \t")])
		return true;
	doc_complain_of(y, node, what);
	return false;
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
		doc_complain(&c->doc, doc_place(node), "%s", strerror(ENOMEM));
	} else if (doc_fields(&c->doc, node, names, value)) {
		for (size_t i = 0; i < num; i++) {
			struct config_sysctl *s = &c->sysctls[c->num_sysctls];

			if (!value[i] || !value_read(&c->doc, value[i], &s->value))
				continue;
			s->name = names[i];
			s->at = doc_place(value[i]);
			c->num_sysctls++;
		}
	}
	free(value);
}

/* ---- the whole ---- */

static void root_read(struct config *c)
{
	static const char *const names[] = { "services", "timeouts", "sysctls", NULL };
	yaml_node_t *root = doc_root(&c->doc), *value[3];

	if (!root) {
		doc_complain(&c->doc, (struct doc_place){ 1, 1 },
			     "nothing there ('services: []' is a file without services)");
		return;
	}
	if (!doc_fields(&c->doc, root, names, value))
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
	if (!doc_load(&c->doc, path))
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
	doc_free(&c->doc);
}

/* ---- what only the engine's host knows ---- */

void config_dest_check(struct config *c, const struct config_svc *svc, const struct config_dest *d)
{
	int err = bpvs_dest_check(&svc->info.key, &d->info);
	char name[ENDPOINT_TEXT];

	if (err == -EINVAL)
		doc_complain(&c->doc, d->at, "not an address that a destination can have: %s",
			     addr_write(&d->info.addr, d->info.af, name));
	else if (err)
		doc_complain(&c->doc, d->at, "%s", strerror(-err));
}

int config_sysctl_differs(struct config *c, struct bpvs_instance *in, const struct config_sysctl *s)
{
	int err = bpvs_sysctl_differs(in, s->name, s->value);

	if (err < 0)
		doc_complain(&c->doc, s->at, "%s does not take this value: %s", s->name,
			     strerror(-err));
	return err;
}
