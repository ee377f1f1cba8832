/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The destination lists: regions of bpvs_lists, read by the data path while they change.
 *
 * A region of 2^k entries belongs to a list of 2^(k-1)+1 to 2^k destinations, so who owns what
 * follows from the services' {off, len} words. Appending fills the entry behind the last, which no
 * reader looks at, and then stores the longer length; all else copies to a fresh region.
 */
#include <errno.h>
#include <stdlib.h>
#include "tables.h"

__u32 bpvs_list_capacity(__u32 len)
{
	__u32 cap = 1;

	if (!len)
		return 0;
	while (cap < len)
		cap *= 2;
	return cap;
}

static void entry_store(struct bpvs_list_entry *to, struct bpvs_list_entry entry)
{
	union {
		struct bpvs_list_entry entry;
		__u64 word;
	} u = { .entry = entry };

	__atomic_store_n((__u64 *)(void *)to, u.word, __ATOMIC_RELEASE);
}

static void publish(struct bpvs_svc *svc, __u32 off, __u32 len)
{
	__u64 word = len ? bpvs_list_word(off, len) : 0;

	__atomic_store_n(&svc->list, word, __ATOMIC_RELEASE);
}

/* ---- regions ---- */

int bpvs_list_scan(struct bpvs_instance *in)
{
	struct bpvs_tables *t = in->tables;
	__u32 high = in->cfg->tool_reserved[BPVS_TOOL_LIST_HIGH];
	struct bpvs_gap *used;
	__u32 num = 0;

	used = calloc(bpvs_tables_svc_high(in) + 1, sizeof(*used));
	if (!used)
		return -ENOMEM;
	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++) {
		__u64 list = in->svcs[id].list;
		__u32 cap = bpvs_list_capacity(bpvs_list_len(list));

		if (cap)
			used[num++] = (struct bpvs_gap){ bpvs_list_off(list), cap };
	}
	bpvs_gaps_set(&t->gaps, used, num, high);
	return 0;
}

/* Space for `cap` entries that no reader can hold. */
static int region_new(struct bpvs_instance *in, __u32 cap, __u32 *ret)
{
	__u32 high = in->cfg->tool_reserved[BPVS_TOOL_LIST_HIGH];
	int err;

	if (high < in->ro->max_list && cap <= in->ro->max_list - high) {
		__atomic_store_n(&in->cfg->tool_reserved[BPVS_TOOL_LIST_HIGH], high + cap,
				 __ATOMIC_RELEASE);
		*ret = high;
		return bpvs_reach(in);
	}
	if (bpvs_gaps_take(&in->tables->gaps, cap, ret))
		return 0;
	if (!in->tables->list_waiting)
		return -ENOSPC;
	err = bpvs_tables_recycle(in);
	if (err)
		return err;
	return bpvs_gaps_take(&in->tables->gaps, cap, ret) ? 0 : -ENOSPC;
}

/* ---- lists ---- */

long bpvs_list_find(const struct bpvs_instance *in, const struct bpvs_svc *svc, __u32 dest)
{
	const struct bpvs_list_entry *list = in->lists + bpvs_list_off(svc->list);
	__u32 len = bpvs_list_len(svc->list);

	for (__u32 pos = 0; pos < len; pos++)
		if (list[pos].dest == dest)
			return pos;
	return -1;
}

int bpvs_list_append(struct bpvs_instance *in, struct bpvs_svc *svc, struct bpvs_list_entry entry)
{
	__u32 off = bpvs_list_off(svc->list), len = bpvs_list_len(svc->list);

	if (len == bpvs_list_capacity(len)) {
		const struct bpvs_list_entry *old = in->lists + off;
		int err = region_new(in, len ? 2 * len : 1, &off);

		if (err)
			return err;
		for (__u32 pos = 0; pos < len; pos++)
			entry_store(&in->lists[off + pos], old[pos]);
		in->tables->list_waiting = true;
	}
	entry_store(&in->lists[off + len], entry);
	publish(svc, off, len + 1);
	return 0;
}

void bpvs_list_remove(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 pos)
{
	__u32 off = bpvs_list_off(svc->list), len = bpvs_list_len(svc->list);
	const struct bpvs_list_entry *old = in->lists + off;

	/*
	 * Without room for a copy the list is closed up in place. A reader may then miss one entry
	 * or meet one twice, which is better than a destination that cannot be removed.
	 */
	if (len > 1 && region_new(in, bpvs_list_capacity(len - 1), &off)) {
		off = bpvs_list_off(svc->list);
	} else {
		for (__u32 p = 0; p < pos; p++)
			entry_store(&in->lists[off + p], old[p]);
	}
	for (__u32 p = pos + 1; p < len; p++)
		entry_store(&in->lists[off + p - 1], old[p]);
	publish(svc, off, len - 1);
	in->tables->list_waiting = true;
}

void bpvs_list_clear(struct bpvs_instance *in, struct bpvs_svc *svc)
{
	publish(svc, 0, 0);
	if (in->tables)
		in->tables->list_waiting = true;
}

void bpvs_list_set_weight(struct bpvs_instance *in, struct bpvs_svc *svc, __u32 pos, __s32 weight)
{
	struct bpvs_list_entry *e = &in->lists[bpvs_list_off(svc->list) + pos];

	entry_store(e, (struct bpvs_list_entry){ .dest = e->dest, .weight = weight });
}
