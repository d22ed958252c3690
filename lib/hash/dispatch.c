/* SPDX-License-Identifier: Apache-2.0 */
/* Which BLAKE3 kernel this CPU, and LCPFS_SIMD in the environment, lead to. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "hash/blake3_impl.h"
#include "hash/hash_impl.h"

struct impl {
	const char *name;
	bool (*usable)(void);
	struct blake3_kernels kernels;
};

#if defined(__x86_64__)
static bool has_avx512(void)
{
	return CPU_HAS("avx512f", AVX512F) && CPU_HAS("avx512vl", AVX512VL);
}

static bool has_avx2(void) { return CPU_HAS("avx2", AVX2); }
static bool has_sse41(void) { return CPU_HAS("sse4.1", SSE4_1); }
#endif
static bool always(void) { return true; }

/* best first */
static const struct impl impls[] = {
#if defined(__x86_64__)
	{ "avx512", has_avx512, { blake3_many_avx512, blake3_blocks_avx512 } },
	{ "avx2", has_avx2, { blake3_many_avx2, blake3_blocks_avx2 } },
	{ "sse41", has_sse41, { blake3_many_sse41, blake3_blocks_sse41 } },
#elif defined(BLAKE3_NEON)
	{ "neon", always, { blake3_many_neon, blake3_blocks_portable } },
#endif
	{ "portable", always, { blake3_many_portable, blake3_blocks_portable } },
};

/* Chosen on first use; threads that choose at the same moment choose the same. */
static _Atomic(const struct impl *) current;

bool hash_simd_allows(const char *level)
{
	static const char *const order[] = { "avx512", "avx2", "sse41", "neon", "portable" };
	const char *limit = getenv("LCPFS_SIMD");
	bool below = true;

	for (size_t i = 0; limit && i < ARRAY_LEN(order); i++) {
		if (strcmp(order[i], level) == 0)
			below = false;
		if (strcmp(order[i], limit) == 0)
			return below || strcmp(limit, level) == 0;
	}
	return true;
}

static const struct impl *choose(void)
{
	const struct impl *i = impls;

	while (i->kernels.many != blake3_many_portable && !(hash_simd_allows(i->name) && i->usable()))
		i++;
	atomic_store_explicit(&current, i, memory_order_relaxed);
	return i;
}

static const struct impl *get(void)
{
	const struct impl *i = atomic_load_explicit(&current, memory_order_relaxed);

	return i ? i : choose();
}

const struct blake3_kernels *blake3_kernels(void) { return &get()->kernels; }
const char *blake3_impl(void) { return get()->name; }

bool blake3_force(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(impls); i++)
		if (strcmp(impls[i].name, name) == 0 && impls[i].usable()) {
			atomic_store_explicit(&current, &impls[i], memory_order_relaxed);
			return true;
		}
	return false;
}
