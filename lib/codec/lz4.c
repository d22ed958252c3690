/* SPDX-License-Identifier: Apache-2.0 */
/* LZ4: one raw block, no frame. */
#include <lz4.h>
#include "base/error.h"
#include "codec/codec_impl.h"

static size_t compress(struct codec_ctx *c, int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap)
{
	int n = LZ4_compress_default((const char *)src, (char *)dst, (int)src_len, (int)cap);

	(void)c, (void)level;
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
	.name = "lz4", .probe_from = 1, .compress = compress, .decompress = decompress, .head = head,
};
