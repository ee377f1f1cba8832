/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters and rates of the total, each service and each destination. */
#pragma once

#include <linux/types.h>

/*
 * Index into bpvs_rates, and into each CPU's set of bpvs_stats (CPU c's begins at c * (max_svc +
 * max_dest)): 0 is the total, then the services by id, then the destinations by id.
 */
#define BPVS_STATS_TOTAL	     0
#define BPVS_STATS_SVC(id)	     (id)
#define BPVS_STATS_DEST(max_svc, id) ((max_svc) + (id))

/* Bytes are those from the IP header on, as IPVS counts them. */
struct bpvs_stats {
	__u64 conns;
	__u64 inpkts;
	__u64 outpkts;
	__u64 inbytes;
	__u64 outbytes;
};

/*
 * The estimator: every 2 s, avg += (sample - avg) >> 2. Scaled as IPVS scales: conns and packets a
 * second << 10, bytes a second << 5; read as (avg + 0x1ff) >> 10 and (avg + 0xf) >> 5.
 */
struct bpvs_rate {
	struct bpvs_stats last; /* sums at the last estimate */
	__u64 cps;
	__u64 inpps;
	__u64 outpps;
	__u64 inbps;
	__u64 outbps;
	struct bpvs_stats
		zero; /* sums when the counters were last zeroed: listings subtract them */
	__u64 reserved;
};
