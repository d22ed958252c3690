/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of eight 32-bit words on x86: what the 8-lane kernels of AVX2 and AVX-512VL share. TARGET and NAME come from the includer. */

TARGET static inline __attribute__((always_inline)) void NAME(transpose)(__m256i v[8])
{
	__m256i t[8], u[8];

#pragma GCC unroll 4
	for (unsigned i = 0; i < 4; i++) {
		t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
		t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
	}
#pragma GCC unroll 2
	for (unsigned i = 0; i < 8; i += 4) {
		u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
		u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
		u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
		u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
#pragma GCC unroll 4
	for (unsigned i = 0; i < 4; i++) {
		v[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
		v[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
	}
}

TARGET static inline __attribute__((always_inline)) void NAME(store_cvs)(__m256i h[8], uint8_t *out)
{
	NAME(transpose)(h);
	for (unsigned l = 0; l < 8; l++)
		_mm256_storeu_si256((__m256i *)(void *)(out + 32 * l), h[l]);
}

#define LANES 8
#define VEC __m256i
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define SET1(x) _mm256_set1_epi32((int)(x))
#define ADD _mm256_add_epi32
#define XOR _mm256_xor_si256
#define TRANSPOSE NAME(transpose)
#define STORE_CVS NAME(store_cvs)
