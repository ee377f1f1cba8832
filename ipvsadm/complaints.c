/* SPDX-License-Identifier: GPL-2.0-only */
/* Errors of the engine in ipvsadm's words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "commands.h"

#define ANY CMD_NONE

static const struct {
	enum command cmd;
	int err;
	const char *text;
} words[] = {
	{ CMD_ADD, EEXIST, "Service already exists" },
	{ CMD_ADD, ENOENT, "Scheduler or persistence engine not found" },
	{ CMD_EDIT, ESRCH, "No such service" },
	{ CMD_EDIT, ENOENT, "Scheduler or persistence engine not found" },
	{ CMD_DEL, ESRCH, "No such service" },
	{ CMD_ZERO, ESRCH, "No such service" },
	{ CMD_LIST, ESRCH, "No such service" },
	{ CMD_ADDDEST, ESRCH, "Service not defined" },
	{ CMD_ADDDEST, EEXIST, "Destination already exists" },
	{ CMD_ADDDEST, ENOSPC, "No room: a service takes 1024 destinations, the tables so many" },
	{ CMD_EDITDEST, ESRCH, "Service not defined" },
	{ CMD_EDITDEST, ENOENT, "No such destination" },
	{ CMD_DELDEST, ESRCH, "Service not defined" },
	{ CMD_DELDEST, ENOENT, "No such destination" },
	{ CMD_STARTDAEMON, EEXIST, "Daemon has already run" },
	{ CMD_STOPDAEMON, ESRCH, "No daemon is running" },
	{ ANY, EPERM, "Permission denied (you must be root)" },
	{ ANY, EINVAL,
	  "Invalid operation.  Possibly wrong module version, address not unicast, ..." },
	{ ANY, ENOMEM, "Memory allocation problem" },
};

int complain(enum command cmd, int err)
{
	const char *text = bpvs_error();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].err == -err && (words[i].cmd == cmd || words[i].cmd == ANY))
			text = words[i].text;
	fprintf(stderr, "%s\n", text && *text ? text : strerror(-err));
	return cmd == CMD_LIST ? 1 : -1;
}

static bool not_built;

int complain_not_built(const char *what)
{
	not_built = true;
	fprintf(stderr, "ipvsadm: %s not built into this BPVS yet\n", what);
	return STATUS_NOT_BUILT;
}

bool anything_not_built(void)
{
	return not_built;
}
