/* SPDX-License-Identifier: GPL-2.0-only */
/* The names of scheduler flags. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "options.h"

/* The flags that have names; those of a scheduler go with that scheduler only. */
static const struct {
	const char *name, *sched;
	uint32_t bit;
} sched_flag_names[] = {
	{ "sh-fallback", "sh", SCHED_FLAG_1 }, { "sh-port", "sh", SCHED_FLAG_2 },
	{ "mh-fallback", "mh", SCHED_FLAG_1 }, { "mh-port", "mh", SCHED_FLAG_2 },
	{ "flag-1", NULL, SCHED_FLAG_1 },      { "flag-2", NULL, SCHED_FLAG_2 },
	{ "flag-3", NULL, SCHED_FLAG_3 },
};

#define NUM_SCHED_FLAGS (sizeof(sched_flag_names) / sizeof(sched_flag_names[0]))

static uint32_t sched_flag_find(const char *name, const char *sched)
{
	for (size_t i = 0; i < NUM_SCHED_FLAGS; i++) {
		if (strcmp(sched_flag_names[i].name, name))
			continue;
		if (sched_flag_names[i].sched && strcmp(sched_flag_names[i].sched, sched))
			die(2, "incompatible scheduler flag `%s'", name);
		return sched_flag_names[i].bit;
	}
	die(2, "invalid scheduler flag `%s'", name);
}

uint32_t sched_flags_parse(const char *text, const char *sched)
{
	char *copy = strdup(text), *save = NULL;
	uint32_t flags = 0;

	if (!copy)
		die(2, "%s", strerror(ENOMEM));
	for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save))
		flags |= sched_flag_find(t, sched);
	free(copy);
	return flags;
}

static bool sched_has_names(const char *sched)
{
	for (size_t i = 0; i < NUM_SCHED_FLAGS; i++)
		if (sched_flag_names[i].sched && !strcmp(sched_flag_names[i].sched, sched))
			return true;
	return false;
}

/*
 * NULL without flags. The original names those of a scheduler that has names by these alone, so
 * that flag-3 of such a one is an empty text, which is printed.
 */
const char *sched_flags_text(uint32_t flags, const char *sched)
{
	bool own = sched_has_names(sched);
	static char text[64];
	size_t len = 0;

	if (!flags)
		return NULL;
	text[0] = '\0';
	for (size_t i = 0; i < NUM_SCHED_FLAGS; i++) {
		const char *of = sched_flag_names[i].sched;

		if (!(flags & sched_flag_names[i].bit) || (own ? !of || strcmp(of, sched) : !!of))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "",
					sched_flag_names[i].name);
	}
	return text;
}
