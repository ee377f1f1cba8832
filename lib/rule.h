/* SPDX-License-Identifier: GPL-2.0-only */
/* Policy routing rules, as far as firewall marks need them (mark.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

/* Whose a rule or route is: as ip -d shows it. */
#define BPVS_RTPROT 185

struct bpvs_rule {
	__u32 pref;
	__u32 table;  /* of FR_ACT_TO_TBL */
	__u32 target; /* of FR_ACT_GOTO: a preference */
	__u32 mark;   /* 0 = any; with all its bits */
	__u8 action;  /* FR_ACT_* */
	__u8 ipproto; /* 0 = any */
	__u8 proto;   /* RTPROT_*: who made it */
	bool other;   /* selects by something else, too */
	char iif[16]; /* "" = any */
};

/*
 * Make the family's (AF_*) rules of BPVS_RTPROT those in `want`; what else is of preference 0 goes
 * behind the marks'.
 */
int bpvs_rules_sync(int family, const struct bpvs_rule *want, size_t num);
