/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Template of a BLAKE3 kernel for few inputs: the 4x4 state of one input as four vectors, a row each, so that the four
 * quarter rounds of a column or diagonal step are one instruction stream. A wider vector holds the rows of several
 * inputs, one per 128-bit group; STREAMS such states are worked on in step, as one is bound by latency.
 * Included once per shape by a file that defined
 *     GROUPS (inputs per vector), STREAMS, VEC, TARGET (function attribute), NAME(x) (a name of its own per inclusion),
 *     LOAD(p) ADD XOR ROR16 ROR12 ROR8 ROR7,
 *     LOAD_GROUPS(p, off): 16 bytes at off from each of p[0..GROUPS-1]; STORE_GROUPS(v, out): the groups to out, out + 32, out + 64...
 *     and in each group apart: TURN(v, s): word i becomes word (s >> 2 * i) % 4,
 *     PICK(a, b, s): the same, words 0 and 1 out of a, 2 and 3 out of b,
 *     FROM2(a, b), FROM3(a, b): a with word 2 or 3 of b, ZIPLO32(a, b): a0 b0 a1 b1.
 * It defines NAME(rows), where GROUPS and STREAMS are 1 also NAME(blocks), and undefines all of the above.
 */
#define SEL(i, j, k, l) ((i) | (j) << 2 | (k) << 4 | (l) << 6)

/* Message words in the order of use: x and y of the four columns, then of the four diagonals. */
struct NAME(state) { VEC a, b, c, d, mx, my, nx, ny; };

/* a + x + b, where b is ready last: compilers that know sums to be associative would make it wait for the others. */
TARGET static inline __attribute__((always_inline)) VEC NAME(sum)(VEC a, VEC x, VEC b)
{
	VEC early = ADD(a, x);

	__asm__("" : "+x"(early));
	return ADD(early, b);
}

TARGET static inline __attribute__((always_inline)) void NAME(half)(struct NAME(state) *s, VEC x, VEC y)
{
	s->a = NAME(sum)(s->a, x, s->b);
	s->d = XOR(s->d, s->a);
	s->d = ROR16(s->d);
	s->c = ADD(s->c, s->d);
	s->b = XOR(s->b, s->c);
	s->b = ROR12(s->b);
	s->a = NAME(sum)(s->a, y, s->b);
	s->d = XOR(s->d, s->a);
	s->d = ROR8(s->d);
	s->c = ADD(s->c, s->d);
	s->b = XOR(s->b, s->c);
	s->b = ROR7(s->b);
}

/* Diagonals become columns, and back. Row b, which is ready last, stays where it is. */
TARGET static inline __attribute__((always_inline)) void NAME(slant)(struct NAME(state) *s)
{
	s->a = TURN(s->a, SEL(3, 0, 1, 2));
	s->c = TURN(s->c, SEL(1, 2, 3, 0));
	s->d = TURN(s->d, SEL(2, 3, 0, 1));
}

TARGET static inline __attribute__((always_inline)) void NAME(unslant)(struct NAME(state) *s)
{
	s->a = TURN(s->a, SEL(1, 2, 3, 0));
	s->c = TURN(s->c, SEL(3, 0, 1, 2));
	s->d = TURN(s->d, SEL(2, 3, 0, 1));
}

/* Words 0 to 15 into the order of the first round; as b stays, the diagonal that starts at word 14 comes first. */
TARGET static inline __attribute__((always_inline)) void
NAME(message)(struct NAME(state) *s, const uint8_t *const *p, size_t off)
{
	VEC w0 = LOAD_GROUPS(p, off), w4 = LOAD_GROUPS(p, off + 16);
	VEC w8 = LOAD_GROUPS(p, off + 32), w12 = LOAD_GROUPS(p, off + 48);

	s->mx = PICK(w0, w4, SEL(0, 2, 0, 2));
	s->my = PICK(w0, w4, SEL(1, 3, 1, 3));
	s->nx = TURN(PICK(w8, w12, SEL(0, 2, 0, 2)), SEL(3, 0, 1, 2)); /* 14 8 10 12 */
	s->ny = TURN(PICK(w8, w12, SEL(1, 3, 1, 3)), SEL(3, 0, 1, 2)); /* 15 9 11 13 */
}

/* From the order of one round to that of the next; the words' numbers are their places in the round before. */
TARGET static inline __attribute__((always_inline)) void NAME(permute)(struct NAME(state) *s)
{
	VEC mx = TURN(PICK(s->mx, s->my, SEL(1, 2, 1, 3)), SEL(0, 2, 3, 1));                     /* 2 3 7 4 */
	VEC my = TURN(PICK(s->mx, FROM3(s->nx, s->ny), SEL(3, 0, 2, 3)), SEL(0, 2, 1, 3));       /* 6 10 0 13 */
	VEC nx = PICK(ZIPLO32(s->ny, s->my), FROM3(s->ny, s->nx), SEL(0, 1, 3, 1));                  /* 15 1 12 9 */
	VEC ny = PICK(FROM2(s->nx, s->ny), FROM2(s->nx, s->my), SEL(1, 2, 2, 0));                /* 8 11 5 14 */

	s->mx = mx, s->my = my, s->nx = nx, s->ny = ny;
}

/* One block of every input. `d` is the last row of each stream at the block's start. */
TARGET static inline __attribute__((always_inline)) void
NAME(block)(struct NAME(state) s[STREAMS], const uint8_t *const *p, size_t off, const VEC *d)
{
	static const uint32_t iv[16] = {
		BLAKE3_IV0, BLAKE3_IV1, BLAKE3_IV2, BLAKE3_IV3, BLAKE3_IV0, BLAKE3_IV1, BLAKE3_IV2, BLAKE3_IV3,
		BLAKE3_IV0, BLAKE3_IV1, BLAKE3_IV2, BLAKE3_IV3, BLAKE3_IV0, BLAKE3_IV1, BLAKE3_IV2, BLAKE3_IV3,
	};

#define EACH _Pragma("GCC unroll 2") for (unsigned i = 0; i < STREAMS; i++)
	EACH {
		NAME(message)(&s[i], p + GROUPS * i, off);
		s[i].c = LOAD(iv);
		s[i].d = d[i];
	}
#pragma GCC unroll 7
	for (unsigned r = 0; r < 7; r++) {
		EACH NAME(half)(&s[i], s[i].mx, s[i].my);
		EACH NAME(slant)(&s[i]);
		EACH NAME(half)(&s[i], s[i].nx, s[i].ny);
		EACH NAME(unslant)(&s[i]);
		if (r < 6)
			EACH NAME(permute)(&s[i]);
	}
	EACH {
		s[i].a = XOR(s[i].a, s[i].c);
		s[i].b = XOR(s[i].b, s[i].d);
	}
}

/* The last rows of all inputs: counters, length and flags. */
TARGET static inline __attribute__((always_inline)) void
NAME(last_rows)(VEC d[STREAMS], uint64_t counter, bool counts, uint8_t len, uint8_t flags)
{
	uint32_t w[STREAMS * GROUPS][4];

	for (unsigned i = 0; i < STREAMS * GROUPS; i++) {
		uint64_t c = counts ? counter + i : counter;

		w[i][0] = (uint32_t)c;
		w[i][1] = (uint32_t)(c >> 32);
		w[i][2] = len;
		w[i][3] = flags;
	}
	EACH d[i] = LOAD(w[GROUPS * i]);
}

#if GROUPS * STREAMS > 1
/* 1 <= n <= GROUPS * STREAMS inputs; places beyond n repeat the last input and their values are dropped. */
TARGET static void NAME(rows)(const uint8_t *in, size_t n, const struct blake3_job *job, uint8_t *out)
{
	size_t stride = job->chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK, last = stride - BLAKE3_BLOCK;
	uint8_t flags = job->flags | (job->chunks ? 0 : BLAKE3_PARENT), cvs[STREAMS * GROUPS][32];
	const uint8_t *p[STREAMS * GROUPS], *key[GROUPS];
	struct NAME(state) s[STREAMS];
	VEC first_d[STREAMS], d[STREAMS], last_d[STREAMS];
	uint64_t counter = job->chunks ? job->counter : 0;

	for (unsigned i = 0; i < STREAMS * GROUPS; i++)
		p[i] = in + MIN(i, n - 1) * stride;
	for (unsigned i = 0; i < GROUPS; i++)
		key[i] = (const uint8_t *)job->key;
	NAME(last_rows)(first_d, counter, job->chunks, BLAKE3_BLOCK, flags | (job->chunks ? BLAKE3_CHUNK_START : 0));
	NAME(last_rows)(d, counter, job->chunks, BLAKE3_BLOCK, flags);
	NAME(last_rows)(last_d, counter, job->chunks, BLAKE3_BLOCK, flags | BLAKE3_CHUNK_END);
	EACH {
		s[i].a = LOAD_GROUPS(key, 0);
		s[i].b = LOAD_GROUPS(key, 16);
	}
	for (size_t off = 0; off < stride; off += BLAKE3_BLOCK)
		NAME(block)(s, p, off, off == 0 ? first_d : off == last ? last_d : d);
	EACH {
		STORE_GROUPS(s[i].a, cvs[GROUPS * i]);
		STORE_GROUPS(s[i].b, cvs[GROUPS * i] + 16);
	}
	memcpy(out, cvs, n * 32);
}
#else
TARGET static void NAME(blocks)(uint32_t cv[8], const uint8_t *in, size_t n, struct blake3_place at)
{
	struct NAME(state) s;
	VEC first_d, d, last_d;

	NAME(last_rows)(&first_d, at.counter, false, at.len, at.flags | at.first | (n == 1 ? at.last : 0));
	NAME(last_rows)(&d, at.counter, false, at.len, at.flags);
	NAME(last_rows)(&last_d, at.counter, false, at.len, at.flags | at.last);
	s.a = LOAD(cv);
	s.b = LOAD(cv + 4);
	for (size_t i = 0; i < n; i++)
		NAME(block)(&s, &in, i * BLAKE3_BLOCK, i == 0 ? &first_d : i == n - 1 ? &last_d : &d);
	STORE_GROUPS(s.a, (uint8_t *)cv);
	STORE_GROUPS(s.b, (uint8_t *)(cv + 4));
}
#endif

#undef SEL
#undef EACH
#include "hash/blake3_undef.h"
