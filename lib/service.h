/* SPDX-License-Identifier: GPL-2.0-only */
/* What services and destinations need of each other. */
#pragma once

#include "tables.h"

/* Id of a service that is in use, or 0. */
__u32 bpvs_svc_lookup(const struct bpvs_instance *in, const struct bpvs_svc_key *key);

/*
 * Packets leave a destination alone from here on; its slot is kept. The list is the caller's, and
 * so is the clock, for whoever removes many.
 */
void bpvs_dest_retire(struct bpvs_instance *in, __u32 id, __u32 now);

/*
 * Have the sweep end connections (BPVS_FLUSH_*), without waiting for it: the number that
 * cfg->flush_done will have reached when it is done.
 */
__u32 bpvs_flush_ask(struct bpvs_instance *in, __u32 what);

/* Counters and rates of a slot start anew, for a new owner. */
void bpvs_stats_reset(struct bpvs_instance *in, unsigned int index);
