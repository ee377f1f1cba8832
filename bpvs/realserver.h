/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the verb `realserver` share: addresses, the journal of changes, the steps. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum { RS_MAX_VIPS = 64 };

struct rs_addr {
	int family;
	struct in6_addr in6; /* IPv4 as v4-mapped */
	char text[INET6_ADDRSTRLEN];
};

/* The end of a tunnel, numbered as ipvsadm's names of types are listed. */
struct rs_tunnel {
	enum { RS_TUNNEL_IPIP, RS_TUNNEL_GUE, RS_TUNNEL_GRE } type;
	unsigned short port; /* GUE's */
};

/* 0, or -EINVAL; v4 and v6 */
int rs_addr_parse(const char *text, struct rs_addr *ret);

/*
 * What was changed in this network namespace, oldest first, one line a change, fields separated by
 * tabs. A line is written before its change is made: if the process dies between the two, undoing
 * finds nothing changed and says so, but nothing changed goes unrecorded.
 */
struct rs_journal {
	char path[64];
	int fd; /* locked while open */
	char **line;
	size_t n;
};

int rs_journal_open(struct rs_journal *j);
int rs_journal_push(struct rs_journal *j, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void rs_journal_pop(struct rs_journal *j);
void rs_journal_close(struct rs_journal *j);

/* Run a program found in PATH without a shell: exit status, or negative errno. Its standard output
 * and error are collected in out, cut to its size, without the final newline. */
int rs_run(const char *const argv[], const char *input, char *out, size_t out_size);

/*
 * Steps. Each compares with what is there, changes it if need be, records and prints the change.
 * 0, or a negative errno after having printed the reason.
 */
int rs_sysctl_set(struct rs_journal *j, const char *key, const char *want, const char *as_good);
int rs_rp_filter_loosen(struct rs_journal *j, const char *dev);
int rs_addr_add(struct rs_journal *j, const struct rs_addr *addr, const char *dev);
int rs_link_up(struct rs_journal *j, const char *dev);
int rs_gateway_set(struct rs_journal *j, const struct rs_addr *gateway, const char *dev);
int rs_arp_filter_set(struct rs_journal *j);
int rs_arp_filter_add(struct rs_journal *j, const struct rs_addr *vip);
int rs_decap_attach(struct rs_journal *j, const char *dev);
int rs_decap_end_add(struct rs_journal *j, const char *dev, const struct rs_tunnel *t);
int rs_decap_add(struct rs_journal *j, const char *dev, const struct rs_addr *vip);

/*
 * Whether dev (on_it) or any other interface (not on_it) carries the address. The name of the one
 * found goes to ret_dev (IFNAMSIZ bytes) unless that is NULL.
 */
bool rs_addr_find(const struct rs_addr *addr, const char *dev, bool on_it, char *ret_dev);

/* Undoing one recorded change; field[0] is its kind. */
int rs_sysctl_undo(char *const field[]);
int rs_addr_undo(char *const field[]);
int rs_link_undo(char *const field[]);
int rs_route_undo(char *const field[]);
int rs_arp_filter_undo(char *const field[]);
int rs_arp_filter_vip_undo(char *const field[]);
int rs_decap_undo(char *const field[]);
int rs_decap_vip_undo(char *const field[]);
int rs_decap_end_undo(char *const field[]);

/* Prints the counters of a recorded decapsulation. */
void rs_decap_status(char *const field[]);
