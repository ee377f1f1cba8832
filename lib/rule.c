/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy routing rules. The kernel looks into the table `local` first of all, by a rule of
 * preference 0, where ours have to be ahead of it, and of whatever else is there: `ip rule add`
 * without a preference puts rules there too, once ours are. A new rule goes behind those of its
 * preference, so each of the others is added once more, as the kernel told it, behind ours, and
 * then the first one deleted: never is there none, and what is left once ours are gone is what was
 * there before. A tool killed in between leaves one twice, which changes nothing, and the next tool
 * puts it right.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "netlink.h"
#include "rule.h"

/* A rule with all that it selects by, in the kernel's words: a header and its attributes. */
struct told {
	size_t len;
	__u8 rule[512];
};

struct rules {
	struct bpvs_rule *v;
	struct told *told; /* of each */
	size_t num;
	bool no_memory;
};

static void rules_free(struct rules *rs)
{
	free(rs->v);
	free(rs->told);
}

static int rule_attr(const struct nlattr *a, void *data)
{
	struct bpvs_rule *r = data;

	switch (mnl_attr_get_type(a)) {
	case FRA_PRIORITY:
		r->pref = mnl_attr_get_u32(a);
		break;
	case FRA_TABLE:
		r->table = mnl_attr_get_u32(a);
		break;
	case FRA_GOTO:
		r->target = mnl_attr_get_u32(a);
		break;
	case FRA_FWMARK:
		r->mark = mnl_attr_get_u32(a);
		break;
	case FRA_FWMASK:
		r->other |= mnl_attr_get_u32(a) != ~0U;
		break;
	case FRA_IP_PROTO:
		r->ipproto = mnl_attr_get_u8(a);
		break;
	case FRA_PROTOCOL:
		r->proto = mnl_attr_get_u8(a);
		break;
	case FRA_IIFNAME:
		strncpy(r->iif, mnl_attr_get_str(a), sizeof(r->iif) - 1);
		break;
	case FRA_SUPPRESS_PREFIXLEN:
		r->other |= mnl_attr_get_u32(a) != ~0U;
		break;
	case FRA_UNSPEC:
	case FRA_PAD:
		break;
	default:
		r->other = true;
	}
	return MNL_CB_OK;
}

static int rules_grow(struct rules *rs)
{
	struct bpvs_rule *v = reallocarray(rs->v, rs->num + 1, sizeof(*v));
	struct told *told;

	if (!v)
		return -ENOMEM;
	rs->v = v;
	told = reallocarray(rs->told, rs->num + 1, sizeof(*told));
	if (!told)
		return -ENOMEM;
	rs->told = told;
	return 0;
}

static void rule_told(struct told *t, const struct nlmsghdr *n)
{
	struct fib_rule_hdr *h = (void *)t->rule;

	t->len = mnl_nlmsg_get_payload_len(n);
	if (t->len > sizeof(t->rule))
		t->len = 0; /* none is half as long */
	memcpy(t->rule, mnl_nlmsg_get_payload(n), t->len);
	/* The rest tells how things stand, as that its device is not there. */
	if (t->len)
		h->flags &= FIB_RULE_INVERT;
}

static int rule_message(const struct nlmsghdr *n, void *data)
{
	const struct fib_rule_hdr *h = mnl_nlmsg_get_payload(n);
	struct rules *rs = data;
	struct bpvs_rule *r;

	if (n->nlmsg_type != RTM_NEWRULE)
		return MNL_CB_OK;
	if (rules_grow(rs)) {
		rs->no_memory = true;
		return MNL_CB_ERROR;
	}
	rule_told(&rs->told[rs->num], n);
	r = &rs->v[rs->num++];
	memset(r, 0, sizeof(*r));
	r->action = h->action;
	r->table = h->table;
	r->other = h->src_len || h->dst_len || h->tos || (h->flags & FIB_RULE_INVERT);
	mnl_attr_parse(n, sizeof(*h), rule_attr, r);
	/* What the kernel fills in for actions without a table. */
	if (r->action != FR_ACT_TO_TBL)
		r->table = 0;
	return MNL_CB_OK;
}

/* All of a family, in the order in which the kernel asks them; to be freed in any case. */
static int rules_get(int family, struct rules *rs)
{
	struct fib_rule_hdr h = { .family = (__u8)family };
	int err, tries = 0;

	do {
		rs->num = 0;
		err = bpvs_nl_dump(RTM_GETRULE, &h, sizeof(h), rule_message, rs);
	} while (err == -EINTR && ++tries < 100);
	return rs->no_memory ? -ENOMEM : err;
}

static int rule_change(int family, __u16 type, const struct bpvs_rule *r)
{
	struct fib_rule_hdr h = { .family = (__u8)family, .action = r->action };
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, type, type == RTM_NEWRULE ? NLM_F_CREATE : 0, &h, sizeof(h));
	mnl_attr_put_u32(nl.n, FRA_PRIORITY, r->pref);
	mnl_attr_put_u8(nl.n, FRA_PROTOCOL, r->proto);
	if (r->action == FR_ACT_TO_TBL)
		mnl_attr_put_u32(nl.n, FRA_TABLE, r->table);
	if (r->action == FR_ACT_GOTO)
		mnl_attr_put_u32(nl.n, FRA_GOTO, r->target);
	if (r->mark) {
		mnl_attr_put_u32(nl.n, FRA_FWMARK, r->mark);
		mnl_attr_put_u32(nl.n, FRA_FWMASK, ~0U);
	}
	if (r->ipproto)
		mnl_attr_put_u8(nl.n, FRA_IP_PROTO, r->ipproto);
	if (r->iif[0])
		mnl_attr_put_strz(nl.n, FRA_IIFNAME, r->iif);
	return bpvs_nl_send(&nl);
}

static int rule_del(int family, const struct bpvs_rule *r)
{
	int err = rule_change(family, RTM_DELRULE, r);

	return err == -ENOENT ? 0 : err;
}

static bool rule_eq(const struct bpvs_rule *a, const struct bpvs_rule *b)
{
	return a->pref == b->pref && a->table == b->table && a->target == b->target &&
	       a->mark == b->mark && a->action == b->action && a->ipproto == b->ipproto &&
	       a->proto == b->proto && a->other == b->other && !strcmp(a->iif, b->iif);
}

static bool rule_in(const struct bpvs_rule *r, const struct bpvs_rule *v, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (rule_eq(r, &v[i]))
			return true;
	return false;
}

static bool is_mark(const struct bpvs_rule *r)
{
	return r->proto == BPVS_RTPROT && r->mark;
}

static bool is_others(const struct rules *rs, size_t i)
{
	return !rs->v[i].pref && rs->v[i].proto != BPVS_RTPROT && rs->told[i].len;
}

/* The next one that is told like that one, or 0. */
static size_t told_again(const struct rules *rs, size_t i)
{
	for (size_t j = i + 1; j < rs->num; j++)
		if (rs->told[j].len == rs->told[i].len &&
		    !memcmp(rs->told[j].rule, rs->told[i].rule, rs->told[i].len))
			return j;
	return 0;
}

static int told_change(__u16 type, const struct told *t)
{
	struct bpvs_nl nl;

	/* Not EXCL: for a moment there are two. */
	bpvs_nl_begin(&nl, type, type == RTM_NEWRULE ? NLM_F_CREATE : 0, t->rule, t->len);
	return bpvs_nl_send(&nl);
}

/* One step towards the others behind ours, each of them once; *ret_done: so it is. */
static int behind_step(int family, bool *ret_done)
{
	struct rules rs = { 0 };
	size_t marks_end = 0;
	int err = rules_get(family, &rs);

	for (size_t i = 0; !err && i < rs.num; i++)
		if (is_mark(&rs.v[i]))
			marks_end = i + 1;
	*ret_done = true;
	for (size_t i = 0; !err && *ret_done && i < rs.num; i++) {
		size_t again = is_others(&rs, i) ? told_again(&rs, i) : 0;

		if (!is_others(&rs, i) || (i >= marks_end && !again))
			continue;
		*ret_done = false;
		err = told_change(again ? RTM_DELRULE : RTM_NEWRULE, &rs.told[i]);
	}
	rules_free(&rs);
	return err;
}

static int others_behind(int family)
{
	bool done = false;
	int err = 0;

	for (int i = 0; i < 64 && !err && !done; i++)
		err = behind_step(family, &done);
	return err;
}

/* In this order they go: no mark without the gotos past it, no goto without its target. */
static int rule_rank(const struct bpvs_rule *r)
{
	return is_mark(r) ? 0 : r->action == FR_ACT_GOTO ? 1 : 2;
}

/* Those that nobody wants any more. */
static int rules_drop(int family, const struct rules *rs, const struct bpvs_rule *want, size_t num)
{
	int err = 0;

	for (int rank = 0; rank <= 2; rank++)
		for (size_t i = 0; i < rs->num && !err; i++)
			if (rs->v[i].proto == BPVS_RTPROT && rule_rank(&rs->v[i]) == rank &&
			    !rule_in(&rs->v[i], want, num))
				err = rule_del(family, &rs->v[i]);
	return err;
}

/* A goto that was lost comes back behind the marks' rules that it has to skip: these go first. */
static int marks_drop(int family, struct rules *rs)
{
	int err = 0;

	for (size_t i = 0; i < rs->num && !err; i++) {
		if (!is_mark(&rs->v[i]))
			continue;
		err = rule_del(family, &rs->v[i]);
		rs->v[i].proto = 0;
	}
	return err;
}

static bool gotos_there(const struct rules *rs, const struct bpvs_rule *want, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (want[i].action == FR_ACT_GOTO && !rule_in(&want[i], rs->v, rs->num))
			return false;
	return true;
}

int bpvs_rules_sync(int family, const struct bpvs_rule *want, size_t num)
{
	struct rules rs = { 0 };
	int err = rules_get(family, &rs);

	if (!err)
		err = rules_drop(family, &rs, want, num);
	if (!err && !gotos_there(&rs, want, num))
		err = marks_drop(family, &rs);
	for (size_t i = 0; i < num && !err; i++)
		if (!rule_in(&want[i], rs.v, rs.num))
			err = rule_change(family, RTM_NEWRULE, &want[i]);
	rules_free(&rs);
	/* In any case: ours may be gone, and another twice. */
	return err ?: others_behind(family);
}
