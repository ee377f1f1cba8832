/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs sysctl: the knobs of net.ipv4.vs, by the same names. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "json.h"
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

struct request {
	bool verbose;
	struct json_object *json; /* what is shown goes there, or NULL */
};

static int one_show(struct bpvs_instance *in, const char *name, const struct request *r)
{
	char value[BPVS_SYSCTL_SIZE];
	int err;

	if (!r->json)
		return show(in, name, r->verbose);
	err = bpvs_sysctl_get(in, name, value, sizeof(value));
	if (err)
		return complain(name, err);
	/* The same may be asked for twice. */
	err = json_object_object_add(r->json, name, json_object_new_string(value));
	return err ? complain(name, -ENOMEM) : 0;
}

/* NAME or NAME=VALUE, with or without the prefix that sysctl(8) wants. */
static int one(struct bpvs_instance *in, char *arg, const struct request *r)
{
	static const char prefix[] = "net.ipv4.vs.";
	char *eq = strchr(arg, '=');
	int err;

	if (!strncmp(arg, prefix, sizeof(prefix) - 1))
		arg += sizeof(prefix) - 1;
	if (eq) {
		*eq = '\0';
		err = bpvs_sysctl_set(in, arg, eq + 1);
		if (err)
			return complain(arg, err);
	}
	return one_show(in, arg, r);
}

static int run(struct bpvs_instance *in, int argc, char **argv, const struct request *r)
{
	int status = 0;

	if (!argc)
		for (const char *const *n = bpvs_sysctl_names(); *n; n++)
			status |= one_show(in, *n, r);
	for (int i = 0; i < argc; i++)
		status |= one(in, argv[i], r);
	return status;
}

static int run_json(struct bpvs_instance *in, int argc, char **argv)
{
	struct request r = { .json = json_object_new_object() };
	struct bpvs_json_out out;
	int status;

	if (!r.json)
		return complain("--json", -ENOMEM);
	status = run(in, argc, argv, &r);
	bpvs_json_begin(&out, stdout);
	bpvs_json_put(&out, "sysctls", r.json);
	return bpvs_json_end(&out) ? complain("--json", -ENOMEM) : status;
}

int cmd_sysctl(int argc, char **argv)
{
	struct request r = { 0 };
	struct bpvs_instance *in;
	bool json = false;
	int first, err, status;

	for (first = 1; first < argc && *argv[first] == '-'; first++) {
		if (!strcmp(argv[first], "-v") || !strcmp(argv[first], "--verbose"))
			r.verbose = true;
		else if (!strcmp(argv[first], "--json"))
			json = true;
		else
			break; /* no knob has such a name, which is said */
	}
	err = bpvs_open(&in);
	if (err) {
		fprintf(stderr, "bpvs sysctl: %s\n", bpvs_error());
		return 1;
	}
	if (json)
		status = run_json(in, argc - first, argv + first);
	else
		status = run(in, argc - first, argv + first, &r);
	bpvs_close(in);
	return status;
}
