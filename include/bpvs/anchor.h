/* SPDX-License-Identifier: GPL-2.0-only */
/* Where an instance is: the one map of the program that marks its network namespace. */
#pragma once

#include <bpvs/config.h>

/* bumped when a tool of another version could misread the maps */
#define BPVS_ABI 6
/* from here on the anchor begins as it does now */
#define BPVS_ABI_FIRST 6

enum bpvs_map_id {
#define BPVS_MAP(id, name) BPVS_MAP_##id,
#include <bpvs/map.def>
#undef BPVS_MAP
	BPVS_MAPS
};

/*
 * The program bpvs_anchor sits on lo, which every namespace has, and refers to a map of this one
 * element. So the tools find the instance from the namespace alone, whatever mounts
 * they see, and through it the maps and programs by their ids.
 */
struct bpvs_anchor {
	/*
	 * First what it takes to take an instance down. It stays as it is, from version 6 on, and
	 * so does struct bpvs_dev: tools can end an instance of any version.
	 */
	__u32 abi;
	/* 0 while it is brought up: what is found so, with the lock free, is a wreck */
	__u32 ready;
	__u32 xdp_id;
	__u32 tc_id;
	__u32 devs_id;	   /* the map bpvs_devs */
	__u32 forwarding4; /* of lo before we set it to 1 */
	__u32 forwarding6;
	__u32 accept_local; /* the same of lo's, for IPv4 */
	/* All else, as of this version. */
	__u32 map_ids[BPVS_MAPS];
	__u32 mode;	/* enum bpvs_mode, for devices to come */
	__u32 all_devs; /* 1: devices that appear later are covered too */
	__u32 conns;	/* as asked for */
	__u32 mark_id;	/* programs of bpvs0 */
	__u32 mark_out_id;
	__u32 out_id;	       /* the program at egress */
	__u32 tripwire;	       /* 0, or the errno that there is none for */
	struct bpvs_rodata ro; /* what the programs were loaded with */
	__u64 lock[8];	       /* the tools' own: a mutex for all changes (lib/lock.c) */
};
