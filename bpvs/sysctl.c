/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs sysctl: the knobs of net.ipv4.vs, by the same names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bpvs.h"
#include "verbs.h"

static int complain(const char *name, int err)
{
	const char *why = strerror(-err);

	if (err == -ENOENT)
		why = "no such knob";
	else if (err == -EOPNOTSUPP)
		why = "not built into this BPVS yet, only its default can be set";
	fprintf(stderr, "bpvs sysctl: %s: %s\n", name, why);
	return 1;
}

static int show(struct bpvs_instance *in, const char *name)
{
	long v;
	int err = bpvs_sysctl_get(in, name, &v);

	if (err)
		return complain(name, err);
	printf("net.ipv4.vs.%s = %ld\n", name, v);
	return 0;
}

static int set(struct bpvs_instance *in, const char *name, const char *value)
{
	char *end;
	long v = strtol(value, &end, 10);
	int err;

	if (!*value || *end)
		return complain(name, -EINVAL);
	err = bpvs_sysctl_set(in, name, v);
	return err ? complain(name, err) : show(in, name);
}

/* NAME or NAME=VALUE, with or without the prefix that sysctl(8) wants. */
static int one(struct bpvs_instance *in, char *arg)
{
	static const char prefix[] = "net.ipv4.vs.";
	char *eq = strchr(arg, '=');

	if (!strncmp(arg, prefix, sizeof(prefix) - 1))
		arg += sizeof(prefix) - 1;
	if (!eq)
		return show(in, arg);
	*eq = '\0';
	return set(in, arg, eq + 1);
}

int cmd_sysctl(int argc, char **argv)
{
	struct bpvs_instance *in;
	int err = bpvs_open(&in), status = 0;

	if (err) {
		fprintf(stderr, "bpvs sysctl: %s\n", bpvs_error());
		return 1;
	}
	if (argc < 2)
		for (const char *const *n = bpvs_sysctl_names(); *n; n++)
			status |= show(in, *n);
	for (int i = 1; i < argc; i++)
		status |= one(in, argv[i]);
	bpvs_close(in);
	return status;
}
