/* SPDX-License-Identifier: GPL-2.0-only */
/* The locks as bringing an instance up and down needs them. */
#pragma once

#include <bpvs/anchor.h>
#include "internal.h"

/* Of the network namespace: one is brought up, or taken down. */
int bpvs_lock_take(int *ret_fd);
void bpvs_lock_drop(int fd);
/* One real server's connections are ended. Dropped as the other is; around that of the tables. */
int bpvs_flush_lock_take(int *ret_fd);

/* Of an instance's tables, which bpvs_lock() takes. Within the other, never around it. */
int bpvs_tables_lock_init(struct bpvs_anchor *a);
int bpvs_tables_lock_take(struct bpvs_anchor *a);
void bpvs_tables_lock_drop(struct bpvs_anchor *a);
