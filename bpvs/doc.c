/* SPDX-License-Identifier: GPL-2.0-only */
/* A YAML document by libyaml, whose nodes know where they stand. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "doc.h"

/* Who has more to mend begins with these. */
#define COMPLAINTS_MOST 20

/* ---- complaints ---- */

struct doc_place doc_place(const yaml_node_t *node)
{
	return (struct doc_place){ (unsigned int)node->start_mark.line + 1,
				   (unsigned int)node->start_mark.column + 1 };
}

void doc_complain(struct doc *y, struct doc_place at, const char *fmt, ...)
{
	va_list ap;

	if (++y->complaints > COMPLAINTS_MOST)
		return;
	fprintf(stderr, "%s:", y->name);
	if (at.line)
		fprintf(stderr, "%u:%u:", at.line, at.column);
	fputc(' ', stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void doc_complain_of(struct doc *y, const yaml_node_t *node, const char *what)
{
	char text[48] = "";
	size_t len = 0;

	if (node->type == YAML_SCALAR_NODE) {
		len = node->data.scalar.length;
		if (len >= sizeof(text))
			len = sizeof(text) - 1;
		for (size_t i = 0; i < len; i++) {
			unsigned char c = node->data.scalar.value[i];

			text[i] = (char)(isprint(c) ? c : '?');
		}
	}
	doc_complain(y, doc_place(node), "%s: %s", what,
		     node->type == YAML_MAPPING_NODE	? "a mapping"
		     : node->type == YAML_SEQUENCE_NODE ? "a list"
		     : len				? text
							: "nothing");
}

/* ---- the document ---- */

void doc_free(struct doc *y)
{
	yaml_document_delete(&y->doc);
}

yaml_node_t *doc_root(struct doc *y)
{
	return yaml_document_get_root_node(&y->doc);
}

/* ---- mappings and lists ---- */

static int name_find(const char *const *names, const yaml_node_t *key)
{
	if (key->type != YAML_SCALAR_NODE)
		return -1;
	for (int i = 0; names[i]; i++)
		if (strlen(names[i]) == key->data.scalar.length &&
		    !memcmp(names[i], key->data.scalar.value, key->data.scalar.length))
			return i;
	return -1;
}

bool doc_fields(struct doc *y, const yaml_node_t *map, const char *const *names,
		yaml_node_t **ret_values)
{
	unsigned int before = y->complaints;

	for (int i = 0; names[i]; i++)
		ret_values[i] = NULL;
	if (map->type != YAML_MAPPING_NODE) {
		doc_complain_of(y, map, "expected a mapping (key: value)");
		return false;
	}
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		yaml_node_t *key = yaml_document_get_node(&y->doc, p->key);
		int i = name_find(names, key);

		if (i < 0)
			doc_complain_of(y, key, "unknown key");
		else if (ret_values[i])
			doc_complain_of(y, key, "the same key again");
		else
			ret_values[i] = yaml_document_get_node(&y->doc, p->value);
	}
	return y->complaints == before;
}

long doc_items(struct doc *y, const yaml_node_t *list)
{
	if (list->type != YAML_SEQUENCE_NODE) {
		doc_complain_of(y, list, "expected a list");
		return -1;
	}
	return list->data.sequence.items.top - list->data.sequence.items.start;
}

yaml_node_t *doc_item(struct doc *y, const yaml_node_t *list, long i)
{
	return yaml_document_get_node(&y->doc, list->data.sequence.items.start[i]);
}

/* ---- scalars ---- */

static const char *plain(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return NULL;
	return (const char *)node->data.scalar.value;
}

bool doc_text(struct doc *y, const yaml_node_t *node, const char *what, const char **ret)
{
	if (node->type == YAML_SCALAR_NODE && node->data.scalar.length &&
	    strlen((const char *)node->data.scalar.value) == node->data.scalar.length) {
		*ret = (const char *)node->data.scalar.value;
		return true;
	}
	doc_complain_of(y, node, what);
	return false;
}

/* No leading zeros: YAML 1.1 takes 010 for eight, and a reader for ten. */
bool doc_number(struct doc *y, const yaml_node_t *node, unsigned long long min,
		unsigned long long max, unsigned long long *ret)
{
	const char *text = plain(node);
	unsigned long long n;
	char what[80];

	if (text && *text && strlen(text) == node->data.scalar.length &&
	    !text[strspn(text, "0123456789")] && (*text != '0' || !text[1])) {
		errno = 0;
		n = strtoull(text, NULL, 10);
		if (!errno && n >= min && n <= max) {
			*ret = n;
			return true;
		}
	}
	snprintf(what, sizeof(what), "expected a number from %llu to %llu", min, max);
	doc_complain_of(y, node, what);
	return false;
}

bool doc_bool(struct doc *y, const yaml_node_t *node, bool *ret)
{
	const char *text = plain(node);

	if (text && (!strcmp(text, "true") || !strcmp(text, "false"))) {
		*ret = *text == 't';
		return true;
	}
	doc_complain_of(y, node, "expected true or false");
	return false;
}
