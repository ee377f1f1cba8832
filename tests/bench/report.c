/* SPDX-License-Identifier: GPL-2.0-only */
/* The table on stdout, and the same figures as JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "run.h"

struct value {
	char name[64];
	double value;
	char unit[16];
	int n;
};

static struct value values[1024];
static int num_values;

static void keep(const char *name, double value, const char *unit, int n)
{
	struct value *v = &values[num_values];

	if (num_values == sizeof(values) / sizeof(values[0]))
		die("more figures than there is room for", ENOSPC);
	num_values++;
	snprintf(v->name, sizeof(v->name), "%s", name);
	snprintf(v->unit, sizeof(v->unit), "%s", unit);
	v->value = value;
	v->n = n;
}

void report_title(const char *text)
{
	printf("\n%s\n", text);
	fflush(stdout);
}

void report_value(const char *name, double value, const char *unit, int n)
{
	printf("  %-32s %12.0f %s\n", name, value, unit);
	keep(name, value, unit, n);
}

/* bench.c says what a figure is. */
void report_figure(const struct bench *b, const struct variant *all, const struct variant *v)
{
	double empty = v->hook == XDP ? b->tx : b->ok, raw = variant_median(v);
	double wrapper = variant_median(&all[v->wrapper]), undo = 0, ns;
	char text[sizeof(v->name) + 16];

	if (v->grown >= 0 && !v->single)
		undo = (variant_median(&all[v->grown]) - wrapper) / 2;
	ns = raw - wrapper - undo + empty;
	printf("  %-32s %7.0f ns  %6.1f x XDP_TX   raw %5.0f, wrapper %4.0f%s\n", v->name, ns,
	       ns / b->tx, raw, wrapper + undo, v->single ? ", one skb each" : "");
	if (v->dirty)
		printf("    ! %ld packets of %d rounds took another way, verdict %d\n", v->missed,
		       v->dirty, v->verdict);
	keep(v->name, ns, "ns", v->n);
	snprintf(text, sizeof(text), "%.48s/ratio", v->name);
	keep(text, ns / b->tx, "x XDP_TX", v->n);
	snprintf(text, sizeof(text), "%.48s/raw", v->name);
	keep(text, raw, "ns", v->n);
	if (v->dirty) {
		snprintf(text, sizeof(text), "%.48s/off-path", v->name);
		keep(text, v->missed, "packets", v->dirty);
	}
	fflush(stdout);
}

int report_write(const struct bench *b)
{
	FILE *f;

	if (!b->output)
		return 0;
	f = fopen(b->output, "w");
	if (!f) {
		fprintf(stderr, "bench: %s: %s\n", b->output, strerror(errno));
		return -errno;
	}
	fprintf(f, "[\n");
	for (int i = 0; i < num_values; i++) {
		const struct value *v = &values[i];

		fprintf(f, "  {\"name\": \"%s\", \"value\": %.2f, \"unit\": \"%s\", \"n\": %d}%s\n",
			v->name, v->value, v->unit, v->n, i + 1 < num_values ? "," : "");
	}
	fprintf(f, "]\n");
	return fclose(f) ? -errno : 0;
}
