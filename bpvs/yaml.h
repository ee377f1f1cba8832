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
struct yaml_place {
	unsigned int line, column;
};

struct yaml {
	const char *name; /* of the file, in complaints */
	yaml_document_t doc;
	unsigned int complaints;
};

/* path "-": standard input. False: complained, and there is nothing to free. */
bool yaml_load(struct yaml *y, const char *path);
void yaml_free(struct yaml *y);

struct yaml_place yaml_place(const yaml_node_t *node);
void yaml_complain(struct yaml *y, struct yaml_place at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with node's text behind it; what would not print is shown as '?'. */
void yaml_complain_of(struct yaml *y, const yaml_node_t *node, const char *what);

/* NULL: the document is empty. */
yaml_node_t *yaml_root(struct yaml *y);
/*
 * The values of a mapping by the names of its keys, which end with NULL; ret_values[i] is NULL
 * where names[i] is not there. Complains of any other key, and of one that is there twice.
 */
bool yaml_fields(struct yaml *y, const yaml_node_t *map, const char *const *names,
		 yaml_node_t **ret_values);
/* A sequence's items: their number, or -1 if it is none. */
long yaml_items(struct yaml *y, const yaml_node_t *list);
yaml_node_t *yaml_item(struct yaml *y, const yaml_node_t *list, long i);

/* Plain or quoted; the text lives as long as the document. */
bool yaml_text(struct yaml *y, const yaml_node_t *node, const char *what, const char **ret);
/* Plain decimal digits. */
bool yaml_number(struct yaml *y, const yaml_node_t *node, unsigned long long min,
		 unsigned long long max, unsigned long long *ret);
/* Plain true or false. */
bool yaml_bool(struct yaml *y, const yaml_node_t *node, bool *ret);
