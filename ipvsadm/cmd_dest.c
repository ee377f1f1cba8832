/* SPDX-License-Identifier: GPL-2.0-only */
/* --add-server, --edit-server, --delete-server. */
#include "commands.h"

int cmd_dest(struct bpvs_instance *in, const struct args *a)
{
	int err;

	if (a->cmd == CMD_ADDDEST)
		err = bpvs_dest_add(in, &a->svc.key, &a->dest);
	else if (a->cmd == CMD_EDITDEST)
		err = bpvs_dest_edit(in, &a->svc.key, &a->dest);
	else
		err = bpvs_dest_del(in, &a->svc.key, &a->dest.addr, a->dest.port);
	return err ? complain(a->cmd, err) : 0;
}
