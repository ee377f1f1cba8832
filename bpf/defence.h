/* SPDX-License-Identifier: GPL-2.0-only */
/* IPVS's defences: new connections and old entries that are dropped while memory is short. */
#pragma once

#include "maps.h"

/* drop_entry looks at one block in so many of each pass, that is each second. */
#define DROP_ENTRY_SHARE 32

/* Once a tick: set the modes and what follows from them by the memory that is free. */
int bpvs_defence(__u32 now);

/* Connections and templates in the table. */
int bpvs_conns_count(void);

/* Drop what drop_entry drops of a block of the connection table. */
int bpvs_drop_block(__u32 block, __u32 now);

/* drop_packet: of the packets that would make a connection each so-manieth goes. */
static __always_inline bool defence_drops(void)
{
	__s32 rate = READ_ONCE(bpvs_cfg.drop_rate);

	if (likely(!rate))
		return false;
	if (fetch_add(&bpvs_cfg.drop_counter, -1) > 1)
		return false;
	WRITE_ONCE(bpvs_cfg.drop_counter, rate);
	return true;
}

/* More than that there cannot be: the default, with which nothing is counted. */
#define CONN_MAX_NEVER (1 << 30)

static __always_inline bool conn_max_reached(void)
{
	__s32 max = READ_ONCE(bpvs_cfg.conn_max);

	return unlikely(max < CONN_MAX_NEVER) && bpvs_conns_count() >= max;
}
