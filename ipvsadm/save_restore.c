/* SPDX-License-Identifier: GPL-2.0-only */
/* --save and --restore. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "commands.h"
#include "endpoint.h"

/* ---- saving ---- */

static void service_text(const struct bpvs_svc_key *key, bool numeric, char *text, size_t size)
{
	const char *word = key->proto == IPPROTO_TCP   ? "-t"
			   : key->proto == IPPROTO_UDP ? "-u"
						       : "--sctp-service";

	if (key->fwmark)
		snprintf(text, size, "-f %d%s", (int)key->fwmark, key->af == BPVS_V6 ? " -6" : "");
	else
		snprintf(text, size, "%s %s", word,
			 endpoint_text(&key->addr, key->port, key->af, key->proto, numeric));
}

static void service_save(const struct bpvs_svc_info *svc, const char *name)
{
	const char *sched = bpvs_sched_name(svc->sched);
	const char *flags = sched_flags_text(svc->sched_flags, sched);

	printf("-A %s -s %s", name, sched);
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
	if (flags)
		printf(" -b %s", flags);
	putchar('\n');
}

static void tunnel_save(const struct bpvs_dest_info *d)
{
	const char *flags = d->tunnel & BPVS_TUNNEL_REMCSUM ? "--tun-remcsum"
			    : d->tunnel & BPVS_TUNNEL_CSUM  ? "--tun-csum"
							    : "--tun-nocsum";

	switch (d->tunnel & BPVS_TUNNEL_TYPE) {
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

static void dest_save(const struct bpvs_dest_info *d, __u8 proto, const char *service, bool numeric)
{
	static const char *const words[] = {
		[BPVS_FWD_MASQ] = " -m",
		[BPVS_FWD_LOCAL] = " -g",
		[BPVS_FWD_TUNNEL] = " -i",
		[BPVS_FWD_DROUTE] = " -g",
	};

	printf("-a %s -r %s%s -w %d", service,
	       endpoint_text(&d->addr, d->port, d->af, proto, numeric), words[d->fwd], d->weight);
	if (d->fwd == BPVS_FWD_TUNNEL)
		tunnel_save(d);
	putchar('\n');
}

int cmd_save(struct bpvs_instance *in, const struct args *a)
{
	bool numeric = args_have(a, OPT_NUMERIC);
	struct table t;
	int err = table_read(in, NULL, true, &t);

	if (err)
		return complain(CMD_SAVE, err);
	for (unsigned int i = 0; i < t.num; i++) {
		const struct table_row *row = &t.rows[i];
		char name[2048];

		service_text(&row->svc.key, numeric, name, sizeof(name));
		service_save(&row->svc, name);
		for (unsigned int d = 0; d < row->num_dests; d++)
			dest_save(&row->dests[d], row->svc.key.proto, name, numeric);
	}
	table_free(&t);
	return 0;
}

/* ---- restoring ---- */

#define WORDS_MAX 256

/* Cuts a line at blanks; words `ipvsadm` are passed over, wherever they stand. */
static int line_split(char *line, char **argv)
{
	static const char blanks[] = " \t\r\n";
	char *save = NULL;
	int argc = 1;

	for (char *w = strtok_r(line, blanks, &save); w; w = strtok_r(NULL, blanks, &save)) {
		if (strcmp(w, "ipvsadm") && argc < WORDS_MAX)
			argv[argc++] = w;
	}
	argv[argc] = NULL;
	return argc;
}

/*
 * One rule a line, applied as it is read. What the engine refuses is said and passed over; the exit
 * status is the last line's, as ever. A line that cannot be understood ends the run.
 */
int cmd_restore(struct bpvs_instance *in, const char *program)
{
	char *argv[WORDS_MAX + 1] = { (char *)(uintptr_t)program };
	char *line = NULL;
	size_t size = 0;
	int status = 0;

	while (getline(&line, &size, stdin) >= 0) {
		int argc = line_split(line, argv);
		struct args a;

		if (argc == 1)
			continue;
		args_parse(&a, argc, argv, true);
		if (a.cmd == CMD_HELP || a.cmd == CMD_VERSION) {
			(a.cmd == CMD_HELP ? usage_print : version_print)(program);
			break;
		}
		status = cmd_run(in, &a);
		args_free(&a);
		if (status && a.cmd == CMD_LIST) /* as ever */
			exit(status);
	}
	free(line);
	/* Something that the caller counts on is missing: this must not look like success. */
	return anything_not_built() ? STATUS_NOT_BUILT : status;
}
