/* SPDX-License-Identifier: GPL-2.0-only */
/* In place of libbpvs-family.so: one of the version before, in which nothing else may be used. */
#include "../../shim/family.h"

extern const struct bpvs_shim_answers bpvs_shim_answers;

__attribute__((visibility("default"))) const struct bpvs_shim_answers bpvs_shim_answers = {
	.version = BPVS_SHIM_VERSION - 1,
};
