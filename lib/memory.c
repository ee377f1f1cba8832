/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the kernel counts its free memory, and whether we may look (bpf/defence.bpf.c does). */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "engine.h"

/*
 * In lockdown the kernel refuses programs that read its memory, and would refuse ours with them. A
 * program that reads eight bytes at NULL, which fails without harm, tells.
 */
static bool may_read(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bpvs_memory", "GPL", insns,
			       sizeof(insns) / sizeof(*insns), NULL);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Kernels built without CONFIG_KALLSYMS_ALL list no variables. */
__u64 bpvs_memory_find(void)
{
	static const char name[] = " vm_zone_stat\n";
	unsigned long long at = 0;
	char line[512];
	FILE *f;

	if (!may_read())
		return BPVS_MEMORY_FORBIDDEN;
	f = fopen("/proc/kallsyms", "re");
	if (!f)
		return BPVS_MEMORY_NO_SYMBOL;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, name) && sscanf(line, "%llx", &at) == 1)
			break;
	fclose(f);
	return BPVS_MEMORY_READABLE(at) ? at : BPVS_MEMORY_NO_SYMBOL;
}
