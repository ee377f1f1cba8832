/* SPDX-License-Identifier: GPL-2.0-only */
/* The standard streams of a tool: what it says goes nowhere else, and has arrived or has not. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "bpvs.h"

/* Opened the wrong way round, so that to use one fails as if it were closed. */
void bpvs_streams_hold(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", (fd ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
}

int bpvs_stream_end(FILE *file)
{
	bool failed = ferror(file);
	int copy;

	/* What failed in the middle fails again now, and tells why; as a rule. */
	errno = 0;
	failed |= fflush(file) != 0;
	/* Some file systems find out that there is no room when one closes. */
	copy = dup(fileno(file));
	failed |= copy >= 0 && close(copy);
	if (!failed)
		return 0;
	return errno ? -errno : -EIO;
}
