/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking at /proc/net/ip_vs* without opening them, as scripts do before they read. The kernel
 * makes all files there alike (read-only to everybody, root's, without a size), so it is asked
 * about one that every network namespace has; only the number is made up. Who has opened a file
 * and compares what it is with what was seen before is told the same.
 */
/* Or the C library's headers would give these functions other names and bodies. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "preload.h"

#define NEXT(name)                                                                                 \
	static __typeof__(name) *next;                                                             \
	if (!next)                                                                                 \
	next = (__typeof__(name) *)bpvs_shim_next(#name)

/* ---- what it is ---- */

/* Numbers in /proc have 32 bits. */
static ino_t number(ino_t twin, const char *name)
{
	__u32 hash = 0;

	while (*name)
		hash = hash * 31 + (unsigned char)*name++;
	return twin | (ino_t)hash << 32;
}

static int numbered(int err, const char *name, struct stat *st)
{
	if (!err && name)
		st->st_ino = number(st->st_ino, name);
	return err;
}

INTERPOSED int stat(const char *path, struct stat *st)
{
	const char *name = bpvs_shim_shown(AT_FDCWD, path);

	NEXT(stat);
	return numbered(next(name ? BPVS_SHIM_TWIN : path, st), name, st);
}

INTERPOSED int lstat(const char *path, struct stat *st)
{
	const char *name = bpvs_shim_shown(AT_FDCWD, path);

	NEXT(lstat);
	return numbered(next(name ? BPVS_SHIM_TWIN : path, st), name, st);
}

/* ---- and once it is open ---- */

#define MEMORY_FILE "/memfd:"
#define LINK_ROOM   64

/* Of a memory file with the mode and the name of one that we opened, the name; or NULL. */
static const char *opened_name(int fd, mode_t mode, nlink_t links, char text[LINK_ROOM])
{
	char link[LINK_ROOM];
	int before = errno;
	ssize_t len;

	if (mode != (S_IFREG | BPVS_SHIM_MODE) || links)
		return NULL;
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	len = readlink(link, text, LINK_ROOM - 1);
	errno = before;
	if (len < 0)
		return NULL;
	text[len] = '\0';
	if (strncmp(text, MEMORY_FILE BPVS_SHIM_NAMES, strlen(MEMORY_FILE BPVS_SHIM_NAMES)))
		return NULL;
	text += strlen(MEMORY_FILE);
	/* " (deleted)" */
	text[strcspn(text, " ")] = '\0';
	return text;
}

static int fd_numbered(int err, int fd, struct stat *st)
{
	char text[LINK_ROOM];
	const char *name = err ? NULL : opened_name(fd, st->st_mode, st->st_nlink, text);

	return name ? numbered(stat(BPVS_SHIM_TWIN, st), name, st) : err;
}

INTERPOSED int fstat(int fd, struct stat *st)
{
	NEXT(fstat);
	return fd_numbered(next(fd, st), fd, st);
}

static bool is_fd(const char *path, int flags)
{
	return flags & AT_EMPTY_PATH && (!path || !*path);
}

INTERPOSED int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	const char *name = bpvs_shim_shown(dir, path);
	int err;

	NEXT(fstatat);
	err = next(dir, name ? BPVS_SHIM_TWIN : path, st, flags);
	return is_fd(path, flags) ? fd_numbered(err, dir, st) : numbered(err, name, st);
}

INTERPOSED int statx(int dir, const char *path, int flags, unsigned int mask, struct statx *st)
{
	const char *name = bpvs_shim_shown(dir, path);
	char text[LINK_ROOM];
	int err;

	NEXT(statx);
	err = next(dir, name ? BPVS_SHIM_TWIN : path, flags, mask, st);
	if (!err && is_fd(path, flags)) {
		name = opened_name(dir, st->stx_mode, st->stx_nlink, text);
		if (name)
			err = next(AT_FDCWD, BPVS_SHIM_TWIN, flags, mask, st);
	}
	if (!err && name)
		st->stx_ino = number(st->stx_ino, name);
	return err;
}

/* On 64-bit machines these are the same. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "off_t has 64 bits");
INTERPOSED int stat64(const char *path, struct stat64 *st) __attribute__((alias("stat")));
INTERPOSED int lstat64(const char *path, struct stat64 *st) __attribute__((alias("lstat")));
INTERPOSED int fstat64(int fd, struct stat64 *st) __attribute__((alias("fstat")));
INTERPOSED int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
	__attribute__((alias("fstatat")));

/*
 * Before glibc 2.33 programs called these, with a version of the structure of which there is but
 * one here; a search by name does not find them in those that came since.
 */
INTERPOSED int __xstat(int version, const char *path, struct stat *st);
INTERPOSED int __lxstat(int version, const char *path, struct stat *st);
INTERPOSED int __fxstat(int version, int fd, struct stat *st);
INTERPOSED int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags);

int __xstat(int version, const char *path, struct stat *st)
{
	(void)version;
	return stat(path, st);
}

int __lxstat(int version, const char *path, struct stat *st)
{
	(void)version;
	return lstat(path, st);
}

int __fxstat(int version, int fd, struct stat *st)
{
	(void)version;
	return fstat(fd, st);
}

int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags)
{
	(void)version;
	return fstatat(dir, path, st, flags);
}

INTERPOSED int __xstat64(int version, const char *path, struct stat *st)
	__attribute__((alias("__xstat")));
INTERPOSED int __lxstat64(int version, const char *path, struct stat *st)
	__attribute__((alias("__lxstat")));
INTERPOSED int __fxstat64(int version, int fd, struct stat *st) __attribute__((alias("__fxstat")));
INTERPOSED int __fxstatat64(int version, int dir, const char *path, struct stat *st, int flags)
	__attribute__((alias("__fxstatat")));

/* ---- what may be done with it, and what else it has ---- */

static const char *asked(int dir, const char *path)
{
	return bpvs_shim_shown(dir, path) ? BPVS_SHIM_TWIN : path;
}

INTERPOSED int access(const char *path, int mode)
{
	NEXT(access);
	return next(asked(AT_FDCWD, path), mode);
}

INTERPOSED int euidaccess(const char *path, int mode)
{
	NEXT(euidaccess);
	return next(asked(AT_FDCWD, path), mode);
}

INTERPOSED int eaccess(const char *path, int mode) __attribute__((alias("euidaccess")));

INTERPOSED int faccessat(int dir, const char *path, int mode, int flags)
{
	NEXT(faccessat);
	return next(dir, asked(dir, path), mode, flags);
}

/* `ls -l` asks, and would complain. */
INTERPOSED ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	NEXT(getxattr);
	return next(asked(AT_FDCWD, path), name, value, size);
}

INTERPOSED ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	NEXT(lgetxattr);
	return next(asked(AT_FDCWD, path), name, value, size);
}

INTERPOSED ssize_t listxattr(const char *path, char *list, size_t size)
{
	NEXT(listxattr);
	return next(asked(AT_FDCWD, path), list, size);
}

INTERPOSED ssize_t llistxattr(const char *path, char *list, size_t size)
{
	NEXT(llistxattr);
	return next(asked(AT_FDCWD, path), list, size);
}
