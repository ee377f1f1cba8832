/* SPDX-License-Identifier: GPL-2.0-only */
/* The stages that only TC can do; each hook's file says how (pkt_xdp.h hands up). */
#pragma once

/* No usable destination: port unreachable. */
static enum bpvs_verdict answer_no_dest(pkt_t *pkt, struct bpvs_flow *f, int *act);

/* `why` is TTL, TOO_BIG (mtu says to what) or FRAG_DROP; `from` is the answer's source. */
static enum bpvs_verdict answer_refused(pkt_t *pkt, struct bpvs_flow *f, enum bpvs_verdict why,
					const struct bpvs_addr *from, __u32 mtu, int *act);

/* ICMP: translate or pass on errors about connections, leave the rest. */
static enum bpvs_verdict icmp_related(pkt_t *pkt, struct bpvs_flow *f, __u32 now, int *act);

/* A fragment: learn the ports from the first, know them for the others. */
static enum bpvs_verdict fragment(struct bpvs_flow *f);
