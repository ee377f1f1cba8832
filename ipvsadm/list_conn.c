/* SPDX-License-Identifier: GPL-2.0-only */
/* --list --connection. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include "commands.h"
#include "endpoint.h"

#define WIDTH 18
#define WIDE  47 /* [1111:2222:3333:4444:5555:6666:7777:8888]:65535 */

static int conn_print(const struct bpvs_conn_info *c, void *arg)
{
	const struct args *a = arg;
	unsigned int how = args_names(a);
	int width = args_have(a, OPT_WIDE) ? WIDE : WIDTH;
	const char *real;
	unsigned int seconds = (unsigned int)c->expires_ms / 1000;
	const char *proto = c->proto == IPPROTO_TCP    ? "TCP"
			    : c->proto == IPPROTO_UDP  ? "UDP"
			    : c->proto == IPPROTO_SCTP ? "SCTP"
						       : "IP";
	char expire[16];

	snprintf(expire, sizeof(expire), "%02u:%02u", seconds / 60, seconds % 60);
	printf("%-3s %-6s %-11s", proto, expire, bpvs_conn_state(c));
	printf(" %-*s", width, endpoint_text(&c->caddr, c->cport, c->af, c->proto, how));
	printf(" %-*s", width, endpoint_text(&c->vaddr, c->vport, c->af, c->proto, how));
	real = endpoint_text(&c->daddr, c->dport, c->daf, c->proto, how);
	if (c->call && args_have(a, OPT_PERSISTENT_CONN))
		printf(" %-*s %-18s %s\n", args_have(a, OPT_WIDE) ? WIDE : 16, real,
		       bpvs_pe_name(BPVS_PE_SIP), c->call);
	else
		printf(" %s\n", real);
	return 0;
}

int cmd_list_conns(struct bpvs_instance *in, const struct args *a)
{
	int width = args_have(a, OPT_WIDE) ? WIDE : WIDTH, err;

	puts("IPVS connection entries");
	printf("pro expire state       %-*s %-*s ", width, "source", width, "virtual");
	if (!args_have(a, OPT_PERSISTENT_CONN))
		puts("destination");
	else /* the original's headings stand two columns beside */
		printf("%-*s %-*s pe_data\n", width, "destination", width == WIDE ? 18 : 16,
		       "pe name");
	err = bpvs_conn_walk(in, conn_print, (void *)(uintptr_t)a);
	return err ? complain(CMD_LIST, err) : 0;
}
