/* SPDX-License-Identifier: Apache-2.0 */
/* codec: compression of one block, as rows of a table. Contexts are kept per thread of the caller in a struct codec_ctx. */
#ifndef CODEC_H
#define CODEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lcpfs/error.h"

/* On-disk ids (the `comp` byte of a pointer); never reused. The level is not stored. */
enum codec_id { CODEC_NONE = 0, CODEC_LZ4 = 1, CODEC_ZSTD = 2, CODEC_LZMA2 = 3, CODEC_N };
#define CODEC_AUTO 255 /* in a codec_spec, never on disk: chosen block by block */

/*
 * What a user asks for: "off", "lz4[:-64..12]" (default 0; below: faster, above: its HC levels), "zstd[:-7..19]" (default 3),
 * "lzma[:0..9]" (default 6), "auto[:fast|balanced|small]" (default balanced).
 */
struct codec_spec {
	uint8_t id;
	int8_t level;
	bool many; /* the block is of many short files: a larger table to look for matches pays */
};
/* -LCPFS_EINVAL with the allowed forms or levels in the message. */
int codec_parse(const char *text, struct codec_spec *out, struct lcpfs_error *err);
/* The canonical text, "zstd:3"; `len` at least 16. */
void codec_print(struct codec_spec spec, char *text, size_t len);
const char *codec_name(unsigned id); /* "zstd", NULL for an unknown id */

/* Compression and decompression contexts of one thread, made on first use and reused. */
struct codec_ctx;
struct codec_ctx *codec_ctx_create(void); /* NULL: out of memory */
void codec_ctx_destroy(struct codec_ctx *c);

/*
 * What to compress this block with: `want` itself, or what "auto" finds best for it, with a look at src. Depends on src, want and the
 * library version only.
 */
struct codec_spec codec_choose(struct codec_spec want, const void *src, size_t len);

/*
 * Compress src into dst, with a spec that codec_choose returned. Returns the stored length, or 0 when the block is to be stored plain: the result would not
 * save at least 1/16 of src_len and one 512-byte sector, or the codec failed. `cap` may be anything; dst beyond the
 * returned length is garbage. Where the codec is slow, a block that looks
 * random all over is first tried with a quick one, and stored plain if that finds less than 1/32 to save.
 * The result depends on src, spec and the library version only: never on the thread or the context's past.
 */
size_t codec_compress(struct codec_ctx *c, struct codec_spec spec, const void *src, size_t src_len, void *dst, size_t cap);

/*
 * Decompress exactly dst_len bytes from all of src. LCPFS_ECORRUPT when src is not a block of this codec that decodes to
 * exactly dst_len bytes (zstd: one standard frame, window at most max(dst_len, 1 KiB) rounded up to a power of two, no
 * dictionary, nothing after it); LCPFS_EUNSUP for an unknown id; memory used is bounded by a function of dst_len.
 */
int codec_decompress(struct codec_ctx *c, unsigned id, const void *src, size_t src_len, void *dst, size_t dst_len,
                     struct lcpfs_error *err);
#define CODEC_HEAD_SLACK ((size_t)128 << 10)
/*
 * The same, but stops once the first `want` bytes of dst are there; others: decodes all. dst still has room for dst_len, of which
 * no more than CODEC_HEAD_SLACK bytes after those wanted are written where it stops.
 */
int codec_decompress_head(struct codec_ctx *c, unsigned id, const void *src, size_t src_len, void *dst, size_t dst_len,
                          size_t want, struct lcpfs_error *err);

/*
 * For salvage: what can be decoded of a zstd frame that may be damaged, cut off, or followed by other things: *got bytes, at most cap, from *used stored
 * ones. True when it is a whole frame. Nothing says that the bytes are right.
 */
bool codec_part(const void *src, size_t src_len, void *dst, size_t cap, size_t *got, size_t *used);

/* The versions of the libraries in use: "zstd 1.5.4, lz4 1.9.4, lzma 5.4.1": what determinism depends on. */
const char *codec_versions(void);
#endif
