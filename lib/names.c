/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of schedulers, their flags, forwarding methods, tunnels and persistence engines. */
#include <errno.h>
#include <string.h>
#include "bpvs.h"

static const char *const sched_names[] = {
#define BPVS_SCHED(id, name) [BPVS_SCHED_##id] = #name,
#include <bpvs/sched.def>
#undef BPVS_SCHED
};

const char *bpvs_sched_name(unsigned int sched)
{
	return sched < BPVS_SCHEDS ? sched_names[sched] : NULL;
}

int bpvs_sched_find(const char *name, unsigned int *ret)
{
	for (unsigned int i = 0; i < BPVS_SCHEDS; i++) {
		if (!strcmp(sched_names[i], name)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

const char *bpvs_fwd_name(unsigned int fwd)
{
	static const char *const names[] = {
		[BPVS_FWD_MASQ] = "Masq",
		[BPVS_FWD_LOCAL] = "Local",
		[BPVS_FWD_TUNNEL] = "Tunnel",
		[BPVS_FWD_DROUTE] = "Route",
	};

	return fwd < sizeof(names) / sizeof(names[0]) ? names[fwd] : NULL;
}

const char *bpvs_tunnel_name(unsigned int type)
{
	static const char *const names[] = {
		[BPVS_TUNNEL_IPIP] = "ipip",
		[BPVS_TUNNEL_GUE] = "gue",
		[BPVS_TUNNEL_GRE] = "gre",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

const char *bpvs_tunnel_checksum(unsigned int flag)
{
	static const char *const names[] = {
		[0] = "none",
		[BPVS_TUN_CSUM] = "full",
		[BPVS_TUN_REMCSUM] = "remote",
	};

	return flag < sizeof(names) / sizeof(names[0]) ? names[flag] : NULL;
}

const struct bpvs_sched_flag bpvs_sched_flags[] = {
	{ "sh-fallback", "sh", BPVS_SCHED_FALLBACK }, { "sh-port", "sh", BPVS_SCHED_PORT },
	{ "mh-fallback", "mh", BPVS_SCHED_FALLBACK }, { "mh-port", "mh", BPVS_SCHED_PORT },
	{ "flag-1", NULL, BPVS_SCHED_FALLBACK },      { "flag-2", NULL, BPVS_SCHED_PORT },
	{ "flag-3", NULL, BPVS_SCHED_FLAG_3 },	      { NULL, NULL, 0 },
};

const char *bpvs_sched_flag_name(unsigned int sched, __u32 bit)
{
	const char *name = bpvs_sched_name(sched);

	for (const struct bpvs_sched_flag *f = bpvs_sched_flags; f->name; f++)
		if (f->bit == bit && (!f->sched || (name && !strcmp(f->sched, name))))
			return f->name;
	return "";
}

static const char *const pe_names[] = { [BPVS_PE_NONE] = "", [BPVS_PE_SIP] = "sip" };

const char *bpvs_pe_name(unsigned int pe)
{
	return pe < sizeof(pe_names) / sizeof(pe_names[0]) ? pe_names[pe] : "";
}

int bpvs_pe_find(const char *name, unsigned int *ret)
{
	if (strcmp(name, pe_names[BPVS_PE_SIP]))
		return -ENOENT;
	*ret = BPVS_PE_SIP;
	return 0;
}
