/* SPDX-License-Identifier: GPL-2.0-only */
/* The lock without an instance, for bringing one up and down. */
#pragma once

#include "internal.h"

int bpvs_lock_take(int *ret_fd);
void bpvs_lock_drop(int fd);
