/* SPDX-License-Identifier: GPL-2.0-only */
/* A command line as it was understood. */
#pragma once

#include <stdint.h>
#include "bpvs.h"

enum command {
#define COMMAND(id, name, long_, short_, arg, help) CMD_##id,
#include "options.def"
	CMD_NONE
};

enum option {
#define OPTION(id, name, legality) OPT_##id,
#include "options.def"
	OPT_NONE /* of a word that is no option */
};

enum tunnel {
	TUNNEL_IPIP = BPVS_TUNNEL_IPIP,
	TUNNEL_GUE = BPVS_TUNNEL_GUE,
	TUNNEL_GRE = BPVS_TUNNEL_GRE,
};

struct args {
	enum command cmd;
	uint64_t options;	  /* bit o: enum option o was given */
	struct bpvs_svc_info svc; /* but for svc.sched: the name is below */
	const char *sched;
	const char *sched_flags;
	const char *pe;
	struct bpvs_dest_info dest;
	enum tunnel tunnel;
	struct bpvs_timeouts timeouts;
	const char *daemon; /* "master" or "backup" */
	const char *mcast_interface;
	/* popt's copies of the words' arguments: one an option, and the command's. */
	char *held[OPT_NONE + 1];
	unsigned int num_held;
};

#define OPT_BIT(o) (1ULL << OPT_##o)

/* What messages call it. */
const char *option_name(enum option o);

static inline bool args_have(const struct args *a, enum option o)
{
	return a->options >> o & 1;
}

/*
 * Understand a command line, or complain: and exit, or return the exit status, as ipvsadm does. 0:
 * understood. argv[0] is the name in messages. `restoring`: it is a line of --restore's input. To
 * be freed either way.
 */
int args_parse(struct args *a, int argc, char **argv, bool restoring);
void args_free(struct args *a);

/* Complaint about an option that the command must or must not have, or NULL. Static. */
const char *options_illegal(enum command cmd, uint64_t options);
/* About listings that are not of the table, with options for the table's. */
const char *options_conflict(uint64_t options);
/* About the options of a tunnel. */
const char *options_tunnel(enum tunnel tunnel, uint64_t options);

/* What --help or --version print. */
void about_print(enum command cmd, const char *program);

/* Decimal, the whole string, within the range. */
bool number_parse(const char *text, long long min, long long max, long long *ret);

/* Bits of a comma-separated list for a scheduler; complains and exits on a wrong one. */
uint32_t sched_flags_parse(const char *text, const char *sched);
/* "a,b" for the bits; NULL for none. Static. */
const char *sched_flags_text(uint32_t flags, const char *sched);

void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
