/* SPDX-License-Identifier: GPL-2.0-only */
/* What the verbs' options have in common: of two values neither is dropped without a word. */
#include <limits.h>
#include <string.h>
#include "verbs.h"

int verb_option(const char *verb, int argc, char **argv, const char *shorts,
		const struct option *options, const char *often)
{
	static bool given[UCHAR_MAX + 1];
	int c = getopt_long(argc, argv, shorts, options, NULL);

	if (c == -1 || c == '?' || !optarg || strchr(often, c))
		return c;
	if (!given[c]) {
		given[c] = true;
		return c;
	}
	while (options->val != c)
		options++;
	fprintf(stderr, "bpvs %s: --%s is given twice\n", verb, options->name);
	return '?';
}

bool verb_refuse(const char *verb, const char *wanted, const char *text)
{
	fprintf(stderr, "bpvs %s: not %s: %s\n", verb, wanted, text);
	return false;
}
