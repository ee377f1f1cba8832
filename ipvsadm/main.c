/* SPDX-License-Identifier: GPL-2.0-only */
/* ipvsadm for BPVS. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "commands.h"

static int command_run(struct bpvs_instance *in, const struct args *a)
{
	switch (a->cmd) {
	case CMD_ADD:
	case CMD_EDIT:
	case CMD_DEL:
		return cmd_service(in, a);
	case CMD_FLUSH:
		return cmd_flush(in);
	case CMD_ADDDEST:
	case CMD_EDITDEST:
	case CMD_DELDEST:
		return cmd_dest(in, a);
	case CMD_LIST:
		return cmd_list(in, a);
	case CMD_ZERO:
		return cmd_zero(in, a);
	case CMD_SAVE:
		return cmd_save(in, a);
	case CMD_TIMEOUT:
		return cmd_set(in, a);
	case CMD_STARTDAEMON:
	case CMD_STOPDAEMON:
		return cmd_daemon(a);
	default:
		return 0;
	}
}

/* Whether all of it has arrived the original never asks; of its options nor do we. */
static int output_check(const struct args *a, int status)
{
	const uint64_t own = OPT_BIT(JSON) | OPT_BIT(WIDE) | OPT_BIT(FULL);
	int err = a->options & own ? bpvs_stream_end(stdout) : 0;

	if (!err)
		return status;
	fprintf(stderr, "ipvsadm: %s\n", strerror(-err));
	return status ?: 1;
}

int cmd_run(struct bpvs_instance *in, const struct args *a)
{
	return output_check(a, command_run(in, a));
}

static int not_root(void)
{
	fputs("Can't initialize ipvs: Permission denied (you must be root)\n"
	      "Are you sure that IP Virtual Server is built in the kernel or as module?\n",
	      stderr);
	return 2;
}

/* As loading the module on first use does: the engine is brought up where there is none. */
static int engine_open(struct bpvs_instance **ret)
{
	int err = bpvs_open_or_up(ret);
	const char *why = bpvs_error();

	if (!err)
		return 0;
	if (!why || !*why)
		why = strerror(-err);
	fprintf(stderr, "Can't initialize ipvs: %s\n", why);
	return 2;
}

int main(int argc, char **argv)
{
	char *list[] = { argv[0], (char[]){ "-L" }, NULL };
	struct bpvs_instance *in;
	struct args a;
	int status;

	bpvs_streams_hold();
	/* Before the words, and before --help, too. */
	if (!bpvs_privileged())
		return not_root();
	status = args_parse(&a, argc == 1 ? 2 : argc, argc == 1 ? list : argv, false);
	if (status) {
		args_free(&a);
		return status;
	}
	if (a.cmd == CMD_HELP || a.cmd == CMD_VERSION) {
		about_print(a.cmd, argv[0]);
		args_free(&a);
		return 0;
	}
	status = engine_open(&in);
	if (status)
		return status;
	status = a.cmd == CMD_RESTORE ? cmd_restore(in, argv[0]) : cmd_run(in, &a);
	bpvs_close(in);
	args_free(&a);
	return status;
}
