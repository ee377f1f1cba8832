/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs of bpvs that work on nothing but the tables, over the tables of stub_engine.c. */
#include <string.h>
#include "verbs.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = { { "apply", cmd_apply }, { "diff", cmd_diff }, { "dump", cmd_dump } };

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	return 2;
}
