/* SPDX-License-Identifier: GPL-2.0-only */
/* The journal of `bpvs realserver`: which changes this network namespace owes to it. */
#include "realserver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* /run is shared by all network namespaces: the cookie, never used twice, tells them apart. */
static int journal_path(char *path, size_t size)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) ? -errno : 0;
	close(fd);
	snprintf(path, size, "/run/bpvs-realserver-%" PRIu64, cookie);
	return err;
}

/* The file of a closing process may be unlinked while we wait for its lock: then take a new one. */
static int open_locked(const char *path)
{
	for (;;) {
		struct stat st;
		int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX) || fstat(fd, &st)) {
			int err = -errno;

			close(fd);
			return err;
		}
		if (st.st_nlink)
			return fd;
		close(fd);
	}
}

static int remember(struct rs_journal *j, char *line)
{
	char **grown = reallocarray(j->line, j->n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	j->line = grown;
	j->line[j->n++] = line;
	return 0;
}

static int read_lines(struct rs_journal *j)
{
	int fd = dup(j->fd);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	if (!f)
		return -errno;
	while (!err && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		err = remember(j, line);
		if (!err)
			line = NULL;
		size = 0;
	}
	free(line);
	fclose(f);
	return err;
}

int rs_journal_open(struct rs_journal *j)
{
	int err;

	*j = (struct rs_journal){ .fd = -1 };
	err = journal_path(j->path, sizeof(j->path));
	if (err)
		return err;
	j->fd = open_locked(j->path);
	if (j->fd < 0)
		return j->fd;
	err = read_lines(j);
	if (err)
		rs_journal_close(j);
	return err;
}

int rs_journal_push(struct rs_journal *j, const char *fmt, ...)
{
	va_list ap;
	char *line;
	int len, err;

	va_start(ap, fmt);
	len = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (len < 0)
		return -ENOMEM;
	err = remember(j, line);
	if (err) {
		free(line);
		return err;
	}
	if (dprintf(j->fd, "%s\n", line) == len + 1)
		return 0;
	err = errno ? -errno : -EIO;
	rs_journal_pop(j);
	return err;
}

void rs_journal_pop(struct rs_journal *j)
{
	off_t size = 0;

	free(j->line[--j->n]);
	for (size_t i = 0; i < j->n; i++)
		size += strlen(j->line[i]) + 1;
	if (ftruncate(j->fd, size))
		perror("bpvs realserver: cannot shorten the journal");
}

void rs_journal_close(struct rs_journal *j)
{
	if (!j->n)
		unlink(j->path);
	for (size_t i = 0; i < j->n; i++)
		free(j->line[i]);
	free(j->line);
	close(j->fd);
}
