/* SPDX-License-Identifier: GPL-2.0-only */
/* Sizes and offsets that both sides rely on. Included once on each side. */
#pragma once

#include <stddef.h>
#include <bpvs/config.h>
#include <bpvs/conn.h>
#include <bpvs/dest.h>
#include <bpvs/lblc.h>
#include <bpvs/service.h>
#include <bpvs/stats.h>

_Static_assert(sizeof(struct bpvs_conn) == 64, "a connection is one cache line");
_Static_assert(sizeof(struct bpvs_conn6) == 64, "and so are its IPv6 addresses");
_Static_assert(sizeof(struct bpvs_svc) == 128, "a service is two cache lines");
_Static_assert(sizeof(struct bpvs_dest) == 192, "a destination is three cache lines");
_Static_assert(offsetof(struct bpvs_dest, addr) == 64, "line 1 holds the configuration");
_Static_assert(offsetof(struct bpvs_dest, active) == 128, "line 2 holds the counters");
_Static_assert(sizeof(struct bpvs_svc_key) == 24, "no padding in a map's key");
_Static_assert(sizeof(struct bpvs_spill_key) == 40, "no padding in a map's key");
_Static_assert(sizeof(struct bpvs_lblc) == 96, "no hidden padding");
_Static_assert(sizeof(struct bpvs_list_entry) == 8, "one store replaces a list entry");
_Static_assert(sizeof(struct bpvs_bucket_unit) == 4 * BPVS_UNIT, "units make one array");
_Static_assert(sizeof(struct bpvs_nexthop) == 32, "a next hop is half a line");
_Static_assert(sizeof(struct bpvs_stats) == 40, "five counters");
_Static_assert(sizeof(struct bpvs_rate) == 128, "two cache lines");
_Static_assert(sizeof(struct bpvs_dev) == 24, "no hidden padding");
