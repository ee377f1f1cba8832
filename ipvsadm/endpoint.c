/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and ports between text and struct, with the resolver calls that ipvsadm makes. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "endpoint.h"
#include "options.h"

static struct bpvs_addr addr_from_v4(__be32 v4)
{
	return (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), v4 } };
}

static const char *proto_name(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	}
	return NULL;
}

/* Without a protocol there are no service names. */
static bool port_parse(const char *text, __u8 proto, __be16 *ret)
{
	struct servent *service;
	long long n;

	if (number_parse(text, 0, 65535, &n)) {
		*ret = htons((uint16_t)n);
		return true;
	}
	service = proto_name(proto) ? getservbyname(text, proto_name(proto)) : NULL;
	if (!service)
		return false;
	*ret = (__be16)service->s_port;
	return true;
}

bool host4_parse(const char *text, struct bpvs_addr *ret)
{
	struct in_addr v4;
	struct hostent *host;

	if (inet_aton(text, &v4)) {
		*ret = addr_from_v4(v4.s_addr);
		return true;
	}
	host = *text ? gethostbyname(text) : NULL;
	if (!host || host->h_addrtype != AF_INET || host->h_length != sizeof(v4))
		return false;
	memcpy(&v4, host->h_addr_list[0], sizeof(v4));
	*ret = addr_from_v4(v4.s_addr);
	return true;
}

/* Brackets need a port behind them, and are taken off before anything else is looked at. */
static char *brackets_strip(char *text, char **ret_port)
{
	char *end;

	if (*text != '[')
		return text;
	end = strchr(text, ']');
	if (!end || end[1] != ':')
		return NULL;
	*end = '\0';
	*ret_port = end + 2;
	return text + 1;
}

static bool endpoint_split(char *text, __u8 proto, struct endpoint *ret)
{
	char *port = NULL, *host = brackets_strip(text, &port);
	struct in6_addr v6;

	if (!host)
		return false;
	if (inet_pton(AF_INET6, host, &v6) == 1) {
		memcpy(ret->addr.b, &v6, sizeof(v6));
		ret->af = BPVS_V6;
	} else {
		/* A port counts only behind the host itself: [10.0.0.1]:80 has none. */
		port = strrchr(host, ':');
		if (port)
			*port++ = '\0';
		/* A bare number would pass for an address; it is a port whose host was forgotten.
		 */
		else if (host[strspn(host, "0123456789")] == '\0')
			return false;
		ret->af = BPVS_V4;
		if (!host4_parse(host, &ret->addr))
			return false;
	}
	ret->has_port = port;
	return !port || port_parse(port, proto, &ret->port);
}

bool endpoint_parse(const char *text, __u8 proto, struct endpoint *ret)
{
	struct endpoint e = { 0 };
	char *copy = strdup(text);
	bool good = copy && *copy && endpoint_split(copy, proto, &e);

	free(copy);
	if (good)
		*ret = e;
	return good;
}

/* ---- the reverse ---- */

static const char *host_text(const struct bpvs_addr *addr, __u8 af, bool numeric)
{
	static char text[INET6_ADDRSTRLEN];
	int family = af == BPVS_V6 ? AF_INET6 : AF_INET;
	const void *raw = af == BPVS_V6 ? addr->b : addr->b + 12;
	struct hostent *host;

	if (!numeric) {
		host = gethostbyaddr(raw, af == BPVS_V6 ? 16 : 4, family);
		if (host)
			return host->h_name;
	}
	return inet_ntop(family, raw, text, sizeof(text)) ?: "?";
}

static const char *port_text(__be16 port, __u8 proto, bool numeric)
{
	static char text[8];
	struct servent *service = NULL;

	if (!numeric && proto_name(proto))
		service = getservbyport(port, proto_name(proto));
	if (service)
		return service->s_name;
	snprintf(text, sizeof(text), "%u", ntohs(port));
	return text;
}

const char *endpoint_text(const struct bpvs_addr *addr, __be16 port, __u8 af, __u8 proto,
			  unsigned int how)
{
	static char text[NI_MAXHOST + NI_MAXSERV];
	bool numeric = how & ENDPOINT_NUMERIC;
	const char *host = host_text(addr, af, numeric);
	size_t size = how & ENDPOINT_COLUMN && af == BPVS_V4 ? 29 : 60;

	snprintf(text, how & ENDPOINT_WHOLE ? sizeof(text) : size,
		 af == BPVS_V6 ? "[%s]:%s" : "%s:%s", host, port_text(port, proto, numeric));
	return text;
}
