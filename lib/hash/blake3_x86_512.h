/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of sixteen words on x86, for both templates. TARGET and NAME are the includer's. */
#define VEC __m512i
#define LOAD(p) _mm512_loadu_si512((const void *)(p))
#define ADD _mm512_add_epi32
#define XOR _mm512_xor_si512
#define SET1(x) _mm512_set1_epi32((int)(x))
#define ZIPLO32 _mm512_unpacklo_epi32
#define ZIPHI32 _mm512_unpackhi_epi32
#define ZIPLO64 _mm512_unpacklo_epi64
#define ZIPHI64 _mm512_unpackhi_epi64
#define ROR16(v) _mm512_ror_epi32(v, 16)
#define ROR12(v) _mm512_ror_epi32(v, 12)
#define ROR8(v) _mm512_ror_epi32(v, 8)
#define ROR7(v) _mm512_ror_epi32(v, 7)

/* inserting from memory is a load and a blend, which leaves the one shuffle unit to the transposition */
TARGET static inline __attribute__((always_inline)) __m512i
NAME(join)(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
	__m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)a));

	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)b), 1);
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)c), 2);
	return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(const void *)d), 3);
}

TARGET static inline __attribute__((always_inline)) void NAME(part)(__m512i v, uint8_t *out, size_t stride)
{
	_mm_storeu_si128((__m128i *)(void *)out, _mm512_castsi512_si128(v));
	_mm_storeu_si128((__m128i *)(void *)(out + stride), _mm512_extracti32x4_epi32(v, 1));
	_mm_storeu_si128((__m128i *)(void *)(out + 2 * stride), _mm512_extracti32x4_epi32(v, 2));
	_mm_storeu_si128((__m128i *)(void *)(out + 3 * stride), _mm512_extracti32x4_epi32(v, 3));
}

#define GATHER(p, off) NAME(join)((p)[0] + (off), (p)[4] + (off), (p)[8] + (off), (p)[12] + (off))
#define SCATTER(v, out) NAME(part)(v, out, 128)

#define GROUPS 4
#define LOAD_GROUPS(p, off) NAME(join)((p)[0] + (off), (p)[1] + (off), (p)[2] + (off), (p)[3] + (off))
#define STORE_GROUPS(v, out) NAME(part)(v, out, 32)
#define TURN(v, s) _mm512_shuffle_epi32(v, (_MM_PERM_ENUM)(s))
#define PICK(a, b, s) _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), s))
#define FROM2(a, b) _mm512_mask_mov_epi32(a, 0x4444, b)
#define FROM3(a, b) _mm512_mask_mov_epi32(a, 0x8888, b)
