/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What IPVS does when memory is short, by the knobs drop_entry, drop_packet and secure_tcp. Each is
 * 0 off, 3 on, or automatic: 1 waits and becomes 2 when fewer pages than amemthresh are free; 2 is
 * on and becomes 1 again when there are enough.
 *
 * Free are the pages that the kernel counts as such in all zones. IPVS adds those that buffer block
 * devices; to count them one would have to walk a list that others change.
 */
#include "conn.h"
#include "defence.h"
#include <bpf/bpf_core_read.h>

/* The kernel's; only the names count, the place in vm_zone_stat is found on loading. */
enum zone_stat_item {
	NR_FREE_PAGES,
};

/* Not known counts as plenty: the automatic modes stay idle then. */
static __always_inline __s64 pages_free(void)
{
	__u64 at = bpvs_ro.zone_stat;
	__s64 pages = 0;

	if (!BPVS_MEMORY_READABLE(at) ||
	    !bpf_core_enum_value_exists(enum zone_stat_item, NR_FREE_PAGES))
		return 1LL << 32;
	at += bpf_core_enum_value(enum zone_stat_item, NR_FREE_PAGES) * sizeof(__s64);
	if (bpf_probe_read_kernel(&pages, sizeof(pages), (const void *)at))
		return 1LL << 32;
	return pages < 0 ? 0 : pages;
}

/* A mode after this look: the tools may be setting it, and then their word counts. */
static __always_inline __s32 mode_move(__s32 *knob, bool low)
{
	__s32 mode = READ_ONCE(*knob), next = mode;

	if (mode == 1 && low)
		next = 2;
	else if (mode == 2 && !low)
		next = 1;
	if (next != mode && cas32(knob, mode, next) != mode)
		next = READ_ONCE(*knob);
	return next;
}

static __always_inline void drop_packet_set(__s64 threshold, __s64 pages)
{
	__s32 mode = mode_move(&bpvs_cfg.drop_packet, pages < threshold), rate = 0;

	if (mode == 2 && pages < threshold) {
		/* The fewer are left, the more is dropped. */
		rate = (__s32)((__u64)threshold / (__u64)(threshold - pages));
		WRITE_ONCE(bpvs_cfg.drop_counter, rate);
	} else if (mode == 3) {
		rate = READ_ONCE(bpvs_cfg.am_droprate);
	}
	WRITE_ONCE(bpvs_cfg.drop_rate, rate);
}

__noinline int bpvs_defence(__u32 now)
{
	__u32 asked = READ_ONCE(bpvs_cfg.defence_asked);
	__s64 threshold, pages;

	if (likely(asked == bpvs_cfg.defence_done && (__s32)(bpvs_cfg.defence_at - now) > 0))
		return 0;
	bpvs_cfg.defence_at = now + bpvs_ro.clock_hz;
	threshold = READ_ONCE(bpvs_cfg.amemthresh);
	if (threshold < 0)
		threshold = 0;
	pages = pages_free();
	bpvs_cfg.free_pages = (__u64)pages;
	WRITE_ONCE(bpvs_cfg.drop_entry_on, mode_move(&bpvs_cfg.drop_entry, pages < threshold) > 1);
	drop_packet_set(threshold, pages);
	WRITE_ONCE(bpvs_cfg.secure_tcp_on, mode_move(&bpvs_cfg.secure_tcp, pages < threshold) > 1);
	barrier();
	WRITE_ONCE(bpvs_cfg.defence_done, asked);
	return 0;
}

/* ---- drop_entry ---- */

/* An entry is left alone for so long (s) after its last packet. */
#define DROP_IDLE 60
/* Of those that had up to so many packets one in as many goes; the others do not. */
#define DROP_PACKETS 8

/* How long the entry lives after a packet, in clock units. */
static __always_inline __u32 conn_timeout(const struct bpvs_conn *c, __u64 word)
{
	__u32 state = word_state(word);

	if (c->flags & BPVS_CONN_TEMPLATE)
		return READ_ONCE(c->timeout);
	if (c->proto == IPPROTO_UDP)
		return READ_ONCE(bpvs_cfg.udp_timeout);
	if (c->proto == IPPROTO_SCTP)
		return READ_ONCE(bpvs_cfg.sctp_timeout[state < BPVS_SCTP_STATES ? state : 0]);
	return READ_ONCE(bpvs_cfg.tcp_timeout[state < BPVS_TCP_STATES ? state : 0]);
}

/* Idle, and with few packets: does its turn come? */
static __always_inline bool drop_by_chance(const struct bpvs_conn *c, __u64 word, __u32 now)
{
	__u32 left = word_expiry(word) - now, pkts = READ_ONCE(c->pkts);
	__s8 *turn;

	if ((__s32)(conn_timeout(c, word) - left) < (__s32)(DROP_IDLE * bpvs_ro.clock_hz))
		return false;
	if (!pkts || pkts > DROP_PACKETS)
		return false;
	turn = &bpvs_cfg.drop_classes[pkts];
	*turn -= 1;
	if (*turn > 0)
		return false;
	*turn = (__s8)pkts;
	return true;
}

static __always_inline bool template_drops(const struct bpvs_conn *c, __u64 word, __u32 now)
{
	struct bpvs_dest *d = dest_get(c->dest);
	struct bpvs_svc *svc = d ? svc_get(d->svc) : NULL;

	/* No connection of a one-packet service will ever say that the template is good. */
	if (svc && (READ_ONCE(svc->flags) & BPVS_SVC_ONEPACKET))
		return drop_by_chance(c, word, now);
	return !(word_state(word) & BPVS_TEMPLATE_ASSURED);
}

static __always_inline bool half_open(__u8 proto, __u32 state)
{
	if (proto == IPPROTO_TCP)
		return state == BPVS_TCP_SYN_RECV || state == BPVS_TCP_SYNACK;
	return state == BPVS_SCTP_INIT1 || state == BPVS_SCTP_INIT;
}

static __always_inline bool conn_drops(const struct bpvs_conn *c, __u64 word, __u32 now)
{
	if (READ_ONCE(c->controls) > 0)
		return false;
	if (c->flags & BPVS_CONN_TEMPLATE)
		return template_drops(c, word, now);
	if (c->proto == IPPROTO_UDP)
		return drop_by_chance(c, word, now);
	if (half_open(c->proto, word_state(word)))
		return true;
	if (word_state(word) !=
	    (c->proto == IPPROTO_TCP ? (__u32)BPVS_TCP_ESTABLISHED : (__u32)BPVS_SCTP_ESTABLISHED))
		return false;
	return drop_by_chance(c, word, now);
}

/*
 * With the last of its connections goes what controlled them, but for a template that was assured.
 * Returns what controlled that in turn.
 */
static __always_inline __u32 drop_controller(__u32 control)
{
	__u32 idx = control - 1;
	struct bpvs_conn *t = control ? conn_slot(idx) : NULL;
	__u64 word;

	if (!t)
		return 0;
	word = READ_ONCE(t->word);
	barrier();
	control = t->control;
	if (!word_valid(word) || READ_ONCE(t->controls) > 0 ||
	    ((t->flags & BPVS_CONN_TEMPLATE) && word_state(word) & BPVS_TEMPLATE_ASSURED))
		return 0;
	return bpvs_conn_kill(idx, word) ? control : 0;
}

__noinline int bpvs_conn_drop(__u32 idx, __u32 now)
{
	struct bpvs_conn *c = conn_slot(idx);
	__u32 control;
	__u64 word;

	if (!c)
		return 0;
	word = READ_ONCE(c->word);
	barrier();
	control = c->control;
	if (!word_valid(word) || !conn_drops(c, word, now) || !bpvs_conn_kill(idx, word))
		return 0;
	count(BPVS_EV_CONN_DROPPED);
	/* Data connection, control connection, template. */
	drop_controller(drop_controller(control));
	return 1;
}

__noinline int bpvs_drop_block(__u32 block, __u32 now)
{
	__u32 i;

	for (i = 0; i < BPVS_BLOCK; i++)
		bpvs_conn_drop(block * BPVS_BLOCK + i, now);
	return 0;
}

/* ---- conn_max ---- */

struct conns_count {
	__s64 num;
};

static long count_one(__u32 cpu, void *arg)
{
	struct conns_count *sum = arg;
	__u32 at = cpu * BPVS_COUNTERS;
	__u32 new = at + BPVS_EV_CONN_NEW, ended = at + BPVS_EV_CONN_ENDED;
	__u64 *n = bpf_map_lookup_elem(&bpvs_counters, &new);
	__u64 *e = bpf_map_lookup_elem(&bpvs_counters, &ended);

	if (!n || !e)
		return 1;
	sum->num += (__s64)(READ_ONCE(*n) - READ_ONCE(*e));
	return 0;
}

/*
 * No single counter is kept, which all CPUs would write: the sums that the CPUs keep for themselves
 * are added up. Of connections that several CPUs make in the same instant one may be too many.
 */
__noinline int bpvs_conns_count(void)
{
	struct conns_count sum = {};

	bpf_loop(bpvs_ro.cpus, count_one, &sum, 0);
	return sum.num > 0x7fffffff ? 0x7fffffff : sum.num < 0 ? 0 : (int)sum.num;
}

char _license[] SEC("license") __weak = "GPL";
