/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the engine share: engine.c, find.c, hold.c, link.c, device.c. */
#pragma once

#include <bpf/libbpf.h>
#include <bpvs/anchor.h>
#include "internal.h"

/* Our TC filters: this handle at this priority, on every device, and on lo the anchor. */
#define BPVS_TC_HANDLE	 0xb9
#define BPVS_TC_PRIORITY 185
#define LO_IFINDEX	 1

/* The table that marked packets are routed by (mark.c). */
#define BPVS_TABLE 47545

/* In struct bpvs_dev: the tools' own marks. */
#define BPVS_DEV_QDISC	  0x200	 /* we made the qdisc for our TC program */
#define BPVS_DEV_NATIVE	  0x400	 /* XDP in the driver, else generic */
#define BPVS_DEV_FOREIGN  0x800	 /* somebody else's XDP program was there */
#define BPVS_DEV_FORWARD4 0x1000 /* we switched its forwarding on (mark.c) */
#define BPVS_DEV_FORWARD6 0x2000
#define BPVS_DEV_OUT	  0x4000 /* and our program at egress (out.c) */

/* ---- link.c: the namespace's devices, by rtnetlink ---- */

struct bpvs_link {
	int ifindex;
	int lower;	     /* a VLAN device's parent, else 0 */
	int master;	     /* 0 = none */
	unsigned int flags;  /* IFF_* */
	unsigned short type; /* ARPHRD_* */
	unsigned short vlan; /* id, of a VLAN device */
	char name[16];
	char kind[16]; /* "" = hardware */
	char master_kind[16];
	__u8 mac[6];
};

/* All of them, in the kernel's order; to be freed. */
int bpvs_links_get(struct bpvs_link **ret, size_t *ret_num);
/*
 * Is there one of that name? Not by if_nametoindex(): for a name that nothing has, its ioctl has
 * the kernel run modprobe, twice, which takes longer than all else that a command does.
 */
bool bpvs_link_there(const char *name);
/* TC filters on one side of a device's clsact qdisc (a TC_H_MAKE() of it); negative on failure. */
int bpvs_filters_count(int ifindex, __u32 parent);
/* Surely there is no clsact qdisc, nor one of kind ingress: who puts a program there makes it. */
bool bpvs_qdisc_missing(int ifindex);

/*
 * ---- device.c: our programs on devices ----
 *
 * Once there is an instance, bpvs_devs is changed under both locks, that of up and down and that of
 * the tables: the former is for what is on devices, and who has the latter alone (mark.c, out.c)
 * may trust the entries that it finds, and sets its own flags in them.
 */

struct bpvs_programs {
	int fd_xdp;
	int fd_tc;
	__u32 xdp_id;
	__u32 tc_id;
};

/* Put our programs on what should have them and write bpvs_devs; `only` as in bpvs_up_opts. */
int bpvs_devices_cover(const struct bpvs_programs *p, struct bpvs_dev *devs, enum bpvs_mode mode,
		       const char *const *only);
/*
 * It went. Should there be one of that number again, without our programs, it is not taken for the
 * one that was covered.
 */
void bpvs_device_forget(const struct bpvs_programs *p, struct bpvs_dev *devs, int ifindex);
/*
 * What has changed of those that have them, such as their MACs; without a lock. Stale: some went,
 * or, where none were named (`all`), there are devices to put them on, or to take them off. Marks:
 * bpvs0 is there.
 */
int bpvs_devices_refresh(struct bpvs_dev *devs, bool all, bool *ret_stale, bool *ret_marks);
/* Those that went. */
int bpvs_devices_forget(struct bpvs_dev *devs);
/* Take them off again, wherever in this namespace they are. */
int bpvs_devices_bare(const struct bpvs_programs *p, const struct bpvs_dev *devs);
/* A program on bpvs0, or at egress; it may be there already. */
int bpvs_tc_program(int ifindex, enum bpf_tc_attach_point at, __u32 id);
int bpvs_tc_put(int ifindex, int fd, bool *ret_made_qdisc);
/* -ENOENT: none of ours. */
int bpvs_tc_find(int ifindex, __u32 *ret_prog_id);
/* qdisc: that too, unless somebody else's filters are on it. */
int bpvs_tc_drop(int ifindex, bool qdisc);

/* ---- out.c ---- */

/* Have devices that came since carry the program at egress too, where the others do. */
void bpvs_out_cover(struct bpvs_instance *in);
/* It could not be put on a device that is served, or on lo (NULL). */
bool bpvs_out_lacks(const struct bpvs_instance *in, const struct bpvs_dev *d);

/* ---- memory.c ---- */

/* For struct bpvs_rodata's zone_stat. */
__u64 bpvs_memory_find(void);

/* ---- hold.c: pins, which keep timer and programs alive ---- */

struct bpvs_pin {
	const char *name;
	int fd;
};

/* In a directory for this network namespace; -EEXIST is no error. */
int bpvs_hold(const struct bpvs_pin *pins, size_t num);
/* Remove this namespace's pins, and those of namespaces that are gone. */
int bpvs_unhold(void);

/* ---- find.c: the instance of this namespace ---- */

/* -ENOENT: none. The anchor, of any version, stays mapped until bpvs_anchor_unmap(). */
int bpvs_anchor_find(struct bpvs_anchor **ret);
/* -EPROTO: it is of another version, of which only its first members are known. */
int bpvs_anchor_check(const struct bpvs_anchor *a);
/* -EIDRM: what kept its maps is gone. The same may be of bpvs_open_found(). */
int bpvs_anchor_whole(const struct bpvs_anchor *a);
void bpvs_anchor_unmap(struct bpvs_anchor *a);
int bpvs_open_found(struct bpvs_anchor *a, struct bpvs_instance **ret);
const struct bpvs_anchor *bpvs_instance_anchor(const struct bpvs_instance *in);
/* NULL: could not. */
struct bpvs_dev *bpvs_map_devs(int fd, size_t *ret_size);
void bpvs_unmap_devs(struct bpvs_dev *devs, size_t size);
