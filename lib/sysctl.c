/* SPDX-License-Identifier: GPL-2.0-only */
/* The knobs of net.ipv4.vs (sysctl.def), read from text and written as text as the kernel does. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tables.h"

enum kind {
	INT,	 /* __s32 */
	DEFENCE, /* __s32; 1 and 2 are moved by the timer, according to memory */
	SECONDS, /* __s32; the kernel keeps jiffies, so HZ limits it */
	POWER2,	 /* __s32 */
	ULONG,	 /* __u64 */
	PAIR,	 /* __s32[2] */
	CPUS,	 /* a bit a CPU */
};

struct knob {
	const char *name;
	size_t field; /* in struct bpvs_config */
	enum kind kind;
	int def, least, most;
	const char *effect;
};

#define YET  "no effect yet: "
#define SYNC YET "connections are not synchronised with another director"

static const struct knob knobs[] = {
#define BPVS_KNOB(name, kind, def, least, most, effect)                                            \
	{ #name, offsetof(struct bpvs_config, name), kind, def, least, most, effect },
#include "sysctl.def"
#undef BPVS_KNOB
};

#define NUM_KNOBS (sizeof(knobs) / sizeof(knobs[0]))

static const struct knob *knob_find(const char *name)
{
	for (size_t i = 0; i < NUM_KNOBS; i++)
		if (!strcmp(knobs[i].name, name))
			return &knobs[i];
	return NULL;
}

static void *knob_at(struct bpvs_config *cfg, const struct knob *k)
{
	return (char *)cfg + k->field;
}

/* ---- numbers ---- */

/*
 * One number as the kernel reads it: space, minus, digits in a base that their start tells; then
 * space or the end. Moves *at behind it.
 */
static int number_read(const char **at, bool *ret_negative, unsigned long *ret)
{
	const char *p = *at;
	unsigned long v;
	bool negative;
	char *end;

	while (isspace((unsigned char)*p))
		p++;
	negative = *p == '-';
	p += negative;
	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	errno = 0;
	v = strtoul(p, &end, 0);
	if (errno || (*end && !isspace((unsigned char)*end)))
		return -EINVAL;
	*at = end;
	*ret_negative = negative;
	*ret = v;
	return 0;
}

static int int_read(const char **at, int *ret)
{
	unsigned long v;
	bool negative;
	int err = number_read(at, &negative, &v);

	if (err)
		return err;
	if (v > (unsigned long)INT_MAX + negative)
		return -EINVAL;
	*ret = negative ? (int)-(long)v : (int)v;
	return 0;
}

static int int_set(struct bpvs_instance *in, const struct knob *k, const char *text, int *ret)
{
	unsigned int hz = in->ro->clock_hz << in->ro->clock_shift;
	int v, err = int_read(&text, &v);

	if (err)
		return err;
	if (v < k->least || v > k->most)
		return -EINVAL;
	if (k->kind == SECONDS && llabs((long long)v) > INT_MAX / (int)hz)
		return -EINVAL;
	if (k->kind == POWER2 && v & (v - 1))
		return -EINVAL;
	*ret = v;
	return 0;
}

static int ulong_set(__u64 *field, const char *text)
{
	unsigned long v;
	bool negative;
	int err = number_read(&text, &negative, &v);

	if (err)
		return err;
	if (negative)
		return -EINVAL;
	__atomic_store_n(field, v, __ATOMIC_RELAXED);
	return 0;
}

/* sync_threshold: the second number may be left out, and stays. */
static int pair_set(__s32 *field, const char *text)
{
	int v[2] = { field[0], field[1] };
	int err = int_read(&text, &v[0]);

	while (!err && isspace((unsigned char)*text))
		text++;
	if (!err && *text)
		err = int_read(&text, &v[1]);
	if (err)
		return err;
	if (v[0] < 0 || v[1] < 0 || (v[1] && v[0] >= v[1]))
		return -EINVAL;
	__atomic_store_n(&field[0], v[0], __ATOMIC_RELAXED);
	__atomic_store_n(&field[1], v[1], __ATOMIC_RELAXED);
	return 0;
}

/* ---- lists of CPUs ---- */

static unsigned int cpus_limit(const struct bpvs_rodata *ro)
{
	return ro->cpus < BPVS_EST_CPUS ? ro->cpus : BPVS_EST_CPUS;
}

static int cpu_read(const char **at, unsigned int limit, unsigned int *ret)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)**at))
		return -EINVAL;
	errno = 0;
	v = strtoul(*at, &end, 10);
	if (errno || v > UINT_MAX)
		return -EOVERFLOW;
	*at = end;
	if (v >= limit)
		return -ERANGE;
	*ret = (unsigned int)v;
	return 0;
}

/* One item, "3", "0-3" or "0-7:1/2": the first of every two. */
static int cpus_item(const char **at, unsigned int limit, __u64 *set)
{
	unsigned int first, last, used = 1, group = 1;
	int err = cpu_read(at, limit, &first);

	last = first;
	if (!err && **at == '-') {
		++*at;
		err = cpu_read(at, limit, &last);
		if (!err && **at == ':') {
			++*at;
			err = cpu_read(at, UINT_MAX, &used);
			if (!err && *(*at)++ != '/')
				return -EINVAL;
			err = err ?: cpu_read(at, UINT_MAX, &group);
		}
	}
	if (err)
		return err;
	if (first > last || !used || used > group)
		return -EINVAL;
	for (unsigned int cpu = first; cpu <= last; cpu++)
		if ((cpu - first) % group < used)
			set[cpu / 64] |= 1ULL << cpu % 64;
	return 0;
}

static int cpus_set(struct bpvs_instance *in, __u64 *field, const char *text)
{
	__u64 set[BPVS_EST_CPUS / 64] = { 0 };

	while (*text) {
		int err;

		if (isspace((unsigned char)*text) || *text == ',') {
			text++;
			continue;
		}
		err = cpus_item(&text, cpus_limit(in->ro), set);
		if (!err && *text && *text != ',' && !isspace((unsigned char)*text))
			err = -EINVAL;
		if (err)
			return err;
	}
	memcpy(field, set, sizeof(set));
	return 0;
}

static bool cpus_has(const __u64 *set, unsigned int cpu)
{
	return cpu < BPVS_EST_CPUS && set[cpu / 64] >> cpu % 64 & 1;
}

static void cpus_print(const __u64 *set, char *to, size_t size)
{
	size_t len = 0;

	*to = '\0';
	for (unsigned int cpu = 0; cpu < BPVS_EST_CPUS; cpu++) {
		unsigned int last = cpu;

		if (!cpus_has(set, cpu))
			continue;
		while (cpus_has(set, last + 1))
			last++;
		len += (size_t)snprintf(to + len, size - len, "%s%u", len ? "," : "", cpu);
		if (last > cpu && len < size)
			len += (size_t)snprintf(to + len, size - len, "-%u", last);
		if (len >= size)
			return;
		cpu = last;
	}
}

/* ---- by name ---- */

int bpvs_sysctl_get(struct bpvs_instance *in, const char *name, char *ret, size_t size)
{
	const struct knob *k = knob_find(name);
	const __s32 *v;

	if (!k)
		return -ENOENT;
	v = knob_at(in->cfg, k);
	if (k->kind == CPUS)
		cpus_print(knob_at(in->cfg, k), ret, size);
	else if (k->kind == PAIR)
		snprintf(ret, size, "%d\t%d", v[0], v[1]);
	else if (k->kind == ULONG)
		snprintf(ret, size, "%llu", *(unsigned long long *)knob_at(in->cfg, k));
	else
		snprintf(ret, size, "%d", *v);
	return 0;
}

/*
 * The kernel judges memory at once when a defence is set: who writes 2 reads 1 unless memory is
 * short. Here the timer does, at its next tick; it is waited for, but not for long.
 */
static void defence_hasten(struct bpvs_instance *in)
{
	__u32 asked = __atomic_add_fetch(&in->cfg->defence_asked, 1, __ATOMIC_SEQ_CST);
	struct timespec ms = { .tv_nsec = 1000000 };

	for (int tries = 0; tries < 100; tries++) {
		/* Without a timer there is nothing to wait for. */
		if (!__atomic_load_n(&in->cfg->tick_ktime, __ATOMIC_RELAXED) ||
		    (__s32)(__atomic_load_n(&in->cfg->defence_done, __ATOMIC_ACQUIRE) - asked) >= 0)
			return;
		nanosleep(&ms, NULL);
	}
}

int bpvs_sysctl_set(struct bpvs_instance *in, const char *name, const char *value)
{
	const struct knob *k = knob_find(name);
	int v, err;

	if (!k)
		return -ENOENT;
	if (k->kind == CPUS)
		return cpus_set(in, knob_at(in->cfg, k), value);
	if (k->kind == PAIR)
		return pair_set(knob_at(in->cfg, k), value);
	if (k->kind == ULONG)
		return ulong_set(knob_at(in->cfg, k), value);
	err = int_set(in, k, value, &v);
	if (err)
		return err;
	if (k->field == offsetof(struct bpvs_config, backup_only))
		return bpvs_backup_set(in, &in->cfg->backup_only, v);
	__atomic_store_n((__s32 *)knob_at(in->cfg, k), v, __ATOMIC_RELAXED);
	if (k->kind == DEFENCE)
		defence_hasten(in);
	return 0;
}

static int int_differs(struct bpvs_instance *in, const struct knob *k, const char *value)
{
	__s32 now = *(__s32 *)knob_at(in->cfg, k);
	int v, err = int_set(in, k, value, &v);

	if (err)
		return err;
	if (k->kind == DEFENCE && (v == 1 || v == 2) && (now == 1 || now == 2))
		return 0;
	return v != now;
}

/* The others are set in a copy, which is compared. */
int bpvs_sysctl_differs(struct bpvs_instance *in, const char *name, const char *value)
{
	const struct knob *k = knob_find(name);
	__u64 cpus[BPVS_EST_CPUS / 64], number;
	__s32 pair[2];
	int err;

	if (!k)
		return -ENOENT;
	if (k->kind == CPUS) {
		err = cpus_set(in, cpus, value);
		return err ?: !!memcmp(cpus, knob_at(in->cfg, k), sizeof(cpus));
	}
	if (k->kind == PAIR) {
		memcpy(pair, knob_at(in->cfg, k), sizeof(pair));
		err = pair_set(pair, value);
		return err ?: !!memcmp(pair, knob_at(in->cfg, k), sizeof(pair));
	}
	if (k->kind == ULONG) {
		err = ulong_set(&number, value);
		return err ?: number != *(__u64 *)knob_at(in->cfg, k);
	}
	return int_differs(in, k, value);
}

const char *bpvs_sysctl_effect(const char *name)
{
	const struct knob *k = knob_find(name);

	return k ? k->effect : NULL;
}

const char *const *bpvs_sysctl_names(void)
{
	static const char *names[NUM_KNOBS + 1];

	for (size_t i = 0; i < NUM_KNOBS; i++)
		names[i] = knobs[i].name;
	return names;
}

/* About what the kernel computes from its pages, and the CPUs that it would choose from. */
void bpvs_sysctl_defaults(struct bpvs_config *cfg, const struct bpvs_rodata *ro)
{
	for (size_t i = 0; i < NUM_KNOBS; i++)
		if (knobs[i].kind <= POWER2)
			*(__s32 *)knob_at(cfg, &knobs[i]) = knobs[i].def;
	cfg->sync_threshold[0] = 3;
	cfg->sync_threshold[1] = 50;
	cfg->sync_qlen_max = (__u64)sysconf(_SC_PHYS_PAGES) / 32;
	for (unsigned int cpu = 0; cpu < cpus_limit(ro); cpu++)
		cfg->est_cpulist[cpu / 64] |= 1ULL << cpu % 64;
}
