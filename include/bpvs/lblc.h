/* SPDX-License-Identifier: GPL-2.0-only */
/* What lblc and lblcr remember: destination address -> destinations. */
#pragma once

#include <bpvs/addr.h>

/*
 * bpvs_lblc is a hash map of the kernel's used as a sparse array: its keys are places, and an entry
 * stands in one of the BPVS_LBLC_WINDOW places from where its address and table hash to. So it has
 * memory for what is there only, and the timer can walk it a few places at a time.
 */
#define BPVS_LBLC_PLACES (1U << 17)
#define BPVS_LBLC_WINDOW 8

/* Of one service: from the first number on the timer makes room, at the second one it is full. */
#define BPVS_LBLC_MAX  16384
#define BPVS_LBLC_MOST (BPVS_LBLC_MAX / 2 * 3)

/* Destinations that lblcr keeps for an address. */
#define BPVS_LBLC_SET 16

struct bpvs_lblc {
	struct bpvs_addr addr;
	/*
	 * Number of the table that it belongs to: the low half of its service's sched_state. Every
	 * time that a service begins to use lblc or lblcr it gets a new one, and nobody finds what
	 * is in the old one any more.
	 */
	__u32 table;
	__u32 svc;	/* index into bpvs_svcs */
	__u32 used;	/* clock of the last look-up */
	__u32 modified; /* lblcr: clock of the set's last change */
	/* Indices into bpvs_dests, oldest first, then zeros; lblc has one. */
	__u32 dests[BPVS_LBLC_SET];
};
