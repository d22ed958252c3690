/* SPDX-License-Identifier: Apache-2.0 */
/* codec, inside: a row per codec, and the contexts of one thread. */
#ifndef CODEC_IMPL_H
#define CODEC_IMPL_H
#include <zstd.h>
#include "codec/codec.h"

/* No block is longer: keeps lengths within what every library takes (int, dictionary sizes). */
#define CODEC_MAX_LEN (1u << 30)
#define CODEC_SAMPLE 4096 /* bytes looked at in one place to find an incompressible block */

/* Memory that liblzma gave back, for its next block: it has no context to keep. */
struct lzma_spare {
	struct spare_head *slot[8];
	unsigned next; /* to be replaced when all are taken */
};
void lzma_spare_fini(struct lzma_spare *s);

struct codec_ctx {
	struct lzma_spare lzma;
	ZSTD_CCtx *zstd_c;
	ZSTD_DCtx *zstd_d;
	ZSTD_CCtx *probe;
	uint8_t probe_out[CODEC_SAMPLE];
};

struct codec_row {
	const char *name;
	bool has_level;
	int8_t min, max, dflt;
	int8_t probe_from; /* levels from here on are slow enough that a probe pays; above max: never */
	/* At most cap bytes, which is less than src_len; 0 when they do not suffice or the library failed. */
	size_t (*compress)(struct codec_ctx *c, int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap);
	int (*decompress)(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len,
	                  struct lcpfs_error *err);
	/* The first `want` < dst_len bytes; NULL: decode all. */
	int (*head)(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len, size_t want,
	            struct lcpfs_error *err);
};

extern const struct codec_row codec_row_lz4, codec_row_zstd, codec_row_lzma;

/* true when samples from all over src look random: nothing repeats and no byte is rarer than others. */
bool codec_incompressible(struct codec_ctx *c, const uint8_t *src, size_t len);
#endif
