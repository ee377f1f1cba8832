/* SPDX-License-Identifier: GPL-2.0-only */
/* Stands in for route.c: one address is the host's own. */
#include <linux/rtnetlink.h>
#include <string.h>
#include "fake.h"

int bpvs_route_type(const struct bpvs_addr *addr, __u8 af)
{
	struct bpvs_addr local = FAKE_LOCAL;

	if (!memcmp(addr, &local, sizeof(local)))
		return RTN_LOCAL;
	if (af == BPVS_V4 && (addr->b[12] & 0xf0) == 0xe0)
		return RTN_MULTICAST;
	return RTN_UNICAST;
}

void bpvs_route_source(const struct bpvs_addr *to, __u8 af, struct bpvs_addr *ret)
{
	(void)to;
	*ret = af == BPVS_V6 ? fake_v6(0xfe) : fake_v4(10, 0, 0, 254);
}
