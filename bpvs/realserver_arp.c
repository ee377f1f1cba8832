/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The second way to keep a real server from answering ARP for the VIP: a filter. The seed of this
 * idea is arptables; here it is a table of nftables' arp family, of our own and so removed as one.
 *
 * Dropping requests is half of it. The real server's own requests, made while answering a client,
 * would carry the VIP as sender, and whoever hears them learns the wrong MAC: they leave with the
 * device's own address instead.
 */
#include "realserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE "bpvs_realserver"

/* One line for each device: its first address replaces the VIP, and nothing matches after that. */
static void print_senders(FILE *f)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all))
		return;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		char text[INET_ADDRSTRLEN];

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET ||
		    i->ifa_flags & (IFF_LOOPBACK | IFF_NOARP))
			continue;
		inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text,
			  sizeof(text));
		fprintf(f, "  oifname \"%s\" arp saddr ip @vips arp saddr ip set %s\n", i->ifa_name,
			text);
	}
	freeifaddrs(all);
}

static char *table_text(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fprintf(f, "table arp " TABLE " {\n set vips {\n  type ipv4_addr\n }\n"
		   " chain in {\n  type filter hook input priority 0\n"
		   "  arp operation request arp daddr ip @vips drop\n }\n"
		   " chain out {\n  type filter hook output priority 0\n");
	print_senders(f);
	fprintf(f, "  arp saddr ip @vips drop\n }\n}\n");
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

static int run_nft(const char *input)
{
	const char *const nft[] = { "nft", "-f", "-", NULL };
	char said[1024];
	int status = rs_run(nft, input, said, sizeof(said));

	if (!status)
		return 0;
	fprintf(stderr, "bpvs realserver: nft: %s\n", said);
	return -EIO;
}

static bool table_exists(void)
{
	const char *const list[] = { "nft", "list", "table", "arp", TABLE, NULL };

	return rs_run(list, NULL, NULL, 0) == 0;
}

int rs_arp_filter_set(struct rs_journal *j)
{
	char *text;
	int err;

	if (table_exists()) {
		printf("nftables arp table " TABLE " is there already\n");
		return 0;
	}
	text = table_text();
	err = text ? rs_journal_push(j, "arpfilter\t" TABLE) : -ENOMEM;
	if (!err) {
		err = run_nft(text);
		if (err)
			rs_journal_pop(j);
	}
	if (!err)
		printf("nftables arp table " TABLE " added\n");
	free(text);
	return err;
}

int rs_arp_filter_undo(char *const field[])
{
	(void)field;
	if (!table_exists()) {
		printf("nftables arp table " TABLE " is gone already\n");
		return 0;
	}
	if (run_nft("delete table arp " TABLE "\n"))
		return -EIO;
	printf("nftables arp table " TABLE " removed\n");
	return 0;
}

static int run_element(const char *verb, const char *addr, char *said, size_t size)
{
	char element[INET6_ADDRSTRLEN + 5];
	const char *const nft[] = { "nft", verb, "element", "arp", TABLE, "vips", element, NULL };

	snprintf(element, sizeof(element), "{ %s }", addr);
	return rs_run(nft, NULL, said, size);
}

int rs_arp_filter_add(struct rs_journal *j, const struct rs_addr *vip)
{
	char said[512];
	int err;

	if (!run_element("get", vip->text, NULL, 0)) {
		printf("%s is in the ARP filter already\n", vip->text);
		return 0;
	}
	err = rs_journal_push(j, "arpvip\t%s", vip->text);
	if (err)
		return err;
	if (run_element("add", vip->text, said, sizeof(said))) {
		fprintf(stderr, "bpvs realserver: nft: %s\n", said);
		rs_journal_pop(j);
		return -EIO;
	}
	printf("%s added to the ARP filter\n", vip->text);
	return 0;
}

int rs_arp_filter_vip_undo(char *const field[])
{
	if (run_element("delete", field[1], NULL, 0))
		printf("%s is not in the ARP filter any more\n", field[1]);
	else
		printf("%s removed from the ARP filter\n", field[1]);
	return 0;
}
