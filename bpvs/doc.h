/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A YAML document, read strictly: every complaint names file, line and column. All complaints about
 * a document are made, but for what would follow from another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

/* Where something stands, for complaints that are made later; line 0: nowhere. */
struct doc_place {
	unsigned int line, column;
};

struct doc {
	const char *name; /* of the file, in complaints */
	yaml_document_t doc;
	unsigned int complaints;
};

/* path "-": standard input. False: complained, and there is nothing to free. */
bool doc_load(struct doc *y, const char *path);
void doc_free(struct doc *y);

struct doc_place doc_place(const yaml_node_t *node);
void doc_complain(struct doc *y, struct doc_place at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with node's text behind it; what would not print is shown as '?'. */
void doc_complain_of(struct doc *y, const yaml_node_t *node, const char *what);

/* NULL: the document is empty. */
yaml_node_t *doc_root(struct doc *y);
/*
 * The values of a mapping by the names of its keys, which end with NULL; ret_values[i] is NULL
 * where names[i] is not there. Complains of any other key, and of one that is there twice.
 */
bool doc_fields(struct doc *y, const yaml_node_t *map, const char *const *names,
		yaml_node_t **ret_values);
/* A sequence's items: their number, or -1 if it is none. */
long doc_items(struct doc *y, const yaml_node_t *list);
yaml_node_t *doc_item(struct doc *y, const yaml_node_t *list, long i);

/* Plain or quoted; the text lives as long as the document. */
bool doc_text(struct doc *y, const yaml_node_t *node, const char *what, const char **ret);
/* Plain decimal digits. */
bool doc_number(struct doc *y, const yaml_node_t *node, unsigned long long min,
		unsigned long long max, unsigned long long *ret);
/* Plain true or false. */
bool doc_bool(struct doc *y, const yaml_node_t *node, bool *ret);
