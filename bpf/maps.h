/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps, once: each unit that includes this gets weak definitions, which the linker merges.
 * Sizes of 1 are set by the engine before loading. Who writes what: DESIGN.md, "Maps".
 */
#pragma once

#include "base.h"
#include <bpvs/abi_assert.h>
#include <bpvs/dest.h>
#include <bpvs/reason.h>

#define BPVS_ARRAY(map, val, flags)                                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, 1);                                                            \
		__uint(map_flags, flags);                                                          \
		__type(key, __u32);                                                                \
		__type(value, val);                                                                \
	} map SEC(".maps") __weak

BPVS_ARRAY(bpvs_conns, struct bpvs_conn, BPF_F_MMAPABLE);
BPVS_ARRAY(bpvs_conns6, struct bpvs_conn6, BPF_F_MMAPABLE);
/* By block of BPVS_BLOCK slots: when the sweep has to look there, in the clock; 0 = at once. */
BPVS_ARRAY(bpvs_due, __u32, 0);
BPVS_ARRAY(bpvs_svcs, struct bpvs_svc, BPF_F_MMAPABLE);
BPVS_ARRAY(bpvs_dests, struct bpvs_dest_chunk, BPF_F_MMAPABLE);
BPVS_ARRAY(bpvs_lists, struct bpvs_list_chunk, BPF_F_MMAPABLE);
BPVS_ARRAY(bpvs_rates, struct bpvs_rate, BPF_F_MMAPABLE);
/*
 * Counters, one set a CPU one after the other: element cpu * set + index. A plain array, because
 * look ups in it are inlined by every kernel, those in per-CPU arrays since 6.10 only; and the
 * tools read it without a system call.
 */
BPVS_ARRAY(bpvs_stats, struct bpvs_stats, BPF_F_MMAPABLE);
BPVS_ARRAY(bpvs_counters, __u64, BPF_F_MMAPABLE);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPVS_DEVS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bpvs_dev);
} bpvs_devs SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPVS_NEXTHOPS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bpvs_nexthop);
} bpvs_nexthops SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct bpvs_svc_key);
	__type(value, __u32);
} bpvs_svc_ids SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct bpvs_spill_key);
	__type(value, __u32);
} bpvs_spill SEC(".maps") __weak;

/* Call-IDs of templates: for listings only, look-ups go by their hash. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct bpvs_call);
} bpvs_calls SEC(".maps") __weak;

/* What was said on an FTP control connection (BPVS_CONN_APP). */
struct bpvs_ftp_said {
	/*
	 * Which bytes of the server's are moved by what is written in place of its address: those
	 * behind `pos` by `after`, others by `before`.
	 */
	__u32 pos;
	__s32 before;
	__s32 after;
	__u32 seq;   /* where the latest answer that was rewritten begins: it may come again */
	__u32 slot;  /* the connection, for memory of another's may become this one's ... */
	__u16 gen;   /* ... and the slot's generation */
	__u8 asked;  /* enum ftp_form: what the client asked for, and is not answered yet ... */
	__u8 answer; /* ... and what the one at `seq` is */
};

/*
 * By slot; there since the client asked for a data connection. Both directions' packets, which may
 * be on two CPUs, change some of it in place and see all of it, under the lock.
 */
struct bpvs_ftp {
	struct bpf_spin_lock lock;
	struct bpvs_ftp_said said;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct bpvs_ftp);
} bpvs_ftp SEC(".maps") __weak;

/* What lblc and lblcr remember, by place (include/bpvs/lblc.h). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPVS_LBLC_PLACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct bpvs_lblc);
} bpvs_lblc SEC(".maps") __weak;

/* The first fragment, by which the later ones are known: its ports, and where it went. */
struct frag_key {
	struct bpvs_addr saddr;
	struct bpvs_addr daddr;
	__u32 id;
	__u32 proto;
};

struct frag_first {
	__be16 sport;
	__be16 dport;
	__u32 dest; /* that it went to, if no connection says so (one-packet services); 0 = none */
	__u32 at;   /* the clock then */
	__u8 flags; /* the method then, as a connection's; a bypass has no destination */
	__u8 pad[3];
	struct bpvs_addr to; /* the destination's address, for its id may be another's by now */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct frag_key);
	__type(value, struct frag_first);
} bpvs_frags SEC(".maps") __weak;

const volatile struct bpvs_rodata bpvs_ro SEC(".rodata") __weak;
struct bpvs_config bpvs_cfg SEC(".data.cfg") __weak;
struct bpvs_filter bpvs_filter SEC(".data.filter") __weak;

static __always_inline bool filter_hit(const __u64 *bits, const struct bpvs_addr *a)
{
	__u32 bit = bpvs_filter_bit(a);

	return READ_ONCE(bits[bit / 64 & (BPVS_FILTER_BITS / 64 - 1)]) >> (bit & 63) & 1;
}

/* A counter of a reason or an event. */
static __always_inline void count(__u32 which)
{
	__u32 at = bpf_get_smp_processor_id() * BPVS_COUNTERS + which;
	__u64 *n = bpf_map_lookup_elem(&bpvs_counters, &at);

	if (n)
		*n += 1;
}

/* The clock that connections and next hops are stamped with (struct bpvs_rodata). */
static __always_inline __u32 clock_now(void)
{
	return (__u32)(bpf_jiffies64() >> bpvs_ro.clock_shift);
}

static __always_inline struct bpvs_dest_chunk *dest_chunk(__u32 i)
{
	return bpf_map_lookup_elem(&bpvs_dests, &i);
}

static __always_inline struct bpvs_list_chunk *list_chunk(__u32 i)
{
	return bpf_map_lookup_elem(&bpvs_lists, &i);
}

/*
 * By hand, and behind the check of the chunk: of the shifts that the compiler makes of the product
 * the verifier knows no good limit, and to what may be NULL it adds nothing.
 */
static __always_inline struct bpvs_dest *dest_in(struct bpvs_dest_chunk *c, __u32 id)
{
	__u64 off = id % BPVS_CHUNK_OF;

	asm volatile("%1 *= %2\n\t%0 += %1" : "+r"(c), "+r"(off) : "i"(sizeof(struct bpvs_dest)));
	return (struct bpvs_dest *)c;
}

static __always_inline struct bpvs_dest *dest_get(__u32 id)
{
	struct bpvs_dest_chunk *c = dest_chunk(id / BPVS_CHUNK_OF);

	return c ? dest_in(c, id) : NULL;
}

static __always_inline struct bpvs_svc *svc_get(__u32 id)
{
	return bpf_map_lookup_elem(&bpvs_svcs, &id);
}
