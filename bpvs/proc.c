/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs proc: what the files of kernel IPVS in /proc/net say. */
#include <stdio.h>
#include <string.h>
#include "bpvs.h"
#include "verbs.h"

static bool known(const char *name)
{
	for (unsigned int i = 0; bpvs_view_name(i); i++)
		if (!strcmp(name, bpvs_view_name(i)))
			return true;
	return false;
}

static int complain(int err)
{
	fprintf(stderr, "bpvs proc: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	return 1;
}

int cmd_proc(int argc, char **argv)
{
	struct bpvs_instance *in;
	int err;

	if (argc != 2 || !known(argv[1])) {
		fprintf(stderr, "Usage: bpvs proc ");
		for (unsigned int i = 0; bpvs_view_name(i); i++)
			fprintf(stderr, "%s%s", i ? "|" : "", bpvs_view_name(i));
		fputc('\n', stderr);
		return 2;
	}
	err = bpvs_open(&in);
	if (err)
		return complain(err);
	err = bpvs_view_write(in, argv[1], stdout);
	bpvs_close(in);
	return err ? complain(err) : 0;
}
