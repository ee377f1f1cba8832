/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program at egress, which sees what this host itself sends (bpf/local_tc.h): on lo from the
 * first service on; on the devices served only once something may leave by them that is ours, which
 * is
 *
 *   a client's packet, to a service whose address is not this host's, or to a firewall mark's
 *   an answer, of a real server that is this host
 *
 * for it costs each packet that TC forwards a few nanoseconds. It stays until the instance goes:
 * addresses come and go without our being told.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <unistd.h>
#include "engine.h"
#include "tables.h"

enum out { OUT_NONE, OUT_LO, OUT_DEVICES };

static void out_device(struct bpvs_dev *d, __u32 id)
{
	__u32 note = BPVS_DEV_OUT;

	if (!(d->flags & BPVS_DEV_COVERED))
		return;
	/* It went with somebody who had made it before us. */
	if (bpvs_qdisc_missing((int)d->ifindex))
		note |= BPVS_DEV_QDISC;
	/* First, lest a kill leaves a filter that nobody knows of. So it does not tell of one. */
	__atomic_or_fetch(&d->flags, note, __ATOMIC_RELEASE);
	if (bpvs_tc_program((int)d->ifindex, BPF_TC_EGRESS, id))
		__atomic_and_fetch(&d->flags, ~(__u32)BPVS_DEV_OUT, __ATOMIC_RELEASE);
}

void bpvs_out_cover(struct bpvs_instance *in)
{
	__u32 id = bpvs_instance_anchor(in)->out_id;

	if (in->cfg->tool_reserved[BPVS_TOOL_OUT] < OUT_DEVICES)
		return;
	for (size_t i = 0; i < BPVS_DEVS; i++)
		if (in->devs[i].ifindex)
			out_device(&in->devs[i], id);
}

bool bpvs_out_lacks(const struct bpvs_instance *in, const struct bpvs_dev *d)
{
	__u32 have = in->cfg->tool_reserved[BPVS_TOOL_OUT];

	if (!d)
		return have == OUT_NONE && in->cfg->services4 + in->cfg->services6;
	return have == OUT_DEVICES && !(d->flags & BPVS_DEV_OUT);
}

/* What cannot be had, status tells: services are served without it. */
static void out_need(struct bpvs_instance *in, enum out need)
{
	__u32 *have = &in->cfg->tool_reserved[BPVS_TOOL_OUT];

	if (*have == OUT_NONE &&
	    bpvs_tc_program(LO_IFINDEX, BPF_TC_EGRESS, bpvs_instance_anchor(in)->out_id))
		return;
	__atomic_store_n(have, need, __ATOMIC_RELEASE);
	bpvs_out_cover(in);
}

void bpvs_out_svc(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	__u32 have = in->cfg->tool_reserved[BPVS_TOOL_OUT];

	if (have == OUT_DEVICES)
		return;
	if (key->fwmark || bpvs_route_type(&key->addr, key->af) != RTN_LOCAL)
		out_need(in, OUT_DEVICES);
	else if (have == OUT_NONE)
		out_need(in, OUT_LO);
}

void bpvs_out_dest(struct bpvs_instance *in, int type)
{
	if (type == RTN_LOCAL && in->cfg->tool_reserved[BPVS_TOOL_OUT] != OUT_DEVICES)
		out_need(in, OUT_DEVICES);
}

/* Of the destinations only those of this host need it, whichever way they have come to be. */
static bool dest_needs(const struct bpvs_dest *d)
{
	return (d->flags & BPVS_DEST_AVAILABLE) &&
	       (d->fwd == BPVS_FWD_LOCAL || d->fwd == BPVS_FWD_LOCAL_NAT);
}

void bpvs_out_repair(struct bpvs_instance *in)
{
	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++)
		if (in->svcs[id].flags & BPVS_SVC_IN_USE)
			bpvs_out_svc(in, &in->svcs[id].key);
	for (__u32 id = 1; id < bpvs_tables_dest_high(in); id++)
		if (dest_needs(&in->dests[id]))
			bpvs_out_dest(in, RTN_LOCAL);
	bpvs_out_cover(in);
}
