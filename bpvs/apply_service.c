/* SPDX-License-Identifier: GPL-2.0-only */
/* A service and its destinations from YAML, with ipvsadm's defaults and limits. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "apply_config.h"
#include "endpoint.h"

/* ---- what both have ---- */

static bool family_read(struct doc *y, yaml_node_t *node, __u8 *ret)
{
	const char *text;

	if (!doc_text(y, node, "expected inet or inet6", &text))
		return false;
	if (!strcmp(text, "inet") || !strcmp(text, "inet6")) {
		*ret = text[4] ? BPVS_V6 : BPVS_V4;
		return true;
	}
	doc_complain_of(y, node, "expected inet or inet6");
	return false;
}

/* An address tells its family; if that is said too, it must agree. */
static bool address_read(struct doc *y, yaml_node_t *node, yaml_node_t *family,
			 struct bpvs_addr *ret, __u8 *ret_af)
{
	const char *text;
	__u8 af;

	if (!doc_text(y, node, "expected an address", &text))
		return false;
	if (!addr_read(text, ret, ret_af)) {
		doc_complain_of(y, node, "expected an IPv4 or IPv6 address");
		return false;
	}
	if (!family)
		return true;
	if (!family_read(y, family, &af))
		return false;
	if (af != *ret_af)
		doc_complain_of(y, family, "the address is of the other family");
	return af == *ret_af;
}

static bool port_read(struct doc *y, yaml_node_t *node, __be16 *ret)
{
	unsigned long long n;

	if (!doc_number(y, node, 0, 65535, &n))
		return false;
	*ret = htons((uint16_t)n);
	return true;
}

static bool u32_read(struct doc *y, yaml_node_t *node, unsigned int min, unsigned int max,
		     __u32 *ret)
{
	unsigned long long n;

	if (!node)
		return true;
	if (!doc_number(y, node, min, max, &n))
		return false;
	*ret = (__u32)n;
	return true;
}

/* ---- destinations ---- */

enum { D_ADDRESS, D_PORT, D_FAMILY, D_FORWARDING, D_TUNNEL, D_WEIGHT, D_UPPER, D_LOWER, D_NUM };

static const char *const dest_names[] = { "address", "port",   "family",	  "forwarding",
					  "tunnel",  "weight", "upper_threshold", "lower_threshold",
					  NULL };

static bool forwarding_read(struct doc *y, yaml_node_t *node, __u8 *ret)
{
	static const char what[] = "expected route, tunnel, masq or local";
	const char *text;

	if (!doc_text(y, node, what, &text))
		return false;
	for (unsigned int fwd = 0; bpvs_fwd_name(fwd); fwd++) {
		if (!strcasecmp(bpvs_fwd_name(fwd), text)) {
			*ret = (__u8)fwd;
			return true;
		}
	}
	doc_complain_of(y, node, what);
	return false;
}

enum { T_TYPE, T_PORT, T_CHECKSUM, T_NUM };

static const char *const tunnel_names[] = { "type", "port", "checksum", NULL };

static bool tunnel_type_read(struct doc *y, yaml_node_t *node, __u8 *ret)
{
	static const char what[] = "expected ipip, gue or gre";
	const char *text;

	if (!node)
		return true;
	if (!doc_text(y, node, what, &text))
		return false;
	for (unsigned int type = 0; bpvs_tunnel_name(type); type++) {
		if (!strcmp(bpvs_tunnel_name(type), text)) {
			*ret = (__u8)type;
			return true;
		}
	}
	doc_complain_of(y, node, what);
	return false;
}

static bool tunnel_port_read(struct doc *y, yaml_node_t *node, yaml_node_t *tunnel,
			     struct bpvs_dest_info *d)
{
	unsigned long long port;

	if (!node && d->tun_type == BPVS_TUNNEL_GUE)
		doc_complain(y, doc_place(tunnel), "a tunnel of type gue needs a port");
	if (!node)
		return d->tun_type != BPVS_TUNNEL_GUE;
	if (d->tun_type != BPVS_TUNNEL_GUE) {
		doc_complain(y, doc_place(node), "only with type: gue");
		return false;
	}
	if (!doc_number(y, node, 1, 65535, &port))
		return false;
	d->tun_port = htons((uint16_t)port);
	return true;
}

/* As ipvsadm takes them: none for ipip, not even "none", and no remote one for gre. */
static bool tunnel_checksum_read(struct doc *y, yaml_node_t *node, struct bpvs_dest_info *d)
{
	bool gue = d->tun_type == BPVS_TUNNEL_GUE;
	const char *what = gue ? "expected none, full or remote" : "expected none or full";
	const char *text;

	if (!node)
		return true;
	if (d->tun_type == BPVS_TUNNEL_IPIP) {
		doc_complain(y, doc_place(node), "only with type: gue or gre");
		return false;
	}
	if (!doc_text(y, node, what, &text))
		return false;
	for (__u16 flag = 0; flag <= (gue ? BPVS_TUN_REMCSUM : BPVS_TUN_CSUM); flag++) {
		if (!strcmp(bpvs_tunnel_checksum(flag), text)) {
			d->tun_flags = flag;
			return true;
		}
	}
	doc_complain_of(y, node, what);
	return false;
}

static bool tunnel_read(struct doc *y, yaml_node_t *node, struct bpvs_dest_info *d)
{
	yaml_node_t *f[T_NUM];

	if (d->fwd != BPVS_FWD_TUNNEL) {
		doc_complain(y, doc_place(node), "only with forwarding: tunnel");
		return false;
	}
	return doc_fields(y, node, tunnel_names, f) &&
	       tunnel_type_read(y, f[T_TYPE], &d->tun_type) &&
	       tunnel_port_read(y, f[T_PORT], node, d) && tunnel_checksum_read(y, f[T_CHECKSUM], d);
}

/* ipvsadm gives a destination that is not NAT's the service's port, whatever was said. */
static bool dest_port_read(struct doc *y, yaml_node_t *node, const struct bpvs_svc_key *key,
			   struct bpvs_dest_info *d)
{
	d->port = key->port;
	if (!node)
		return true;
	if (!port_read(y, node, &d->port))
		return false;
	if (d->port == key->port || d->fwd == BPVS_FWD_MASQ || key->fwmark)
		return true;
	doc_complain(y, doc_place(node),
		     "another port than the service's only with forwarding: masq");
	return false;
}

static bool dest_numbers_read(struct doc *y, yaml_node_t **f, struct bpvs_dest_info *d)
{
	__u32 weight = 1;

	if (!u32_read(y, f[D_WEIGHT], 0, INT_MAX, &weight) ||
	    !u32_read(y, f[D_UPPER], 0, INT_MAX, &d->u_threshold) ||
	    !u32_read(y, f[D_LOWER], 0, INT_MAX, &d->l_threshold))
		return false;
	d->weight = (__s32)weight;
	if (d->l_threshold <= d->u_threshold)
		return true;
	doc_complain(y, doc_place(f[D_LOWER]), "lower_threshold is above upper_threshold");
	return false;
}

static bool dest_read(struct doc *y, yaml_node_t *node, const struct bpvs_svc_key *key,
		      struct config_dest *ret)
{
	struct bpvs_dest_info *d = &ret->info;
	yaml_node_t *f[D_NUM];

	*ret = (struct config_dest){ .info.fwd = BPVS_FWD_DROUTE, .at = doc_place(node) };
	if (!doc_fields(y, node, dest_names, f))
		return false;
	if (!f[D_ADDRESS]) {
		doc_complain(y, ret->at, "a destination needs an address");
		return false;
	}
	if (!address_read(y, f[D_ADDRESS], f[D_FAMILY], &d->addr, &d->af) ||
	    (f[D_FORWARDING] && !forwarding_read(y, f[D_FORWARDING], &d->fwd)) ||
	    (f[D_TUNNEL] && !tunnel_read(y, f[D_TUNNEL], d)) ||
	    !dest_port_read(y, f[D_PORT], key, d) || !dest_numbers_read(y, f, d))
		return false;
	if (d->af == key->af || d->fwd == BPVS_FWD_TUNNEL)
		return true;
	doc_complain_of(y, f[D_ADDRESS], "another address family only with forwarding: tunnel");
	return false;
}

static bool dests_read(struct doc *y, yaml_node_t *node, struct config_svc *svc)
{
	long num = doc_items(y, node);

	if (num < 0)
		return false;
	if (num > BPVS_LIST_MAX) {
		doc_complain(y, doc_place(node), "%ld destinations; a service takes %d", num,
			     BPVS_LIST_MAX);
		return false;
	}
	svc->dests = calloc((size_t)num + 1, sizeof(*svc->dests));
	if (!svc->dests) {
		doc_complain(y, doc_place(node), "%s", strerror(ENOMEM));
		return false;
	}
	for (long i = 0; i < num; i++)
		if (dest_read(y, doc_item(y, node, i), &svc->info.key, &svc->dests[svc->num_dests]))
			svc->num_dests++;
	return true;
}

/* ---- services ---- */

enum {
	S_PROTOCOL,
	S_ADDRESS,
	S_PORT,
	S_FWMARK,
	S_FAMILY,
	S_SCHEDULER,
	S_FLAGS,
	S_PERSISTENCE,
	S_ONE_PACKET,
	S_DESTINATIONS,
	S_NUM
};

static const char *const svc_names[] = {
	"protocol",	   "address",	  "port",	"fwmark",	"family", "scheduler",
	"scheduler_flags", "persistence", "one_packet", "destinations", NULL,
};

static bool fwmark_read(struct doc *y, yaml_node_t **f, struct bpvs_svc_key *key)
{
	yaml_node_t *other = f[S_PROTOCOL] ?: f[S_ADDRESS] ?: f[S_PORT];

	if (other) {
		doc_complain_of(y, other, "a service by fwmark has no protocol, address or port");
		return false;
	}
	key->af = BPVS_V4;
	return u32_read(y, f[S_FWMARK], 1, UINT_MAX, &key->fwmark) &&
	       (!f[S_FAMILY] || family_read(y, f[S_FAMILY], &key->af));
}

static bool key_read(struct doc *y, yaml_node_t *node, yaml_node_t **f, struct bpvs_svc_key *key)
{
	static const char what[] = "expected tcp, udp or sctp";
	const char *text;

	if (f[S_FWMARK])
		return fwmark_read(y, f, key);
	if (!f[S_PROTOCOL] || !f[S_ADDRESS]) {
		doc_complain(y, doc_place(node), "a service needs protocol and address, or fwmark");
		return false;
	}
	if (!doc_text(y, f[S_PROTOCOL], what, &text))
		return false;
	if (!proto_find(text, &key->proto)) {
		doc_complain_of(y, f[S_PROTOCOL], what);
		return false;
	}
	return address_read(y, f[S_ADDRESS], f[S_FAMILY], &key->addr, &key->af) &&
	       (!f[S_PORT] || port_read(y, f[S_PORT], &key->port));
}

static bool scheduler_read(struct doc *y, yaml_node_t *node, __u32 *ret)
{
	const char *text = "wlc";

	if (node && !doc_text(y, node, "expected a scheduler", &text))
		return false;
	if (!bpvs_sched_find(text, ret))
		return true;
	doc_complain_of(y, node, "no such scheduler");
	return false;
}

static bool flag_read(struct doc *y, yaml_node_t *node, struct bpvs_svc_info *svc)
{
	const char *sched = bpvs_sched_name(svc->sched), *text;

	if (!doc_text(y, node, "expected a scheduler flag", &text))
		return false;
	for (const struct bpvs_sched_flag *flag = bpvs_sched_flags; flag->name; flag++) {
		if (strcmp(flag->name, text))
			continue;
		if (flag->sched && strcmp(flag->sched, sched)) {
			doc_complain_of(y, node, "not a flag of this scheduler");
			return false;
		}
		svc->sched_flags |= flag->bit;
		return true;
	}
	doc_complain_of(y, node, "no such scheduler flag");
	return false;
}

static bool flags_read(struct doc *y, yaml_node_t *node, struct bpvs_svc_info *svc)
{
	long num = node ? doc_items(y, node) : 0;

	for (long i = 0; i < num; i++)
		if (!flag_read(y, doc_item(y, node, i), svc))
			return false;
	return num >= 0;
}

enum { P_TIMEOUT, P_NETMASK, P_PREFIX, P_ENGINE, P_NUM };

static const char *const persistence_names[] = { "timeout", "netmask", "prefix_length", "engine",
						 NULL };

static bool mask_read(struct doc *y, yaml_node_t **f, struct bpvs_svc_info *svc)
{
	bool v6 = svc->key.af == BPVS_V6;
	yaml_node_t *wrong = f[v6 ? P_NETMASK : P_PREFIX];
	struct in_addr mask;
	const char *text;

	if (wrong) {
		doc_complain(y, doc_place(wrong), "%s",
			     v6 ? "IPv6 has prefix_length, no netmask"
				: "IPv4 has netmask, no prefix_length");
		return false;
	}
	if (v6)
		return u32_read(y, f[P_PREFIX], 1, 128, &svc->netmask);
	if (!f[P_NETMASK])
		return true;
	if (!doc_text(y, f[P_NETMASK], "expected a netmask", &text))
		return false;
	if (inet_pton(AF_INET, text, &mask) != 1) {
		doc_complain_of(y, f[P_NETMASK], "expected a netmask like 255.255.255.0");
		return false;
	}
	svc->netmask = mask.s_addr;
	return true;
}

static bool persistence_read(struct doc *y, yaml_node_t *node, struct bpvs_svc_info *svc)
{
	yaml_node_t *f[P_NUM];
	const char *text;

	svc->netmask = svc->key.af == BPVS_V6 ? CONFIG_MASK6 : CONFIG_MASK4;
	if (!node)
		return true;
	svc->flags |= BPVS_SVC_PERSISTENT;
	svc->timeout = CONFIG_PERSISTENCE;
	if (!doc_fields(y, node, persistence_names, f) ||
	    !u32_read(y, f[P_TIMEOUT], 1, CONFIG_SECONDS_MAX, &svc->timeout) ||
	    !mask_read(y, f, svc))
		return false;
	if (!f[P_ENGINE])
		return true;
	if (!doc_text(y, f[P_ENGINE], "expected a persistence engine", &text))
		return false;
	if (!bpvs_pe_find(text, &svc->pe))
		return true;
	doc_complain_of(y, f[P_ENGINE], "no such persistence engine");
	return false;
}

static bool one_packet_read(struct doc *y, yaml_node_t *node, struct bpvs_svc_info *svc)
{
	bool on = false;

	if (node && !doc_bool(y, node, &on))
		return false;
	if (on)
		svc->flags |= BPVS_SVC_ONEPACKET;
	if (!on || svc->key.fwmark || svc->key.proto == IPPROTO_UDP)
		return true;
	doc_complain(y, doc_place(node), "one_packet is for UDP and fwmark only");
	return false;
}

static bool zero_port_check(struct doc *y, yaml_node_t *port, const struct config_svc *svc)
{
	if (svc->info.key.fwmark || svc->info.key.port || svc->info.flags & BPVS_SVC_PERSISTENT)
		return true;
	doc_complain(y, port ? doc_place(port) : svc->at,
		     "a service without port needs persistence");
	return false;
}

bool config_svc_read(struct doc *y, yaml_node_t *node, struct config_svc *ret)
{
	struct bpvs_svc_info *svc = &ret->info;
	yaml_node_t *f[S_NUM];

	*ret = (struct config_svc){ .at = doc_place(node) };
	if (!doc_fields(y, node, svc_names, f) || !key_read(y, node, f, &svc->key) ||
	    !scheduler_read(y, f[S_SCHEDULER], &svc->sched) || !flags_read(y, f[S_FLAGS], svc) ||
	    !persistence_read(y, f[S_PERSISTENCE], svc) ||
	    !one_packet_read(y, f[S_ONE_PACKET], svc) || !zero_port_check(y, f[S_PORT], ret))
		return false;
	return !f[S_DESTINATIONS] || dests_read(y, f[S_DESTINATIONS], ret);
}
