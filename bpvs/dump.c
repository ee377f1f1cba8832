/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs dump: what runs, as a file for `bpvs apply`. All texts are names, numbers and addresses. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "apply_config.h"
#include "endpoint.h"
#include "json.h"
#include "verbs.h"

/* Quoted where YAML could take it for a number to base 60, as it does 1:2:3:4:5:6:7:8. */
static const char *address_text(const struct bpvs_addr *addr, __u8 af, char to[ENDPOINT_TEXT + 2])
{
	char text[ENDPOINT_TEXT];

	addr_write(addr, af, text);
	snprintf(to, ENDPOINT_TEXT + 2, af == BPVS_V6 ? "\"%s\"" : "%s", text);
	return to;
}

static void tunnel_dump(const struct bpvs_dest_info *d)
{
	__u8 tunnel = bpvs_dest_tunnel(d), type = tunnel & BPVS_TUNNEL_TYPE;

	if (type == BPVS_TUNNEL_IPIP)
		return;
	printf("    tunnel:\n      type: %s\n", bpvs_tunnel_name(type));
	if (type == BPVS_TUNNEL_GUE)
		printf("      port: %u\n", ntohs(d->tun_port));
	if (tunnel != type)
		printf("      checksum: %s\n", bpvs_tunnel_checksum(BPVS_TUNNEL_FLAGS(tunnel)));
}

/* Everything that is not the default: which says no less and reads more easily. */
static void dest_dump(const struct bpvs_svc_info *svc, const struct bpvs_dest_info *d)
{
	const char *fwd = bpvs_fwd_name(d->fwd);
	char text[ENDPOINT_TEXT + 2];

	printf("  - address: %s\n", address_text(&d->addr, d->af, text));
	if (d->port != svc->key.port)
		printf("    port: %u\n", ntohs(d->port));
	if (d->fwd != BPVS_FWD_DROUTE)
		printf("    forwarding: %c%s\n", *fwd | 0x20, fwd + 1);
	if (d->fwd == BPVS_FWD_TUNNEL)
		tunnel_dump(d);
	printf("    weight: %d\n", d->weight);
	if (d->u_threshold)
		printf("    upper_threshold: %u\n", d->u_threshold);
	if (d->l_threshold)
		printf("    lower_threshold: %u\n", d->l_threshold);
}

static void persistence_dump(const struct bpvs_svc_info *svc)
{
	struct in_addr mask = { svc->netmask };

	printf("  persistence:\n    timeout: %u\n", svc->timeout);
	if (svc->key.af == BPVS_V6 && svc->netmask != CONFIG_MASK6)
		printf("    prefix_length: %u\n", svc->netmask);
	if (svc->key.af == BPVS_V4 && svc->netmask != CONFIG_MASK4)
		printf("    netmask: %s\n", inet_ntoa(mask));
	if (svc->pe)
		printf("    engine: %s\n", bpvs_pe_name(svc->pe));
}

static void svc_dump(const struct bpvs_svc_info *svc)
{
	char text[ENDPOINT_TEXT + 2];

	if (svc->key.fwmark) {
		printf("- fwmark: %u\n", svc->key.fwmark);
		if (svc->key.af == BPVS_V6)
			printf("  family: inet6\n");
	} else {
		printf("- protocol: %s\n", proto_name(svc->key.proto) ?: "?");
		printf("  address: %s\n", address_text(&svc->key.addr, svc->key.af, text));
		printf("  port: %u\n", ntohs(svc->key.port));
	}
	printf("  scheduler: %s\n", bpvs_sched_name(svc->sched));
	if (svc->sched_flags) {
		printf("  scheduler_flags:\n");
		for (__u32 bit = BPVS_SCHED_FALLBACK; bit <= BPVS_SCHED_FLAG_3; bit <<= 1)
			if (svc->sched_flags & bit)
				printf("  - %s\n", bpvs_sched_flag_name(svc->sched, bit));
	}
	if (svc->flags & BPVS_SVC_PERSISTENT)
		persistence_dump(svc);
	if (svc->flags & BPVS_SVC_ONEPACKET)
		printf("  one_packet: true\n");
}

/* In the order of adding, in which apply will add them. */
static void svcs_dump(const struct bpvs_snapshot *now)
{
	printf("services:%s\n", now->num ? "" : " []");
	for (unsigned int i = 0; i < now->num; i++) {
		const struct bpvs_snapshot_row *row = &now->rows[i];

		svc_dump(&row->svc);
		if (row->num_dests)
			printf("  destinations:\n");
		for (unsigned int j = row->num_dests; j--;)
			dest_dump(&row->svc, &row->dests[j]);
	}
}

static void sysctls_dump(struct bpvs_instance *in)
{
	char value[BPVS_SYSCTL_SIZE];

	printf("sysctls:\n");
	for (const char *const *name = bpvs_sysctl_names(); *name; name++)
		if (!bpvs_sysctl_get(in, *name, value, sizeof(value)))
			printf("  %s: \"%s\"\n", *name, value);
}

static void yaml_dump(struct bpvs_instance *in, const struct bpvs_snapshot *now,
		      const struct bpvs_timeouts *t, bool sysctls)
{
	printf("timeouts:\n  tcp: %u\n  tcpfin: %u\n  udp: %u\n", t->tcp, t->tcp_fin, t->udp);
	if (sysctls)
		sysctls_dump(in);
	svcs_dump(now);
}

/* ---- JSON, which is YAML too ---- */

static struct json_object *row_make(const struct bpvs_snapshot_row *row)
{
	struct json_object *svc = bpvs_json_svc(NULL, &row->svc);
	struct json_object *dests = json_object_new_array();

	for (unsigned int i = row->num_dests; i--;)
		bpvs_json_append(dests, bpvs_json_dest(NULL, &row->dests[i]));
	bpvs_json_add(svc, "destinations", dests);
	return svc;
}

static int json_dump(struct bpvs_instance *in, const struct bpvs_snapshot *now,
		     const struct bpvs_timeouts *t, bool sysctls)
{
	struct bpvs_json_out out;

	bpvs_json_begin(&out, stdout);
	bpvs_json_put(&out, "timeouts", bpvs_json_timeouts(t));
	if (sysctls)
		bpvs_json_put(&out, "sysctls", bpvs_json_sysctls(in));
	bpvs_json_list_begin(&out, "services");
	for (unsigned int i = 0; i < now->num; i++)
		bpvs_json_put(&out, NULL, row_make(&now->rows[i]));
	bpvs_json_list_end(&out);
	return bpvs_json_end(&out);
}

static int dump(struct bpvs_instance *in, bool sysctls, bool json)
{
	struct bpvs_snapshot now;
	struct bpvs_timeouts t;
	int err = bpvs_lock(in);

	if (err)
		return err;
	err = bpvs_timeouts_get(in, &t) ?: bpvs_snapshot_read(in, NULL, false, &now);
	bpvs_unlock(in);
	if (err)
		return err;
	if (json)
		err = json_dump(in, &now, &t, sysctls);
	else
		yaml_dump(in, &now, &t, sysctls);
	bpvs_snapshot_free(&now);
	return err;
}

int cmd_dump(int argc, char **argv)
{
	bool sysctls = false, json = false;
	struct bpvs_instance *in;
	int err;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--sysctls")) {
			sysctls = true;
		} else if (!strcmp(argv[i], "--json")) {
			json = true;
		} else {
			fprintf(stderr, "Usage: bpvs dump [--sysctls] [--json]\n");
			return 2;
		}
	}
	err = bpvs_open(&in);
	if (!err) {
		err = dump(in, sysctls, json);
		bpvs_close(in);
	}
	if (!err)
		return 0;
	fprintf(stderr, "bpvs dump: %s\n", *bpvs_error() ? bpvs_error() : strerror(-err));
	return 1;
}
