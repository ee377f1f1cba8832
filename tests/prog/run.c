/* SPDX-License-Identifier: GPL-2.0-only */
/* Running the programs by hand: what bpvs-run and the hammer share. */
#include <errno.h>
#include <net/if.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "engine.h"
#include "run.h"

/*
 * Where XDP may redirect to depends on how the devices are attached, which is not what the packet
 * tests are about: declare every device of the namespace able. Done before each run, since any
 * other tool that opens the instance may describe the devices anew.
 */
void run_enable_devices(struct bpvs_instance *in)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		struct bpvs_dev *d = &in->devs[i->if_index % BPVS_DEVS];

		if (d->ifindex == i->if_index)
			d->flags |= BPVS_DEV_XDP | BPVS_DEV_REDIRECT;
	}
	if_freenameindex(all);
}

int run_xdp(struct bpvs_instance *in, unsigned int ifindex, struct run_packet *p)
{
	struct xdp_md ctx = { .data_end = p->len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->in, .data_size_in = p->len,
		    .data_out = p->out, .data_size_out = sizeof(p->out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int err = bpf_prog_test_run_opts(in->fd_xdp, &o);

	if (err)
		return err;
	p->ret = o.retval;
	p->out_len = o.data_size_out;
	return 0;
}

/*
 * The kernel takes these fields of __sk_buff and insists that the others are zero; the protocol and
 * the packet type it derives itself from the frame and the device's address. A VLAN tag stays in
 * the frame, where a real device would have moved it into the skb.
 */
static int run_skb(int fd, struct __sk_buff *ctx, struct run_packet *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->in, .data_size_in = p->len,
		    .data_out = p->out, .data_size_out = sizeof(p->out), .ctx_in = ctx,
		    .ctx_size_in = sizeof(*ctx), .repeat = 1);
	int err = bpf_prog_test_run_opts(fd, &o);

	if (err)
		return err;
	p->ret = o.retval;
	p->out_len = o.data_size_out;
	return 0;
}

int run_tc(struct bpvs_instance *in, struct __sk_buff *ctx, struct run_packet *p)
{
	return run_skb(in->fd_tc, ctx, p);
}

int run_mark_fd(struct bpvs_instance *in)
{
	int fd = bpf_prog_get_fd_by_id(bpvs_instance_anchor(in)->mark_id);

	return fd < 0 ? -errno : fd;
}

int run_mark(struct bpvs_instance *in, struct __sk_buff *ctx, struct run_packet *p)
{
	int fd = run_mark_fd(in), err = fd < 0 ? fd : run_skb(fd, ctx, p);

	if (fd >= 0)
		close(fd);
	return err;
}
