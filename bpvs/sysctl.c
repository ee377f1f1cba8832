/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs sysctl: the knobs of net.ipv4.vs, by the same names. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "bpvs.h"
#include "verbs.h"

static int complain(const char *name, int err)
{
	fprintf(stderr, "bpvs sysctl: %s: %s\n", name,
		err == -ENOENT ? "no such knob" : strerror(-err));
	return 1;
}

static int show(struct bpvs_instance *in, const char *name, bool verbose)
{
	char value[BPVS_SYSCTL_SIZE];
	int err = bpvs_sysctl_get(in, name, value, sizeof(value));

	if (err)
		return complain(name, err);
	printf("net.ipv4.vs.%s = %s\n", name, value);
	if (verbose)
		printf("    %s\n", bpvs_sysctl_effect(name));
	return 0;
}

static int set(struct bpvs_instance *in, const char *name, const char *value, bool verbose)
{
	int err = bpvs_sysctl_set(in, name, value);

	return err ? complain(name, err) : show(in, name, verbose);
}

/* NAME or NAME=VALUE, with or without the prefix that sysctl(8) wants. */
static int one(struct bpvs_instance *in, char *arg, bool verbose)
{
	static const char prefix[] = "net.ipv4.vs.";
	char *eq = strchr(arg, '=');

	if (!strncmp(arg, prefix, sizeof(prefix) - 1))
		arg += sizeof(prefix) - 1;
	if (!eq)
		return show(in, arg, verbose);
	*eq = '\0';
	return set(in, arg, eq + 1, verbose);
}

int cmd_sysctl(int argc, char **argv)
{
	bool verbose = argc > 1 && (!strcmp(argv[1], "-v") || !strcmp(argv[1], "--verbose"));
	int first = verbose ? 2 : 1, err, status = 0;
	struct bpvs_instance *in;

	err = bpvs_open(&in);
	if (err) {
		fprintf(stderr, "bpvs sysctl: %s\n", bpvs_error());
		return 1;
	}
	if (argc <= first)
		for (const char *const *n = bpvs_sysctl_names(); *n; n++)
			status |= show(in, *n, verbose);
	for (int i = first; i < argc; i++)
		status |= one(in, argv[i], verbose);
	bpvs_close(in);
	return status;
}
