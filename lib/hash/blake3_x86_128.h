/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of four words on x86, for both templates. */
#define VEC __m128i
#define LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define ADD _mm_add_epi32
#define XOR _mm_xor_si128
#define SET1(x) _mm_set1_epi32((int)(x))
#define ZIPLO32 _mm_unpacklo_epi32
#define ZIPHI32 _mm_unpackhi_epi32
#define ZIPLO64 _mm_unpacklo_epi64
#define ZIPHI64 _mm_unpackhi_epi64
#ifdef BLAKE3_ROTATES /* has a rotate instruction */
#define ROR16(v) _mm_ror_epi32(v, 16)
#define ROR12(v) _mm_ror_epi32(v, 12)
#define ROR8(v) _mm_ror_epi32(v, 8)
#define ROR7(v) _mm_ror_epi32(v, 7)
#else
#define ROR16(v) _mm_shuffle_epi8(v, LOAD(rot16))
#define ROR8(v) _mm_shuffle_epi8(v, LOAD(rot8))
#define ROR12(v) _mm_or_si128(_mm_srli_epi32(v, 12), _mm_slli_epi32(v, 20))
#define ROR7(v) _mm_or_si128(_mm_srli_epi32(v, 7), _mm_slli_epi32(v, 25))
#endif

#define GATHER(p, off) LOAD((p)[0] + (off))
#define SCATTER(v, out) _mm_storeu_si128((__m128i *)(void *)(out), v)

#define GROUPS 1
#define LOAD_GROUPS(p, off) LOAD((p)[0] + (off))
#define STORE_GROUPS(v, out) _mm_storeu_si128((__m128i *)(void *)(out), v)
#define TURN(v, s) _mm_shuffle_epi32(v, s)
#define PICK(a, b, s) _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), s))
#define FROM2(a, b) _mm_blend_epi16(a, b, 0x30)
#define FROM3(a, b) _mm_blend_epi16(a, b, 0xc0)
