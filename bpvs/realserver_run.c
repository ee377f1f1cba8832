/* SPDX-License-Identifier: GPL-2.0-only */
/* Running ip, tc, nft and modprobe for `bpvs realserver`, without a shell between. */
#include "realserver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A root shell opened by plain `su` has no sbin in its PATH. */
static void become(const char *const argv[], int in, int out)
{
	const char *path = getenv("PATH");
	char *wider = NULL;

	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (asprintf(&wider, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin") > 0)
		setenv("PATH", wider, 1);
	setenv("LC_ALL", "C", 1);
	execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void write_all(int fd, const char *text)
{
	size_t left = text ? strlen(text) : 0;

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n <= 0)
			return; /* the reader has gone; its exit status tells why */
		text += n;
		left -= n;
	}
}

/* Reads to the end also when the buffer is full, so that the writer never blocks. */
static void read_all(int fd, char *out, size_t size)
{
	char chunk[512];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		for (ssize_t i = 0; i < n && len + 1 < size; i++)
			out[len++] = chunk[i];
	}
	while (len && out[len - 1] == '\n')
		len--;
	if (size)
		out[len] = '\0';
}

int rs_run(const char *const argv[], const char *input, char *out, size_t out_size)
{
	void (*old_sigpipe)(int);
	int in[2], from[2], status;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(from, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		become(argv, in[0], from[1]);
	close(in[0]);
	close(from[1]);
	if (pid > 0) {
		old_sigpipe = signal(SIGPIPE, SIG_IGN);
		write_all(in[1], input);
		signal(SIGPIPE, old_sigpipe);
	}
	close(in[1]);
	read_all(from[0], out, out_size);
	close(from[0]);
	if (pid < 0)
		return -EAGAIN;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
