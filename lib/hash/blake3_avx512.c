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
TARGET static inline __attribute__((always_inline)) void avx512x16_transpose(__m512i v[16])
{
	__m512i t[16], u[16];

#pragma GCC unroll 8
	for (unsigned i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
	}
#pragma GCC unroll 4
	for (unsigned i = 0; i < 16; i += 4) { /* u[4r + c]: words c, 4+c, 8+c, 12+c of rows 4r to 4r+3 */
		u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
		u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
		u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
		u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
#pragma GCC unroll 4
	for (unsigned c = 0; c < 4; c++) {
		__m512i a = _mm512_shuffle_i32x4(u[c], u[4 + c], 0x88), b = _mm512_shuffle_i32x4(u[c], u[4 + c], 0xdd);
		__m512i d = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x88);
		__m512i e = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xdd);

		v[c] = _mm512_shuffle_i32x4(a, d, 0x88);
		v[4 + c] = _mm512_shuffle_i32x4(b, e, 0x88);
		v[8 + c] = _mm512_shuffle_i32x4(a, d, 0xdd);
		v[12 + c] = _mm512_shuffle_i32x4(b, e, 0xdd);
	}
}

TARGET static inline __attribute__((always_inline)) void avx512x16_store_cvs(__m512i h[8], uint8_t *out)
{
	__m512i v[16];

	for (unsigned i = 0; i < 8; i++) {
		v[i] = h[i];
		v[8 + i] = _mm512_setzero_si512();
	}
	avx512x16_transpose(v);
	for (unsigned l = 0; l < 16; l++)
		_mm256_storeu_si256((__m256i *)(void *)(out + 32 * l), _mm512_castsi512_si256(v[l]));
}
#define LANES 16
#define VEC __m512i
#define LOAD(p) _mm512_loadu_si512((const void *)(p))
#define STORE(p, v) _mm512_storeu_si512((void *)(p), v)
#define SET1(x) _mm512_set1_epi32((int)(x))
#define ADD _mm512_add_epi32
#define XOR _mm512_xor_si512
#define ROR16(v) _mm512_ror_epi32(v, 16)
#define ROR12(v) _mm512_ror_epi32(v, 12)
#define ROR8(v) _mm512_ror_epi32(v, 8)
#define ROR7(v) _mm512_ror_epi32(v, 7)
#define TRANSPOSE avx512x16_transpose
#define STORE_CVS avx512x16_store_cvs
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
