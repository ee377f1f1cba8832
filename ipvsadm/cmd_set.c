/* SPDX-License-Identifier: GPL-2.0-only */
/* --set, and what there is of --start-daemon and --stop-daemon. */
#include <errno.h>
#include <net/if.h>
#include "commands.h"

int cmd_set(struct bpvs_instance *in, const struct args *a)
{
	int err = bpvs_timeouts_set(in, &a->timeouts);

	return err ? complain(a->cmd, err) : 0;
}

int cmd_daemon(const struct args *a)
{
	if (a->cmd == CMD_STOPDAEMON)
		return complain(a->cmd, -ESRCH);
	if (!if_nametoindex(a->mcast_interface))
		return complain(a->cmd, -ENODEV);
	return complain_not_built("connection synchronisation (--start-daemon) is");
}
