/* SPDX-License-Identifier: Apache-2.0 */
/* hash, inside: the rows' functions, and the choice between implementations for a CPU. */
#ifndef HASH_IMPL_H
#define HASH_IMPL_H
#include "hash/hash.h"

void sha256_pieces(const struct hash_piece *pieces, unsigned n, uint8_t out[HASH_LEN]);

/* SHA-256 in plain C: for the one failure libcrypto has, no memory, as a digest must not fail. */
struct sha256_plain {
	uint32_t h[8];
	uint64_t len;
	uint8_t buf[64];
};
void sha256_plain_init(struct sha256_plain *s);
void sha256_plain_update(struct sha256_plain *s, const void *data, size_t len);
void sha256_plain_final(struct sha256_plain *s, uint8_t out[HASH_LEN]);

/*
 * true unless LCPFS_SIMD names a level below `level` in the order avx512, avx2, sse41, neon, portable.
 * Unknown names limit nothing.
 */
bool hash_simd_allows(const char *level);

typedef uint32_t crc32c_fn(uint32_t crc, const void *data, size_t len);
crc32c_fn crc32c_table;
#if defined(__x86_64__)
crc32c_fn crc32c_sse42;
/*
 * What the dynamic loader found out about the CPU: the compiler's own way asks it a dozen times more, at the start of every process, and on a
 * virtual machine each question is a trip to its host.
 */
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif
#if defined(CPU_FEATURE_ACTIVE)
/* The header's own test of a bit shifts into the sign. */
static inline bool hash_cpu_active(unsigned index)
{
	const struct cpuid_feature *f = __x86_get_cpuid_feature_leaf(index / 128);

	return f->active_array[index % 128 / 32] >> index % 32 & 1;
}
#define CPU_HAS(name, NAME) hash_cpu_active(x86_cpu_##NAME)
#else
#define CPU_HAS(name, NAME) __builtin_cpu_supports(name)
#endif
#endif
#endif
