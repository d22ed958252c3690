/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with AVX-512F and VL: sixteen inputs side by side, fewer by eight or four with the same one-instruction rotate. */
#include "hash/blake3_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "base/util.h"

#define TARGET __attribute__((target("avx512f,avx512vl")))
#define NAME(x) avx512x4_##x
#include "hash/blake3_x86_128.h"
#define ROR16(v) _mm_ror_epi32(v, 16)
#define ROR12(v) _mm_ror_epi32(v, 12)
#define ROR8(v) _mm_ror_epi32(v, 8)
#define ROR7(v) _mm_ror_epi32(v, 7)
#include "hash/blake3_lanes.h"

#define TARGET __attribute__((target("avx512f,avx512vl")))
#define NAME(x) avx512x8_##x
#include "hash/blake3_x86_256.h"
#define ROR16(v) _mm256_ror_epi32(v, 16)
#define ROR12(v) _mm256_ror_epi32(v, 12)
#define ROR8(v) _mm256_ror_epi32(v, 8)
#define ROR7(v) _mm256_ror_epi32(v, 7)
#include "hash/blake3_lanes.h"

#define TARGET __attribute__((target("avx512f,avx512vl")))
#define NAME(x) avx512x16_##x
TARGET static inline __attribute__((always_inline)) __m512i avx512x16_gather(const uint8_t *const *p, size_t off)
{
	__m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)(p[0] + off)));

	/* inserting from memory is a load and a blend, which leaves the one shuffle unit to the transposition */
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)(p[4] + off)), 1);
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)(p[8] + off)), 2);
	return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)(p[12] + off)), 3);
}

TARGET static inline __attribute__((always_inline)) void avx512x16_scatter(__m512i v, uint8_t *out)
{
	_mm_storeu_si128((__m128i *)(void *)out, _mm512_castsi512_si128(v));
	_mm_storeu_si128((__m128i *)(void *)(out + 128), _mm512_extracti32x4_epi32(v, 1));
	_mm_storeu_si128((__m128i *)(void *)(out + 256), _mm512_extracti32x4_epi32(v, 2));
	_mm_storeu_si128((__m128i *)(void *)(out + 384), _mm512_extracti32x4_epi32(v, 3));
}

#define LANES 16
#define VEC __m512i
#define LOAD(p) _mm512_loadu_si512((const void *)(p))
#define SET1(x) _mm512_set1_epi32((int)(x))
#define ADD _mm512_add_epi32
#define XOR _mm512_xor_si512
#define ZIPLO32 _mm512_unpacklo_epi32
#define ZIPHI32 _mm512_unpackhi_epi32
#define ZIPLO64 _mm512_unpacklo_epi64
#define ZIPHI64 _mm512_unpackhi_epi64
#define GATHER avx512x16_gather
#define SCATTER avx512x16_scatter
#define ROR16(v) _mm512_ror_epi32(v, 16)
#define ROR12(v) _mm512_ror_epi32(v, 12)
#define ROR8(v) _mm512_ror_epi32(v, 8)
#define ROR7(v) _mm512_ror_epi32(v, 7)
#include "hash/blake3_lanes.h"

void blake3_many_avx512(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK;

	while (n > 1) {
		size_t k = MIN(n, 16);

		if (k > 8)
			avx512x16_lanes(in, k, &job, job.counter, out);
		else if (k > 4)
			avx512x8_lanes(in, k, &job, job.counter, out);
		else
			avx512x4_lanes(in, k, &job, job.counter, out);
		in += k * stride, out += 32 * k, job.counter += k, n -= k;
	}
	if (n)
		blake3_many_portable(in, n, job, out);
}
#endif
