/* SPDX-License-Identifier: GPL-2.0-only */
/* An address of either family, as the data path and the tools exchange it. */
#pragma once

#include <linux/types.h>

/*
 * 16 bytes in network order. An IPv4 address is IPv4-mapped (::ffff:a.b.c.d), so w[3] holds it and
 * the other words are fixed: two addresses are equal when their bytes are.
 */
struct bpvs_addr {
	union {
		__u8 b[16];
		__be32 w[4];
		__u64 d[2];
	};
};

enum bpvs_family {
	BPVS_V4 = 4,
	BPVS_V6 = 6,
};
