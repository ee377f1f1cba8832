/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Passes every packet. veth takes frames that the other end sends by XDP_TX only if it has a
 * program itself: the labs' switch ports, which face a director with XDP, carry this one.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int bpvs_lab_pass(struct xdp_md *xdp)
{
	(void)xdp;
	return XDP_PASS;
}

char bpvs_license[] SEC("license") = "GPL";
