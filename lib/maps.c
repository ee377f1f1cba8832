/* SPDX-License-Identifier: GPL-2.0-only */
/* The system calls on maps, apart so that the tables can be tested without any. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

int bpvs_map_svc_put(struct bpvs_instance *in, const struct bpvs_svc_key *key, __u32 id)
{
	return bpf_map_update_elem(in->fd_svc_ids, key, &id, BPF_ANY) ? -errno : 0;
}

int bpvs_map_svc_del(struct bpvs_instance *in, const struct bpvs_svc_key *key)
{
	return bpf_map_delete_elem(in->fd_svc_ids, key) ? -errno : 0;
}

int bpvs_map_call_get(struct bpvs_instance *in, __u32 slot, struct bpvs_call *ret)
{
	return bpf_map_lookup_elem(in->fd_calls, &slot, ret) ? -errno : 0;
}

int bpvs_grace_wait(void)
{
	int fd;

	if (!syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return 0;
	/*
	 * Refused on kernels that run with nohz_full. Closing a packet socket waits for a grace
	 * period too (packet_release() ends in synchronize_net()).
	 */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}
