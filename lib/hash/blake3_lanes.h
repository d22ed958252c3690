/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Template of a BLAKE3 kernel: LANES inputs side by side, one 32-bit lane of each vector per input. Included once per
 * vector width by a file that defined
 *     LANES, VEC, TARGET (function attribute), NAME(x) (a name of its own for each inclusion),
 *     LOAD(p) SET1(u32) ADD XOR ROR16 ROR12 ROR8 ROR7,
 *     ZIPLO32 ZIPHI32 ZIPLO64 ZIPHI64(a, b): interleave the lower or upper words of a and b, in each 128-bit group,
 *     GATHER(p, off): 16 bytes at off from each of p[0], p[4], p[8]... as the groups of one vector,
 *     SCATTER(v, out): the groups of v to out, out + 128, out + 256...
 * and, where a compiler does badly, COMPRESS(v, m): the rounds, with v[0..7] = the chaining values of the state v[16].
 * It defines NAME(lanes) and undefines all of the above.
 */

/* Four quarter rounds in step: each vector instruction has three independent neighbours to hide its latency. */
#define HALF(a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, x0, y0, x1, y1, x2, y2, x3, y3)        \
	a0 = ADD(a0, m[x0]); a1 = ADD(a1, m[x1]); a2 = ADD(a2, m[x2]); a3 = ADD(a3, m[x3]);                         \
	a0 = ADD(a0, b0); a1 = ADD(a1, b1); a2 = ADD(a2, b2); a3 = ADD(a3, b3);                                     \
	d0 = XOR(d0, a0); d1 = XOR(d1, a1); d2 = XOR(d2, a2); d3 = XOR(d3, a3);                                     \
	d0 = ROR16(d0); d1 = ROR16(d1); d2 = ROR16(d2); d3 = ROR16(d3);                                             \
	c0 = ADD(c0, d0); c1 = ADD(c1, d1); c2 = ADD(c2, d2); c3 = ADD(c3, d3);                                     \
	b0 = XOR(b0, c0); b1 = XOR(b1, c1); b2 = XOR(b2, c2); b3 = XOR(b3, c3);                                     \
	b0 = ROR12(b0); b1 = ROR12(b1); b2 = ROR12(b2); b3 = ROR12(b3);                                             \
	a0 = ADD(a0, m[y0]); a1 = ADD(a1, m[y1]); a2 = ADD(a2, m[y2]); a3 = ADD(a3, m[y3]);                         \
	a0 = ADD(a0, b0); a1 = ADD(a1, b1); a2 = ADD(a2, b2); a3 = ADD(a3, b3);                                     \
	d0 = XOR(d0, a0); d1 = XOR(d1, a1); d2 = XOR(d2, a2); d3 = XOR(d3, a3);                                     \
	d0 = ROR8(d0); d1 = ROR8(d1); d2 = ROR8(d2); d3 = ROR8(d3);                                                 \
	c0 = ADD(c0, d0); c1 = ADD(c1, d1); c2 = ADD(c2, d2); c3 = ADD(c3, d3);                                     \
	b0 = XOR(b0, c0); b1 = XOR(b1, c1); b2 = XOR(b2, c2); b3 = XOR(b3, c3);                                     \
	b0 = ROR7(b0); b1 = ROR7(b1); b2 = ROR7(b2); b3 = ROR7(b3);

#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15)                   \
	HALF(v0, v4, v8, v12, v1, v5, v9, v13, v2, v6, v10, v14, v3, v7, v11, v15,                    \
	    m0, m1, m2, m3, m4, m5, m6, m7)                                                           \
	HALF(v0, v5, v10, v15, v1, v6, v11, v12, v2, v7, v8, v13, v3, v4, v9, v14,                    \
	    m8, m9, m10, m11, m12, m13, m14, m15)

/* So many streams are more than a CPU foresees by itself. */
#define PREFETCH (4 * BLAKE3_BLOCK)

/* In each group apart: row i of the four vectors becomes word i of each. */
TARGET static inline __attribute__((always_inline)) void NAME(transpose)(VEC out[4], VEC a, VEC b, VEC c, VEC d)
{
	VEC ab = ZIPLO32(a, b), AB = ZIPHI32(a, b), cd = ZIPLO32(c, d), CD = ZIPHI32(c, d);

	out[0] = ZIPLO64(ab, cd);
	out[1] = ZIPHI64(ab, cd);
	out[2] = ZIPLO64(AB, CD);
	out[3] = ZIPHI64(AB, CD);
}

/* The 16 message words of one block of every lane: m[i] has word i of all. */
TARGET static inline __attribute__((always_inline)) void NAME(load)(VEC m[16], const uint8_t *const p[LANES], size_t off)
{
#pragma GCC unroll 4
	for (unsigned i = 0; i < 16; i += 4, off += 16)
		NAME(transpose)(m + i, GATHER(p, off), GATHER(p + 1, off), GATHER(p + 2, off), GATHER(p + 3, off));
}

/* The chaining values, 32 bytes per lane. */
TARGET static inline __attribute__((always_inline)) void NAME(store)(const VEC h[8], uint8_t *out)
{
	VEC v[8];

	NAME(transpose)(v, h[0], h[1], h[2], h[3]);
	NAME(transpose)(v + 4, h[4], h[5], h[6], h[7]);
#pragma GCC unroll 4
	for (unsigned l = 0; l < 4; l++) {
		SCATTER(v[l], out + 32 * l);
		SCATTER(v[4 + l], out + 32 * l + 16);
	}
}

#ifndef COMPRESS
TARGET static inline __attribute__((always_inline)) void NAME(compress)(VEC v[16], const VEC m[16])
{
	VEC v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3], v4 = v[4], v5 = v[5], v6 = v[6], v7 = v[7];
	VEC v8 = v[8], v9 = v[9], v10 = v[10], v11 = v[11], v12 = v[12], v13 = v[13], v14 = v[14], v15 = v[15];

	BLAKE3_ROUNDS(ROUND)
	v[0] = XOR(v0, v8), v[1] = XOR(v1, v9), v[2] = XOR(v2, v10), v[3] = XOR(v3, v11);
	v[4] = XOR(v4, v12), v[5] = XOR(v5, v13), v[6] = XOR(v6, v14), v[7] = XOR(v7, v15);
}
#define COMPRESS NAME(compress)
#endif

/* The half of the state that every block begins with anew; the other is what the block before left in v[0..7]. */
TARGET static inline __attribute__((always_inline)) void NAME(start)(VEC v[16], VEC lo, VEC hi, uint8_t flags)
{
	v[8] = SET1(BLAKE3_IV0), v[9] = SET1(BLAKE3_IV1), v[10] = SET1(BLAKE3_IV2), v[11] = SET1(BLAKE3_IV3);
	v[12] = lo, v[13] = hi, v[14] = SET1(BLAKE3_BLOCK), v[15] = SET1(flags);
}

/* 1 <= n <= LANES inputs; lanes beyond n repeat the last input and their values are dropped. */
TARGET static void NAME(lanes)(const uint8_t *in, size_t n, const struct blake3_job *job, uint8_t *out)
{
	size_t stride = job->chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK;
	const uint8_t *p[LANES];
	uint32_t lo[LANES], hi[LANES];
	uint8_t cvs[LANES * 32];
	VEC v[16], m[16];
	size_t reach = job->chunks ? stride + (n == LANES ? PREFETCH : 0) : 0;

	for (unsigned l = 0; l < LANES; l++) {
		uint64_t c = job->chunks ? job->counter + l : 0;

		p[l] = in + MIN(l, n - 1) * stride;
		lo[l] = (uint32_t)c;
		hi[l] = (uint32_t)(c >> 32);
	}
#pragma GCC unroll 8
	for (unsigned i = 0; i < 8; i++)
		v[i] = SET1(job->key[i]);
	for (size_t off = 0; off < stride; off += BLAKE3_BLOCK) {
		uint8_t flags = job->flags | (job->chunks ? 0 : BLAKE3_PARENT);

		if (job->chunks && off == 0)
			flags |= BLAKE3_CHUNK_START;
		if (job->chunks && off == BLAKE3_CHUNK - BLAKE3_BLOCK)
			flags |= BLAKE3_CHUNK_END;
		NAME(load)(m, p, off);
		if (off + PREFETCH < reach)
			for (unsigned l = 0; l < LANES; l++)
				__builtin_prefetch(p[l] + (off + PREFETCH) % stride + (off + PREFETCH) / stride * (LANES * stride));
		NAME(start)(v, LOAD(lo), LOAD(hi), flags);
		COMPRESS(v, m);
	}
	if (n == LANES) {
		NAME(store)(v, out);
	} else {
		NAME(store)(v, cvs);
		memcpy(out, cvs, n * 32);
	}
}

#undef HALF
#undef PREFETCH
#undef ROUND
#include "hash/blake3_undef.h"
