/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with AVX2: eight inputs side by side, fewer by four. */
#include "hash/blake3_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "base/util.h"

#define TARGET __attribute__((target("avx2")))
#define NAME(x) avx2x8_##x
#include "hash/blake3_x86_256.h"
#define ROR16(v) \
	_mm256_shuffle_epi8(v, _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, \
	    13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2))
#define ROR8(v) \
	_mm256_shuffle_epi8(v, _mm256_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1, \
	    12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1))
#define ROR12(v) _mm256_or_si256(_mm256_srli_epi32(v, 12), _mm256_slli_epi32(v, 20))
#define ROR7(v) _mm256_or_si256(_mm256_srli_epi32(v, 7), _mm256_slli_epi32(v, 25))
#include "hash/blake3_lanes.h"

void blake3_many_avx2(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK;

	while (n > 4) {
		size_t k = MIN(n, 8);

		avx2x8_lanes(in, k, &job, job.counter, out);
		in += k * stride, out += 32 * k, job.counter += k, n -= k;
	}
	if (n)
		blake3_many_sse41(in, n, job, out);
}
#endif
