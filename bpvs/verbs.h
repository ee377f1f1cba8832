/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs: argv[0] is the verb's name, the value returned the exit status (2: bad arguments). */
#pragma once

#define BPVS_VERB(verb, args, help) int cmd_##verb(int argc, char **argv);
#include "verbs.def"
#undef BPVS_VERB
