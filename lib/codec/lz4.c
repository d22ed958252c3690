/* SPDX-License-Identifier: Apache-2.0 */
/* LZ4: one raw block, no frame. Levels below 0 are its acceleration, above its HC levels; the format is one. */
#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>
#include "base/error.h"
#include "codec/codec_impl.h"

static size_t compress(struct codec_ctx *c, int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap)
{
	const char *from = (const char *)src;
	int n;

	if (level <= 0)
		n = LZ4_compress_fast(from, (char *)dst, (int)src_len, (int)cap, level ? -level : 1);
	else if (c->lz4hc || (c->lz4hc = malloc((size_t)LZ4_sizeofStateHC())))
		n = LZ4_compress_HC_extStateHC(c->lz4hc, from, (char *)dst, (int)src_len, (int)cap, level);
	else
		n = 0;
	return n > 0 ? (size_t)n : 0;
}

static int bad(struct lcpfs_error *err, size_t dst_len)
{
	return lcpfs_fail(err, LCPFS_ECORRUPT, "lz4: data does not decode to %zu bytes", dst_len);
}

static int decompress(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len,
                      struct lcpfs_error *err)
{
	int n = LZ4_decompress_safe((const char *)src, (char *)dst, (int)src_len, (int)dst_len);

	(void)c;
	return n >= 0 && (size_t)n == dst_len ? 0 : bad(err, dst_len);
}

static int head(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len, size_t want,
                struct lcpfs_error *err)
{
	int n = LZ4_decompress_safe_partial((const char *)src, (char *)dst, (int)src_len, (int)want, (int)dst_len);

	(void)c;
	return n >= 0 && (size_t)n >= want ? 0 : bad(err, want);
}

const struct codec_row codec_row_lz4 = {
	.name = "lz4", .min = -64, .max = 12, .dflt = 0, .probe_from = 1, .compress = compress, .decompress = decompress, .head = head,
};
