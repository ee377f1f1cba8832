/* SPDX-License-Identifier: GPL-2.0-only */
/* Getting packets with a service's firewall mark to the program that sees marks. */
#pragma once

#include "engine.h"

/* Is it the device that we made, whatever instance it was for? */
bool bpvs_mark_link(const struct bpvs_link *l);
/* Take all of it away, wherever a tool stopped that made it. devs may be NULL. */
void bpvs_marks_bare(struct bpvs_dev *devs);
