/* SPDX-License-Identifier: GPL-2.0-only */
/* The system calls on maps, apart so that the tables can be tested without any. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
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

#define CHUNK_BYTES (BPVS_CHUNK * sizeof(struct bpvs_bucket_unit))

/* As bpvs_buckets' template (bpf/sched/buckets.h), or the kernel would not take it. */
static int chunk_create(struct bpvs_instance *in, __u32 chunk)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bpvs_chunk", sizeof(__u32),
				sizeof(struct bpvs_bucket_unit), BPVS_CHUNK, &o);
	int err;

	if (fd < 0)
		return -errno;
	err = bpf_map_update_elem(in->fd_buckets, &chunk, &fd, BPF_ANY) ? -errno : 0;
	close(fd);
	return err;
}

int bpvs_map_chunk(struct bpvs_instance *in, __u32 chunk, bool create,
		   struct bpvs_bucket_unit **ret)
{
	int err = create ? chunk_create(in, chunk) : 0, fd;
	void *at;
	__u32 id;

	if (err)
		return err;
	if (bpf_map_lookup_elem(in->fd_buckets, &chunk, &id))
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	at = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	err = at == MAP_FAILED ? -errno : 0;
	close(fd);
	if (!err)
		*ret = at;
	return err;
}

void bpvs_unmap_chunk(struct bpvs_bucket_unit *units)
{
	munmap(units, CHUNK_BYTES);
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
