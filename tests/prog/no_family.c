/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preloaded into ipvsadm, before kernel IPVS or ours: it finds no family, as on a kernel without
 * generic netlink, and takes the socket options.
 */
#include <netlink/errno.h>

struct nl_sock;
__attribute__((visibility("default"))) int genl_ctrl_resolve(struct nl_sock *sk, const char *name);

int genl_ctrl_resolve(struct nl_sock *sk, const char *name)
{
	(void)sk;
	(void)name;
	return -NLE_OBJ_NOTFOUND;
}
