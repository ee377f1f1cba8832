/* SPDX-License-Identifier: GPL-2.0-only */
/* A copy of the services and destinations, in the order of listings. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include "bpvs.h"

/*
 * ipvsadm orders by differences of 32 bits, so 200.0.0.1 comes before 10.0.0.1. Listings are
 * compared byte by byte by people's scripts, so that is kept.
 */
static int word_cmp(uint32_t a, uint32_t b)
{
	return (int)(a - b);
}

static int addr_cmp(const struct bpvs_addr *a, const struct bpvs_addr *b)
{
	int diff = 0;

	for (int i = 0; i < 4 && !diff; i++)
		diff = word_cmp(ntohl(a->w[i]), ntohl(b->w[i]));
	return diff;
}

static int row_cmp(const void *x, const void *y)
{
	const struct bpvs_svc_key *a = &((const struct bpvs_snapshot_row *)x)->svc.key;
	const struct bpvs_svc_key *b = &((const struct bpvs_snapshot_row *)y)->svc.key;

	return word_cmp(a->fwmark, b->fwmark) ?:
	       word_cmp(a->af, b->af) ?:
	       word_cmp(a->proto, b->proto) ?:
	       addr_cmp(&a->addr, &b->addr) ?:
	       word_cmp(ntohs(a->port), ntohs(b->port));
}

/* An address of either family begins with this. */
static uint32_t first_word(const struct bpvs_dest_info *d)
{
	return ntohl(d->addr.w[d->af == BPVS_V6 ? 0 : 3]);
}

/* The families of tunnels' ends may be mixed; they are not told apart. */
static int dest_cmp(const void *x, const void *y)
{
	const struct bpvs_dest_info *a = x, *b = y;
	bool v6 = a->af == BPVS_V6 && b->af == BPVS_V6;

	return (v6 ? addr_cmp(&a->addr, &b->addr) : word_cmp(first_word(a), first_word(b)))
		       ?: word_cmp(ntohs(a->port), ntohs(b->port));
}

static int row_add(const struct bpvs_svc_info *svc, void *arg)
{
	struct bpvs_snapshot *t = arg;

	/* Grows at powers of two. */
	if (!(t->num & (t->num - 1))) {
		size_t room = t->num ? 2 * (size_t)t->num : 1;
		struct bpvs_snapshot_row *rows = realloc(t->rows, room * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		t->rows = rows;
	}
	t->rows[t->num++] = (struct bpvs_snapshot_row){ .svc = *svc };
	return 0;
}

static int dest_add(const struct bpvs_dest_info *dest, void *arg)
{
	struct bpvs_snapshot_row *row = arg;

	if (!(row->num_dests & (row->num_dests - 1))) {
		size_t room = row->num_dests ? 2 * (size_t)row->num_dests : 1;
		struct bpvs_dest_info *dests = realloc(row->dests, room * sizeof(*dests));

		if (!dests)
			return -ENOMEM;
		row->dests = dests;
	}
	row->dests[row->num_dests++] = *dest;
	return 0;
}

static int row_fill(struct bpvs_instance *in, struct bpvs_snapshot_row *row, bool sorted)
{
	int err = bpvs_dest_walk(in, &row->svc.key, dest_add, row);

	if (sorted && row->num_dests)
		qsort(row->dests, row->num_dests, sizeof(*row->dests), dest_cmp);
	/* A service that went meanwhile is shown without destinations. */
	return err == -ESRCH ? 0 : err;
}

int bpvs_snapshot_read(struct bpvs_instance *in, const struct bpvs_svc_key *key, bool sorted,
		       struct bpvs_snapshot *ret)
{
	struct bpvs_snapshot t = { 0 };
	int err;

	if (key) {
		struct bpvs_svc_info svc;

		err = bpvs_svc_get(in, key, &svc) ?: row_add(&svc, &t);
	} else {
		err = bpvs_svc_walk(in, row_add, &t);
	}
	if (sorted && t.num)
		qsort(t.rows, t.num, sizeof(*t.rows), row_cmp);
	for (unsigned int i = 0; i < t.num && !err; i++)
		err = row_fill(in, &t.rows[i], sorted);
	if (err)
		bpvs_snapshot_free(&t);
	else
		*ret = t;
	return err;
}

void bpvs_snapshot_free(struct bpvs_snapshot *t)
{
	for (unsigned int i = 0; i < t->num; i++)
		free(t->rows[i].dests);
	free(t->rows);
}
