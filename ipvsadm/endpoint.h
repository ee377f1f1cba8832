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

/* The reverse; numeric: no look-ups. Static, good for one call. */
const char *endpoint_text(const struct bpvs_addr *addr, __be16 port, __u8 af, __u8 proto,
			  bool numeric);
