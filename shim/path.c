/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which paths are those of our files. All that takes a path asks here.
 *
 * A directory is a /proc/net if its file `dev` is ours: each network namespace has its own, and who
 * names it how (by a process id, by a link, from the working directory) does not matter.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include "preload.h"

static bool in_proc_net(int dir, const char *path, size_t len)
{
	char beside[PATH_MAX];
	struct stat there, here;

	if (len + sizeof("dev") > sizeof(beside))
		return false;
	memcpy(beside, path, len);
	memcpy(beside + len, "dev", sizeof("dev"));
	/* Not of our names, so these two look at what is there. */
	return !fstatat(dir, beside, &there, 0) && !stat(BPVS_SHIM_TWIN, &here) &&
	       there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

const char *bpvs_shim_view_name(int dir, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;
	int before = errno;
	bool ours;

	if (!name || strncmp(name, BPVS_SHIM_NAMES, strlen(BPVS_SHIM_NAMES)))
		return NULL;
	ours = in_proc_net(dir, path, (size_t)(name - path));
	errno = before;
	return ours ? name : NULL;
}

const char *bpvs_shim_shown(int dir, const char *path)
{
	const char *name = bpvs_shim_view_name(dir, path);
	const struct bpvs_shim_answers *engine;
	int before = errno;
	bool shown;

	if (!name)
		return NULL;
	bpvs_shim_lock();
	engine = bpvs_shim_engine();
	shown = engine && engine->shown(name);
	bpvs_shim_unlock();
	errno = before;
	return shown ? name : NULL;
}
