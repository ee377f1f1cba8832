/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers in /proc (proc.h). */
#include <errno.h>
#include <stdio.h>
#include "proc.h"

int bpvs_proc_read(const char *path)
{
	FILE *f = fopen(path, "re");
	int v = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

int bpvs_proc_write(const char *path, int v)
{
	FILE *f = fopen(path, "we");
	int err = 0;

	if (!f)
		return -errno;
	if (fprintf(f, "%d\n", v) < 0)
		err = -EIO;
	if (fclose(f))
		err = -errno;
	return err;
}
