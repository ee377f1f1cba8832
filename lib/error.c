/* SPDX-License-Identifier: GPL-2.0-only */
/* The words beside an error number. */
#include <stdarg.h>
#include <stdio.h>
#include "internal.h"

static char text[512];

const char *bpvs_error(void)
{
	return text;
}

int bpvs_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err;
}
