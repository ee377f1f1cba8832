/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Endpoints of NAT destinations in the data path's map of services (BPVS_KEY_RIP), which translates
 * replies by them while the connection table is full, and answers what else comes from them
 * (nat_icmp_send): to the id of the destination, marked when a reply cannot tell whose it is, as
 * several services have it, or one that may have had the packet for another end: by a mark, or of
 * all ports. Of a mark's the protocol is 0, as it is for all.
 *
 * The keys follow from the arrays. A tool that was killed in the middle of a change may have left
 * one wrong; BPVS_TOOL_CHANGING tells the next, which makes them all anew.
 */
#include <netinet/in.h>
#include <string.h>
#include "tables.h"

static struct bpvs_svc_key endpoint(const struct bpvs_instance *in, __u32 id)
{
	const struct bpvs_dest *d = &in->dests[id];
	const struct bpvs_svc_key *svc = &in->svcs[d->svc].key;

	return (struct bpvs_svc_key){
		.addr = d->addr,
		.port = d->port ? d->port : svc->port,
		.proto = svc->proto,
		.af = d->af | BPVS_KEY_RIP,
	};
}

static bool same(const struct bpvs_svc_key *a, const struct bpvs_svc_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Do replies of the destination come back through here, from a port that is known? */
static bool answers(const struct bpvs_instance *in, __u32 id)
{
	const struct bpvs_dest *d = &in->dests[id];
	const struct bpvs_svc *svc = &in->svcs[d->svc];

	return (d->flags & BPVS_DEST_AVAILABLE) && d->fwd_set == BPVS_FWD_MASQ &&
	       (svc->flags & BPVS_SVC_IN_USE) && (d->port || svc->key.port);
}

static __u32 *chain(const struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	return &in->tables->rip_bucket[bpvs_tables_hash(key) & in->tables->dests.mask];
}

void bpvs_rip_enter(struct bpvs_instance *in, __u32 id)
{
	struct bpvs_svc_key key = endpoint(in, id);
	__u32 *head = chain(in, &key);

	in->tables->rip_next[id] = *head;
	*head = id;
}

/*
 * Bring the key of a destination's endpoint up to date. Errors are not handed on: without the key
 * all is well but for replies of a full table and for nat_icmp_send.
 */
void bpvs_rip_update(struct bpvs_instance *in, __u32 id)
{
	struct bpvs_svc_key key = endpoint(in, id);
	__u32 owner = 0;
	bool shared = false, tells = false;

	for (__u32 i = *chain(in, &key); i && !(shared && tells); i = in->tables->rip_next[i]) {
		struct bpvs_svc_key other = endpoint(in, i);
		bool one_end = in->svcs[in->dests[i].svc].key.port;

		if (!answers(in, i) || !same(&key, &other))
			continue;
		shared |= !one_end || (owner && in->dests[owner].svc != in->dests[i].svc);
		if (!owner || one_end)
			owner = i;
		tells |= one_end;
	}
	if (owner)
		bpvs_map_svc_put(in, &key, shared ? owner | BPVS_RIP_SHARED : owner);
	else
		bpvs_map_svc_del(in, &key);
}

/* Slots that are free now still say what was there. */
void bpvs_rip_repair(struct bpvs_instance *in)
{
	for (__u32 id = 1; id < bpvs_tables_dest_high(in); id++)
		if (in->dests[id].af)
			bpvs_rip_update(in, id);
}
