/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "IPVS": messages are taken and answered as the kernel takes them
 * (af_netlink.c, genetlink.c, ip_vs_ctl.c of Linux 6.1), in its order of looking for faults.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "call.h"

/* ---- the answer ---- */

void reply_begin(struct reply *r, const struct call *c, __u16 type, __u16 flags)
{
	/* What fills up to the next attribute is 0. */
	memset(r, 0, sizeof(*r));
	mnl_nlmsg_put_header(r->room);
	r->n.nlmsg_type = type;
	r->n.nlmsg_flags = flags;
	r->n.nlmsg_seq = c->msg->nlmsg_seq;
	r->n.nlmsg_pid = c->port;
}

void reply_begin_genl(struct reply *r, const struct call *c, __u16 type, __u16 flags, __u8 cmd)
{
	struct genlmsghdr *g;

	reply_begin(r, c, type, flags);
	g = mnl_nlmsg_put_extra_header(&r->n, sizeof(*g));
	g->cmd = cmd;
	g->version = type == GENL_ID_CTRL ? 2 : IPVS_GENL_VERSION;
}

struct nlattr *reply_nest(struct reply *r, __u16 type)
{
	struct nlattr *nest = mnl_nlmsg_get_payload_tail(&r->n);

	mnl_attr_put(&r->n, type, 0, NULL);
	return nest;
}

static int answer_add(struct call *c, const void *data, size_t size)
{
	struct bpvs_shim_answer *a = c->answer;

	if (a->size + size > c->room) {
		size_t room = 2 * (a->size + size);
		void *more = realloc(a->data, room);

		if (!more)
			return -ENOMEM;
		a->data = more;
		c->room = room;
	}
	memcpy((char *)a->data + a->size, data, size);
	a->size += size;
	return 0;
}

int reply_add(struct reply *r, struct call *c)
{
	return answer_add(c, r, NLMSG_ALIGN(r->n.nlmsg_len));
}

/* What failed is sent back whole. */
int reply_ack(struct call *c, int err)
{
	const struct nlmsghdr *n = c->msg;
	size_t size = err ? n->nlmsg_len : sizeof(*n), padded = NLMSG_ALIGN(size);
	struct reply r;
	int failed;

	reply_begin(&r, c, NLMSG_ERROR, err ? 0 : NLM_F_CAPPED);
	*(int *)mnl_nlmsg_put_extra_header(&r.n, sizeof(int)) = err;
	r.n.nlmsg_len += (__u32)padded;
	failed = answer_add(c, &r, NLMSG_LENGTH(sizeof(int))) ?: answer_add(c, n, size);
	if (!failed && padded > size)
		failed = answer_add(c, "\0\0\0", padded - size);
	return failed;
}

static int reply_done(struct call *c)
{
	struct reply r;

	reply_begin(&r, c, NLMSG_DONE, NLM_F_MULTI);
	*(int *)mnl_nlmsg_put_extra_header(&r.n, sizeof(int)) = 0;
	return reply_add(&r, c);
}

/* ---- commands ---- */

static const struct {
	call_fn run, dump;
} commands[IPVS_CMD_MAX + 1] = {
	[IPVS_CMD_NEW_SERVICE] = { cmd_set_service, NULL },
	[IPVS_CMD_SET_SERVICE] = { cmd_set_service, NULL },
	[IPVS_CMD_DEL_SERVICE] = { cmd_set_service, NULL },
	[IPVS_CMD_GET_SERVICE] = { cmd_get_service, dump_services },
	[IPVS_CMD_NEW_DEST] = { cmd_set_dest, NULL },
	[IPVS_CMD_SET_DEST] = { cmd_set_dest, NULL },
	[IPVS_CMD_DEL_DEST] = { cmd_set_dest, NULL },
	[IPVS_CMD_GET_DEST] = { NULL, dump_dests },
	[IPVS_CMD_NEW_DAEMON] = { cmd_set_daemon, NULL },
	[IPVS_CMD_DEL_DAEMON] = { cmd_set_daemon, NULL },
	[IPVS_CMD_GET_DAEMON] = { NULL, dump_daemons },
	[IPVS_CMD_SET_CONFIG] = { cmd_set_config, NULL },
	[IPVS_CMD_GET_CONFIG] = { cmd_get_config, NULL },
	[IPVS_CMD_GET_INFO] = { cmd_get_info, NULL },
	[IPVS_CMD_ZERO] = { cmd_zero, NULL },
	[IPVS_CMD_FLUSH] = { cmd_flush, NULL },
};

bool family_command(unsigned int cmd, bool *ret_do, bool *ret_dump)
{
	*ret_do = cmd <= IPVS_CMD_MAX && commands[cmd].run;
	*ret_dump = cmd <= IPVS_CMD_MAX && commands[cmd].dump;
	return *ret_do || *ret_dump;
}

static bool is_dump(const struct call *c)
{
	return (c->msg->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
}

/* Commands that may come to be are held to rules that the old ones were not. */
static int header_check(const struct call *c, const struct genlmsghdr *g)
{
	__u16 flags = c->msg->nlmsg_flags;

	if (g->cmd <= IPVS_CMD_FLUSH)
		return 0;
	if (is_dump(c))
		flags &= (__u16)~NLM_F_DUMP;
	return g->reserved || (flags & ~(NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO)) ? -EINVAL : 0;
}

static int command_run(struct call *c)
{
	call_fn run = commands[c->cmd].run, dump = commands[c->cmd].dump;
	int err = instance_get(true, &c->in);

	if (err)
		return err;
	if (is_dump(c))
		return dump ? dump(c) : -EOPNOTSUPP;
	if (!run)
		return -EOPNOTSUPP;
	err = attrs_parse(mnl_nlmsg_get_payload_offset(c->msg, GENL_HDRLEN),
			  c->msg->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), command_policy,
			  IPVS_CMD_ATTR_MAX, c->attrs);
	return err ?: run(c);
}

static int family_ask(struct call *c)
{
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(c->msg);
	bool can_run, can_dump;
	int err;

	if (c->msg->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return -EINVAL;
	err = header_check(c, g);
	if (err)
		return err;
	c->cmd = g->cmd;
	if (!family_command(c->cmd, &can_run, &can_dump))
		return -EOPNOTSUPP;
	err = command_run(c);
	/* Taken down beneath us, so nothing was changed: the next call finds or makes another. */
	return err == -ESTALE ? command_run(c) : err;
}

/* What is no whole message gets no answer at all, what is no request an ACK if it wants one. */
static int answer_message(struct call *c)
{
	bool request = c->msg->nlmsg_flags & NLM_F_REQUEST;
	int err;

	if (c->msg->nlmsg_len < sizeof(*c->msg))
		return 0;
	err = request ? family_ask(c) : 0;
	if (!err && request && is_dump(c))
		return reply_done(c);
	if (!err && !(c->msg->nlmsg_flags & NLM_F_ACK))
		return 0;
	return reply_ack(c, err);
}

static int answer_in_place(int sock, struct call *c)
{
	int back, err;

	if (c->msg->nlmsg_type == GENL_ID_CTRL)
		return controller_ask(c);
	err = place_enter(sock, &back);
	if (err)
		return reply_ack(c, err);
	err = answer_message(c);
	place_leave(back);
	return err;
}

static int ask(int sock, __u32 port, const struct nlmsghdr *msg, struct bpvs_shim_answer *ret)
{
	struct bpvs_shim_answer a = { 0 };
	struct call c = { .port = port, .msg = msg, .answer = &a };
	int err = answer_in_place(sock, &c);

	if (err)
		free(a.data);
	else
		*ret = a;
	return err;
}

/* ---- /proc/net ---- */

static int view_fill(int fd, struct bpvs_instance *in, const char *name)
{
	FILE *f = fdopen(dup(fd), "w");
	int err;

	if (!f)
		return -errno;
	err = bpvs_view_write(in, name, f);
	if (fclose(f) && !err)
		err = -EIO;
	return err;
}

static int view_once(const char *name)
{
	struct bpvs_instance *in;
	int err = instance_get(false, &in), fd;

	/*
	 * Who may not open an instance cannot know that there is one: the real file, if any. One of
	 * another version is there.
	 */
	if (err)
		return err == -EPROTO ? err : -ENOENT;
	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* By its mode and its name it is known again (look.c). */
	fchmod(fd, BPVS_SHIM_MODE);
	err = view_fill(fd, in, name);
	if (err) {
		close(fd);
		return err;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Taken down beneath us: as a message is. */
static int view(const char *name)
{
	int fd = view_once(name);

	return fd == -ESTALE ? view_once(name) : fd;
}

static bool shown(const char *name)
{
	struct bpvs_instance *in;
	int err;

	for (unsigned int i = 0; bpvs_view_name(i); i++) {
		if (strcmp(name, bpvs_view_name(i)))
			continue;
		err = instance_get(false, &in);
		return !err || err == -EPROTO;
	}
	return false;
}

__attribute__((visibility("default"))) const struct bpvs_shim_answers bpvs_shim_answers = {
	.version = BPVS_SHIM_VERSION,
	.ask = ask,
	.view = view,
	.shown = shown,
	.get_option = option_get,
	.set_option = option_set,
	.moved = place_moved,
};
