/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of eight words on x86, for both templates. TARGET and NAME are the includer's. */
#define VEC __m256i
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define ADD _mm256_add_epi32
#define XOR _mm256_xor_si256
#define SET1(x) _mm256_set1_epi32((int)(x))
#define ZIPLO32 _mm256_unpacklo_epi32
#define ZIPHI32 _mm256_unpackhi_epi32
#define ZIPLO64 _mm256_unpacklo_epi64
#define ZIPHI64 _mm256_unpackhi_epi64
#ifdef BLAKE3_ROTATES
#define ROR16(v) _mm256_ror_epi32(v, 16)
#define ROR12(v) _mm256_ror_epi32(v, 12)
#define ROR8(v) _mm256_ror_epi32(v, 8)
#define ROR7(v) _mm256_ror_epi32(v, 7)
#else
#define ROR16(v) _mm256_shuffle_epi8(v, LOAD(rot16))
#define ROR8(v) _mm256_shuffle_epi8(v, LOAD(rot8))
#define ROR12(v) _mm256_or_si256(_mm256_srli_epi32(v, 12), _mm256_slli_epi32(v, 20))
#define ROR7(v) _mm256_or_si256(_mm256_srli_epi32(v, 7), _mm256_slli_epi32(v, 25))
#endif

/* inserting from memory is a load and a blend, which leaves the shuffle unit to the transposition */
TARGET static inline __attribute__((always_inline)) __m256i NAME(join)(const uint8_t *lo, const uint8_t *hi)
{
	__m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)lo));

	return _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(const void *)hi), 1);
}

TARGET static inline __attribute__((always_inline)) void NAME(part)(__m256i v, uint8_t *out, size_t stride)
{
	_mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(v));
	_mm_storeu_si128((__m128i *)(void *)(out + stride), _mm256_extracti128_si256(v, 1));
}

#define GATHER(p, off) NAME(join)((p)[0] + (off), (p)[4] + (off))
#define SCATTER(v, out) NAME(part)(v, out, 128)

#define GROUPS 2
#define LOAD_GROUPS(p, off) NAME(join)((p)[0] + (off), (p)[1] + (off))
#define STORE_GROUPS(v, out) NAME(part)(v, out, 32)
#define TURN(v, s) _mm256_shuffle_epi32(v, s)
#define PICK(a, b, s) _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), s))
#define FROM2(a, b) _mm256_blend_epi32(a, b, 0x44)
#define FROM3(a, b) _mm256_blend_epi32(a, b, 0x88)
