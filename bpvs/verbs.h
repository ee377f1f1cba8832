/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs: argv[0] is the verb's name, the value returned the exit status (2: bad arguments). */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#define BPVS_VERB(verb, args, help) int cmd_##verb(int argc, char **argv);
#include "verbs.def"
#undef BPVS_VERB

/* A line for each form that the verb's arguments may have. */
void verb_usage(FILE *to, const char *verb, const char *before);

/*
 * getopt_long(), which says '?' of an option whose value was given before, too; but for those in
 * `often`. Each has a long name and a letter.
 */
int verb_option(const char *verb, int argc, char **argv, const char *shorts,
		const struct option *options, const char *often);

/* Says that `text` is not what is wanted ("an address"): false. */
bool verb_refuse(const char *verb, const char *wanted, const char *text);
