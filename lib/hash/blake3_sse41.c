/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with SSE4.1: four inputs side by side. */
#include "hash/blake3_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "base/util.h"

#define TARGET __attribute__((target("sse4.1")))
#define NAME(x) sse41_##x
#include "hash/blake3_x86_128.h"
#define ROR16(v) _mm_shuffle_epi8(v, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2))
#define ROR8(v) _mm_shuffle_epi8(v, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1))
#define ROR12(v) _mm_or_si128(_mm_srli_epi32(v, 12), _mm_slli_epi32(v, 20))
#define ROR7(v) _mm_or_si128(_mm_srli_epi32(v, 7), _mm_slli_epi32(v, 25))
#include "hash/blake3_lanes.h"

void blake3_many_sse41(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK;

	while (n > 2) { /* two in plain C are faster than four half wasted */
		size_t k = MIN(n, 4);

		sse41_lanes(in, k, &job, job.counter, out);
		in += k * stride, out += 32 * k, job.counter += k, n -= k;
	}
	if (n)
		blake3_many_portable(in, n, job, out);
}
#endif
