/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs of bpvs that work on more than the tables, which bpvs-stub is built without. */
#include "verbs.h"

#define BPVS_VERB(verb, args, help)                                                                \
	__attribute__((weak)) int cmd_##verb(int argc, char **argv)                                \
	{                                                                                          \
		(void)argc, (void)argv;                                                            \
		return 2;                                                                          \
	}
#include "verbs.def"
