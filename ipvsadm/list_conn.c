/* SPDX-License-Identifier: GPL-2.0-only */
/* --list --connection. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include "commands.h"
#include "endpoint.h"

static int conn_print(const struct bpvs_conn_info *c, void *arg)
{
	const struct args *a = arg;
	bool numeric = args_have(a, OPT_NUMERIC);
	const char *real;
	unsigned int seconds = (unsigned int)c->expires_ms / 1000;
	const char *proto = c->proto == IPPROTO_TCP    ? "TCP"
			    : c->proto == IPPROTO_UDP  ? "UDP"
			    : c->proto == IPPROTO_SCTP ? "SCTP"
						       : "IP";
	char expire[16];

	snprintf(expire, sizeof(expire), "%02u:%02u", seconds / 60, seconds % 60);
	printf("%-3s %-6s %-11s", proto, expire, bpvs_conn_state(c));
	printf(" %-18s", endpoint_text(&c->caddr, c->cport, c->af, c->proto, numeric));
	printf(" %-18s", endpoint_text(&c->vaddr, c->vport, c->af, c->proto, numeric));
	real = endpoint_text(&c->daddr, c->dport, c->daf, c->proto, numeric);
	if (c->call && args_have(a, OPT_PERSISTENT_CONN))
		printf(" %-16s %-18s %s\n", real, bpvs_pe_name(BPVS_PE_SIP), c->call);
	else
		printf(" %s\n", real);
	return 0;
}

int cmd_list_conns(struct bpvs_instance *in, const struct args *a)
{
	int err;

	puts("IPVS connection entries");
	printf("pro expire state       source             virtual            destination%s\n",
	       args_have(a, OPT_PERSISTENT_CONN) ? "        pe name          pe_data" : "");
	err = bpvs_conn_walk(in, conn_print, (void *)(uintptr_t)a);
	return err ? complain(CMD_LIST, err) : 0;
}
