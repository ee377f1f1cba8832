/* SPDX-License-Identifier: GPL-2.0-only */
/* What services and destinations need of each other. */
#pragma once

#include "tables.h"

/* Id of a service that is in use, or 0. */
__u32 bpvs_svc_lookup(const struct bpvs_instance *in, const struct bpvs_svc_key *key);

/* Packets leave a destination alone from here on; its slot is kept. The list is the caller's. */
void bpvs_dest_retire(struct bpvs_instance *in, __u32 id);

/* Counters and rates of a slot start anew, for a new owner. */
void bpvs_stats_reset(struct bpvs_instance *in, unsigned int index);
