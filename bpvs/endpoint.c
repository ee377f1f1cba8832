/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, endpoints and services between text and struct; numbers only, no look-ups. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "endpoint.h"

static const struct {
	const char *name, *option;
	__u8 proto;
} protos[] = {
	{ "tcp", "-t", IPPROTO_TCP },
	{ "udp", "-u", IPPROTO_UDP },
	{ "sctp", "--sctp-service", IPPROTO_SCTP },
};

#define NUM_PROTOS (sizeof(protos) / sizeof(protos[0]))

/* ---- reading ---- */

static bool number_read(const char *text, unsigned long most, unsigned long *ret)
{
	char *end;

	*ret = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *ret > 0 && *ret <= most;
}

bool addr_read(const char *text, struct bpvs_addr *ret, __u8 *ret_af)
{
	*ret = (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), 0 } };
	*ret_af = BPVS_V4;
	if (inet_pton(AF_INET, text, &ret->w[3]) == 1)
		return true;
	*ret_af = BPVS_V6;
	return inet_pton(AF_INET6, text, ret->b) == 1;
}

/* An endpoint's address. As bytes ::ffff:10.0.0.1 is 10.0.0.1, which it does not mean. */
static bool host_read(const char *text, struct bpvs_addr *ret, __u8 *ret_af)
{
	return addr_read(text, ret, ret_af) &&
	       (*ret_af == BPVS_V4 || !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)ret->b));
}

bool endpoint_read(const char *text, struct bpvs_addr *ret, __u8 *ret_af, __be16 *ret_port)
{
	bool brackets = *text == '[';
	char host[ENDPOINT_TEXT], *end;
	unsigned long port;

	*ret_port = 0;
	if (host_read(text, ret, ret_af))
		return true;
	if (snprintf(host, sizeof(host), "%s", text + brackets) >= (int)sizeof(host))
		return false;
	end = strrchr(host, brackets ? ']' : ':');
	if (!end)
		return false;
	*end++ = '\0';
	if (!brackets || *end == ':') {
		if (!number_read(end + brackets, 65535, &port))
			return false;
		*ret_port = htons((uint16_t)port);
	} else if (*end) {
		return false;
	}
	return host_read(host, ret, ret_af) && (*ret_af == BPVS_V6) == brackets;
}

bool proto_find(const char *name, __u8 *ret)
{
	for (size_t i = 0; i < NUM_PROTOS; i++) {
		if (!strcasecmp(protos[i].name, name)) {
			*ret = protos[i].proto;
			return true;
		}
	}
	return false;
}

bool service_read(const char *text, struct bpvs_svc_key *ret)
{
	struct bpvs_svc_key key = { .af = BPVS_V4 };
	const char *colon = strchr(text, ':');
	unsigned long mark;
	char word[8];

	if (!colon ||
	    snprintf(word, sizeof(word), "%.*s", (int)(colon - text), text) >= (int)sizeof(word))
		return false;
	if (!strcmp(word, "fwmark") || !strcmp(word, "fwmark6")) {
		if (!number_read(colon + 1, UINT32_MAX, &mark))
			return false;
		key.fwmark = (__u32)mark;
		key.af = word[6] ? BPVS_V6 : BPVS_V4;
	} else if (!proto_find(word, &key.proto) ||
		   !endpoint_read(colon + 1, &key.addr, &key.af, &key.port)) {
		return false;
	}
	*ret = key;
	return true;
}

/* ---- writing ---- */

const char *addr_write(const struct bpvs_addr *addr, __u8 af, char to[ENDPOINT_TEXT])
{
	bool v6 = af == BPVS_V6;

	inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? addr->b : addr->b + 12, to, ENDPOINT_TEXT);
	return to;
}

const char *endpoint_write(const struct bpvs_addr *addr, __u8 af, __be16 port,
			   char to[ENDPOINT_TEXT])
{
	char host[ENDPOINT_TEXT];

	addr_write(addr, af, host);
	snprintf(to, ENDPOINT_TEXT, af == BPVS_V6 ? "[%.48s]:%u" : "%.48s:%u", host, ntohs(port));
	return to;
}

const char *proto_name(__u8 proto)
{
	for (size_t i = 0; i < NUM_PROTOS; i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return NULL;
}

const char *service_write(const struct bpvs_svc_key *key, char to[ENDPOINT_TEXT])
{
	char at[ENDPOINT_TEXT];
	const char *option = "?";

	if (key->fwmark) {
		snprintf(to, ENDPOINT_TEXT, "-f %u%s", key->fwmark,
			 key->af == BPVS_V6 ? " -6" : "");
		return to;
	}
	for (size_t i = 0; i < NUM_PROTOS; i++)
		if (protos[i].proto == key->proto)
			option = protos[i].option;
	endpoint_write(&key->addr, key->af, key->port, at);
	snprintf(to, ENDPOINT_TEXT, "%s %.54s", option, at);
	return to;
}
