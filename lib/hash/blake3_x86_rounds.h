/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seven rounds over sixteen vectors for a CPU with sixteen vector registers, as assembly: compilers spill several
 * vectors in every quarter round, where one is enough. Words v0..v15 but v8 live in registers 0..7 and 8..14, v8 in
 * memory, register 15 is for what a rotation or v8 needs on the way, message words are memory operands.
 * The includer defined
 *     REG(n)      name of vector register n
 *     MOVE(s, d)  ALU(op, s, d): d = d op s, s may be memory
 *     SHIFT(op, n, d): d = d op n; SHIFT_TO(op, n, s, d): d = s op n
 *     SIZE        of a vector in bytes, as a string
 * and gets ROUNDS_ASM(v, m): v[0..7] = the chaining values of the state v[16] with message m[16].
 */

/* words rotated by PSHUFB */
static const uint8_t __attribute__((aligned(32)))
    rot16[32] = { 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13 },
    rot8[32] = { 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12 };


/* a register, or v8 */
#define V0 REG(0)
#define V1 REG(1)
#define V2 REG(2)
#define V3 REG(3)
#define V4 REG(4)
#define V5 REG(5)
#define V6 REG(6)
#define V7 REG(7)
#define V9 REG(8)
#define V10 REG(9)
#define V11 REG(10)
#define V12 REG(11)
#define V13 REG(12)
#define V14 REG(13)
#define V15 REG(14)
#define TMP REG(15)
#define AT(base, i) SIZE "*" #i "(%[" #base "])"
#define ADD_TO(s, d) ALU("paddd", s, d)
#define XOR_TO(s, d) ALU("pxor", s, d)
#define ROT_BYTES(how, d) ALU("pshufb", "%[" #how "]", d)
#define ROT_BITS(right, left, d) SHIFT_TO("pslld", #left, d, TMP) SHIFT("psrld", #right, d) ALU("por", TMP, d)
/* c += d; b ^= c, where c is a register, or v8 in memory */
#define MIX(b, c, d) ADD_TO(d, c) XOR_TO(c, b)
#define MIX_V8(b, d) MOVE(AT(v, 8), TMP) ADD_TO(d, TMP) MOVE(TMP, AT(v, 8)) XOR_TO(TMP, b)

/*
 * Four quarter rounds in step. Column i of the state has b and d here; c of the first is v8, so that a caller lists
 * that quarter round first. Message words x are added before the vector that is ready last.
 */
#define FOUR(a0, b0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, x0, x1, x2, x3, y0, y1, y2, y3)                 \
	ADD_TO(AT(m, x0), a0) ADD_TO(AT(m, x1), a1) ADD_TO(AT(m, x2), a2) ADD_TO(AT(m, x3), a3)                          \
	ADD_TO(b0, a0) ADD_TO(b1, a1) ADD_TO(b2, a2) ADD_TO(b3, a3)                                                      \
	XOR_TO(a0, d0) XOR_TO(a1, d1) XOR_TO(a2, d2) XOR_TO(a3, d3)                                                      \
	ROT_BYTES(rot16, d0) ROT_BYTES(rot16, d1) ROT_BYTES(rot16, d2) ROT_BYTES(rot16, d3)                              \
	MIX_V8(b0, d0) MIX(b1, c1, d1) MIX(b2, c2, d2) MIX(b3, c3, d3)                                                   \
	ROT_BITS(12, 20, b0) ROT_BITS(12, 20, b1) ROT_BITS(12, 20, b2) ROT_BITS(12, 20, b3)                              \
	ADD_TO(AT(m, y0), a0) ADD_TO(AT(m, y1), a1) ADD_TO(AT(m, y2), a2) ADD_TO(AT(m, y3), a3)                          \
	ADD_TO(b0, a0) ADD_TO(b1, a1) ADD_TO(b2, a2) ADD_TO(b3, a3)                                                      \
	XOR_TO(a0, d0) XOR_TO(a1, d1) XOR_TO(a2, d2) XOR_TO(a3, d3)                                                      \
	ROT_BYTES(rot8, d0) ROT_BYTES(rot8, d1) ROT_BYTES(rot8, d2) ROT_BYTES(rot8, d3)                                  \
	MIX_V8(b0, d0) MIX(b1, c1, d1) MIX(b2, c2, d2) MIX(b3, c3, d3)                                                   \
	ROT_BITS(7, 25, b0) ROT_BITS(7, 25, b1) ROT_BITS(7, 25, b2) ROT_BITS(7, 25, b3)

#define ROUND_ASM(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15)             \
	FOUR(V0, V4, V12, V1, V5, V9, V13, V2, V6, V10, V14, V3, V7, V11, V15,                      \
	    m0, m2, m4, m6, m1, m3, m5, m7)                                                         \
	FOUR(V2, V7, V13, V0, V5, V10, V15, V1, V6, V11, V12, V3, V4, V9, V14,                      \
	    m12, m8, m10, m14, m13, m9, m11, m15)

#define EACH_REG(X)                                                                                  \
	X(V0, 0) X(V1, 1) X(V2, 2) X(V3, 3) X(V4, 4) X(V5, 5) X(V6, 6) X(V7, 7) X(V9, 9) X(V10, 10)  \
	X(V11, 11) X(V12, 12) X(V13, 13) X(V14, 14) X(V15, 15)
#define LOAD_ASM(r, i) MOVE(AT(v, i), r)
#define STORE_ASM(r, i, other) XOR_TO(other, r) MOVE(r, AT(v, i))

#define ROUNDS_ASM(state, message)                                                               \
	__asm__ volatile(EACH_REG(LOAD_ASM)                                                                       \
	    BLAKE3_ROUNDS(ROUND_ASM)                                                                              \
	    STORE_ASM(V0, 0, AT(v, 8)) STORE_ASM(V1, 1, V9) STORE_ASM(V2, 2, V10) STORE_ASM(V3, 3, V11)           \
	    STORE_ASM(V4, 4, V12) STORE_ASM(V5, 5, V13) STORE_ASM(V6, 6, V14) STORE_ASM(V7, 7, V15)               \
	    :: [v] "r"(state), [m] "r"(message), [rot16] "m"(rot16), [rot8] "m"(rot8)                         \
	    : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",  \
	    "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
