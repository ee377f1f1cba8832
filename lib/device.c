/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Our programs on the namespace's devices. TC ingress sits on every Ethernet device that receives
 * for this host; XDP in front of it where the mode says so. A bridge's or bond's ports are left to
 * the bridge or bond.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if.h>
#include <linux/pkt_sched.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mark.h"

static struct bpf_tc_hook *tc_hook(struct bpf_tc_hook *h, int ifindex)
{
	memset(h, 0, sizeof(*h));
	h->sz = sizeof(*h);
	h->ifindex = ifindex;
	h->attach_point = BPF_TC_INGRESS;
	return h;
}

int bpvs_tc_put(int ifindex, int fd, bool *ret_made_qdisc)
{
	struct bpf_tc_hook hook;
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, o, .handle = BPVS_TC_HANDLE, .priority = BPVS_TC_PRIORITY,
			    .prog_fd = fd, .flags = BPF_TC_F_REPLACE);
	int err = bpf_tc_hook_create(tc_hook(&hook, ifindex));

	*ret_made_qdisc = !err;
	if (err && err != -EEXIST)
		return err;
	return bpf_tc_attach(&hook, &o);
}

int bpvs_tc_program(int ifindex, enum bpf_tc_attach_point at, __u32 id)
{
	struct bpf_tc_hook hook = { .sz = sizeof(hook), .ifindex = ifindex, .attach_point = at };
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, o, .handle = BPVS_TC_HANDLE, .priority = BPVS_TC_PRIORITY);
	int fd, err;

	if (!bpf_tc_query(&hook, &o) && o.prog_id == id)
		return 0;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	err = bpf_tc_hook_create(&hook);
	if (!err || err == -EEXIST) {
		o.prog_fd = fd;
		o.prog_id = 0;
		o.flags = BPF_TC_F_REPLACE;
		err = bpf_tc_attach(&hook, &o);
	}
	close(fd);
	return err;
}

/* Is one of ours on that side? What it is: -ENOENT or its program's id. */
static int tc_query(int ifindex, enum bpf_tc_attach_point at, __u32 *ret_prog_id)
{
	struct bpf_tc_hook hook;
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, o, .handle = BPVS_TC_HANDLE, .priority = BPVS_TC_PRIORITY);

	tc_hook(&hook, ifindex);
	hook.attach_point = at;
	/* No qdisc is EINVAL, no filter ENOENT, or EINVAL where there never was one. */
	if (bpf_tc_query(&hook, &o))
		return -ENOENT;
	*ret_prog_id = o.prog_id;
	return 0;
}

int bpvs_tc_find(int ifindex, __u32 *ret_prog_id)
{
	return tc_query(ifindex, BPF_TC_INGRESS, ret_prog_id);
}

/* If that cannot be told they are there: to leave a qdisc does less harm than to destroy theirs. */
static bool tc_foreign_at(int ifindex, enum bpf_tc_attach_point point, __u32 parent)
{
	__u32 id;
	int ours = !tc_query(ifindex, point, &id);
	int num = bpvs_filters_count(ifindex, TC_H_MAKE(TC_H_CLSACT, parent));

	return num < 0 || num > ours;
}

static bool tc_foreign(int ifindex)
{
	return tc_foreign_at(ifindex, BPF_TC_INGRESS, TC_H_MIN_INGRESS) ||
	       tc_foreign_at(ifindex, BPF_TC_EGRESS, TC_H_MIN_EGRESS);
}

int bpvs_tc_drop(int ifindex, bool qdisc)
{
	struct bpf_tc_hook hook;
	__u32 id;
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, o, .handle = BPVS_TC_HANDLE, .priority = BPVS_TC_PRIORITY);

	tc_hook(&hook, ifindex);
	if (!qdisc || tc_foreign(ifindex)) {
		hook.attach_point = BPF_TC_EGRESS;
		if (!tc_query(ifindex, BPF_TC_EGRESS, &id))
			bpf_tc_detach(&hook, &o);
		hook.attach_point = BPF_TC_INGRESS;
		return bpf_tc_detach(&hook, &o);
	}
	/* Both sides at once takes the qdisc itself away, and the filter in the same step. */
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	return bpf_tc_hook_destroy(&hook);
}

static bool wanted(const struct bpvs_link *l, const char *const *only)
{
	if (only) {
		for (; *only; only++)
			if (!strcmp(*only, l->name))
				return true;
		return false;
	}
	if (bpvs_mark_link(l) || l->type != ARPHRD_ETHER || (l->flags & IFF_LOOPBACK))
		return false;
	/* A VRF's ports receive for the host; those of all else that enslaves do not. */
	return !l->master || !strcmp(l->master_kind, "vrf");
}

static int xdp_foreign(const struct bpvs_link *l, __u32 id)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
	}
	return bpvs_fail(
		-EBUSY,
		"%s already carries the XDP program '%s' (id %u): use --mode tc, or detach "
		"it first (ip link set dev %s xdp off)",
		l->name, info.name[0] ? info.name : "?", id, l->name);
}

/* -EBUSY: somebody else's program is there. */
static int xdp_check(const struct bpvs_programs *p, const struct bpvs_link *l, bool *ret_there)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int err = bpf_xdp_query(l->ifindex, 0, &q);

	*ret_there = false;
	if (err)
		return err;
	if (!q.prog_id && q.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	if (q.prog_id != p->xdp_id)
		return xdp_foreign(l, q.prog_id);
	*ret_there = true;
	return 0;
}

static int xdp_put(const struct bpvs_programs *p, const struct bpvs_link *l, __u32 flags)
{
	bool there;
	int err = xdp_check(p, l, &there);

	if (err || there)
		return err;
	err = bpf_xdp_attach(l->ifindex, p->fd_xdp, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (err)
		bpvs_fail(err, "cannot attach XDP %s to %s: %s (--mode tc works everywhere)",
			  flags & XDP_FLAGS_DRV_MODE ? "in the driver" : "generically", l->name,
			  strerror(-err));
	return err;
}

/*
 * Does the device gain from XDP, in the automatic mode? Only hardware (and what poses as it) does.
 */
static bool gains(const struct bpvs_link *l)
{
	return !l->kind[0];
}

/*
 * May it be left to TC? In the automatic mode any. Else one that nobody named, that is down, and
 * whose driver knows no XDP: with ip_gre, say, come devices that nobody asked for.
 */
static bool xdp_spared(const struct bpvs_link *l, enum bpvs_mode mode, bool named, int err)
{
	return mode == BPVS_MODE_AUTO || (err == -EOPNOTSUPP && !named && !(l->flags & IFF_UP));
}

static int cover_xdp(const struct bpvs_programs *p, const struct bpvs_link *l, enum bpvs_mode mode,
		     bool named, __u32 *flags)
{
	int err;

	/* A VLAN device's packets meet XDP on its parent. */
	if (mode == BPVS_MODE_TC || l->lower || (mode == BPVS_MODE_AUTO && !gains(l)))
		return 0;
	err = xdp_put(p, l, mode == BPVS_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	if (!err)
		*flags |= BPVS_DEV_XDP | (mode == BPVS_MODE_GENERIC ? 0 : BPVS_DEV_NATIVE);
	if (err == -EBUSY)
		*flags |= BPVS_DEV_FOREIGN;
	return xdp_spared(l, mode, named, err) ? 0 : err;
}

static const struct bpvs_link *link_by_index(const struct bpvs_link *ls, size_t num, int ifindex)
{
	for (size_t i = 0; i < num; i++)
		if (ls[i].ifindex == ifindex)
			return &ls[i];
	return NULL;
}

/* May XDP redirect to the device? Its driver has to be set up for XDP, which attaching does. */
static bool can_redirect(const struct bpvs_dev *devs, int ifindex, enum bpvs_mode mode)
{
	const struct bpvs_dev *d = &devs[ifindex % BPVS_DEVS];

	if (mode == BPVS_MODE_GENERIC)
		return true;
	return d->ifindex == (__u32)ifindex && (d->flags & BPVS_DEV_NATIVE);
}

#define DEV_FORWARD (BPVS_DEV_FORWARD4 | BPVS_DEV_FORWARD6)

static void dev_describe(struct bpvs_dev *d, const struct bpvs_link *l)
{
	d->lower = (__u32)(l->lower ? l->lower : l->ifindex);
	d->vlan = htons(l->vlan);
	memcpy(d->mac, l->mac, sizeof(d->mac));
}

static void dev_write(struct bpvs_dev *devs, const struct bpvs_link *l, __u32 flags)
{
	struct bpvs_dev *d = &devs[l->ifindex % BPVS_DEVS];

	/* The place is a live device's: this one is served by TC alone. */
	if (d->ifindex && d->ifindex != (__u32)l->ifindex)
		return;
	dev_describe(d, l);
	d->flags = flags;
	/* Last: the data path trusts an entry that has the index. */
	__atomic_store_n(&d->ifindex, (__u32)l->ifindex, __ATOMIC_RELEASE);
}

static bool is_gone(const struct bpvs_dev *d, const struct bpvs_link *ls, size_t num)
{
	return d->ifindex && !link_by_index(ls, num, (int)d->ifindex);
}

static void forget_gone(struct bpvs_dev *devs, const struct bpvs_link *ls, size_t num)
{
	for (size_t i = 0; i < BPVS_DEVS; i++)
		if (is_gone(&devs[i], ls, num))
			memset(&devs[i], 0, sizeof(devs[i]));
}

static bool is_covered(const struct bpvs_dev *devs, const struct bpvs_link *l)
{
	const struct bpvs_dev *d = &devs[l->ifindex % BPVS_DEVS];

	return d->ifindex == (__u32)l->ifindex && (d->flags & BPVS_DEV_COVERED);
}

static int cover(const struct bpvs_programs *p, struct bpvs_dev *devs, const struct bpvs_link *l,
		 enum bpvs_mode mode, bool named)
{
	struct bpvs_dev *d = &devs[l->ifindex % BPVS_DEVS];
	__u32 was = d->ifindex == (__u32)l->ifindex ? d->flags : 0, id;
	/*
	 * Of one that was a port in between, what is known of its forwarding stays (uncover()). Of
	 * one whose cover ended by a kill, that the qdisc is ours.
	 */
	__u32 keep = was & (DEV_FORWARD | BPVS_DEV_QDISC), flags = keep | BPVS_DEV_COVERED;
	bool made;
	int err;

	if (is_covered(devs, l)) {
		dev_describe(d, l);
		return 0;
	}
	err = cover_xdp(p, l, mode, named, &flags);
	if (err)
		return err;
	if (bpvs_tc_find(l->ifindex, &id) || id != p->tc_id) {
		/* First, lest a kill leaves a qdisc that nobody knows to be ours. */
		dev_write(devs, l, keep | (bpvs_qdisc_missing(l->ifindex) ? BPVS_DEV_QDISC : 0));
		err = bpvs_tc_put(l->ifindex, p->fd_tc, &made);
		if (err)
			return bpvs_fail(err, "cannot attach to TC ingress of %s: %s", l->name,
					 strerror(-err));
		if (made)
			flags |= BPVS_DEV_QDISC;
	}
	dev_write(devs, l, flags);
	return 0;
}

static int names_exist(const struct bpvs_link *ls, size_t num, const char *const *only)
{
	for (; only && *only; only++) {
		size_t i;

		for (i = 0; i < num && strcmp(ls[i].name, *only); i++)
			;
		if (i == num)
			return bpvs_fail(-ENODEV, "no such device: %s", *only);
	}
	return 0;
}

static void xdp_drop(const struct bpvs_programs *p, int ifindex)
{
	static const __u32 modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		__u32 id = 0;

		if (!bpf_xdp_query_id(ifindex, (int)modes[i], &id) && id && id == p->xdp_id)
			bpf_xdp_detach(ifindex, modes[i], NULL);
	}
}

/* It has become a port since; what forwarding we switched on is mark.c's to undo. */
static void uncover(const struct bpvs_programs *p, struct bpvs_dev *devs, const struct bpvs_link *l)
{
	struct bpvs_dev *d = &devs[l->ifindex % BPVS_DEVS];
	__u32 flags = d->flags, keep = flags & DEV_FORWARD;

	xdp_drop(p, l->ifindex);
	bpvs_tc_drop(l->ifindex, flags & BPVS_DEV_QDISC);
	if (keep)
		__atomic_store_n(&d->flags, keep, __ATOMIC_RELEASE);
	else
		memset(d, 0, sizeof(*d));
}

void bpvs_device_forget(const struct bpvs_programs *p, struct bpvs_dev *devs, int ifindex)
{
	struct bpvs_dev *d = &devs[ifindex % BPVS_DEVS];
	__u32 id;

	if (d->ifindex == (__u32)ifindex && (bpvs_tc_find(ifindex, &id) || id != p->tc_id))
		memset(d, 0, sizeof(*d));
}

int bpvs_devices_cover(const struct bpvs_programs *p, struct bpvs_dev *devs, enum bpvs_mode mode,
		       const char *const *only)
{
	struct bpvs_link *ls = NULL;
	size_t num = 0, i;
	int err = bpvs_links_get(&ls, &num);

	if (err)
		return bpvs_fail(err, "cannot list devices: %s", strerror(-err));
	err = names_exist(ls, num, only);
	if (err)
		goto out;
	forget_gone(devs, ls, num);
	for (i = 0; i < num; i++) {
		int e = wanted(&ls[i], only) ? cover(p, devs, &ls[i], mode, only) : 0;

		/* A device that vanished since is no error; the first real one is reported. */
		if (e && e != -ENODEV && !err)
			err = e;
		if (!only && !wanted(&ls[i], NULL) && is_covered(devs, &ls[i]))
			uncover(p, devs, &ls[i]);
	}
	for (i = 0; i < num; i++) {
		struct bpvs_dev *d = &devs[ls[i].ifindex % BPVS_DEVS];
		int lower = ls[i].lower ? ls[i].lower : ls[i].ifindex;

		if (d->ifindex != (__u32)ls[i].ifindex)
			continue;
		if (can_redirect(devs, lower, mode))
			__atomic_or_fetch(&d->flags, BPVS_DEV_REDIRECT, __ATOMIC_RELEASE);
		else
			__atomic_and_fetch(&d->flags, ~(__u32)BPVS_DEV_REDIRECT, __ATOMIC_RELEASE);
	}
out:
	free(ls);
	return err;
}

int bpvs_devices_refresh(struct bpvs_dev *devs, bool all, bool *ret_stale, bool *ret_marks)
{
	struct bpvs_link *ls = NULL;
	size_t num = 0;
	bool stale = false, marks = false;
	int err = bpvs_links_get(&ls, &num);

	if (err)
		return err;
	/* Some may have come, and been entered, since the list was made: to erase is for later. */
	for (size_t i = 0; i < BPVS_DEVS; i++)
		stale |= is_gone(&devs[i], ls, num);
	for (size_t i = 0; i < num; i++) {
		/* Its flags are others' to change, who may do so just now. */
		if (is_covered(devs, &ls[i]))
			dev_describe(&devs[ls[i].ifindex % BPVS_DEVS], &ls[i]);
		stale |= all && wanted(&ls[i], NULL) != is_covered(devs, &ls[i]);
		marks |= !strcmp(ls[i].name, BPVS_MARK_DEV);
	}
	free(ls);
	*ret_stale = stale;
	*ret_marks = marks;
	return 0;
}

int bpvs_devices_forget(struct bpvs_dev *devs)
{
	struct bpvs_link *ls = NULL;
	size_t num = 0;
	int err = bpvs_links_get(&ls, &num);

	if (!err)
		forget_gone(devs, ls, num);
	free(ls);
	return err;
}

int bpvs_devices_bare(const struct bpvs_programs *p, const struct bpvs_dev *devs)
{
	struct bpvs_link *ls = NULL;
	size_t num = 0;
	int err = bpvs_links_get(&ls, &num);

	if (err)
		return err;
	for (size_t i = 0; i < num; i++) {
		const struct bpvs_dev *d = devs ? &devs[ls[i].ifindex % BPVS_DEVS] : NULL;
		__u32 flags = d && d->ifindex == (__u32)ls[i].ifindex ? d->flags : 0, id;
		bool qdisc = flags & BPVS_DEV_QDISC;

		xdp_drop(p, ls[i].ifindex);
		if (flags & (BPVS_DEV_QDISC | BPVS_DEV_OUT) ||
		    (!bpvs_tc_find(ls[i].ifindex, &id) && id == p->tc_id))
			bpvs_tc_drop(ls[i].ifindex, qdisc);
	}
	free(ls);
	return 0;
}

/* Why a device that is served has no XDP program of ours. */
static const char *tc_only(const struct bpvs_link *l, const struct bpvs_dev *d,
			   const struct bpvs_anchor *a)
{
	if (a->mode == BPVS_MODE_TC)
		return "";
	if (l->lower)
		return " (XDP sits on its parent)";
	if (d->flags & BPVS_DEV_FOREIGN)
		return " (somebody else's XDP program is on it)";
	return gains(l) || a->mode == BPVS_MODE_XDP ? " (its driver took no XDP program)"
						    : " (a virtual device: TC keeps its offloads)";
}

#define NOT_OUT " (what this host sends by it is not seen: no program at egress)"

static struct bpvs_device_info device_info(const struct bpvs_instance *in,
					   const struct bpvs_link *l)
{
	const struct bpvs_dev *d = &in->devs[l->ifindex % BPVS_DEVS];
	const struct bpvs_anchor *a = bpvs_instance_anchor(in);
	struct bpvs_device_info i = { .name = l->name, .how = "none", .why = "" };
	bool ours = d->ifindex == (__u32)l->ifindex && (d->flags & BPVS_DEV_COVERED);
	__u32 id;

	if (!ours && !bpvs_tc_find(l->ifindex, &id) && id == a->tc_id)
		i = (struct bpvs_device_info){ l->name, "tc",
					       " (its place in the device table is "
					       "taken)" };
	else if (bpvs_mark_link(l))
		i = (struct bpvs_device_info){ l->name, "tc",
					       " (ours: what bears a firewall mark)" };
	else if (!ours && !wanted(l, NULL))
		i.why = l->master ? " (a port: its master is served)" : " (not Ethernet)";
	else if (!ours)
		i.why = a->all_devs ? " (could not attach)" : " (not named)";
	else if (d->flags & BPVS_DEV_XDP)
		i.how = d->flags & BPVS_DEV_NATIVE ? "xdp native + tc" : "xdp generic + tc";
	else
		i = (struct bpvs_device_info){ l->name, "tc", tc_only(l, d, a) };
	if (ours && bpvs_out_lacks(in, d))
		i.why = NOT_OUT;
	return i;
}

int bpvs_device_walk(struct bpvs_instance *in,
		     int (*cb)(const struct bpvs_device_info *dev, void *arg), void *arg)
{
	struct bpvs_link *ls = NULL;
	size_t num = 0;
	int r = bpvs_links_get(&ls, &num);

	for (size_t i = 0; i < num && !r; i++) {
		struct bpvs_device_info info = { ls[i].name, "none", NOT_OUT };

		if (!(ls[i].flags & IFF_LOOPBACK))
			info = device_info(in, &ls[i]);
		else if (!bpvs_out_lacks(in, NULL))
			continue;
		r = cb(&info, arg);
	}
	free(ls);
	return r;
}
