/* SPDX-License-Identifier: GPL-2.0-only */
/* Steps as the command lines that would take them. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "endpoint.h"
#include "plan.h"

struct text {
	char *at;
	size_t left;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= t->left)
		len = t->left ? (int)t->left - 1 : 0;
	t->at += len;
	t->left -= (size_t)len;
}

static void put_svc_options(struct text *t, const struct bpvs_svc_info *svc)
{
	struct in_addr mask = { svc->netmask };
	const char *comma = " -b ";

	put(t, "-s %s", bpvs_sched_name(svc->sched));
	if (svc->flags & BPVS_SVC_PERSISTENT) {
		put(t, " -p %u", svc->timeout);
		if (svc->key.af == BPVS_V6 && svc->netmask != CONFIG_MASK6)
			put(t, " -M %u", svc->netmask);
		if (svc->key.af == BPVS_V4 && svc->netmask != CONFIG_MASK4)
			put(t, " -M %s", inet_ntoa(mask));
		if (svc->pe)
			put(t, " --pe %s", bpvs_pe_name(svc->pe));
	}
	if (svc->flags & BPVS_SVC_ONEPACKET)
		put(t, " -o");
	for (__u32 bit = BPVS_SCHED_FALLBACK; bit <= BPVS_SCHED_FLAG_3; bit <<= 1) {
		if (!(svc->sched_flags & bit))
			continue;
		put(t, "%s%s", comma, bpvs_sched_flag_name(svc->sched, bit));
		comma = ",";
	}
}

/* Of what is the default nothing. */
static void put_tunnel_options(struct text *t, const struct bpvs_dest_info *d)
{
	__u8 tunnel = bpvs_dest_tunnel(d), type = tunnel & BPVS_TUNNEL_TYPE;

	if (type == BPVS_TUNNEL_IPIP)
		return;
	put(t, " --tun-type %s", bpvs_tunnel_name(type));
	if (type == BPVS_TUNNEL_GUE)
		put(t, " --tun-port %u", ntohs(d->tun_port));
	if (tunnel & BPVS_TUNNEL_CSUM)
		put(t, " --tun-csum");
	if (tunnel & BPVS_TUNNEL_REMCSUM)
		put(t, " --tun-remcsum");
}

static void put_dest_options(struct text *t, const struct bpvs_dest_info *d)
{
	static const char *const words[] = {
		[BPVS_FWD_MASQ] = "-m",
		[BPVS_FWD_LOCAL] = "-g", /* ipvsadm has no word of its own for it */
		[BPVS_FWD_TUNNEL] = "-i",
		[BPVS_FWD_DROUTE] = "-g",
	};

	put(t, "%s -w %d", words[d->fwd], d->weight);
	if (d->fwd == BPVS_FWD_TUNNEL)
		put_tunnel_options(t, d);
	if (d->u_threshold)
		put(t, " -x %u", d->u_threshold);
	if (d->l_threshold)
		put(t, " -y %u", d->l_threshold);
}

/* What a command line begins with, and what its sign is. */
static const struct {
	char sign;
	const char *words;
} kinds[] = {
	[STEP_SYSCTL] = { '~', "bpvs sysctl" },	  [STEP_TIMEOUTS] = { '~', "ipvsadm --set" },
	[STEP_SVC_ADD] = { '+', "ipvsadm -A" },	  [STEP_SVC_EDIT] = { '~', "ipvsadm -E" },
	[STEP_SVC_DEL] = { '-', "ipvsadm -D" },	  [STEP_DEST_ADD] = { '+', "ipvsadm -a" },
	[STEP_DEST_EDIT] = { '~', "ipvsadm -e" }, [STEP_DEST_DEL] = { '-', "ipvsadm -d" },
};

static void put_target(struct text *t, const struct step *s)
{
	const struct bpvs_dest_info *d = s->dest ?: s->dest_was;
	char name[ENDPOINT_TEXT];

	put(t, " %s", service_write(&(s->svc ?: s->svc_was)->key, name));
	if (d)
		put(t, " -r %s", endpoint_write(&d->addr, d->af, d->port, name));
}

const char *step_command(const struct plan *p, const struct step *s, char to[PLAN_TEXT])
{
	const struct bpvs_timeouts *set = &p->timeouts;
	struct text t = { to, PLAN_TEXT };

	put(&t, "%s", kinds[s->kind].words);
	if (s->kind == STEP_SYSCTL) {
		put(&t, strpbrk(s->sysctl->value, " \t") ? " '%s=%s'" : " %s=%s", s->sysctl->name,
		    s->sysctl->value);
	} else if (s->kind == STEP_TIMEOUTS) {
		put(&t, " %u %u %u", set->tcp, set->tcp_fin, set->udp);
	} else {
		put_target(&t, s);
		if (s->dest) {
			put(&t, " ");
			put_dest_options(&t, s->dest);
		} else if (s->svc && s->kind != STEP_DEST_DEL) {
			put(&t, " ");
			put_svc_options(&t, s->svc);
		}
	}
	return to;
}

/* Of an edit: what it was. */
static const char *step_was(const struct plan *p, const struct step *s, char to[PLAN_TEXT])
{
	const struct bpvs_timeouts *was = &p->timeouts_was;
	struct text t = { to, PLAN_TEXT };

	if (s->kind == STEP_SYSCTL)
		put(&t, "%s", s->sysctl_was);
	else if (s->kind == STEP_TIMEOUTS)
		put(&t, "%u %u %u", was->tcp, was->tcp_fin, was->udp);
	else if (s->kind == STEP_DEST_EDIT)
		put_dest_options(&t, s->dest_was);
	else
		put_svc_options(&t, s->svc_was);
	return to;
}

void plan_print(const struct plan *p)
{
	char command[PLAN_TEXT], was[PLAN_TEXT];

	for (unsigned int i = 0; i < p->num; i++) {
		const struct step *s = &p->steps[i];
		char sign = kinds[s->kind].sign;

		printf("%c %s", sign, step_command(p, s, command));
		if (sign == '~')
			printf("  # was %s", step_was(p, s, was));
		putchar('\n');
	}
}
