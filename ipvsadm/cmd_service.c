/* SPDX-License-Identifier: GPL-2.0-only */
/* --add-service, --edit-service, --delete-service, --clear, --zero. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "commands.h"

int sched_resolve(const char *name, unsigned int *ret)
{
	return bpvs_sched_find(name, ret) ? complain(CMD_ADD, -ENOENT) : 0;
}

static int service_put(struct bpvs_instance *in, const struct args *a)
{
	struct bpvs_svc_info info = a->svc, old;
	int status, err;

	/* Whether the service is there comes before the names, as in the kernel. */
	err = bpvs_svc_get(in, &info.key, &old);
	if (a->cmd == CMD_ADD ? !err : err)
		return complain(a->cmd, err ?: -EEXIST);
	status = sched_resolve(a->sched, &info.sched);
	if (status)
		return status;
	if (a->pe && *a->pe && bpvs_pe_find(a->pe, &info.pe))
		return complain(a->cmd, -ENOENT);
	err = a->cmd == CMD_ADD ? bpvs_svc_add(in, &info) : bpvs_svc_edit(in, &info);
	return err ? complain(a->cmd, err) : 0;
}

int cmd_service(struct bpvs_instance *in, const struct args *a)
{
	int err;

	if (a->cmd != CMD_DEL)
		return service_put(in, a);
	err = bpvs_svc_del(in, &a->svc.key);
	return err ? complain(a->cmd, err) : 0;
}

int cmd_flush(struct bpvs_instance *in)
{
	int err = bpvs_flush(in);

	return err ? complain(CMD_FLUSH, err) : 0;
}

int cmd_zero(struct bpvs_instance *in, const struct args *a)
{
	int err = bpvs_stats_zero(in, args_have(a, OPT_SERVICE) ? &a->svc.key : NULL);

	return err ? complain(a->cmd, err) : 0;
}
