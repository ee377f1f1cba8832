/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the preloaded library share. */
#pragma once

#include "family.h"

/* Of what stands before the program's own. */
#define INTERPOSED __attribute__((visibility("default")))

/* The library that answers, loaded on the first call; NULL: it could not be. */
const struct bpvs_shim_answers *bpvs_shim_engine(void);
/* The same, if it was loaded already. */
const struct bpvs_shim_answers *bpvs_shim_loaded(void);
/* One call of it at a time. */
void bpvs_shim_lock(void);
void bpvs_shim_unlock(void);
/* The next definition of a function that we stand before. */
void *bpvs_shim_next(const char *name);

/* ---- path.c: errno stays ---- */

/* How our files' names begin. */
#define BPVS_SHIM_NAMES "ip_vs"
/* Of this thread's network namespace, a file that is like ours but for its number. */
#define BPVS_SHIM_TWIN "/proc/thread-self/net/dev"

/* NAME, if `path`, from the directory `dir`, is /proc/net/NAME and perhaps ours; or NULL. */
const char *bpvs_shim_view_name(int dir, const char *path);
/* The same, if there is an instance that shows it. */
const char *bpvs_shim_shown(int dir, const char *path);
