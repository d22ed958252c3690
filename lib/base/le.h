/* SPDX-License-Identifier: Apache-2.0 */
/* Integers on disk: little-endian byte arrays, so that forgetting to convert does not compile; big-endian for tree keys. */
#ifndef BASE_LE_H
#define BASE_LE_H
#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[2]; } le16;
typedef struct { uint8_t b[4]; } le32;
typedef struct { uint8_t b[6]; } le48;
typedef struct { uint8_t b[8]; } le64;

/* The low n <= 8 bytes. Where n is known, compilers make one move of the copy, and would not of the loop. */
static inline __attribute__((always_inline)) uint64_t le_load(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&v, p, n);
#else
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
#endif
	return v;
}

static inline __attribute__((always_inline)) void le_store(uint8_t *p, unsigned n, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(p, &v, n);
#else
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
#endif
}

static inline uint16_t le16_get(le16 x) { return (uint16_t)le_load(x.b, 2); }
static inline uint32_t le32_get(le32 x) { return (uint32_t)le_load(x.b, 4); }
static inline uint64_t le48_get(le48 x) { return le_load(x.b, 6); }
static inline uint64_t le64_get(le64 x) { return le_load(x.b, 8); }
static inline le16 le16_put(uint16_t v) { le16 x; le_store(x.b, 2, v); return x; }
static inline le32 le32_put(uint32_t v) { le32 x; le_store(x.b, 4, v); return x; }
static inline le48 le48_put(uint64_t v) { le48 x; le_store(x.b, 6, v); return x; }
static inline le64 le64_put(uint64_t v) { le64 x; le_store(x.b, 8, v); return x; }

static inline uint64_t be64_load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline void be64_store(uint8_t *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	memcpy(p, &v, 8);
}

static inline void be32_store(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline uint32_t be32_load(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
#endif
