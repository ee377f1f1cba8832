/* SPDX-License-Identifier: GPL-2.0-only */
/* The namespace's devices, by rtnetlink. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "netlink.h"

struct links {
	struct bpvs_link *v;
	size_t num;
	int err;
};

static void copy_string(char *to, size_t size, const struct nlattr *a)
{
	strncpy(to, mnl_attr_get_str(a), size - 1);
}

static int vlan_attr(const struct nlattr *a, void *data)
{
	struct bpvs_link *l = data;

	if (mnl_attr_get_type(a) == IFLA_VLAN_ID)
		l->vlan = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int info_attr(const struct nlattr *a, void *data)
{
	struct bpvs_link *l = data;

	switch (mnl_attr_get_type(a)) {
	case IFLA_INFO_KIND:
		copy_string(l->kind, sizeof(l->kind), a);
		break;
	case IFLA_INFO_SLAVE_KIND:
		copy_string(l->master_kind, sizeof(l->master_kind), a);
		break;
	case IFLA_INFO_DATA:
		/* The kind comes first; only a VLAN's data has the tag. */
		if (!strcmp(l->kind, "vlan"))
			mnl_attr_parse_nested(a, vlan_attr, l);
		break;
	}
	return MNL_CB_OK;
}

static int link_attr(const struct nlattr *a, void *data)
{
	struct bpvs_link *l = data;

	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		copy_string(l->name, sizeof(l->name), a);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(a) == sizeof(l->mac))
			memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
		break;
	case IFLA_LINK:
		l->lower = (int)mnl_attr_get_u32(a);
		break;
	case IFLA_MASTER:
		l->master = (int)mnl_attr_get_u32(a);
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(a, info_attr, l);
		break;
	}
	return MNL_CB_OK;
}

static int link_message(const struct nlmsghdr *n, void *data)
{
	struct links *ls = data;
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(n);
	struct bpvs_link *l, *v;

	if (n->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	v = reallocarray(ls->v, ls->num + 1, sizeof(*v));
	if (!v) {
		ls->err = -ENOMEM;
		return MNL_CB_ERROR;
	}
	ls->v = v;
	l = &v[ls->num++];
	memset(l, 0, sizeof(*l));
	l->ifindex = m->ifi_index;
	l->flags = m->ifi_flags;
	l->type = m->ifi_type;
	mnl_attr_parse(n, sizeof(*m), link_attr, l);
	/* IFLA_LINK of other kinds names a peer, which may be in another namespace. */
	if (strcmp(l->kind, "vlan"))
		l->lower = 0;
	return MNL_CB_OK;
}

int bpvs_links_get(struct bpvs_link **ret, size_t *ret_num)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	struct links ls = { 0 };
	int err, tries = 0;

	/* A list that changed while it was told is told again. */
	do {
		ls.num = 0;
		err = bpvs_nl_dump(RTM_GETLINK, &m, sizeof(m), link_message, &ls);
	} while (err == -EINTR && ++tries < 100);
	if (err) {
		free(ls.v);
		return ls.err ? ls.err : err;
	}
	*ret = ls.v;
	*ret_num = ls.num;
	return 0;
}

bool bpvs_link_there(const char *name)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, RTM_GETLINK, 0, &m, sizeof(m));
	mnl_attr_put_strz(nl.n, IFLA_IFNAME, name);
	return bpvs_nl_send(&nl) != -ENODEV;
}

/* A filter's classifier comes in a message without a handle as well, which is none. */
static int filter_message(const struct nlmsghdr *n, void *data)
{
	const struct tcmsg *m = mnl_nlmsg_get_payload(n);

	if (n->nlmsg_type == RTM_NEWTFILTER && m->tcm_handle)
		++*(int *)data;
	return MNL_CB_OK;
}

int bpvs_filters_count(int ifindex, __u32 parent)
{
	struct tcmsg m = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent };
	int num = 0, err = bpvs_nl_dump(RTM_GETTFILTER, &m, sizeof(m), filter_message, &num);

	return err ? err : num;
}

bool bpvs_qdisc_missing(int ifindex)
{
	struct tcmsg m = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = ifindex,
		.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
	};
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, RTM_GETQDISC, 0, &m, sizeof(m));
	return bpvs_nl_send(&nl) == -ENOENT;
}
