/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of eight words on x86: what the 8-lane kernels of AVX2 and AVX-512VL share. TARGET and NAME are the includer's. */

TARGET static inline __attribute__((always_inline)) __m256i NAME(gather)(const uint8_t *const *p, size_t off)
{
	__m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(p[0] + off)));

	return _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(const void *)(p[4] + off)), 1);
}

TARGET static inline __attribute__((always_inline)) void NAME(scatter)(__m256i v, uint8_t *out)
{
	_mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(v));
	_mm_storeu_si128((__m128i *)(void *)(out + 128), _mm256_extracti128_si256(v, 1));
}

#define LANES 8
#define VEC __m256i
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define SET1(x) _mm256_set1_epi32((int)(x))
#define ADD _mm256_add_epi32
#define XOR _mm256_xor_si256
#define ZIPLO32 _mm256_unpacklo_epi32
#define ZIPHI32 _mm256_unpackhi_epi32
#define ZIPLO64 _mm256_unpacklo_epi64
#define ZIPHI64 _mm256_unpackhi_epi64
#define GATHER NAME(gather)
#define SCATTER NAME(scatter)
