/* SPDX-License-Identifier: Apache-2.0 */
/* hash: block checksums (BLAKE3-256, SHA-256) as rows of a table, BLAKE3 in all its modes, and CRC-32C. */
#ifndef HASH_H
#define HASH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_LEN 32

/* On-disk ids of block checksums; never reused. */
enum hash_id { HASH_BLAKE3 = 1, HASH_SHA256 = 2 };

struct hash_algo {
	const char *name; /* "blake3", "sha256" */
	uint8_t id;
	void (*digest)(const void *data, size_t len, uint8_t out[HASH_LEN]);
};
/* NULL when there is no such row. */
const struct hash_algo *hash_by_id(unsigned id);
const struct hash_algo *hash_by_name(const char *name);

/* Digest of several pieces in one go: what a block's header, pointers and body are before they are joined. */
struct hash_piece { const void *data; size_t len; };
void hash_pieces(const struct hash_algo *h, const struct hash_piece *pieces, unsigned n, uint8_t out[HASH_LEN]);

/* BLAKE3, incremental; any thread, no allocation. */
struct blake3 {
	uint32_t key[8];
	uint8_t flags;
	uint8_t cv_stack[54 * 32]; /* one chaining value per level */
	uint8_t cv_stack_len;
	uint64_t chunk_counter;
	uint32_t chunk_cv[8];
	uint8_t chunk_buf[64], chunk_buf_len, blocks_compressed;
};
void blake3_init(struct blake3 *b);
void blake3_init_keyed(struct blake3 *b, const uint8_t key[32]);
void blake3_init_derive(struct blake3 *b, const void *context, size_t len);
void blake3_update(struct blake3 *b, const void *data, size_t len);
/* Any output length, from byte `seek` of the output stream on; b may go on being updated. */
void blake3_final(const struct blake3 *b, uint64_t seek, void *out, size_t out_len);
/* One-shot, 32 bytes. */
void blake3(const void *data, size_t len, uint8_t out[HASH_LEN]);

/* The implementation in use: "avx512", "avx2", "sse41", "neon" or "portable". LCPFS_SIMD=name in the environment limits it. */
const char *blake3_impl(void);
/* Force an implementation by name (tests, benchmarks); false when this CPU lacks it. */
bool blake3_force(const char *name);

/* CRC-32C (Castagnoli), start with crc = 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
#endif
