/* SPDX-License-Identifier: GPL-2.0-only */
/* Files in /proc that begin with a number: the kernel's own knobs, above all. */
#pragma once

/* -1: there is none, or it is no number. */
int bpvs_proc_read(const char *path);
int bpvs_proc_write(const char *path, int v);
