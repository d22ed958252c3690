/* SPDX-License-Identifier: Apache-2.0 */
/* The BLAKE3 compression function in plain C. */
#include "hash/blake3_impl.h"
#include "base/le.h"

/* gcc would build the vectors of the last exclusive-ors by way of memory, at the price of a fifth of the speed */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-vectorize")
#endif

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	return v;
}

static inline void store32(uint8_t *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	memcpy(p, &v, 4);
}

#define ROR(v, n) ((v) >> (n) | (v) << (32 - (n)))
#define G(a, b, c, d, x, y)       \
	a += b + m[x];            \
	d = ROR(d ^ a, 16);       \
	c += d;                   \
	b = ROR(b ^ c, 12);       \
	a += b + m[y];            \
	d = ROR(d ^ a, 8);        \
	c += d;                   \
	b = ROR(b ^ c, 7);
/* columns, then diagonals */
#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	G(v0, v4, v8, v12, m0, m1)                                                  \
	G(v1, v5, v9, v13, m2, m3)                                                  \
	G(v2, v6, v10, v14, m4, m5)                                                 \
	G(v3, v7, v11, v15, m6, m7)                                                 \
	G(v0, v5, v10, v15, m8, m9)                                                 \
	G(v1, v6, v11, v12, m10, m11)                                               \
	G(v2, v7, v8, v13, m12, m13)                                                \
	G(v3, v4, v9, v14, m14, m15)

static inline __attribute__((always_inline)) void
rounds(uint32_t v[16], const uint32_t h[8], const uint8_t *block, uint8_t len, uint64_t counter, uint8_t flags)
{
	uint32_t m[16];
	uint32_t v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
	uint32_t v8 = BLAKE3_IV0, v9 = BLAKE3_IV1, v10 = BLAKE3_IV2, v11 = BLAKE3_IV3;
	uint32_t v12 = (uint32_t)counter, v13 = (uint32_t)(counter >> 32), v14 = len, v15 = flags;

	for (unsigned i = 0; i < 16; i++)
		m[i] = load32(block + 4 * i);
	BLAKE3_ROUNDS(ROUND)
	v[0] = v0, v[1] = v1, v[2] = v2, v[3] = v3, v[4] = v4, v[5] = v5, v[6] = v6, v[7] = v7;
	v[8] = v8, v[9] = v9, v[10] = v10, v[11] = v11, v[12] = v12, v[13] = v13, v[14] = v14, v[15] = v15;
}

void blake3_compress_out(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint8_t len, uint64_t counter,
                         uint8_t flags, uint8_t out[BLAKE3_BLOCK])
{
	uint32_t v[16];

	rounds(v, cv, block, len, counter, flags);
	for (unsigned i = 0; i < 8; i++) {
		store32(out + 4 * i, v[i] ^ v[i + 8]);
		store32(out + 32 + 4 * i, v[i + 8] ^ cv[i]);
	}
}

void blake3_blocks_portable(uint32_t cv[8], const uint8_t *in, size_t n, struct blake3_place at)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t v[16];

		rounds(v, cv, in + i * BLAKE3_BLOCK, at.len, at.counter,
		    at.flags | (i == 0 ? at.first : 0) | (i == n - 1 ? at.last : 0));
		for (unsigned k = 0; k < 8; k++)
			cv[k] = v[k] ^ v[k + 8];
	}
}

void blake3_one(const uint8_t *in, const struct blake3_job *job, blake3_blocks_fn *blocks, uint8_t out[32])
{
	struct blake3_place chunk = { job->counter, BLAKE3_BLOCK, job->flags, BLAKE3_CHUNK_START, BLAKE3_CHUNK_END };
	struct blake3_place parent = { 0, BLAKE3_BLOCK, job->flags | BLAKE3_PARENT, 0, 0 };
	uint32_t cv[8];

	memcpy(cv, job->key, sizeof cv);
	blocks(cv, in, job->chunks ? BLAKE3_CHUNK / BLAKE3_BLOCK : 1, job->chunks ? chunk : parent);
	for (unsigned i = 0; i < 8; i++)
		store32(out + 4 * i, cv[i]);
}

void blake3_many_portable(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK;

	for (; n; n--, job.counter++, in += stride, out += 32)
		blake3_one(in, &job, blake3_blocks_portable, out);
}
