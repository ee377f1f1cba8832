/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs watch: has the engine cover devices as they come, until a signal ends it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "bpvs.h"
#include "verbs.h"

struct told {
	int err;
	bool named;
};

/* What changed since the last time, for a log: most of what comes is routine. */
static void tell(int err, bool named, void *arg)
{
	struct told *last = arg;

	if (err == last->err && named == last->named)
		return;
	*last = (struct told){ err, named };
	if (err == -ENOENT)
		printf("there is no engine in this network namespace, waiting for one\n");
	else if (err)
		fprintf(stderr, "bpvs watch: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	else if (named)
		printf("the engine serves the devices named to it (--dev), and none that come\n");
	else
		printf("devices are covered as they come\n");
}

/* A descriptor that can be read when the program is to end. */
static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int cmd_watch(int argc, char **argv)
{
	struct told last = { .err = 1 };
	int stop, err;

	if (argc > 1) {
		fprintf(stderr, "bpvs watch: unexpected argument: %s\n", argv[1]);
		return 2;
	}
	if (!bpvs_privileged()) {
		fprintf(stderr, "bpvs watch: permission denied (you must be root)\n");
		return 1;
	}
	setlinebuf(stdout);
	stop = signals_open();
	err = stop < 0 ? -errno : bpvs_watch(stop, tell, &last);
	if (stop >= 0)
		close(stop);
	if (err)
		fprintf(stderr, "bpvs watch: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	return err ? 1 : 0;
}
