/* SPDX-License-Identifier: Apache-2.0 */
/* blake3, inside: the compression function, and the kernels that run it over many inputs side by side. */
#ifndef BLAKE3_IMPL_H
#define BLAKE3_IMPL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLAKE3_BLOCK 64
#define BLAKE3_CHUNK 1024
#define BLAKE3_MAX_LANES 16

/* Domain flags of the specification, section 2.2. */
enum {
	BLAKE3_CHUNK_START = 1, BLAKE3_CHUNK_END = 2, BLAKE3_PARENT = 4, BLAKE3_ROOT = 8,
	BLAKE3_KEYED = 16, BLAKE3_DERIVE_CONTEXT = 32, BLAKE3_DERIVE_MATERIAL = 64,
};

#define BLAKE3_IV0 0x6a09e667u
#define BLAKE3_IV1 0xbb67ae85u
#define BLAKE3_IV2 0x3c6ef372u
#define BLAKE3_IV3 0xa54ff53au
#define BLAKE3_IV4 0x510e527fu
#define BLAKE3_IV5 0x9b05688cu
#define BLAKE3_IV6 0x1f83d9abu
#define BLAKE3_IV7 0x5be0cd19u

/* The order of message words in each of the seven rounds: the permutation of the specification, applied 0 to 6 times. */
#define BLAKE3_ROUNDS(R)                                              \
	R(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)       \
	R(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)       \
	R(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1)       \
	R(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6)       \
	R(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4)       \
	R(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7)       \
	R(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13)

/* What inputs hashed side by side have in common: either consecutive whole chunks, or pairs of chaining values. */
struct blake3_job {
	const uint32_t *key; /* 8 words */
	uint64_t counter;    /* of the first chunk; 0 for parents */
	uint8_t flags;       /* mode flags only */
	bool chunks;
};

/*
 * Chaining values (32 bytes each, to out) of n >= 1 inputs that lie one after the other: chunks of 1024 bytes, or
 * parents of 64. `out` may be `in`: a kernel reads all inputs of a group before it writes their values.
 */
typedef void blake3_many_fn(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out);

/* Where consecutive blocks of one chunk, or a parent, or the last block of all stand. */
struct blake3_place {
	uint64_t counter;
	uint8_t len;   /* of the block, which is filled up with zeros */
	uint8_t flags; /* of all blocks */
	uint8_t first, last; /* more flags, of the first and the last block */
};

/* Compress n >= 1 blocks that lie one after the other into cv. */
typedef void blake3_blocks_fn(uint32_t cv[8], const uint8_t *in, size_t n, struct blake3_place at);

blake3_many_fn blake3_many_portable;
blake3_blocks_fn blake3_blocks_portable;
#if defined(__x86_64__)
blake3_many_fn blake3_many_sse41, blake3_many_avx2, blake3_many_avx512;
blake3_blocks_fn blake3_blocks_sse41, blake3_blocks_avx2, blake3_blocks_avx512;
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BLAKE3_NEON 1
blake3_many_fn blake3_many_neon;
#endif

/* The chaining value of one input of a job. */
void blake3_one(const uint8_t *in, const struct blake3_job *job, blake3_blocks_fn *blocks, uint8_t out[32]);

/* One compression to the 64 bytes of an output block. */
void blake3_compress_out(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK], uint8_t len, uint64_t counter,
                         uint8_t flags, uint8_t out[BLAKE3_BLOCK]);

/* The kernels in use. */
struct blake3_kernels { blake3_many_fn *many; blake3_blocks_fn *blocks; };
const struct blake3_kernels *blake3_kernels(void);
#endif
