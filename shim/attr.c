/* SPDX-License-Identifier: GPL-2.0-only */
/* Checking attributes (attr.h). */
#include <errno.h>
#include <string.h>
#include "attr.h"

static int string_check(const char *s, size_t len, size_t most)
{
	/* The 0 may be one behind the most there can be, not farther. */
	size_t look = most && most + 1 < len ? most + 1 : len;

	if (!look || !memchr(s, 0, look))
		return -EINVAL;
	if (!s[len - 1])
		len--;
	return most && len > most ? -ERANGE : 0;
}

/* Too many bytes of a number are the kernel's to complain of in its log; it takes the first. */
static int attr_check(const struct nlattr *a, const struct attr_policy *p)
{
	size_t len = mnl_attr_get_payload_len(a);

	switch (p->kind) {
	case ATTR_BINARY:
		return len > p->size ? -ERANGE : 0;
	case ATTR_STRING:
		return string_check(mnl_attr_get_payload(a), len, p->size);
	case ATTR_NESTED:
		return len && len < MNL_ATTR_HDRLEN ? -ERANGE : 0;
	case ATTR_U8:
		return len < 1 ? -ERANGE : 0;
	case ATTR_U16:
		return len < 2 ? -ERANGE : 0;
	case ATTR_U32:
		return len < 4 ? -ERANGE : 0;
	case ATTR_ANY:
		break;
	}
	return len < p->size ? -ERANGE : 0;
}

/* Types that are not known, and what is left where an attribute does not fit, is passed over. */
int attrs_parse(const void *data, size_t size, const struct attr_policy *policy, unsigned int max,
		const struct nlattr **tb)
{
	memset(tb, 0, (max + 1) * sizeof(*tb));
	const struct nlattr *attr;

	mnl_attr_for_each_payload(data, size)
	{
		unsigned int type = mnl_attr_get_type(attr);
		int err;

		if (!type || type > max)
			continue;
		err = attr_check(attr, &policy[type]);
		if (err)
			return err;
		tb[type] = attr;
	}
	return 0;
}

int attrs_parse_nested(const struct nlattr *nest, const struct attr_policy *policy,
		       unsigned int max, const struct nlattr **tb)
{
	return attrs_parse(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), policy, max,
			   tb);
}

void attr_copy(const struct nlattr *a, void *to, size_t size)
{
	size_t len = mnl_attr_get_payload_len(a);

	memset(to, 0, size);
	memcpy(to, mnl_attr_get_payload(a), len < size ? len : size);
}
