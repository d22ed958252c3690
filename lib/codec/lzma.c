/* SPDX-License-Identifier: Apache-2.0 */
/* LZMA2 as a raw filter: no container, no checksum. The dictionary is as long as the block, on both sides. */
#include <lzma.h>
#include <stdalign.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/util.h"
#include "codec/codec_impl.h"

/*
 * Memory
 * liblzma allocates anew for every block, and pages fresh from the kernel cost as much as compressing 4 KiB. So what it
 * frees is kept and handed out again where it fits without much waste. A thread keeps at most 8 pieces of SPARE_MAX.
 */
#define SPARE_MAX (16 * MiB)

struct spare_head {
	alignas(max_align_t) size_t size; /* of what follows */
};

static void *spare_alloc(void *opaque, size_t n, size_t size)
{
	struct lzma_spare *s = opaque;
	struct spare_head *h;
	uint64_t need;

	if (mul_overflow(n, size, &need) || need > SIZE_MAX - sizeof *h)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(s->slot); i++) {
		h = s->slot[i];
		if (h && h->size >= need && h->size / 2 <= need) {
			s->slot[i] = NULL;
			return h + 1;
		}
	}
	h = malloc(sizeof *h + need);
	if (!h)
		return NULL;
	h->size = need;
	return h + 1;
}

static void spare_free(void *opaque, void *p)
{
	struct lzma_spare *s = opaque;
	struct spare_head *h = p ? (struct spare_head *)p - 1 : NULL;

	if (!h || h->size > SPARE_MAX) {
		free(h);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(s->slot); i++)
		if (!s->slot[i]) {
			s->slot[i] = h;
			return;
		}
	free(s->slot[s->next]);
	s->slot[s->next] = h;
	s->next = (s->next + 1) % ARRAY_LEN(s->slot);
}

void lzma_spare_fini(struct lzma_spare *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->slot); i++)
		free(s->slot[i]);
}

struct chain {
	lzma_options_lzma opt;
	lzma_filter filters[2];
	lzma_allocator memory;
};

/* A preset's own dictionary of 1 to 64 MiB would be allocated and cleared for every block: eight times slower at 4 KiB. */
static bool chain_init(struct chain *k, struct codec_ctx *c, int level, size_t len)
{
	if (lzma_lzma_preset(&k->opt, (uint32_t)level))
		return false;
	k->opt.dict_size = (uint32_t)MAX(len, LZMA_DICT_SIZE_MIN);
	k->filters[0] = (lzma_filter){ LZMA_FILTER_LZMA2, &k->opt };
	k->memory = (lzma_allocator){ spare_alloc, spare_free, &c->lzma };
	k->filters[1] = (lzma_filter){ LZMA_VLI_UNKNOWN, NULL };
	return true;
}

static size_t compress(struct codec_ctx *c, int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap)
{
	struct chain k;
	size_t n = 0;

	if (!chain_init(&k, c, level, src_len) ||
	    lzma_raw_buffer_encode(k.filters, &k.memory, src, src_len, dst, &n, cap) != LZMA_OK)
		return 0;
	return n;
}

static int decompress(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len,
                      struct lcpfs_error *err)
{
	struct chain k;
	size_t in = 0, out = 0;
	lzma_ret rc;

	if (!chain_init(&k, c, 0, dst_len))
		return lcpfs_fail(err, LCPFS_EUNSUP, "lzma: not supported by this liblzma");
	rc = lzma_raw_buffer_decode(k.filters, &k.memory, src, &in, src_len, dst, &out, dst_len);
	if (rc == LZMA_MEM_ERROR)
		return lcpfs_nomem(err);
	if (rc != LZMA_OK || in != src_len || out != dst_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "lzma: data does not decode to %zu bytes", dst_len);
	return 0;
}

const struct codec_row codec_row_lzma = {
	.name = "lzma", .min = 0, .max = 9, .dflt = 6, .probe_from = 0,
	.compress = compress, .decompress = decompress,
};
