/* SPDX-License-Identifier: GPL-2.0-only */
/* What a file for `bpvs apply` asks for; docs/config.md describes the format. */
#pragma once

#include "bpvs.h"
#include "doc.h"

struct config_dest {
	struct bpvs_dest_info info;
	struct doc_place at;
};

struct config_svc {
	struct bpvs_svc_info info;
	struct config_dest *dests;
	unsigned int num_dests;
	struct doc_place at;
};

struct config_sysctl {
	const char *name;  /* one of bpvs_sysctl_names() */
	const char *value; /* the document's */
	struct doc_place at;
};

struct config {
	struct doc doc;
	bool has_svcs; /* or the file leaves the services as they are */
	struct config_svc *svcs;
	unsigned int num_svcs;
	struct bpvs_timeouts timeouts; /* 0: not said */
	struct config_sysctl *sysctls;
	unsigned int num_sysctls;
};

/* False: complained of everything, and there is nothing to free. */
bool config_read(struct config *c, const char *path);
void config_free(struct config *c);
/* What only the engine and its host can say. Complains. */
void config_dest_check(struct config *c, const struct config_svc *svc, const struct config_dest *d);
/* 1: another value; 0: the same; negative: complained. */
int config_sysctl_differs(struct config *c, struct bpvs_instance *in,
			  const struct config_sysctl *s);

/* ---- apply_service.c ---- */

bool config_svc_read(struct doc *y, yaml_node_t *node, struct config_svc *ret);

/* ---- orders, by which two things are equal that are one to the engine ---- */

int svc_key_cmp(const struct bpvs_svc_key *a, const struct bpvs_svc_key *b);
int dest_cmp(const struct bpvs_dest_info *a, const struct bpvs_dest_info *b);

/* ipvsadm's defaults and limits. */
#define CONFIG_PERSISTENCE 360
#define CONFIG_SECONDS_MAX (31 * 24 * 60 * 60)
#define CONFIG_MASK4	   0xffffffff
#define CONFIG_MASK6	   128
