/* SPDX-License-Identifier: GPL-2.0-only */
/* What every BPF unit starts from: kernel UAPI, helpers, memory access. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define READ_ONCE(x)	 (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* Keep the compiler from moving memory accesses; the CPU orders them on x86 (design: rule 11). */
#define barrier() asm volatile("" ::: "memory")

/*
 * Compare-and-swap, add and or on a word shared between CPUs. All return the old value, and their
 * callers use it, so that they order fully on arm64 too.
 */
#define cas64(p, old, val) __sync_val_compare_and_swap((p), (old), (val))
#define cas32(p, old, val) __sync_val_compare_and_swap((p), (old), (val))
#define xchg32(p, v)	   __sync_lock_test_and_set((p), (v))
#define fetch_add(p, v)	   __sync_fetch_and_add((p), (v))
#define fetch_or64(p, v)   __sync_fetch_and_or((p), (v))
#define fetch_and64(p, v)  __sync_fetch_and_and((p), (v))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#ifndef ETH_P_8021Q
#define ETH_P_8021Q 0x8100
#endif

/*
 * A pointer from a context's 32-bit field. In C the compiler would take it for a 32-bit number and
 * keep it in half a register, where the verifier does not know it as a pointer.
 */
#define CTX_POINTER(ctx, field)                                                                    \
	({                                                                                         \
		void *__p;                                                                         \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                              \
			     : "=r"(__p)                                                           \
			     : "r"(ctx), "i"(offsetof(typeof(*(ctx)), field)));                    \
		__p;                                                                               \
	})
