/* SPDX-License-Identifier: GPL-2.0-only */
/* --save and --restore. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "commands.h"
#include "endpoint.h"

/* ---- saving ---- */

static void service_text(const struct bpvs_svc_key *key, const struct args *a, char *text,
			 size_t size)
{
	const char *word = key->proto == IPPROTO_TCP   ? "-t"
			   : key->proto == IPPROTO_UDP ? "-u"
						       : "--sctp-service";

	if (key->fwmark)
		/* The original takes a mark for a signed number. */
		snprintf(text, size, args_have(a, OPT_FULL) ? "-f %u%s" : "-f %d%s", key->fwmark,
			 key->af == BPVS_V6 ? " -6" : "");
	else
		snprintf(text, size, "%s %s", word,
			 endpoint_text(&key->addr, key->port, key->af, key->proto, args_names(a)));
}

static void flags_save(const struct bpvs_svc_info *svc, const struct args *a)
{
	const char *flags = sched_flags_text(svc->sched_flags, bpvs_sched_name(svc->sched));
	char joint = ' ';

	if (!svc->sched_flags)
		return;
	if (!args_have(a, OPT_FULL)) {
		printf(" -b %s", flags);
		return;
	}
	printf(" -b");
	for (__u32 bit = BPVS_SCHED_FALLBACK; bit <= BPVS_SCHED_FLAG_3; bit <<= 1) {
		if (!(svc->sched_flags & bit))
			continue;
		printf("%c%s", joint, bpvs_sched_flag_name(svc->sched, bit));
		joint = ',';
	}
}

static void service_save(const struct bpvs_svc_info *svc, const char *name, const struct args *a)
{
	printf("-A %s -s %s", name, bpvs_sched_name(svc->sched));
	if (svc->flags & BPVS_SVC_PERSISTENT) {
		struct in_addr mask = { svc->netmask };

		printf(" -p %u", svc->timeout);
		if (svc->key.af == BPVS_V6 && svc->netmask != 128)
			printf(" -M %u", svc->netmask);
		if (svc->key.af == BPVS_V4 && svc->netmask != 0xffffffff)
			printf(" -M %s", inet_ntoa(mask));
	}
	if (svc->pe)
		printf(" --pe %s", bpvs_pe_name(svc->pe));
	if (svc->flags & BPVS_SVC_ONEPACKET)
		printf(" -o");
	flags_save(svc, a);
	putchar('\n');
}

static void tunnel_save(const struct bpvs_dest_info *d)
{
	const char *flags = d->tun_flags & BPVS_TUN_REMCSUM ? "--tun-remcsum"
			    : d->tun_flags & BPVS_TUN_CSUM  ? "--tun-csum"
							    : "--tun-nocsum";

	switch (d->tun_type) {
	case BPVS_TUNNEL_GUE:
		printf(" --tun-type gue --tun-port %u %s", ntohs(d->tun_port), flags);
		break;
	case BPVS_TUNNEL_GRE:
		printf(" --tun-type gre %s", flags);
		break;
	default:
		printf(" --tun-type ipip");
	}
}

static void dest_save(const struct bpvs_dest_info *d, __u8 proto, const char *service,
		      const struct args *a)
{
	static const char *const words[] = {
		[BPVS_FWD_MASQ] = " -m",
		[BPVS_FWD_LOCAL] = " -g",
		[BPVS_FWD_TUNNEL] = " -i",
		[BPVS_FWD_DROUTE] = " -g",
	};

	printf("-a %s -r %s%s -w %d", service,
	       endpoint_text(&d->addr, d->port, d->af, proto, args_names(a)), words[d->fwd],
	       d->weight);
	if (d->fwd == BPVS_FWD_TUNNEL)
		tunnel_save(d);
	if (args_have(a, OPT_FULL) && d->u_threshold)
		printf(" -x %u", d->u_threshold);
	if (args_have(a, OPT_FULL) && d->l_threshold)
		printf(" -y %u", d->l_threshold);
	putchar('\n');
}

int cmd_save(struct bpvs_instance *in, const struct args *a)
{
	struct bpvs_snapshot t;
	int err = bpvs_snapshot_read(in, NULL, true, &t);

	if (err)
		return complain(CMD_SAVE, err);
	for (unsigned int i = 0; i < t.num; i++) {
		const struct bpvs_snapshot_row *row = &t.rows[i];
		char name[2048];

		service_text(&row->svc.key, a, name, sizeof(name));
		service_save(&row->svc, name, a);
		for (unsigned int d = 0; d < row->num_dests; d++)
			dest_save(&row->dests[d], row->svc.key.proto, name, a);
	}
	bpvs_snapshot_free(&t);
	return 0;
}

/* ---- restoring ---- */

#define WORDS_MAX 256
#define WORD_MAX  4096 /* what is longer is taken for several words, as ever */

/* A word of a line, or NULL at its end. A zero byte is no blank, but ends what is read of it. */
static char *word_cut(const char **at, const char *end, char **room)
{
	static const char blanks[] = " \t\r\n";
	char *word = *room, *to = word;

	while (*at < end && **at && strchr(blanks, **at))
		++*at;
	if (*at == end)
		return NULL;
	while (*at < end && !(**at && strchr(blanks, **at)) && to - word < WORD_MAX)
		*to++ = *(*at)++;
	*to++ = '\0';
	*room = to;
	return word;
}

/* Into `room`, which takes twice the line. Words `ipvsadm` are passed over, wherever they stand. */
static int line_split(const char *line, size_t size, char *room, char **argv)
{
	const char *end = line + size;
	int argc = 1;

	for (char *w; (w = word_cut(&line, end, &room));) {
		if (strcmp(w, "ipvsadm") && argc < WORDS_MAX)
			argv[argc++] = w;
	}
	argv[argc] = NULL;
	return argc;
}

/*
 * One rule a line, applied as it is read. What the engine refuses is said and passed over; the exit
 * status is the last line's, as ever. A line that cannot be understood ends the run, unless it is
 * for an option that does not exist or lacks its argument; --help ends it, too, and well.
 *
 * Returns whether to go on.
 */
static bool line_run(struct bpvs_instance *in, int argc, char **argv, int *status)
{
	struct args a;

	*status = args_parse(&a, argc, argv, true);
	if (*status) {
		args_free(&a);
		return true;
	}
	if (a.cmd == CMD_HELP || a.cmd == CMD_VERSION) {
		about_print(a.cmd, argv[0]);
		return false;
	}
	*status = cmd_run(in, &a);
	args_free(&a);
	if (*status && a.cmd == CMD_LIST) /* as ever */
		exit(*status);
	return true;
}

int cmd_restore(struct bpvs_instance *in, const char *program)
{
	char *argv[WORDS_MAX + 1] = { (char *)(uintptr_t)program };
	char *line = NULL, *room = NULL;
	size_t size = 0;
	ssize_t len;
	int status = 0;

	while ((len = getline(&line, &size, stdin)) >= 0) {
		char *more = realloc(room, 2 * size);
		int argc;

		if (!more)
			die(2, "%s", strerror(ENOMEM));
		room = more;
		argc = line_split(line, (size_t)len, room, argv);
		if (argc > 1 && !line_run(in, argc, argv, &status))
			break;
	}
	free(line);
	free(room);
	/* Something that the caller counts on is missing: this must not look like success. */
	return anything_not_built() ? STATUS_NOT_BUILT : status;
}
