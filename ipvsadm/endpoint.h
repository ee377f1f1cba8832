/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and ports between text and struct. */
#pragma once

#include "bpvs.h"

struct endpoint {
	struct bpvs_addr addr;
	__be16 port;
	__u8 af;
	bool has_port;
};

/* host[:port], or [address6]:port; names are looked up. proto says whose service names. */
bool endpoint_parse(const char *text, __u8 proto, struct endpoint *ret);

/* An IPv4 address, or the name of a host that has one. */
bool host4_parse(const char *text, struct bpvs_addr *ret);

#define ENDPOINT_NUMERIC 0x1 /* no look-ups */
#define ENDPOINT_WHOLE	 0x2 /* else it is cut after 59 characters, as the original does, */
#define ENDPOINT_COLUMN	 0x4 /* and that of IPv4 after 28 in a listing of services */

/* The reverse. Static, good for one call. */
const char *endpoint_text(const struct bpvs_addr *addr, __be16 port, __u8 af, __u8 proto,
			  unsigned int how);
