/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preloaded into a tool that is to be killed at one instant, and not a random one: in the place of
 * its BPVS_KILL_AT-th call of bpf_tc_attach(), or right after that with BPVS_KILL_AFTER. Or, with
 * BPVS_STOP_ASLEEP, to stop when it first sleeps.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct bpf_tc_hook;
struct bpf_tc_opts;
typedef int attach_fn(const struct bpf_tc_hook *hook, struct bpf_tc_opts *opts);

__attribute__((visibility("default"))) attach_fn bpf_tc_attach;

int bpf_tc_attach(const struct bpf_tc_hook *hook, struct bpf_tc_opts *opts)
{
	static int calls;
	const char *at = getenv("BPVS_KILL_AT");
	attach_fn *next = (attach_fn *)dlsym(RTLD_NEXT, "bpf_tc_attach");
	bool now = at && ++calls == atoi(at);
	int err;

	if (now && !getenv("BPVS_KILL_AFTER"))
		kill(getpid(), SIGKILL);
	err = next(hook, opts);
	if (now)
		kill(getpid(), SIGKILL);
	return err;
}

typedef int sleep_fn(const struct timespec *asked, struct timespec *left);

__attribute__((visibility("default"))) sleep_fn nanosleep;

int nanosleep(const struct timespec *asked, struct timespec *left)
{
	static bool done;
	sleep_fn *next = (sleep_fn *)dlsym(RTLD_NEXT, "nanosleep");

	if (getenv("BPVS_STOP_ASLEEP") && !done) {
		done = true;
		raise(SIGSTOP);
	}
	return next(asked, left);
}
