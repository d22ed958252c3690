/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of four 32-bit words on x86: what the 4-lane kernels of every x86 level share. TARGET and NAME come from the includer. */

TARGET static inline __attribute__((always_inline)) void NAME(transpose)(__m128i v[4])
{
	__m128i ab = _mm_unpacklo_epi32(v[0], v[1]), AB = _mm_unpackhi_epi32(v[0], v[1]);
	__m128i cd = _mm_unpacklo_epi32(v[2], v[3]), CD = _mm_unpackhi_epi32(v[2], v[3]);

	v[0] = _mm_unpacklo_epi64(ab, cd);
	v[1] = _mm_unpackhi_epi64(ab, cd);
	v[2] = _mm_unpacklo_epi64(AB, CD);
	v[3] = _mm_unpackhi_epi64(AB, CD);
}

TARGET static inline __attribute__((always_inline)) void NAME(store_cvs)(__m128i h[8], uint8_t *out)
{
	NAME(transpose)(h);
	NAME(transpose)(h + 4);
	for (unsigned l = 0; l < 4; l++) {
		_mm_storeu_si128((__m128i *)(void *)(out + 32 * l), h[l]);
		_mm_storeu_si128((__m128i *)(void *)(out + 32 * l + 16), h[4 + l]);
	}
}

#define LANES 4
#define VEC __m128i
#define LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STORE(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)
#define SET1(x) _mm_set1_epi32((int)(x))
#define ADD _mm_add_epi32
#define XOR _mm_xor_si128
#define TRANSPOSE NAME(transpose)
#define STORE_CVS NAME(store_cvs)
