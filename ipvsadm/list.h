/* SPDX-License-Identifier: GPL-2.0-only */
/* Pieces of a listing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A number in nine columns or more: a blank and the number, or one shortened to fit. Static. */
const char *largenum_text(uint64_t n, bool exact);
