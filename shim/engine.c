/* SPDX-License-Identifier: GPL-2.0-only */
/* Finding and loading the library that answers. */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "preload.h"

/* Recursive, for libbpvs forks itself when it brings an instance up. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void bpvs_shim_lock(void)
{
	pthread_mutex_lock(&lock);
}

void bpvs_shim_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void *bpvs_shim_next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* The child is another owner, who cannot unlock. */
static void lock_anew(void)
{
	lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}

/* Beside this library. */
static void *engine_open(void)
{
	char path[PATH_MAX + sizeof(BPVS_SHIM_ENGINE)];
	const char *slash;
	Dl_info self;

	if (!dladdr(&lock, &self) || !(slash = strrchr(self.dli_fname, '/')) ||
	    slash - self.dli_fname >= PATH_MAX)
		return NULL;
	snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self.dli_fname), self.dli_fname,
		 BPVS_SHIM_ENGINE);
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static const struct bpvs_shim_answers *engine_load(void)
{
	const struct bpvs_shim_answers *found = NULL;
	void *library = engine_open();

	if (library)
		found = dlsym(library, BPVS_SHIM_SYMBOL);
	if (!found)
		fprintf(stderr, "BPVS: kernel IPVS is asked instead: %s\n", dlerror());
	else if (found->version != BPVS_SHIM_VERSION)
		fprintf(stderr, "BPVS: kernel IPVS is asked instead: %s is of version %u, not %u\n",
			BPVS_SHIM_ENGINE, found->version, BPVS_SHIM_VERSION);
	else {
		/* A child must not begin with what is half done, or with the lock of the tables. */
		pthread_atfork(bpvs_shim_lock, bpvs_shim_unlock, lock_anew);
		return found;
	}
	return NULL;
}

static const struct bpvs_shim_answers *answers;

/* With the lock held. */
const struct bpvs_shim_answers *bpvs_shim_engine(void)
{
	static bool tried;

	if (!tried)
		__atomic_store_n(&answers, engine_load(), __ATOMIC_RELEASE);
	tried = true;
	return answers;
}

const struct bpvs_shim_answers *bpvs_shim_loaded(void)
{
	return __atomic_load_n(&answers, __ATOMIC_ACQUIRE);
}
