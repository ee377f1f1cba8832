/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own knobs, by their files in /proc/sys. */
#pragma once

/* -1: there is none, or it is no number. */
int bpvs_proc_read(const char *path);
int bpvs_proc_write(const char *path, int v);
