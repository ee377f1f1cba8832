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

/* ---- loading ---- */

static void parser_complain(struct doc *y, const yaml_parser_t *p, bool unread)
{
	struct doc_place at = { 0 };

	if (unread) {
		doc_complain(y, at, "%s", strerror(errno));
	} else if (p->error == YAML_READER_ERROR) {
		doc_complain(y, at, "%s at byte %zu", p->problem, p->problem_offset);
	} else if (p->error == YAML_MEMORY_ERROR) {
		doc_complain(y, at, "%s", strerror(ENOMEM));
	} else {
		at.line = (unsigned int)p->problem_mark.line + 1;
		at.column = (unsigned int)p->problem_mark.column + 1;
		doc_complain(y, at, "%s%s%s", p->problem ?: "no YAML", p->context ? " " : "",
			     p->context ?: "");
	}
}

/* Tags would say what a value is, which its key says already. */
static bool tags_check(struct doc *y)
{
	static const char *const known[] = { YAML_STR_TAG, YAML_SEQ_TAG, YAML_MAP_TAG };

	for (yaml_node_t *n = y->doc.nodes.start; n < y->doc.nodes.top; n++) {
		bool good = !n->tag;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !good; i++)
			good = !strcmp((const char *)n->tag, known[i]);
		if (!good)
			doc_complain(y, doc_place(n), "tags are not known here");
	}
	return !y->complaints;
}

/* One document, and no other behind it. */
static bool document_load(struct doc *y, yaml_parser_t *p, FILE *file)
{
	yaml_document_t next;
	bool more;

	errno = 0;
	if (!yaml_parser_load(p, &y->doc)) {
		parser_complain(y, p, ferror(file));
		return false;
	}
	if (!yaml_document_get_root_node(&y->doc))
		return true;
	if (!yaml_parser_load(p, &next)) {
		parser_complain(y, p, ferror(file));
		yaml_document_delete(&y->doc);
		return false;
	}
	more = yaml_document_get_root_node(&next);
	if (more)
		doc_complain(y, doc_place(yaml_document_get_root_node(&next)), "a second document");
	yaml_document_delete(&next);
	if (!more && tags_check(y))
		return true;
	yaml_document_delete(&y->doc);
	return false;
}

bool doc_load(struct doc *y, const char *path)
{
	bool input = !strcmp(path, "-"), good;
	yaml_parser_t p;
	FILE *file;

	*y = (struct doc){ .name = input ? "<stdin>" : path };
	file = input ? stdin : fopen(path, "re");
	if (!file || !yaml_parser_initialize(&p)) {
		doc_complain(y, (struct doc_place){ 0 }, "%s", strerror(errno));
		if (file && !input)
			fclose(file);
		return false;
	}
	yaml_parser_set_input_file(&p, file);
	good = document_load(y, &p, file);
	yaml_parser_delete(&p);
	if (!input)
		fclose(file);
	return good;
}

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
