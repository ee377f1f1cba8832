/* SPDX-License-Identifier: GPL-2.0-only */
/* Bringing an instance up, finding it, taking it down. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "engine.h"
#include "bpvs.skel.h"
#include "lock.h"
#include "mark.h"
#include "proc.h"
#include "service.h"

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

#define DEFAULT_CONNS	 (1U << 20)
#define DEFAULT_SERVICES 16384U
#define DEFAULT_DESTS	 131072U
#define MOST_CONNS	 (1U << 26)

/* ---- what the kernel has to have ---- */

static char libbpf_words[256];

/* Keep the last thing that libbpf complains of, for our own message; BPVS_DEBUG shows all of it. */
static int keep_words(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[256];

	if (level != LIBBPF_DEBUG && getenv("BPVS_DEBUG"))
		return vfprintf(stderr, fmt, ap);
	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	/* The verifier's log has many lines and is no message. */
	if (!strchr(line, '\n') || strchr(line, '\n')[1])
		return 0;
	*strchr(line, '\n') = '\0';
	snprintf(libbpf_words, sizeof(libbpf_words), "%s", line);
	return 0;
}

static int check_kernel(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	if (uname(&u))
		return -errno;
	if (sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return 0;
	if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		return 0;
	return bpvs_fail(-ENOSYS, "kernel %s is too old: BPVS needs %d.%d or newer", u.release,
			 KERNEL_MAJOR, KERNEL_MINOR);
}

/* A program of two instructions: says whether BPF is to be had, and gives jiffies. */
static int clock_prog(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_jiffies64 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bpvs_clock", "GPL", insns, 2, NULL);

	__u32 id;

	/* The anchor's map and all the others are opened by their ids, which this asks for too. */
	if (fd >= 0 && bpf_prog_get_next_id(0, &id) && errno == EPERM) {
		close(fd);
		return bpvs_fail(-EPERM, "not permitted to open BPF objects by their ids: "
					 "CAP_SYS_ADMIN is needed");
	}
	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOSYS:
		return bpvs_fail(-ENOSYS, "the kernel was built without the bpf() system call");
	case EPERM:
		return bpvs_fail(-EPERM,
				 "not permitted to load BPF programs: CAP_BPF, CAP_NET_ADMIN "
				 "and CAP_SYS_ADMIN are needed (and no seccomp or lockdown "
				 "rule against bpf())");
	case ENOMEM:
		return bpvs_fail(-ENOMEM,
				 "no memory for BPF: the locked-memory limit (ulimit -l) or "
				 "the memory cgroup is too small");
	}
	return bpvs_fail(-errno, "cannot load a BPF program: %s", strerror(errno));
}

static __u32 clock_run(int fd)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));

	return bpf_prog_test_run_opts(fd, &o) ? 0 : o.retval;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const unsigned int known_hz[] = { 100, 250, 300, 1000 };
#define KNOWN_HZ (sizeof(known_hz) / sizeof(*known_hz))

/* How many jiffies make a second, by watching them: from one edge to the sixth after it. */
static unsigned int watch_hz(int fd)
{
	double start, took, best = 1e9;
	__u32 j = clock_run(fd), edge;
	unsigned int hz = 250;

	do
		edge = clock_run(fd);
	while (edge == j);
	start = seconds_now();
	do
		j = clock_run(fd);
	while (j - edge < 6);
	took = (double)(j - edge) / (seconds_now() - start);
	for (size_t i = 0; i < KNOWN_HZ; i++) {
		double off = took > known_hz[i] ? took / known_hz[i] : known_hz[i] / took;

		if (off < best) {
			best = off;
			hz = known_hz[i];
		}
	}
	return hz;
}

/*
 * How many seconds the jiffies would be off, were they that many a second: they stood at -300 s in
 * 32 bits when the machine started, and the kernel has them follow the monotonic clock.
 */
static double off_by(unsigned int hz, __u32 jiffies, double now)
{
	__u32 expected = (__u32)(__s64)((now - 300) * hz);
	double off = (double)(__s32)(jiffies - expected) / hz;

	return off < 0 ? -off : off;
}

/*
 * The one rate that fits what has gone by since the machine started. To watch jiffies misleads who
 * has to wait for a CPU meanwhile, so that is left for when two rates fit, as they do around 300 s:
 * a machine takes some seconds before it counts.
 */
static unsigned int measure_hz(int fd)
{
	double now = seconds_now();
	__u32 jiffies = clock_run(fd);
	unsigned int fits = 0, hz = 0, watched[3];

	for (size_t i = 0; i < KNOWN_HZ; i++) {
		if (off_by(known_hz[i], jiffies, now) > 8)
			continue;
		hz = known_hz[i];
		fits++;
	}
	if (fits == 1)
		return hz;
	for (int tries = 0; tries < 20; tries++) {
		for (size_t i = 0; i < 3; i++)
			watched[i] = watch_hz(fd);
		if (watched[0] == watched[1] && watched[1] == watched[2])
			break;
	}
	return watched[0];
}

/* ---- loading ---- */

static int rodata_fill(struct bpvs_rodata *ro, const struct bpvs_up_opts *o)
{
	__u32 conns = o->conns ? o->conns : DEFAULT_CONNS;
	unsigned int hz;
	int fd = clock_prog();

	if (fd < 0)
		return fd;
	hz = measure_hz(fd);
	close(fd);
	/* Two thirds full when all the connections asked for are there: 0.5% of them spill. */
	ro->slots = conns + conns / 2;
	ro->spills = conns / 16 + 64;
	ro->max_svc = o->services ? o->services + 1 : DEFAULT_SERVICES;
	ro->max_dest = o->dests ? o->dests + 1 : DEFAULT_DESTS;
	/* Lists have power-of-two sizes, and a changed one exists twice for a moment. */
	ro->max_list = 4 * ro->max_dest + 2 * ro->max_svc;
	ro->cpus = (__u32)libbpf_num_possible_cpus();
	ro->zone_stat = bpvs_memory_find();
	ro->clock_shift = hz >= 1000 ? 3 : hz >= 250 ? 1 : 0;
	ro->clock_hz = hz >> ro->clock_shift;
	if (getrandom(ro->hash_key, sizeof(ro->hash_key), 0) != sizeof(ro->hash_key))
		return bpvs_fail(-EIO, "no random numbers for the table's hash");
	return 0;
}

static void sizes_set(struct bpvs_bpf *s, const struct bpvs_rodata *ro)
{
	__u32 slots = ro->slots + BPVS_CONN_WINDOW + ro->spills;

	bpf_map__set_max_entries(s->maps.bpvs_conns, slots);
	bpf_map__set_max_entries(s->maps.bpvs_conns6, slots);
	bpf_map__set_max_entries(s->maps.bpvs_due, slots / BPVS_BLOCK + 1);
	bpf_map__set_max_entries(s->maps.bpvs_svcs, ro->max_svc);
	bpf_map__set_max_entries(s->maps.bpvs_dests, (ro->max_dest - 1) / BPVS_CHUNK_OF + 1);
	bpf_map__set_max_entries(s->maps.bpvs_lists, (ro->max_list - 1) / BPVS_CHUNK_OF + 1);
	bpf_map__set_max_entries(s->maps.bpvs_rates, ro->max_svc + ro->max_dest);
	bpf_map__set_max_entries(s->maps.bpvs_stats, ro->cpus * (ro->max_svc + ro->max_dest));
	bpf_map__set_max_entries(s->maps.bpvs_counters, ro->cpus * BPVS_COUNTERS);
	/* Services, and the endpoints of NAT destinations (BPVS_KEY_RIP). */
	bpf_map__set_max_entries(s->maps.bpvs_svc_ids, ro->max_svc + ro->max_dest);
	bpf_map__set_max_entries(s->maps.bpvs_buckets, bpvs_chunks_max(ro));
	bpf_map__set_max_entries(s->maps.bpvs_spill, 2 * ro->spills);
	bpf_map__set_max_entries(s->maps.bpvs_calls, slots);
	/* As were asked for, and no more: a hash's buckets take memory from the beginning. */
	bpf_map__set_max_entries(s->maps.bpvs_ftp, (2 * ro->slots + 2) / 3);
}

static int load(const struct bpvs_up_opts *o, struct bpvs_bpf **ret)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct bpvs_bpf *s;
	int err;

	/* Kernels with memory cgroups do not ask; on others the load tells. */
	setrlimit(RLIMIT_MEMLOCK, &all);
	libbpf_set_print(keep_words);
	s = bpvs_bpf__open();
	if (!s)
		return bpvs_fail(-errno, "cannot open the BPF object: %s", libbpf_words);
	err = rodata_fill((struct bpvs_rodata *)&s->rodata->bpvs_ro, o);
	if (!err) {
		sizes_set(s, (const struct bpvs_rodata *)&s->rodata->bpvs_ro);
		err = bpvs_bpf__load(s);
		if (err == -ENOMEM || err == -E2BIG)
			bpvs_fail(err, "no memory for %u connections: %s",
				  o->conns ? o->conns : DEFAULT_CONNS, libbpf_words);
		else if (err)
			bpvs_fail(err, "the kernel refuses the BPF programs: %s", libbpf_words);
	}
	if (err) {
		bpvs_bpf__destroy(s);
		return err;
	}
	*ret = s;
	return 0;
}

/* ---- the anchor ---- */

static __u32 map_id(const struct bpf_map *m)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_map__fd(m), &info, &len) ? 0 : info.id;
}

static __u32 prog_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static struct bpvs_programs programs_of(struct bpvs_bpf *s)
{
	int xdp = bpf_program__fd(s->progs.bpvs_xdp), tc = bpf_program__fd(s->progs.bpvs_tc);

	return (struct bpvs_programs){ xdp, tc, prog_id(xdp), prog_id(tc) };
}

static int anchor_write(struct bpvs_bpf *s, const struct bpvs_up_opts *o,
			const struct bpvs_programs *p, const int *before)
{
	struct bpvs_anchor a = {
		.abi = BPVS_ABI,
		.devs_id = map_id(s->maps.bpvs_devs),
		.xdp_id = p->xdp_id,
		.tc_id = p->tc_id,
		.mark_id = prog_id(bpf_program__fd(s->progs.bpvs_mark)),
		.mark_out_id = prog_id(bpf_program__fd(s->progs.bpvs_mark_out)),
		.out_id = prog_id(bpf_program__fd(s->progs.bpvs_out)),
		.mode = o->mode,
		.all_devs = !o->devs,
		.conns = o->conns ? o->conns : DEFAULT_CONNS,
		.forwarding4 = (__u32)before[0],
		.forwarding6 = (__u32)before[1],
		.accept_local = (__u32)before[2],
	};
	__u32 zero = 0;
	int err = bpvs_tables_lock_init(&a);

	if (err)
		return err;
	memcpy(&a.ro, (const void *)&s->rodata->bpvs_ro, sizeof(a.ro));
#define BPVS_MAP(id, name) a.map_ids[BPVS_MAP_##id] = map_id(s->maps.name);
#include <bpvs/map.def>
#undef BPVS_MAP
	return bpf_map_update_elem(bpf_map__fd(s->maps.bpvs_anchor_map), &zero, &a, 0) ? -errno : 0;
}

/*
 * ---- lo's forwarding, which bpf_fib_lookup() asks for (bpf/nexthop.h), and its consent to sources
 * that are addresses of this host (bpf/local_tc.h) ----
 */

static const char *const lo_paths[] = {
	"/proc/sys/net/ipv4/conf/lo/forwarding",
	"/proc/sys/net/ipv6/conf/lo/forwarding",
	"/proc/sys/net/ipv4/conf/lo/accept_local",
};
#define LO_PATHS 3

static void lo_read(int *ret_before)
{
	for (int i = 0; i < LO_PATHS; i++)
		ret_before[i] = bpvs_proc_read(lo_paths[i]);
}

/* Only when the anchor is there, which remembers what was before. */
static int lo_on(const int *before)
{
	for (int i = 0; i < LO_PATHS; i++) {
		int err;

		/* No IPv6 in this kernel or namespace is no error. */
		if (before[i] < 0 && i == 1)
			continue;
		err = before[i] == 1 ? 0 : bpvs_proc_write(lo_paths[i], 1);
		if (err)
			return bpvs_fail(err, "cannot set %s: %s", lo_paths[i], strerror(-err));
	}
	return 0;
}

static void lo_back(const int *before)
{
	for (int i = 0; i < LO_PATHS; i++)
		if (before[i] == 0)
			bpvs_proc_write(lo_paths[i], 0);
}

/* ---- up ---- */

static int start_timer(struct bpvs_bpf *s)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));

	if (bpf_prog_test_run_opts(bpf_program__fd(s->progs.bpvs_start), &o))
		return bpvs_fail(-errno, "cannot start the timer: %s", strerror(errno));
	if (o.retval)
		return bpvs_fail(-ENOMEM, "cannot start the timer (step %u)", o.retval);
	return 0;
}

/*
 * It ends with the network namespace. Without one all works, but for the count. The namespace is
 * the thread's: the preloaded library moves that alone.
 */
static struct bpf_link *tripwire_set(struct bpvs_bpf *s, struct bpvs_anchor *a)
{
	int ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct bpf_link *link = NULL;

	if (ns >= 0)
		link = bpf_program__attach_netns(s->progs.bpvs_tripwire, ns);
	a->tripwire = link ? 0 : (__u32)errno;
	if (ns >= 0)
		close(ns);
	return link;
}

static int pin_all(struct bpvs_bpf *s, struct bpvs_anchor *a)
{
	struct bpf_link *tripwire = tripwire_set(s, a);
	struct bpvs_pin pins[] = {
		{ "alive", bpf_map__fd(s->maps.bpvs_alive) },
		{ "timer", bpf_map__fd(s->maps.bpvs_timer) },
		{ "xdp", bpf_program__fd(s->progs.bpvs_xdp) },
		{ "tc", bpf_program__fd(s->progs.bpvs_tc) },
		{ "mark", bpf_program__fd(s->progs.bpvs_mark) },
		{ "mark-out", bpf_program__fd(s->progs.bpvs_mark_out) },
		{ "out", bpf_program__fd(s->progs.bpvs_out) },
		{ "out-next", bpf_map__fd(s->maps.bpvs_out_next) },
		{ "tripwire", tripwire ? bpf_link__fd(tripwire) : -1 },
	};
	size_t num = sizeof(pins) / sizeof(*pins) - !tripwire;
	__u32 zero = 0, lo = LO_IFINDEX;
	int walk = bpf_program__fd(s->progs.bpvs_out_walk);
	int err = 0;

	if (bpf_map_update_elem(bpf_map__fd(s->maps.bpvs_out_next), &zero, &walk, 0))
		err = bpvs_fail(-errno, "cannot chain programs: %s", strerror(errno));
	else if (bpf_map_update_elem(bpf_map__fd(s->maps.bpvs_alive), &zero, &lo, 0))
		err = bpvs_fail(-errno, "cannot mark the namespace: %s", strerror(errno));
	if (!err)
		err = bpvs_hold(pins, num);
	/* The pin holds it from now on. */
	bpf_link__destroy(tripwire);
	return err;
}

static int take_down(struct bpvs_anchor *a);

/* From here on a kill leaves an anchor that is not ready, which the next call takes down. */
static int raise_up(struct bpvs_bpf *s, const struct bpvs_up_opts *o, const struct bpvs_programs *p,
		    const int *before)
{
	struct bpvs_anchor *a = NULL;
	bool made;
	int err;

	err = bpvs_tc_put(LO_IFINDEX, bpf_program__fd(s->progs.bpvs_anchor), &made);
	if (err == -EPERM)
		return bpvs_fail(err, "not permitted to attach to TC ingress: CAP_NET_ADMIN is "
				      "needed");
	if (err)
		return bpvs_fail(err, "cannot attach to TC ingress (sch_ingress, cls_bpf): %s",
				 strerror(-err));
	err = bpvs_anchor_find(&a);
	if (err) {
		bpvs_tc_drop(LO_IFINDEX, true);
		return bpvs_fail(err, "cannot find the anchor on lo again: %s", strerror(-err));
	}
	err = lo_on(before);
	if (!err)
		err = pin_all(s, a);
	if (!err)
		err = start_timer(s);
	if (!err) {
		size_t size;
		struct bpvs_dev *devs = bpvs_map_devs(bpf_map__fd(s->maps.bpvs_devs), &size);

		err = devs ? bpvs_devices_cover(p, devs, o->mode, o->devs) : -ENOMEM;
		bpvs_unmap_devs(devs, size);
	}
	if (!err)
		__atomic_store_n(&a->ready, 1, __ATOMIC_RELEASE);
	else
		take_down(a);
	bpvs_anchor_unmap(a);
	return err;
}

static int up_locked(const struct bpvs_up_opts *o)
{
	struct bpvs_anchor *a = NULL;
	struct bpvs_programs p;
	struct bpvs_bpf *s = NULL;
	int before[LO_PATHS], err = bpvs_anchor_find(&a);

	if (!err) {
		bool ready = a->ready;

		err = ready ? bpvs_anchor_check(a) ?: bpvs_anchor_whole(a) : take_down(a);
		bpvs_anchor_unmap(a);
		if (err)
			return err;
		if (ready)
			return bpvs_fail(-EEXIST, "this network namespace has an instance already");
	} else if (err != -ENOENT) {
		return err;
	}
	err = load(o, &s);
	if (err)
		return err;
	p = programs_of(s);
	bpvs_config_defaults(&s->data_cfg->bpvs_cfg,
			     (const struct bpvs_rodata *)&s->rodata->bpvs_ro);
	lo_read(before);
	err = anchor_write(s, o, &p, before);
	if (!err)
		err = raise_up(s, o, &p, before);
	bpvs_bpf__destroy(s);
	return err;
}

int bpvs_up(const struct bpvs_up_opts *o)
{
	int lock, err = check_kernel();

	libbpf_set_print(keep_words);
	if (err)
		return err;
	if (!bpvs_privileged())
		return bpvs_fail(-EPERM, "permission denied (you must be root)");
	if (o->conns > MOST_CONNS)
		return bpvs_fail(-EINVAL, "at most %u connections", MOST_CONNS);
	err = bpvs_lock_take(&lock);
	if (err)
		return err;
	err = up_locked(o);
	bpvs_lock_drop(lock);
	return err;
}

/* ---- down ---- */

/* Of any version whose anchor begins as ours does. */
static int take_down(struct bpvs_anchor *a)
{
	struct bpvs_programs p = { -1, -1, a->xdp_id, a->tc_id };
	int before[LO_PATHS] = { (int)a->forwarding4, (int)a->forwarding6, (int)a->accept_local };
	int fd = bpf_map_get_fd_by_id(a->devs_id);
	struct bpvs_dev *devs = NULL;
	size_t size = 0;

	if (a->abi < BPVS_ABI_FIRST)
		return bpvs_fail(-EPROTO,
				 "the engine here is too old (map layout %u) for these "
				 "tools to take it down: use those that made it, or restart "
				 "the machine",
				 a->abi);
	if (fd >= 0) {
		devs = bpvs_map_devs(fd, &size);
		close(fd);
	}
	bpvs_marks_bare(devs);
	bpvs_devices_bare(&p, devs);
	bpvs_unmap_devs(devs, size);
	lo_back(before);
	bpvs_unhold();
	/* Last, so that a kill before here leaves what finds the rest. */
	return bpvs_tc_drop(LO_IFINDEX, true);
}

/* Whoever has the instance open waits, or is told, but does not change what is taken down. */
static int stop_changes(struct bpvs_anchor *a)
{
	int err = bpvs_tables_lock_take(a);

	if (err)
		return err;
	__atomic_store_n(&a->ready, 0, __ATOMIC_RELEASE);
	bpvs_tables_lock_drop(a);
	return 0;
}

int bpvs_down(void)
{
	struct bpvs_anchor *a;
	int lock, err;

	libbpf_set_print(keep_words);
	if (!bpvs_privileged())
		return bpvs_fail(-EPERM, "permission denied (you must be root)");
	err = bpvs_lock_take(&lock);
	if (err)
		return err;
	err = bpvs_anchor_find(&a);
	if (!err) {
		if (a->abi == BPVS_ABI)
			err = stop_changes(a);
		else if (a->abi >= BPVS_ABI_FIRST)
			__atomic_store_n(&a->ready, 0, __ATOMIC_RELEASE);
		err = err ?: take_down(a);
		bpvs_anchor_unmap(a);
	} else if (err == -ENOENT) {
		/* Pins of namespaces that are gone are nobody's, nor is bpvs0: a good moment. */
		bpvs_marks_bare(NULL);
		bpvs_unhold();
		bpvs_fail(err, "no instance in this network namespace");
	}
	bpvs_lock_drop(lock);
	return err;
}

/* ---- open ---- */

static int find_ready(struct bpvs_anchor **ret)
{
	int lock, err = bpvs_anchor_find(ret);

	if (err)
		return err;
	if (__atomic_load_n(&(*ret)->ready, __ATOMIC_ACQUIRE)) {
		err = bpvs_anchor_check(*ret);
		if (err)
			bpvs_anchor_unmap(*ret);
		return err;
	}
	/* Being brought up or down by somebody who has the lock, or a wreck if nobody has. */
	bpvs_anchor_unmap(*ret);
	err = bpvs_lock_take(&lock);
	if (err)
		return err;
	err = bpvs_anchor_find(ret);
	if (!err) {
		bool ready = (*ret)->ready;

		err = ready ? bpvs_anchor_check(*ret) : take_down(*ret) ?: -ENOENT;
		if (err)
			bpvs_anchor_unmap(*ret);
	}
	bpvs_lock_drop(lock);
	return err;
}

/*
 * What cannot be covered now is reported by status, not by every command. Whether anything is there
 * of what firewall marks need.
 */
static bool devices_renew(struct bpvs_instance *in, const struct bpvs_anchor *a)
{
	struct bpvs_programs p = { in->fd_xdp, in->fd_tc, a->xdp_id, a->tc_id };
	bool stale, marks;
	int lock;

	if (bpvs_devices_refresh(in->devs, a->all_devs, &stale, &marks))
		return bpvs_marks_there(in);
	marks |= in->cfg->mark_ifindex != 0;
	if (!stale)
		return marks;
	/* Lest something is put on a device where whoever takes the instance down has been. */
	if (bpvs_lock_take(&lock))
		return marks;
	/* Not where it was taken down since. */
	if (!bpvs_lock(in)) {
		if (a->all_devs)
			bpvs_devices_cover(&p, in->devs, (enum bpvs_mode)a->mode, NULL);
		else
			bpvs_devices_forget(in->devs);
		bpvs_out_cover(in);
		bpvs_unlock(in);
	}
	bpvs_lock_drop(lock);
	return marks;
}

/* Other tools may have removed rules, and devices come. What cannot be done, status tells. */
static void marks_renew(struct bpvs_instance *in)
{
	if (bpvs_tables_enter(in))
		return;
	bpvs_marks_sync(in);
	bpvs_tables_leave(in);
}

bool bpvs_privileged(void)
{
	return geteuid() == 0;
}

int bpvs_open(struct bpvs_instance **ret)
{
	struct bpvs_instance *in;
	struct bpvs_anchor *a;
	int err;

	libbpf_set_print(keep_words);
	if (!bpvs_privileged())
		return bpvs_fail(-EPERM, "permission denied (you must be root)");
	err = find_ready(&a);
	if (err == -ENOENT)
		return bpvs_fail(err, "no instance in this network namespace");
	if (err)
		return err;
	err = bpvs_open_found(a, &in);
	if (err)
		return err;
	if (devices_renew(in, a))
		marks_renew(in);
	/* That there was none before one was brought up is no reason for what comes now. */
	bpvs_fail(0, "%s", "");
	*ret = in;
	return 0;
}

int bpvs_open_or_up(struct bpvs_instance **ret)
{
	struct bpvs_up_opts o = { .mode = BPVS_MODE_AUTO };
	int err = bpvs_open(ret);

	if (err != -ENOENT)
		return err;
	err = bpvs_up(&o);
	/* Somebody else was quicker: all the better. */
	if (err && err != -EEXIST)
		return err;
	return bpvs_open(ret);
}

struct blank {
	struct bpvs_instance in; /* first, so that one pointer names both */
	struct bpvs_rodata ro;
	struct bpvs_config cfg;
};

int bpvs_blank_new(struct bpvs_instance **ret)
{
	const struct bpvs_up_opts o = { .mode = BPVS_MODE_AUTO };
	struct blank *b;
	int err = check_kernel();

	if (err)
		return err;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	err = rodata_fill(&b->ro, &o);
	if (err) {
		free(b);
		return err;
	}
	b->in.ro = &b->ro;
	b->in.cfg = &b->cfg;
	bpvs_config_defaults(&b->cfg, &b->ro);
	*ret = &b->in;
	return 0;
}

void bpvs_blank_free(struct bpvs_instance *in)
{
	free(in);
}

int bpvs_status_get(struct bpvs_instance *in, struct bpvs_status *ret)
{
	const struct bpvs_anchor *a = bpvs_instance_anchor(in);
	__u64 slots = (__u64)in->ro->slots + BPVS_CONN_WINDOW + in->ro->spills, new, expired;
	int err = bpvs_counter_get(in, BPVS_EV_CONN_NEW, &new);

	if (!err)
		err = bpvs_counter_get(in, BPVS_EV_CONN_ENDED, &expired);
	if (err)
		return err;
	memset(ret, 0, sizeof(*ret));
	ret->mode = (enum bpvs_mode)a->mode;
	ret->all_devs = a->all_devs;
	ret->conns = new > expired ? new - expired : 0;
	ret->conns_max = a->conns;
	/* A spilled one is in a hash as well, twice: element header, key, index. */
	ret->table_bytes = slots * (sizeof(struct bpvs_conn) + sizeof(struct bpvs_conn6)) +
			   2ULL * in->ro->spills * (48 + sizeof(struct bpvs_spill_key) + 8 + 16);
	ret->conn_bytes = (unsigned int)(ret->table_bytes / ret->conns_max);
	ret->services = in->cfg->services4 + in->cfg->services6;
	ret->services_max = in->ro->max_svc - 1;
	ret->dests_max = in->ro->max_dest - 1;
	ret->memory = in->ro->zone_stat == BPVS_MEMORY_NO_SYMBOL   ? BPVS_MEMORY_UNNAMED
		      : in->ro->zone_stat == BPVS_MEMORY_FORBIDDEN ? BPVS_MEMORY_LOCKED
								   : BPVS_MEMORY_KNOWN;
	ret->free_pages = in->cfg->free_pages;
	ret->few_pages = in->cfg->amemthresh;
	ret->tripwire = (int)a->tripwire;
	ret->past_ifindex = in->cfg->past_ifindex;
	ret->tick_gap_ns = in->cfg->tick_gap;
	ret->tick_cost_ns = in->cfg->tick_cost;
	return 0;
}

/* ---- the clock ---- */

static __u32 clock_read(struct bpvs_instance *in)
{
	const struct bpvs_rodata *ro = in->ro;
	__u64 ktime = __atomic_load_n(&in->cfg->tick_ktime, __ATOMIC_ACQUIRE);
	__u64 jiffies = in->cfg->tick_clock, hz = (__u64)ro->clock_hz << ro->clock_shift;
	struct timespec t;
	__u64 now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (__u64)t.tv_sec * 1000000000ULL + (__u64)t.tv_nsec;
	if (ktime && now > ktime)
		jiffies += (now - ktime) * hz / 1000000000ULL;
	/*
	 * One jiffy on: the tick may have been just before an edge, and time left is never too
	 * long.
	 */
	return (__u32)((jiffies + 1) >> ro->clock_shift);
}

int bpvs_clock_since(struct bpvs_instance *in, __u32 then)
{
	return (int)(clock_read(in) - then);
}

unsigned int bpvs_clock_hz(const struct bpvs_instance *in)
{
	return in->ro->clock_hz;
}
