/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opening /proc/net/ip_vs* for reading gives what an instance says; without one, and for all other
 * files, what it always gave.
 */
/* Or the C library's headers would give these functions other names and bodies. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "preload.h"

/* -ENOENT: the real file is meant. */
static int view_open(int dir, const char *path, int flags)
{
	const struct bpvs_shim_answers *engine;
	const char *name;
	int fd = -ENOENT;

	if ((flags & (O_ACCMODE | O_PATH)) != O_RDONLY)
		return -ENOENT;
	name = bpvs_shim_view_name(dir, path);
	if (!name)
		return -ENOENT;
	bpvs_shim_lock();
	engine = bpvs_shim_engine();
	if (engine)
		fd = engine->view(name);
	bpvs_shim_unlock();
	if (fd >= 0 && !(flags & O_CLOEXEC))
		fcntl(fd, F_SETFD, 0);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

/* Answers `fd`, which view_open() returned, as open() would. */
static int result(int fd)
{
	if (fd >= 0)
		return fd;
	errno = -fd;
	return -1;
}

INTERPOSED int open(const char *path, int flags, ...)
{
	static int (*next)(const char *path, int flags, ...);
	int fd = view_open(AT_FDCWD, path, flags);
	mode_t mode;
	va_list ap;

	if (fd != -ENOENT)
		return result(fd);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (!next)
		next = (__typeof__(next))bpvs_shim_next("open");
	return next(path, flags, mode);
}

INTERPOSED int openat(int dir, const char *path, int flags, ...)
{
	static int (*next)(int dir, const char *path, int flags, ...);
	int fd = view_open(dir, path, flags);
	mode_t mode;
	va_list ap;

	if (fd != -ENOENT)
		return result(fd);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (!next)
		next = (__typeof__(next))bpvs_shim_next("openat");
	return next(dir, path, flags, mode);
}

INTERPOSED FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*next)(const char *path, const char *mode);
	int fd = -ENOENT;

	if (mode && *mode == 'r' && !strchr(mode, '+'))
		fd = view_open(AT_FDCWD, path, O_RDONLY | (strchr(mode, 'e') ? O_CLOEXEC : 0));
	if (fd != -ENOENT)
		return fd < 0 ? (result(fd), NULL) : fdopen(fd, mode);
	if (!next)
		next = (__typeof__(next))bpvs_shim_next("fopen");
	return next(path, mode);
}

/* What programs call whose flags need no mode and were not constant when they were compiled. */
INTERPOSED int __open_2(const char *path, int flags);
INTERPOSED int __openat_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

int __openat_2(int dir, const char *path, int flags)
{
	return openat(dir, path, flags);
}

/* On 64-bit machines these are the same. */
_Static_assert(sizeof(off_t) == sizeof(off64_t), "off_t has 64 bits");
INTERPOSED int open64(const char *path, int flags, ...) __attribute__((alias("open")));
INTERPOSED int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));
INTERPOSED FILE *fopen64(const char *path, const char *mode) __attribute__((alias("fopen")));
INTERPOSED int __open64_2(const char *path, int flags) __attribute__((alias("__open_2")));
INTERPOSED int __openat64_2(int dir, const char *path, int flags)
	__attribute__((alias("__openat_2")));
