/* SPDX-License-Identifier: GPL-2.0-only */
/* From words to struct args, with the complaints of ipvsadm 1.31 in its order. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <popt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "endpoint.h"
#include "options.h"

#define PERSISTENT_DEFAULT 360
#define SECONDS_MAX	   (31 * 24 * 60 * 60)

/* ---- tables, from options.def ---- */

/* What popt returns for a word. 0 would mean the end of the line. */
enum word {
	WORD_FIRST_COMMAND = 1,
	WORD_BEFORE_COMMANDS = WORD_FIRST_COMMAND - 1,
#define COMMAND(id, name, long_, short_, arg, help) WORD_CMD_##id,
#include "options.def"
	WORD_LAST_COMMAND,
#define WORD(id, option, long_, short_, arg, help) WORD_##id,
#include "options.def"
};

static enum option word_option(int word)
{
	static const enum option options[] = {
#define WORD(id, option, long_, short_, arg, help) OPT_##option,
#include "options.def"
	};

	return options[word - WORD_LAST_COMMAND - 1];
}

static char *word_arg; /* popt leaves a word's argument here */

#define ARG_NONE     POPT_ARG_NONE, NULL
#define ARG_STRING   POPT_ARG_STRING, &word_arg
#define ARG_OPTIONAL POPT_ARG_STRING | POPT_ARGFLAG_OPTIONAL, &word_arg

static const struct poptOption words[] = {
#define COMMAND(id, name, long_, short_, arg, help)                                                \
	{ long_, short_, ARG_##arg, WORD_CMD_##id, NULL, NULL },
#include "options.def"
	{ NULL, 'l', ARG_NONE, WORD_CMD_LIST, NULL, NULL },
#define WORD(id, option, long_, short_, arg, help)                                                 \
	{ long_, short_, ARG_##arg, WORD_##id, NULL, NULL },
#include "options.def"
	{ NULL, 0, 0, NULL, 0, NULL, NULL },
};

/* ---- complaints ---- */

void die(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

/* ---- values ---- */

bool number_parse(const char *text, long long min, long long max, long long *ret)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || *end || errno || n < min || n > max)
		return false;
	*ret = n;
	return true;
}

static uint32_t number_or_die(const char *text, long long min, long long max, const char *what)
{
	long long n;

	if (!number_parse(text, min, max, &n))
		die(2, "illegal %s specified", what);
	return (uint32_t)n;
}

static uint32_t seconds_or_die(const char *text, long long min)
{
	long long n;

	if (!number_parse(text, min, SECONDS_MAX, &n))
		die(2, "invalid timeout value `%s' specified", text);
	return (uint32_t)n;
}

static void service_set(struct args *a, int word, const char *text)
{
	struct endpoint e;

	a->svc.key.proto = word == WORD_TCP_SERVICE   ? IPPROTO_TCP
			   : word == WORD_UDP_SERVICE ? IPPROTO_UDP
						      : IPPROTO_SCTP;
	if (!endpoint_parse(text, a->svc.key.proto, &e))
		die(2, "illegal virtual server address[:port] specified");
	a->svc.key.addr = e.addr;
	a->svc.key.port = e.port;
	a->svc.key.af = e.af;
	/* A mask that was said before is forgotten, as in the original. */
	if (e.af == BPVS_V6)
		a->svc.netmask = 128;
}

static void fwmark_set(struct args *a, const char *text)
{
	long long n;

	if (!number_parse(text, 1, UINT32_MAX, &n))
		die(2, "invalid fwmark value `%s' specified", text);
	a->svc.key = (struct bpvs_svc_key){ .fwmark = (uint32_t)n, .af = BPVS_V4 };
}

static void ipv6_set(struct args *a)
{
	if (!a->svc.key.fwmark)
		die(2, "-6 used before -f\n");
	a->svc.key.af = BPVS_V6;
	a->svc.netmask = 128;
}

static void server_set(struct args *a, const char *text)
{
	struct endpoint e;

	/* With a mark, service names are those of TCP. */
	if (!endpoint_parse(text, a->svc.key.fwmark ? IPPROTO_TCP : a->svc.key.proto, &e))
		die(2, "illegal real server address[:port] specified");
	a->dest.addr = e.addr;
	a->dest.af = e.af;
	/* Said before the service, a server without a port gets none. */
	a->dest.port = e.has_port ? e.port : a->svc.key.port;
}

static void netmask_set(struct args *a, const char *text)
{
	struct bpvs_addr mask;

	if (a->svc.key.af == BPVS_V6) {
		int prefix = atoi(text);

		if (prefix < 1 || prefix > 128)
			die(2, "illegal ipv6 netmask specified");
		a->svc.netmask = (uint32_t)prefix;
		return;
	}
	/* A host's name passes, too, as in the original. */
	if (!host4_parse(text, &mask))
		die(2, "illegal virtual server persistent mask specified");
	a->svc.netmask = mask.w[3];
}

static void tunnel_set(struct args *a, const char *text)
{
	if (!strcmp(text, "ipip"))
		a->tunnel = TUNNEL_IPIP;
	else if (!strcmp(text, "gue"))
		a->tunnel = TUNNEL_GUE;
	else if (!strcmp(text, "gre"))
		a->tunnel = TUNNEL_GRE;
	else
		die(2, "illegal tunnel type specified");
}

/* A colon makes it IPv6, whatever it is. */
static void mcast_group_check(const char *text)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (strchr(text, ':')) {
		if (inet_pton(AF_INET6, text, &v6) != 1 || !IN6_IS_ADDR_MULTICAST(&v6))
			die(2, "invalid IPv6 mcast-group `%s'", text);
	} else if (inet_pton(AF_INET, text, &v4) != 1 || !IN_MULTICAST(ntohl(v4.s_addr))) {
		die(2, "invalid IPv4 mcast-group `%s'", text);
	}
}

/* ---- the words ---- */

static void option_mark(struct args *a, enum option o)
{
	if (o == OPT_NONE)
		return;
	if (args_have(a, o))
		die(2, "multiple '%s' options specified", option_name(o));
	a->options |= 1ULL << o;
}

static void server_word(struct args *a, int word, const char *text)
{
	switch (word) {
	case WORD_SERVER:
		server_set(a, text);
		break;
	case WORD_GATEWAYING:
		a->dest.fwd = BPVS_FWD_DROUTE;
		break;
	case WORD_IPIP:
		a->dest.fwd = BPVS_FWD_TUNNEL;
		break;
	case WORD_MASQUERADING:
		a->dest.fwd = BPVS_FWD_MASQ;
		break;
	case WORD_TUN_TYPE:
		tunnel_set(a, text);
		break;
	case WORD_TUN_PORT:
		a->dest.tun_port = htons((uint16_t)number_or_die(text, 1, 65535, "tunnel port"));
		break;
	case WORD_WEIGHT:
		a->dest.weight = (int)number_or_die(text, 0, INT_MAX, "weight");
		break;
	case WORD_U_THRESHOLD:
		a->dest.u_threshold = number_or_die(text, 0, INT_MAX, "u_threshold");
		break;
	case WORD_L_THRESHOLD:
		a->dest.l_threshold = number_or_die(text, 0, INT_MAX, "l_threshold");
		break;
	}
}

static void daemon_word(struct args *a, int word, const char *text)
{
	switch (word) {
	case WORD_SYNCID:
		number_or_die(text, 0, 255, "syncid");
		break;
	case WORD_SYNC_MAXLEN:
		number_or_die(text, 1, 65535 - 28, "sync-maxlen");
		break;
	case WORD_MCAST_INTERFACE:
		a->mcast_interface = text;
		break;
	case WORD_MCAST_GROUP:
		mcast_group_check(text);
		break;
	case WORD_MCAST_PORT:
		number_or_die(text, 1, 65535, "mcast-port");
		break;
	case WORD_MCAST_TTL:
		number_or_die(text, 1, 255, "mcast-ttl");
		break;
	}
}

static void service_word(struct args *a, int word, const char *text)
{
	switch (word) {
	case WORD_TCP_SERVICE:
	case WORD_UDP_SERVICE:
	case WORD_SCTP_SERVICE:
		service_set(a, word, text);
		break;
	case WORD_FWMARK_SERVICE:
		fwmark_set(a, text);
		break;
	case WORD_IPV6:
		ipv6_set(a);
		break;
	case WORD_SCHEDULER:
		a->sched = text;
		break;
	case WORD_PE:
		a->pe = text;
		break;
	case WORD_PERSISTENT:
		a->svc.flags |= BPVS_SVC_PERSISTENT;
		a->svc.timeout = text ? seconds_or_die(text, 1) : PERSISTENT_DEFAULT;
		break;
	case WORD_NETMASK:
		netmask_set(a, text);
		break;
	case WORD_OPS:
		a->svc.flags |= BPVS_SVC_ONEPACKET;
		break;
	case WORD_SCHED_FLAGS:
		a->sched_flags = text;
		break;
	}
}

static void word_hold(struct args *a)
{
	if (word_arg && a->num_held < sizeof(a->held) / sizeof(a->held[0]))
		a->held[a->num_held++] = word_arg;
}

void args_free(struct args *a)
{
	while (a->num_held)
		free(a->held[--a->num_held]);
}

/* What popt does not know, or lacks, ends this line, but no --restore: false, having said it. */
static bool words_parse(struct args *a, poptContext ctx)
{
	int word;

	while (word_arg = NULL, (word = poptGetNextOpt(ctx)) > 0) {
		if (word < WORD_LAST_COMMAND)
			die(2, "invalid option `%s'", poptBadOption(ctx, POPT_BADOPTION_NOALIAS));
		word_hold(a);
		option_mark(a, word_option(word));
		service_word(a, word, word_arg);
		server_word(a, word, word_arg);
		daemon_word(a, word, word_arg);
	}
	if (word == -1)
		return true;
	fprintf(stderr, "%s: %s\n", poptBadOption(ctx, POPT_BADOPTION_NOALIAS), poptStrerror(word));
	return false;
}

/* ---- the line ---- */

static void try_help(const char *program)
{
	die(-1, "Try `%s -h' or '%s --help' for more information.", program, program);
}

static void daemon_set(struct args *a, const char *text)
{
	a->daemon = text;
	if (strcmp(text, "master") && strcmp(text, "backup"))
		die(2, a->cmd == CMD_STARTDAEMON ? "illegal start-daemon parameter specified"
						 : "illegal start_daemon specified");
}

/* The first word names the command; help and version need no more. */
static void command_parse(struct args *a, poptContext ctx, const char *program)
{
	int word;

	word_arg = NULL;
	word = poptGetNextOpt(ctx);
	if (word <= WORD_BEFORE_COMMANDS || word >= WORD_LAST_COMMAND)
		try_help(program);
	a->cmd = (enum command)(word - WORD_FIRST_COMMAND);
	word_hold(a);
	if (a->cmd == CMD_STARTDAEMON || a->cmd == CMD_STOPDAEMON)
		daemon_set(a, word_arg);
}

static void timeouts_parse(struct args *a, poptContext ctx)
{
	const char *texts[3];
	uint32_t seconds[3];

	for (int i = 0; i < 3; i++) {
		texts[i] = poptGetArg(ctx);
		if (!texts[i])
			die(2, "--set option requires 3 timeout values");
	}
	for (int i = 0; i < 3; i++)
		seconds[i] = seconds_or_die(texts[i], 0);
	a->timeouts = (struct bpvs_timeouts){ seconds[0], seconds[1], seconds[2] };
}

static void service_check(struct args *a)
{
	if (!a->svc.key.fwmark && !a->svc.key.port && !(a->svc.flags & BPVS_SVC_PERSISTENT))
		die(2, "Zero port specified for non-persistent service");
	if (a->svc.flags & BPVS_SVC_ONEPACKET && !a->svc.key.fwmark &&
	    a->svc.key.proto != IPPROTO_UDP)
		die(2, "One-Packet Scheduling is only for UDP virtual services");
}

static void server_check(struct args *a)
{
	const uint64_t tunnel = OPT_BIT(TUN_TYPE) | OPT_BIT(TUN_PORT) | OPT_BIT(TUN_NOCSUM) |
				OPT_BIT(TUN_CSUM) | OPT_BIT(TUN_REMCSUM);
	const char *wrong = NULL;

	if (a->dest.fwd == BPVS_FWD_TUNNEL)
		wrong = options_tunnel(a->tunnel, a->options);
	else if (a->options & tunnel)
		wrong = "Tunnel options conflict with forward method";
	if (a->dest.af != a->svc.key.af && a->dest.fwd != BPVS_FWD_TUNNEL)
		wrong = "Different address family is allowed only for tunneling servers";
	if (wrong)
		die(2, "%s", wrong);
	a->dest.tun_type = (uint8_t)a->tunnel;
	a->dest.tun_flags = args_have(a, OPT_TUN_REMCSUM) ? BPVS_TUN_REMCSUM
			    : args_have(a, OPT_TUN_CSUM)  ? BPVS_TUN_CSUM
							  : 0;
	/* Only NAT can change the port. */
	if (a->dest.fwd != BPVS_FWD_MASQ && !a->svc.key.fwmark)
		a->dest.port = a->svc.key.port;
}

static void args_check(struct args *a)
{
	const char *wrong = options_illegal(a->cmd, a->options);

	if (!wrong && a->cmd == CMD_LIST)
		wrong = options_conflict(a->options);
	if (wrong)
		die(2, "%s", wrong);
	if (a->cmd == CMD_ADD || a->cmd == CMD_EDIT)
		service_check(a);
	if (a->cmd == CMD_ADDDEST || a->cmd == CMD_EDITDEST)
		server_check(a);
}

/* What follows the options, and what they are together. */
static void line_parse(struct args *a, poptContext ctx)
{
	const char *extra;

	if (!*a->sched)
		a->sched = "wlc";
	if (a->cmd == CMD_TIMEOUT)
		timeouts_parse(a, ctx);
	extra = poptGetArg(ctx);
	if (extra)
		die(2, "unexpected argument %s", extra);
	if (a->sched_flags)
		a->svc.sched_flags = sched_flags_parse(a->sched_flags, a->sched);
	args_check(a);
}

int args_parse(struct args *a, int argc, char **argv, bool restoring)
{
	poptContext ctx = poptGetContext("ipvsadm", argc, (const char **)argv, words, 0);
	bool whole = true;

	*a = (struct args){
		.cmd = CMD_NONE,
		.svc = { .netmask = 0xffffffff },
		.dest = { .weight = 1, .fwd = BPVS_FWD_DROUTE },
		.sched = "",
		.mcast_interface = "eth0",
	};
	command_parse(a, ctx, argv[0]);
	if (a->cmd != CMD_HELP && a->cmd != CMD_VERSION) {
		whole = words_parse(a, ctx);
		if (whole)
			line_parse(a, ctx);
	}
	if (whole && a->cmd == CMD_RESTORE && restoring)
		try_help(argv[0]);
	poptFreeContext(ctx);
	return whole ? 0 : -1;
}
