/* SPDX-License-Identifier: GPL-2.0-only */
/* Pieces of a listing. */
#pragma once

#include <stdint.h>

/* A number in nine columns, the first of them a blank where it fits. Static. */
const char *largenum_text(uint64_t n, bool exact);
