/* SPDX-License-Identifier: GPL-2.0-only */
/* Attributes as the kernel takes them: what it refuses is refused, what it overlooks is not. */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>

enum attr_kind {
	ATTR_ANY, /* at least `size` bytes */
	ATTR_U8,
	ATTR_U16,
	ATTR_U32,
	ATTR_BINARY, /* at most `size` bytes */
	ATTR_STRING, /* with its 0, at most `size` characters */
	ATTR_NESTED,
};

struct attr_policy {
	enum attr_kind kind;
	unsigned int size;
};

/* tb[0 .. max]: the last attribute of each type, or NULL. */
int attrs_parse(const void *data, size_t size, const struct attr_policy *policy, unsigned int max,
		const struct nlattr **tb);
int attrs_parse_nested(const struct nlattr *nest, const struct attr_policy *policy,
		       unsigned int max, const struct nlattr **tb);

/* What lacks is 0. */
void attr_copy(const struct nlattr *a, void *to, size_t size);
