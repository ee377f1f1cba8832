/* SPDX-License-Identifier: GPL-2.0-only */
/* The controller of families, as far as ours is asked for. */
#include <errno.h>
#include <string.h>
#include "call.h"

static const struct attr_policy policy[CTRL_ATTR_MAX + 1] = {
	[CTRL_ATTR_FAMILY_ID] = { ATTR_U16, 0 },
	[CTRL_ATTR_FAMILY_NAME] = { ATTR_STRING, GENL_NAMSIZ - 1 },
};

static void put_operations(struct reply *r)
{
	struct nlattr *list = reply_nest(r, CTRL_ATTR_OPS);
	__u16 number = 0;

	for (unsigned int cmd = 0; cmd <= IPVS_CMD_MAX; cmd++) {
		bool run, dump;
		struct nlattr *one;

		if (!family_command(cmd, &run, &dump))
			continue;
		one = reply_nest(r, ++number);
		mnl_attr_put_u32(&r->n, CTRL_ATTR_OP_ID, cmd);
		mnl_attr_put_u32(&r->n, CTRL_ATTR_OP_FLAGS,
				 GENL_ADMIN_PERM | GENL_CMD_CAP_HASPOL |
					 (run ? GENL_CMD_CAP_DO : 0) |
					 (dump ? GENL_CMD_CAP_DUMP : 0));
		mnl_attr_nest_end(&r->n, one);
	}
	mnl_attr_nest_end(&r->n, list);
}

static int put_family(struct call *c, __u16 flags)
{
	struct reply r;

	reply_begin_genl(&r, c, GENL_ID_CTRL, flags, CTRL_CMD_NEWFAMILY);
	mnl_attr_put_strz(&r.n, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
	mnl_attr_put_u16(&r.n, CTRL_ATTR_FAMILY_ID, BPVS_FAMILY_ID);
	mnl_attr_put_u32(&r.n, CTRL_ATTR_VERSION, IPVS_GENL_VERSION);
	mnl_attr_put_u32(&r.n, CTRL_ATTR_HDRSIZE, 0);
	mnl_attr_put_u32(&r.n, CTRL_ATTR_MAXATTR, IPVS_CMD_ATTR_MAX);
	put_operations(&r);
	return reply_add(&r, c);
}

static bool asks_for_ours(const struct call *c)
{
	const struct nlattr *tb[CTRL_ATTR_MAX + 1];

	if (attrs_parse(mnl_nlmsg_get_payload_offset(c->msg, GENL_HDRLEN),
			c->msg->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), policy, CTRL_ATTR_MAX, tb))
		return false;
	if (tb[CTRL_ATTR_FAMILY_NAME])
		return !strcmp(mnl_attr_get_str(tb[CTRL_ATTR_FAMILY_NAME]), IPVS_GENL_NAME);
	return tb[CTRL_ATTR_FAMILY_ID] &&
	       mnl_attr_get_u16(tb[CTRL_ATTR_FAMILY_ID]) == BPVS_FAMILY_ID;
}

/* Of a list of all families ours is the first part, to which the kernel says the rest. */
int controller_ask(struct call *c)
{
	bool dump = (c->msg->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

	if (dump || !asks_for_ours(c)) {
		c->answer->pass = true;
		return dump ? put_family(c, NLM_F_MULTI) : 0;
	}
	return put_family(c, 0) ?: (c->msg->nlmsg_flags & NLM_F_ACK) ? reply_ack(c, 0) : 0;
}
