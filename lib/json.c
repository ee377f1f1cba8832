/* SPDX-License-Identifier: GPL-2.0-only */
/* Services, destinations, connections and counters as objects of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include "json.h"

static bool no_memory; /* something could not be made since bpvs_json_begin() */

/* ---- values ---- */

static struct json_object *make_text(const char *s)
{
	return json_object_new_string(s);
}

static struct json_object *make_number(__u64 n)
{
	return json_object_new_uint64(n);
}

static struct json_object *make_address(const struct bpvs_addr *addr, __u8 af)
{
	char text[INET6_ADDRSTRLEN];
	bool v6 = af == BPVS_V6;

	inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? addr->b : addr->b + 12, text, sizeof(text));
	return make_text(text);
}

static struct json_object *make_family(__u8 af)
{
	return make_text(af == BPVS_V6 ? "inet6" : "inet");
}

static struct json_object *make_protocol(__u8 proto)
{
	return make_text(proto == IPPROTO_TCP	 ? "TCP"
			 : proto == IPPROTO_UDP	 ? "UDP"
			 : proto == IPPROTO_SCTP ? "SCTP"
						 : "IP");
}

/* What came in a packet may be no UTF-8: each byte is the character of its number. */
static struct json_object *make_foreign(const char *s)
{
	char text[2 * 255 + 1];
	size_t n = 0;

	for (; *s && n < sizeof(text) - 2; s++) {
		unsigned char c = (unsigned char)*s;

		if (c & 0x80)
			text[n++] = (char)(0xc0 | c >> 6);
		text[n++] = (char)(c & 0x80 ? 0x80 | (c & 0x3f) : c);
	}
	text[n] = '\0';
	return make_text(text);
}

void bpvs_json_add(struct json_object *to, const char *name, struct json_object *value)
{
	const unsigned int how = JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY;

	if (to && value && !json_object_object_add_ex(to, name, value, how))
		return;
	json_object_put(value);
	no_memory = true;
}

void bpvs_json_append(struct json_object *to, struct json_object *value)
{
	if (to && value && !json_object_array_add(to, value))
		return;
	json_object_put(value);
	no_memory = true;
}

/* ---- the things ---- */

struct json_object *bpvs_json_stats(const struct bpvs_stats *s)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "connections", make_number(s->conns));
	bpvs_json_add(o, "packets_in", make_number(s->inpkts));
	bpvs_json_add(o, "packets_out", make_number(s->outpkts));
	bpvs_json_add(o, "bytes_in", make_number(s->inbytes));
	bpvs_json_add(o, "bytes_out", make_number(s->outbytes));
	return o;
}

static void add_counters(struct json_object *to, struct bpvs_instance *in, unsigned int index)
{
	struct bpvs_stats_info info = { 0 };

	bpvs_stats_get(in, index, &info);
	bpvs_json_add(to, "statistics", bpvs_json_stats(&info.total));
	bpvs_json_add(to, "rates", bpvs_json_stats(&info.rate));
}

struct json_object *bpvs_json_counters(struct bpvs_instance *in, unsigned int index)
{
	struct json_object *o = json_object_new_object();

	add_counters(o, in, index);
	return o;
}

struct json_object *bpvs_json_timeouts(const struct bpvs_timeouts *t)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "tcp", make_number(t->tcp));
	bpvs_json_add(o, "tcpfin", make_number(t->tcp_fin));
	bpvs_json_add(o, "udp", make_number(t->udp));
	return o;
}

struct json_object *bpvs_json_sysctls(struct bpvs_instance *in)
{
	struct json_object *o = json_object_new_object();
	char value[BPVS_SYSCTL_SIZE];

	for (const char *const *name = bpvs_sysctl_names(); *name; name++)
		if (!bpvs_sysctl_get(in, *name, value, sizeof(value)))
			bpvs_json_add(o, *name, make_text(value));
	return o;
}

static struct json_object *make_sched_flags(const struct bpvs_svc_info *svc)
{
	struct json_object *o = json_object_new_array();

	for (__u32 bit = BPVS_SCHED_FALLBACK; bit <= BPVS_SCHED_FLAG_3; bit <<= 1)
		if (svc->sched_flags & bit)
			bpvs_json_append(o, make_text(bpvs_sched_flag_name(svc->sched, bit)));
	return o;
}

static struct json_object *make_persistence(const struct bpvs_svc_info *svc)
{
	struct json_object *o = json_object_new_object();
	char mask[INET_ADDRSTRLEN];

	bpvs_json_add(o, "timeout", make_number(svc->timeout));
	if (svc->key.af == BPVS_V6) {
		bpvs_json_add(o, "prefix_length", make_number(svc->netmask));
	} else {
		inet_ntop(AF_INET, &svc->netmask, mask, sizeof(mask));
		bpvs_json_add(o, "netmask", make_text(mask));
	}
	if (svc->pe)
		bpvs_json_add(o, "engine", make_text(bpvs_pe_name(svc->pe)));
	return o;
}

struct json_object *bpvs_json_svc(struct bpvs_instance *in, const struct bpvs_svc_info *svc)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "family", make_family(svc->key.af));
	if (svc->key.fwmark) {
		bpvs_json_add(o, "fwmark", make_number(svc->key.fwmark));
	} else {
		bpvs_json_add(o, "protocol", make_protocol(svc->key.proto));
		bpvs_json_add(o, "address", make_address(&svc->key.addr, svc->key.af));
		bpvs_json_add(o, "port", make_number(ntohs(svc->key.port)));
	}
	bpvs_json_add(o, "scheduler", make_text(bpvs_sched_name(svc->sched)));
	bpvs_json_add(o, "scheduler_flags", make_sched_flags(svc));
	if (svc->flags & BPVS_SVC_PERSISTENT)
		bpvs_json_add(o, "persistence", make_persistence(svc));
	bpvs_json_add(o, "one_packet",
		      json_object_new_boolean(!!(svc->flags & BPVS_SVC_ONEPACKET)));
	if (in)
		add_counters(o, in, bpvs_stats_svc(in, svc->id));
	return o;
}

static struct json_object *make_tunnel(const struct bpvs_dest_info *d)
{
	struct json_object *o = json_object_new_object();
	__u8 tunnel = bpvs_dest_tunnel(d), type = tunnel & BPVS_TUNNEL_TYPE;

	bpvs_json_add(o, "type", make_text(bpvs_tunnel_name(type)));
	if (type == BPVS_TUNNEL_GUE)
		bpvs_json_add(o, "port", make_number(ntohs(d->tun_port)));
	if (type != BPVS_TUNNEL_IPIP)
		bpvs_json_add(o, "checksum",
			      make_text(bpvs_tunnel_checksum(BPVS_TUNNEL_FLAGS(tunnel))));
	return o;
}

struct json_object *bpvs_json_dest(struct bpvs_instance *in, const struct bpvs_dest_info *d)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "family", make_family(d->af));
	bpvs_json_add(o, "address", make_address(&d->addr, d->af));
	bpvs_json_add(o, "port", make_number(ntohs(d->port)));
	bpvs_json_add(o, "forwarding", make_text(bpvs_fwd_name(d->fwd)));
	if (d->fwd == BPVS_FWD_TUNNEL)
		bpvs_json_add(o, "tunnel", make_tunnel(d));
	bpvs_json_add(o, "weight", json_object_new_int(d->weight));
	bpvs_json_add(o, "upper_threshold", make_number(d->u_threshold));
	bpvs_json_add(o, "lower_threshold", make_number(d->l_threshold));
	if (!in)
		return o;
	bpvs_json_add(o, "active_connections", make_number(d->active));
	bpvs_json_add(o, "inactive_connections", make_number(d->inactive));
	bpvs_json_add(o, "persistent_connections", make_number(d->persistent));
	add_counters(o, in, bpvs_stats_dest(in, d->id));
	return o;
}

static struct json_object *make_endpoint(const struct bpvs_addr *addr, __be16 port, __u8 af)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "address", make_address(addr, af));
	bpvs_json_add(o, "port", make_number(ntohs(port)));
	return o;
}

/* A template of a service by mark has the mark for its address. */
static struct json_object *make_virtual(const struct bpvs_conn_info *c)
{
	struct json_object *o;

	if (!c->template || c->proto != IPPROTO_IP)
		return make_endpoint(&c->vaddr, c->vport, c->af);
	o = json_object_new_object();
	bpvs_json_add(o, "fwmark", make_number(ntohl(c->vaddr.w[c->af == BPVS_V6 ? 0 : 3])));
	return o;
}

struct json_object *bpvs_json_conn(const struct bpvs_conn_info *c)
{
	struct json_object *o = json_object_new_object();

	bpvs_json_add(o, "family", make_family(c->af));
	bpvs_json_add(o, "protocol", make_protocol(c->proto));
	bpvs_json_add(o, "template", json_object_new_boolean(c->template));
	bpvs_json_add(o, "state", make_text(bpvs_conn_state(c)));
	bpvs_json_add(o, "expires_ms", make_number(c->expires_ms));
	bpvs_json_add(o, "client", make_endpoint(&c->caddr, c->cport, c->af));
	bpvs_json_add(o, "virtual", make_virtual(c));
	bpvs_json_add(o, "destination", make_endpoint(&c->daddr, c->dport, c->daf));
	if (c->call) {
		bpvs_json_add(o, "engine", make_text(bpvs_pe_name(BPVS_PE_SIP)));
		bpvs_json_add(o, "engine_data", make_foreign(c->call));
	}
	return o;
}

/* ---- writing ---- */

/* What stands before a value, or before the bracket of a list. */
static void lead(struct bpvs_json_out *out, const char *name)
{
	fprintf(out->file, "%s\n%s", out->first ? "" : ",", out->list ? "  " : " ");
	if (name)
		fprintf(out->file, "\"%s\": ", name);
	out->first = false;
}

void bpvs_json_begin(struct bpvs_json_out *out, FILE *file)
{
	*out = (struct bpvs_json_out){ .file = file, .first = true };
	no_memory = false;
	fputc('{', file);
}

int bpvs_json_end(struct bpvs_json_out *out)
{
	fputs("\n}\n", out->file);
	return no_memory ? -ENOMEM : 0;
}

void bpvs_json_list_begin(struct bpvs_json_out *out, const char *name)
{
	lead(out, name);
	fputc('[', out->file);
	out->list = out->first = true;
}

void bpvs_json_list_end(struct bpvs_json_out *out)
{
	fputs(out->first ? "]" : "\n ]", out->file);
	out->list = out->first = false;
}

void bpvs_json_put(struct bpvs_json_out *out, const char *name, struct json_object *value)
{
	const int how = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *s = value ? json_object_to_json_string_ext(value, how) : NULL;

	if (s) {
		lead(out, name);
		fputs(s, out->file);
	} else {
		no_memory = true;
	}
	json_object_put(value);
}
