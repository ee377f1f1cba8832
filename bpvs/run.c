/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs run: a program that drives kernel IPVS drives this instead (shim/). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "verbs.h"

#define SHIM "libbpvs-ipvs.so"

/* In the build tree BUILD/bpvs/bpvs goes with BUILD/shim, and only if Meson made BUILD. */
static int find_in_tree(char *ret, size_t size)
{
	char dir[PATH_MAX], marker[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n < 0)
		return -errno;
	dir[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(dir, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	snprintf(marker, sizeof(marker), "%s/build.ninja", dir);
	if (snprintf(ret, size, "%s/shim/" SHIM, dir) >= (int)size)
		return -ENAMETOOLONG;
	return access(marker, F_OK) || access(ret, R_OK) ? -ENOENT : 0;
}

/* Before what is there already; the list knows no quoting. */
static int preload(const char *shim)
{
	const char *before = getenv("LD_PRELOAD");
	char *list;

	if (strpbrk(shim, " :")) {
		fprintf(stderr, "bpvs run: LD_PRELOAD takes no blank or colon: %s\n", shim);
		return -1;
	}
	if (asprintf(&list, "%s%s%s", shim, before && *before ? ":" : "", before ? before : "") < 0)
		return -1;
	setenv("LD_PRELOAD", list, 1);
	free(list);
	return 0;
}

int cmd_run(int argc, char **argv)
{
	char shim[PATH_MAX + 32];

	if (argc > 1 && !strcmp(argv[1], "--")) {
		argc--;
		argv++;
	}
	if (argc < 2) {
		fprintf(stderr, "Usage: bpvs run [--] PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	if (find_in_tree(shim, sizeof(shim)))
		snprintf(shim, sizeof(shim), "%s/" SHIM, BPVS_LIBDIR);
	if (access(shim, R_OK)) {
		fprintf(stderr, "bpvs run: %s: %s\n", shim, strerror(errno));
		return 1;
	}
	if (preload(shim))
		return 1;
	execvp(argv[1], argv + 1);
	fprintf(stderr, "bpvs run: %s: %s\n", argv[1], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
