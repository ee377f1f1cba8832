/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, endpoints and services between text and struct; numbers only, no look-ups. */
#pragma once

#include "bpvs.h"

/* Room for the longest of the texts below. */
#define ENDPOINT_TEXT 72

bool addr_read(const char *text, struct bpvs_addr *ret, __u8 *ret_af);
/*
 * 10.0.0.1, 10.0.0.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80; the port is 0 where none is
 * said.
 */
bool endpoint_read(const char *text, struct bpvs_addr *ret, __u8 *ret_af, __be16 *ret_port);
/* tcp:10.0.0.1:80, udp:[2001:db8::1]:53, sctp:..., fwmark:5, fwmark6:5 */
bool service_read(const char *text, struct bpvs_svc_key *ret);

/* The reverse; in brackets where a port could follow. Into `to`, which is returned. */
const char *addr_write(const struct bpvs_addr *addr, __u8 af, char to[ENDPOINT_TEXT]);
const char *endpoint_write(const struct bpvs_addr *addr, __u8 af, __be16 port,
			   char to[ENDPOINT_TEXT]);
/* ipvsadm's words: "-t 10.0.0.1:80", "-f 5 -6". */
const char *service_write(const struct bpvs_svc_key *key, char to[ENDPOINT_TEXT]);
/* "tcp"; NULL if it is none of those that are balanced. */
const char *proto_name(__u8 proto);
bool proto_find(const char *name, __u8 *ret);
