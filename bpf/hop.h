/* SPDX-License-Identifier: GPL-2.0-only */
/* A next hop as one packet uses it: a consistent copy of a struct bpvs_nexthop. */
#pragma once

#include "base.h"
#include <bpvs/addr.h>

struct bpvs_hop {
	__u64 dst; /* MAC in the first six bytes; the rest is not looked at */
	__u64 src;
	__u32 ifindex; /* the route's device */
	__u32 lower;   /* where XDP sends; 0 = it cannot */
	__u16 mtu;
	__be16 vlan;
	bool resolve; /* TC: the neighbour is the kernel's to find; gateway says whom */
	__u8 gateway_af;
	struct bpvs_addr gateway;
};
