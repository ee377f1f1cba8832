/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of bpvs-run share. */
#pragma once

#include <linux/bpf.h>
#include "internal.h"

#define RUN_MAX 65536

struct run_packet {
	__u32 len;
	__u32 out_len;
	int ret;
	__u8 in[RUN_MAX];
	__u8 out[RUN_MAX];
};

extern const char *const run_labels[BPVS_COUNTERS];

int run_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Bytes written, or -EINVAL. */
int run_unhex(const char *hex, __u8 *buf, size_t size);

/* Let XDP redirect to every device, whatever is attached there. */
void run_enable_devices(struct bpvs_instance *in);
/* Run a program once on p->in; fill p->ret, p->out and p->out_len. Errors are errnos, negative. */
int run_xdp(struct bpvs_instance *in, unsigned int ifindex, struct run_packet *p);
int run_tc(struct bpvs_instance *in, struct __sk_buff *ctx, struct run_packet *p);
/* The program at the ingress of bpvs0, which takes what netfilter has marked: ctx->mark. */
int run_mark(struct bpvs_instance *in, struct __sk_buff *ctx, struct run_packet *p);
/* Its descriptor, for the caller to close. */
int run_mark_fd(struct bpvs_instance *in);

void run_warm(struct bpvs_instance *in);

/* `template HEX`: remember a packet for the fuzzer. `fuzz SEED COUNT xdp|tc IFINDEX` */
int run_template(struct bpvs_instance *in, char **save);
int run_fuzz(struct bpvs_instance *in, char **save);
