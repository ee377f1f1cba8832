/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables that man pages and completion are made from (man/generate), printed: a row a line,
 * fields between tabs, line ends within a field as \n. Run at build time only.
 */
#include <stdio.h>
#include "bpvs.h"
#include "options.h"

static void row_print(const char *const *fields)
{
	for (; *fields; fields++) {
		for (const char *c = *fields; *c; c++) {
			if (*c == '\n')
				fputs("\\n", stdout);
			else
				putchar(*c);
		}
		putchar(fields[1] ? '\t' : '\n');
	}
}

#define ROW(...) row_print((const char *const[]){ __VA_ARGS__, NULL })
#define SHORT(c) ((const char[]){ c, '\0' })

static void ipvsadm_print(void)
{
	puts("[ipvsadm-help]");
	about_print(CMD_HELP, "ipvsadm");
	puts("[commands]");
#define COMMAND(id, name, long_, short_, arg, help) ROW(#id, long_, SHORT(short_), #arg, help);
#include "options.def"
	puts("[options]");
#define OPTION(id, name, legality) ROW(#id, legality);
#include "options.def"
	puts("[words]");
#define WORD(id, option, long_, short_, arg, help)                                                 \
	ROW(#id, #option, long_, SHORT(short_), #arg, help);
#include "options.def"
}

static void bpvs_print(void)
{
	puts("[verbs]");
#define BPVS_VERB(verb, args, help) ROW(#verb, args, help);
#include "../bpvs/verbs.def"
	puts("[schedulers]");
#define BPVS_SCHED(id, name) ROW(#name);
#include <bpvs/sched.def>
	puts("[knobs]");
	for (const char *const *n = bpvs_sysctl_names(); *n; n++)
		ROW(*n, bpvs_sysctl_effect(*n));
	puts("[counters]");
#define BPVS_REASON(id, kind, label, text) ROW(#kind, label, text);
#include <bpvs/reason.def>
#define BPVS_EVENT(id, label, text) ROW("EVENT", label, text);
#include <bpvs/event.def>
}

int main(void)
{
	ipvsadm_print();
	bpvs_print();
	return 0;
}
