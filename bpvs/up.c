/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs up, bpvs down */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bpvs.h"
#include "verbs.h"

#define MOST_DEVS 64

static int complain(const char *verb, int err)
{
	fprintf(stderr, "bpvs %s: %s\n", verb, *bpvs_error() ? bpvs_error() : strerror(-err));
	return 1;
}

static int parse_mode(const char *s, enum bpvs_mode *ret)
{
	static const char *const names[] = { "auto", "xdp", "generic", "tc" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(s, names[i])) {
			*ret = (enum bpvs_mode)i;
			return 0;
		}
	fprintf(stderr, "bpvs up: no such mode: %s (auto, xdp, generic, tc)\n", s);
	return -1;
}

/* A count, with k or M (powers of two) behind it. */
static int parse_count(const char *what, const char *s, unsigned int *ret)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*end == 'k' || *end == 'K')
		v <<= 10, end++;
	else if (*end == 'M' || *end == 'm')
		v <<= 20, end++;
	if (*s < '0' || *s > '9' || *end || v < 64 || v > 1U << 26) {
		fprintf(stderr, "bpvs up: not a number of %s from 64 to 64M: %s\n", what, s);
		return -1;
	}
	*ret = (unsigned int)v;
	return 0;
}

int cmd_up(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dev", required_argument, NULL, 'd' },
		{ "mode", required_argument, NULL, 'm' },
		{ "conns", required_argument, NULL, 'c' },
		{ "services", required_argument, NULL, 's' },
		{ "dests", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	const char *devs[MOST_DEVS + 1] = { NULL };
	struct bpvs_up_opts o = { .mode = BPVS_MODE_AUTO };
	int c, err, num = 0;

	while ((c = verb_option("up", argc, argv, "d:m:c:s:r:", options, "d")) != -1) {
		if (c == 'd' && num < MOST_DEVS)
			devs[num++] = optarg;
		else if (c == 'm' && !parse_mode(optarg, &o.mode))
			continue;
		else if (c == 'c' && !parse_count("connections", optarg, &o.conns))
			continue;
		else if (c == 's' && !parse_count("services", optarg, &o.services))
			continue;
		else if (c == 'r' && !parse_count("destinations", optarg, &o.dests))
			continue;
		else
			return 2;
	}
	if (optind < argc) {
		fprintf(stderr, "bpvs up: unexpected argument: %s\n", argv[optind]);
		return 2;
	}
	o.devs = num ? devs : NULL;
	err = bpvs_up(&o);
	return err ? complain("up", err) : 0;
}

int cmd_down(int argc, char **argv)
{
	int err;

	if (argc > 1) {
		fprintf(stderr, "bpvs down: unexpected argument: %s\n", argv[1]);
		return 2;
	}
	err = bpvs_down();
	return err ? complain("down", err) : 0;
}
