/* SPDX-License-Identifier: GPL-2.0-only */
/* --add-server, --edit-server, --delete-server. */
#include "commands.h"

static const char *server_lacks(const struct args *a)
{
	if (a->dest.fwd == BPVS_FWD_TUNNEL && a->tunnel == TUNNEL_GUE)
		return "GUE tunnels (--tun-type gue) are";
	if (a->dest.fwd == BPVS_FWD_TUNNEL && a->tunnel == TUNNEL_GRE)
		return "GRE tunnels (--tun-type gre) are";
	return NULL;
}

int cmd_dest(struct bpvs_instance *in, const struct args *a)
{
	const char *lacks = a->cmd == CMD_DELDEST ? NULL : server_lacks(a);
	int err;

	if (lacks)
		return complain_not_built(lacks);
	if (a->cmd == CMD_ADDDEST)
		err = bpvs_dest_add(in, &a->svc.key, &a->dest);
	else if (a->cmd == CMD_EDITDEST)
		err = bpvs_dest_edit(in, &a->svc.key, &a->dest);
	else
		err = bpvs_dest_del(in, &a->svc.key, &a->dest.addr, a->dest.port);
	return err ? complain(a->cmd, err) : 0;
}
