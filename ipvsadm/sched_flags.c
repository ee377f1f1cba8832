/* SPDX-License-Identifier: GPL-2.0-only */
/* The names of scheduler flags. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "options.h"

static uint32_t sched_flag_find(const char *name, const char *sched)
{
	for (const struct bpvs_sched_flag *f = bpvs_sched_flags; f->name; f++) {
		if (strcmp(f->name, name))
			continue;
		if (f->sched && strcmp(f->sched, sched))
			die(2, "incompatible scheduler flag `%s'", name);
		return f->bit;
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
	for (const struct bpvs_sched_flag *f = bpvs_sched_flags; f->name; f++)
		if (f->sched && !strcmp(f->sched, sched))
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
	for (const struct bpvs_sched_flag *f = bpvs_sched_flags; f->name; f++) {
		if (!(flags & f->bit) || (own ? !f->sched || strcmp(f->sched, sched) : !!f->sched))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "",
					f->name);
	}
	return text;
}
