/* SPDX-License-Identifier: GPL-2.0-only */
/* `bpvs lab`: namespaces to try things in. The work is a script's; this finds it and becomes it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BPVS_LABDIR
#define BPVS_LABDIR "/usr/libexec/bpvs/lab"
#endif

static int self(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

/* In the source tree: SOURCE/build/bpvs/bpvs goes with SOURCE/lab, and only if Meson made build. */
static int find_in_tree(const char *exe, char *ret_script, size_t size)
{
	char dir[PATH_MAX], marker[PATH_MAX + 32];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", exe);
	for (int up = 0; up < 2; up++) {
		slash = strrchr(dir, '/');
		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	snprintf(marker, sizeof(marker), "%s/build.ninja", dir);
	snprintf(ret_script, size, "%s/../lab/lab", dir);
	return access(marker, F_OK) || access(ret_script, X_OK) ? -ENOENT : 0;
}

int cmd_lab(int argc, char **argv)
{
	const char *dir = getenv("BPVS_LABDIR");
	char exe[PATH_MAX] = "", script[PATH_MAX + 32];

	(void)argc;
	/* the lab is to use the very bpvs that was called */
	if (!self(exe, sizeof(exe)))
		setenv("BPVS", exe, 0);
	if (dir)
		snprintf(script, sizeof(script), "%s/lab", dir);
	else if (find_in_tree(exe, script, sizeof(script)))
		snprintf(script, sizeof(script), "%s/lab", BPVS_LABDIR);
	execv(script, argv);
	fprintf(stderr, "bpvs lab: %s: %s\n", script, strerror(errno));
	return 1;
}
