/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a packet went where it went, and events that are counted beside a packet's fate. */
#pragma once

enum bpvs_reason_kind {
	BPVS_KIND_PASS,
	BPVS_KIND_SENT,
	BPVS_KIND_UP,
	BPVS_KIND_DROP,
	BPVS_KIND_BUG,
	BPVS_KIND_EVENT,
};

/* A stage returns BPVS_GO_ON, or the reason that settles the packet. */
enum bpvs_verdict {
	BPVS_GO_ON = 0,
#define BPVS_REASON(id, kind, label, text) BPVS_##id,
#include <bpvs/reason.def>
#undef BPVS_REASON
	BPVS_REASONS
};

/* Counted in the same map, behind the reasons. */
enum bpvs_event {
	BPVS_EV_FIRST = BPVS_REASONS,
#define BPVS_EVENT(id, label, text) BPVS_EV_##id,
#include <bpvs/event.def>
#undef BPVS_EVENT
	BPVS_COUNTERS
};
