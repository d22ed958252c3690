/* SPDX-License-Identifier: Apache-2.0 */
/* LZMA2 as a raw filter: no container, no checksum. The dictionary is as long as the block, on both sides. */
#include <lzma.h>
#include "base/error.h"
#include "base/util.h"
#include "codec/codec_impl.h"

struct chain {
	lzma_options_lzma opt;
	lzma_filter filters[2];
};

/* A preset's own dictionary of 1 to 64 MiB would be allocated and cleared for every block: eight times slower at 4 KiB. */
static bool chain_init(struct chain *k, int level, size_t len)
{
	if (lzma_lzma_preset(&k->opt, (uint32_t)level))
		return false;
	k->opt.dict_size = (uint32_t)MAX(len, LZMA_DICT_SIZE_MIN);
	k->filters[0] = (lzma_filter){ LZMA_FILTER_LZMA2, &k->opt };
	k->filters[1] = (lzma_filter){ LZMA_VLI_UNKNOWN, NULL };
	return true;
}

static size_t compress(struct codec_ctx *c, int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap)
{
	struct chain k;
	size_t n = 0;

	(void)c;
	if (!chain_init(&k, level, src_len) ||
	    lzma_raw_buffer_encode(k.filters, NULL, src, src_len, dst, &n, cap) != LZMA_OK)
		return 0;
	return n;
}

static int decompress(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len,
                      struct lcpfs_error *err)
{
	struct chain k;
	size_t in = 0, out = 0;
	lzma_ret rc;

	(void)c;
	if (!chain_init(&k, 0, dst_len))
		return lcpfs_fail(err, LCPFS_EUNSUP, "lzma: not supported by this liblzma");
	rc = lzma_raw_buffer_decode(k.filters, NULL, src, &in, src_len, dst, &out, dst_len);
	if (rc == LZMA_MEM_ERROR)
		return lcpfs_nomem(err);
	if (rc != LZMA_OK || in != src_len || out != dst_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "lzma: data does not decode to %zu bytes", dst_len);
	return 0;
}

const struct codec_row codec_row_lzma = {
	.name = "lzma", .has_level = true, .min = 0, .max = 9, .dflt = 6, .probe_from = 0,
	.compress = compress, .decompress = decompress,
};
