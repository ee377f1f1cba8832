/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services by firewall mark. XDP and TC ingress come before netfilter, which sets the marks. So
 * routing sends what bears a service's mark out by a device of ours, bpvs0, whose programs look at
 * it (bpf/mark_tc.h). While there is such a service there are
 *
 *   bpvs0     a device that has no other end
 *   table     BPVS_TABLE: by bpvs0 to anywhere
 *   rules     0: iif lo goto 1        what this host sends itself, and what reverse path
 *                                     filters ask, has nothing to do with marks
 *             0: iif bpvs0 goto 1     what was left to the stack must not come again
 *             0: fwmark M ipproto P lookup BPVS_TABLE, for each mark and protocol
 *             0: lookup local         as it was, but behind ours (rule.c)
 *             1: lookup local         for those that came by a goto
 *             32765: iif DEV blackhole, see forwarding below
 *
 * All is derived from the services and made so again by each call of a tool, in an order in which
 * it can stop anywhere: the program before the route, the route before the rules.
 *
 * Only protocols that IPVS serves are led this way: neighbour discovery, for one, would not find
 * back.
 *
 * Forwarding: the kernel routes from one device to another only where the first one forwards, which
 * IPVS does not ask for. So it is switched on for the devices served, where the host forwards
 * nothing by itself, and a rule behind all others drops what would be forwarded for that reason
 * alone. The device's flag in bpvs_devs says that it was us, and is set first and cleared last.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <arpa/inet.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "mark.h"
#include "netlink.h"
#include "proc.h"
#include "rule.h"
#include "service.h"

#define MARK_MTU 65575 /* no packet is larger: none is cut on the way */

/* Next hops on bpvs0, so that it needs one neighbour and not one for each address. */
#define VIA4 0xc0000008 /* 192.0.0.8, the dummy address of RFC 7600 */
static const __u8 via6[16] = { 0xfe, 0x80, [15] = BPVS_RTPROT };

static const __u8 mark_mac[6] = BPVS_MARK_MAC;

static const int families[] = { AF_INET, AF_INET6 };

bool bpvs_mark_link(const struct bpvs_link *l)
{
	return !strcmp(l->name, BPVS_MARK_DEV) && !memcmp(l->mac, mark_mac, sizeof(mark_mac));
}

/* ---- the device ---- */

/* Failures here are EIO: ipvsadm has words of its own for most errors, about other things. */

static int link_find(struct bpvs_link *ret)
{
	struct bpvs_link *ls = NULL;
	size_t num = 0;
	int err = bpvs_links_get(&ls, &num);

	if (err)
		return err;
	err = -ENODEV;
	for (size_t i = 0; i < num && err; i++) {
		if (strcmp(ls[i].name, BPVS_MARK_DEV))
			continue;
		*ret = ls[i];
		err = bpvs_mark_link(&ls[i]) ? 0 : -EEXIST;
	}
	free(ls);
	return err;
}

static int link_add(const char *kind)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	struct nlattr *info;
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	mnl_attr_put_strz(nl.n, IFLA_IFNAME, BPVS_MARK_DEV);
	mnl_attr_put(nl.n, IFLA_ADDRESS, sizeof(mark_mac), mark_mac);
	mnl_attr_put_u32(nl.n, IFLA_MTU, MARK_MTU);
	info = mnl_attr_nest_start(nl.n, IFLA_LINKINFO);
	mnl_attr_put_strz(nl.n, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(nl.n, info);
	return bpvs_nl_send(&nl);
}

/*
 * Kinds of device that resolve no neighbours and drop what they are given. Every distribution has
 * dummy, where Kubernetes puts the virtual addresses of kernel IPVS; a kernel built without modules
 * for virtual machines may have ifb only.
 */
static int link_make(struct bpvs_link *ret)
{
	static const char *const kinds[] = { "dummy", "ifb" };
	int err = link_find(ret);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && err == -ENODEV; i++) {
		err = link_add(kinds[i]);
		if (err == -EOPNOTSUPP)
			err = -ENODEV;
		else if (!err)
			return link_find(ret);
	}
	if (err == -ENODEV)
		return bpvs_fail(-EOPNOTSUPP, "firewall marks need a device of kind dummy or ifb, "
					      "and this kernel has neither");
	if (err == -EEXIST)
		return bpvs_fail(-EBUSY, "there is a device " BPVS_MARK_DEV " that is not ours");
	if (err)
		return bpvs_fail(-EIO, "cannot make the device " BPVS_MARK_DEV ": %s",
				 strerror(-err));
	return 0;
}

static int link_set_up(int ifindex)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC,
			       .ifi_index = ifindex,
			       .ifi_flags = IFF_UP,
			       .ifi_change = IFF_UP };
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, RTM_NEWLINK, 0, &m, sizeof(m));
	return bpvs_nl_send(&nl);
}

/* No address of its own, and with it no sollicitations, in kernels that have IPv6. */
static void link_no_address6(int ifindex)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
	struct nlattr *spec, *inet6;
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, RTM_NEWLINK, 0, &m, sizeof(m));
	spec = mnl_attr_nest_start(nl.n, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(nl.n, AF_INET6);
	mnl_attr_put_u8(nl.n, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nl.n, inet6);
	mnl_attr_nest_end(nl.n, spec);
	bpvs_nl_send(&nl);
}

static int route_set(int family, int ifindex, bool gateway)
{
	struct rtmsg m = {
		.rtm_family = (__u8)family,
		.rtm_protocol = BPVS_RTPROT,
		.rtm_type = RTN_UNICAST,
		.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_flags = gateway ? RTNH_F_ONLINK : 0,
	};
	struct bpvs_nl nl;

	bpvs_nl_begin(&nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof(m));
	mnl_attr_put_u32(nl.n, RTA_TABLE, BPVS_TABLE);
	mnl_attr_put_u32(nl.n, RTA_OIF, (__u32)ifindex);
	if (!gateway)
		return bpvs_nl_send(&nl);
	if (family == AF_INET)
		mnl_attr_put_u32(nl.n, RTA_GATEWAY, htonl(VIA4));
	else
		mnl_attr_put(nl.n, RTA_GATEWAY, sizeof(via6), via6);
	return bpvs_nl_send(&nl);
}

/*
 * A namespace that never had an IPv4 address (lo down) has no table of local ones, without which
 * the kernel takes every gateway for a broadcast address. It does without until the next call.
 */
static int route_put(int family, int ifindex)
{
	int err = route_set(family, ifindex, true);

	return err == -EINVAL && family == AF_INET ? route_set(family, ifindex, false) : err;
}

static int device_put(struct bpvs_instance *in, const bool *families_on)
{
	const struct bpvs_anchor *a = bpvs_instance_anchor(in);
	struct bpvs_link l;
	int err = link_make(&l);

	if (err)
		return err;
	err = bpvs_tc_program(l.ifindex, BPF_TC_INGRESS, a->mark_id);
	if (!err)
		err = bpvs_tc_program(l.ifindex, BPF_TC_EGRESS, a->mark_out_id);
	if (!err && !(l.flags & IFF_UP)) {
		link_no_address6(l.ifindex);
		/* What it lets in has the client's address, whose way is another. */
		bpvs_proc_write("/proc/sys/net/ipv4/conf/" BPVS_MARK_DEV "/rp_filter", 0);
		bpvs_proc_write("/proc/sys/net/ipv6/conf/" BPVS_MARK_DEV "/disable_ipv6", 0);
		err = link_set_up(l.ifindex);
	}
	for (int i = 0; i < 2 && !err; i++)
		if (families_on[i])
			err = route_put(families[i], l.ifindex);
	if (err)
		return bpvs_fail(-EIO, "cannot set up " BPVS_MARK_DEV ": %s", strerror(-err));
	__atomic_store_n(&in->cfg->mark_ifindex, (__u32)l.ifindex, __ATOMIC_RELEASE);
	return 0;
}

static void device_drop(void)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	struct bpvs_link l;
	struct bpvs_nl nl;

	/* Its route and its filter go with it. */
	if (link_find(&l))
		return;
	m.ifi_index = l.ifindex;
	bpvs_nl_begin(&nl, RTM_DELLINK, 0, &m, sizeof(m));
	bpvs_nl_send(&nl);
}

/* ---- forwarding ---- */

static const __u32 forward_flags[] = { BPVS_DEV_FORWARD4, BPVS_DEV_FORWARD6 };

/* IPv6 has a switch for each device since 6.17. */
static char *forward_path(char *buf, size_t size, int i, const char *dev)
{
	snprintf(buf, size, "/proc/sys/net/ipv%d/conf/%s/%sforwarding", i ? 6 : 4, dev,
		 i ? "force_" : "");
	return buf;
}

static bool forwards(int i)
{
	return bpvs_proc_read(i ? "/proc/sys/net/ipv6/conf/all/forwarding"
				: "/proc/sys/net/ipv4/conf/all/forwarding") == 1;
}

static bool dev_is(const struct bpvs_dev *d, const struct bpvs_link *l)
{
	return d->ifindex == (__u32)l->ifindex;
}

/* Note which devices have to forward for us. */
static int forward_note(struct bpvs_instance *in, const struct bpvs_link *ls, size_t num, int i)
{
	char path[128];

	for (size_t n = 0; n < num; n++) {
		struct bpvs_dev *d = &in->devs[ls[n].ifindex % BPVS_DEVS];
		int now;

		if (!dev_is(d, &ls[n]) || !(d->flags & BPVS_DEV_COVERED))
			continue;
		now = bpvs_proc_read(forward_path(path, sizeof(path), i, ls[n].name));
		if (now < 0 && i)
			return bpvs_fail(-EOPNOTSUPP,
					 "firewall marks of IPv6 need net.ipv6.conf.all.forwarding "
					 "= 1 (Linux 6.17 or newer would do without)");
		if (!now)
			__atomic_or_fetch(&d->flags, forward_flags[i], __ATOMIC_RELEASE);
	}
	return 0;
}

/* Switch on what was noted, or off, and then the note goes. */
static void forward_set(struct bpvs_dev *devs, const struct bpvs_link *ls, size_t num, int i,
			bool on)
{
	/* Since the host forwards by its own will, IPv4's switches are on for that. */
	bool leave = !on && !i && forwards(i);
	char path[128];

	for (size_t n = 0; n < num; n++) {
		struct bpvs_dev *d = &devs[ls[n].ifindex % BPVS_DEVS];

		if (!dev_is(d, &ls[n]) || !(d->flags & forward_flags[i]))
			continue;
		if (!leave)
			bpvs_proc_write(forward_path(path, sizeof(path), i, ls[n].name), on);
		if (!on)
			__atomic_and_fetch(&d->flags, ~forward_flags[i], __ATOMIC_RELEASE);
	}
}

/* ---- rules ---- */

struct wanted {
	struct bpvs_rule *v;
	size_t num;
};

/* What comes from the device passes the marks' rules by. */
static void want_passing(struct wanted *w, const char *dev)
{
	struct bpvs_rule r = { .action = FR_ACT_GOTO, .target = 1, .proto = BPVS_RTPROT };

	strncpy(r.iif, dev, sizeof(r.iif) - 1);
	w->v[w->num++] = r;
}

static void want_mark(struct wanted *w, __u32 mark)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	for (size_t i = 0; i < sizeof(protos); i++)
		w->v[w->num++] = (struct bpvs_rule){
			.action = FR_ACT_TO_TBL,
			.table = BPVS_TABLE,
			.mark = mark,
			.ipproto = protos[i],
			.proto = BPVS_RTPROT,
		};
}

static void want_guard(struct wanted *w, const char *dev)
{
	struct bpvs_rule r = { .pref = 32765, .action = FR_ACT_BLACKHOLE, .proto = BPVS_RTPROT };

	strncpy(r.iif, dev, sizeof(r.iif) - 1);
	w->v[w->num++] = r;
}

static __u32 marks_of(const struct bpvs_instance *in, int i, struct wanted *w)
{
	__u32 num = 0;

	for (__u32 id = 1; id < bpvs_tables_svc_high(in); id++) {
		const struct bpvs_svc *svc = &in->svcs[id];

		if (!(svc->flags & BPVS_SVC_IN_USE) || !svc->key.fwmark ||
		    (svc->key.af == BPVS_V6) != i)
			continue;
		num++;
		if (w)
			want_mark(w, svc->key.fwmark);
	}
	return num;
}

static int rules_put(const struct bpvs_instance *in, const struct bpvs_link *ls, size_t num, int i)
{
	__u32 marks = marks_of(in, i, NULL);
	struct wanted w = { .v = calloc(3 + 3 * (size_t)marks + num, sizeof(*w.v)) };
	int err;

	if (!w.v)
		return -ENOMEM;
	/* First, so that no goto misses its target. */
	w.v[w.num++] = (struct bpvs_rule){
		.pref = 1,
		.action = FR_ACT_TO_TBL,
		.table = RT_TABLE_LOCAL,
		.proto = BPVS_RTPROT,
	};
	want_passing(&w, "lo");
	want_passing(&w, BPVS_MARK_DEV);
	marks_of(in, i, &w);
	for (size_t n = 0; n < num; n++) {
		const struct bpvs_dev *d = &in->devs[ls[n].ifindex % BPVS_DEVS];

		if (dev_is(d, &ls[n]) && (d->flags & forward_flags[i]))
			want_guard(&w, ls[n].name);
	}
	err = bpvs_rules_sync(families[i], w.v, w.num);
	free(w.v);
	return err ? bpvs_fail(-EIO, "cannot set IPv%d's routing rules: %s", i ? 6 : 4,
			       strerror(-err))
		   : 0;
}

/* ---- all together ---- */

static int family_put(struct bpvs_instance *in, const struct bpvs_link *ls, size_t num, int i)
{
	int err = 0;

	if (forwards(i))
		forward_set(in->devs, ls, num, i, false);
	else
		err = forward_note(in, ls, num, i);
	if (!err)
		err = rules_put(in, ls, num, i);
	if (!err)
		forward_set(in->devs, ls, num, i, true);
	return err;
}

static void family_bare(struct bpvs_dev *devs, const struct bpvs_link *ls, size_t num, int i)
{
	if (devs)
		forward_set(devs, ls, num, i, false);
	bpvs_rules_sync(families[i], NULL, 0);
}

/* A tool that was killed may have made the device, or not yet removed it, and said neither. */
bool bpvs_marks_there(const struct bpvs_instance *in)
{
	return in->cfg->mark_ifindex || bpvs_link_there(BPVS_MARK_DEV);
}

int bpvs_marks_sync(struct bpvs_instance *in)
{
	bool on[2] = { marks_of(in, 0, NULL), marks_of(in, 1, NULL) };
	struct bpvs_link *ls = NULL;
	size_t num = 0;
	int err;

	if (!on[0] && !on[1] && !bpvs_marks_there(in))
		return 0;
	if (on[0] || on[1]) {
		err = device_put(in, on);
		if (err)
			return err;
	}
	err = bpvs_links_get(&ls, &num);
	for (int i = 0; i < 2 && !err; i++) {
		if (on[i])
			err = family_put(in, ls, num, i);
		else
			family_bare(in->devs, ls, num, i);
	}
	if (!on[0] && !on[1]) {
		__atomic_store_n(&in->cfg->mark_ifindex, 0, __ATOMIC_RELEASE);
		device_drop();
	}
	free(ls);
	return err;
}

void bpvs_marks_bare(struct bpvs_dev *devs)
{
	struct bpvs_link *ls = NULL;
	struct bpvs_link l;
	size_t num = 0;

	/* It was made before anything else. */
	if (link_find(&l))
		return;
	if (!bpvs_links_get(&ls, &num))
		for (int i = 0; i < 2; i++)
			family_bare(devs, ls, num, i);
	free(ls);
	device_drop();
}
