/* SPDX-License-Identifier: Apache-2.0 */
/* codec, inside: a row per codec, and the contexts of one thread. */
#ifndef CODEC_IMPL_H
#define CODEC_IMPL_H
#include <zstd.h>
#include "codec/codec.h"

/* No block is longer: keeps lengths within what every library takes (int, dictionary sizes). */
#define CODEC_MAX_LEN (1u << 30)

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
	void *lz4hc;
	bool many; /* of the block under way, see codec_spec */
};

struct codec_row {
	const char *name;
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

/* What short pieces from all over a block look like; the rest of them like nothing in particular. Blocks below 1 KiB have none. */
struct codec_look { uint32_t pieces, random, text, numbers; };
void codec_look(const uint8_t *src, size_t len, struct codec_look *out);
static inline bool codec_mostly_random(const struct codec_look *l)
{
	return l->pieces && l->random * 8 >= l->pieces * 7;
}

/* true when src looks random and the quickest codec, which sees all of it, saves less than 1/32. tmp is scratch of cap bytes. */
bool codec_incompressible(struct codec_ctx *c, const uint8_t *src, size_t len, uint8_t *tmp, size_t cap);

/* auto.c: "fast" and so on; and its canonical text. */
bool codec_auto_parse(const char *text, struct codec_spec *out);
void codec_auto_print(struct codec_spec spec, char *text, size_t len);
#endif
