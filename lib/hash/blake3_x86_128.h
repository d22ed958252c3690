/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of four words on x86: what the 4-lane kernels of every level share. */
#define LANES 4
#define VEC __m128i
#define LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define SET1(x) _mm_set1_epi32((int)(x))
#define ADD _mm_add_epi32
#define XOR _mm_xor_si128
#define ZIPLO32 _mm_unpacklo_epi32
#define ZIPHI32 _mm_unpackhi_epi32
#define ZIPLO64 _mm_unpacklo_epi64
#define ZIPHI64 _mm_unpackhi_epi64
#define GATHER(p, off) LOAD((p)[0] + (off))
#define SCATTER(v, out) _mm_storeu_si128((__m128i *)(void *)(out), v)
