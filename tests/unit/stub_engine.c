/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine of ipvsadm-stub and bpvs-stub: tables in the file that BPVS_STUB names, so that one
 * invocation sees what the last one did, without privileges and without a data path.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fake.h"

#define ARENA_SIZE (256UL << 20) /* sparse */

const char *bpvs_error(void)
{
	return "";
}

bool bpvs_privileged(void)
{
	return true;
}

int bpvs_open_or_up(struct bpvs_instance **ret)
{
	const char *path = getenv("BPVS_STUB");
	int flags = path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
	void *memory;

	if (path && (fd < 0 || ftruncate(fd, ARENA_SIZE)))
		return -errno;
	memory = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	fake_use_arena(memory);
	*ret = fake_new((struct fake_size){ 4096, 131072, 1 << 20, 4096 });
	if (!(*ret)->cfg->udp_timeout)
		bpvs_config_defaults((*ret)->cfg, (*ret)->ro);
	if (fd >= 0)
		close(fd);
	return 0;
}

int bpvs_open(struct bpvs_instance **ret)
{
	const char *path = getenv("BPVS_STUB");

	return path && access(path, F_OK) ? -ENOENT : bpvs_open_or_up(ret);
}

/* Not of the file, which is for the one that is open. */
int bpvs_blank_new(struct bpvs_instance **ret)
{
	fake_use_arena(NULL);
	*ret = fake_new((struct fake_size){ 1, 1, 1, 0 });
	bpvs_config_defaults((*ret)->cfg, (*ret)->ro);
	return 0;
}

void bpvs_blank_free(struct bpvs_instance *in)
{
	fake_free(in);
}

void bpvs_close(struct bpvs_instance *in)
{
	bpvs_chunks_close(in);
	bpvs_tables_free(in);
	free(fake_of(in));
}
