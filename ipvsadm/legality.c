/* SPDX-License-Identifier: GPL-2.0-only */
/* Which options go with which command, and with each other. */
#include <stdarg.h>
#include <stdio.h>
#include "options.h"

static const char *const command_names[] = {
#define COMMAND(id, name, long_, short_, arg, help) name,
#include "options.def"
};

static const char *const option_names[] = {
#define OPTION(id, name, legality) name,
#include "options.def"
};

static const char *const option_legality[] = {
#define OPTION(id, name, legality) legality,
#include "options.def"
};

const char *option_name(enum option o)
{
	return option_names[o];
}

static const char *complaint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static const char *complaint(const char *fmt, ...)
{
	static char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return text;
}

/*
 * Walk options first to last in their order; legality has one character for each. `with` names what
 * the options are given to, as "'%s' command".
 */
static const char *legality_check(uint64_t options, int first, int last, const char *legality,
				  const char *with)
{
	int one = -1;

	for (int o = first; o <= last; o++) {
		char legal = legality[o - first];
		bool given = options >> o & 1;

		if (!given && legal == '+')
			return complaint("You need to supply the '%s' option for the %s",
					 option_names[o], with);
		if (!given)
			continue;
		if (legal == 'x')
			return complaint("Illegal '%s' option with the %s", option_names[o], with);
		if (legal != 'o')
			continue;
		if (one >= 0)
			return complaint("The option '%s' conflicts with the '%s' option in the %s",
					 option_names[o], option_names[one], with);
		one = o;
	}
	return NULL;
}

const char *options_illegal(enum command cmd, uint64_t options)
{
	char legality[OPT_NONE], with[40];

	for (int o = 0; o < OPT_NONE; o++)
		legality[o] = option_legality[o][cmd];
	snprintf(with, sizeof(with), "'%s' command", command_names[cmd]);
	return legality_check(options, 0, OPT_NONE - 1, legality, with);
}

const char *options_conflict(uint64_t options)
{
	const uint64_t table = OPT_BIT(STATS) | OPT_BIT(RATE) | OPT_BIT(THRESHOLDS);

	if ((options & OPT_BIT(CONNECTION) && options & table) ||
	    (options & (OPT_BIT(TIMEOUT) | OPT_BIT(DAEMON)) &&
	     options & (table | OPT_BIT(PERSISTENT_CONN))))
		return "options conflicts in the list command";
	return NULL;
}

const char *options_tunnel(enum tunnel tunnel, uint64_t options)
{
	/* The characters of options.def for port, nocsum, csum, remcsum. */
	static const struct {
		const char *with, *legality;
	} types[] = {
		[TUNNEL_IPIP] = { "'ipip' tunnel type", "xxxx" },
		[TUNNEL_GUE] = { "'gue' tunnel type", "+ooo" },
		[TUNNEL_GRE] = { "'gre' tunnel type", "xoox" },
	};

	return legality_check(options, OPT_TUN_PORT, OPT_TUN_REMCSUM, types[tunnel].legality,
			      types[tunnel].with);
}
