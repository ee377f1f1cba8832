/* SPDX-License-Identifier: GPL-2.0-only */
/* One message to the family: what was sent, and the answer as it grows. */
#pragma once

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include "attr.h"
#include "bpvs.h"
#include "family.h"

/*
 * What is not built. keepalived knows errors by libnl's numbers only, which have none for ENOSYS:
 * it would complain of privilege, and of IPv6 at EOPNOTSUPP.
 */
#define NOT_BUILT EPROTONOSUPPORT

struct call {
	__u32 port;
	const struct nlmsghdr *msg;
	unsigned int cmd;
	struct bpvs_instance *in;
	const struct nlattr *attrs[IPVS_CMD_ATTR_MAX + 1];
	struct bpvs_shim_answer *answer;
	size_t room;
};

/* Commands; 0 or a negative errno, which is the answer. */
typedef int (*call_fn)(struct call *c);

/* ---- family.c ---- */

/* A message of ours, to be filled and then added to the answer by reply_add(). */
struct reply {
	union {
		struct nlmsghdr n;
		char room[4096];
	};
};

void reply_begin(struct reply *r, const struct call *c, __u16 type, __u16 flags);
void reply_begin_genl(struct reply *r, const struct call *c, __u16 type, __u16 flags, __u8 cmd);
int reply_add(struct reply *r, struct call *c);
/* The kernel's nests of this family are without NLA_F_NESTED. */
struct nlattr *reply_nest(struct reply *r, __u16 type);

int reply_ack(struct call *c, int err);
/* What can be done with a command; false: nothing. */
bool family_command(unsigned int cmd, bool *ret_do, bool *ret_dump);

/* ---- controller.c: GETFAMILY ---- */

int controller_ask(struct call *c);

/* ---- parse.c ---- */

extern const struct attr_policy command_policy[IPVS_CMD_ATTR_MAX + 1];
extern const struct attr_policy daemon_policy[IPVS_DAEMON_ATTR_MAX + 1];

/* The key is what the kernel looks a service up by; `protocol` may be one that is none of ours. */
struct svc_request {
	struct bpvs_svc_info info; /* all but the key of a full one only */
	bool foreign;		   /* a protocol that no service here can have */
	struct ip_vs_flags flags;
};

int parse_service(const struct call *c, bool full, struct svc_request *ret);
/* `key`: of the service, whose family is the destination's unless it names another. */
int parse_dest(const struct call *c, const struct bpvs_svc_key *key, bool full,
	       struct bpvs_dest_info *ret);

/* ---- command.c: `cmd` is the family's ---- */

int change_service(struct bpvs_instance *in, unsigned int cmd, struct svc_request *r);
int change_dest(struct bpvs_instance *in, unsigned int cmd, const struct bpvs_svc_key *key,
		const struct bpvs_dest_info *d);
int daemon_start(const char *device, __u32 state);
int daemon_stop(__u32 state);
int cmd_set_service(struct call *c);
int cmd_set_dest(struct call *c);
int cmd_set_config(struct call *c);
int cmd_set_daemon(struct call *c);
int cmd_zero(struct call *c);
int cmd_flush(struct call *c);

/* ---- reading.c ---- */

/* IP_VS_SVC_F_* */
__u32 svc_flags(const struct bpvs_svc_info *svc);
int cmd_get_service(struct call *c);
int cmd_get_config(struct call *c);
int cmd_get_info(struct call *c);
int dump_services(struct call *c);
int dump_dests(struct call *c);
int dump_daemons(struct call *c);

/* ---- sockopt.c: 0 or a negative errno, as it is for the program ---- */

int option_get(int sock, int option, void *value, socklen_t *len);
int option_set(int sock, int option, const void *value, socklen_t len);

/* ---- instance.c ---- */

/* Run in the network namespace of a socket, until place_leave(). */
int place_enter(int sock, int *ret_back);
void place_leave(int back);
/* This thread may be in another network namespace than before. */
void place_moved(void);
/* Of the namespace that we are in; up: brought up where there is none. Stays ours. */
int instance_get(bool up, struct bpvs_instance **ret);
