/* SPDX-License-Identifier: Apache-2.0 */
/* Compression: blocks through the library as a pool does it, beside the bare calls of the libraries beneath. */
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "bench/bench.h"
#include "codec/codec.h"

#define BLOCK (256u << 10)
#define BLOCKS 4u /* of a corpus */

struct data {
	uint8_t *plain, *packed, *out;
	size_t len, stored[BLOCKS];    /* 0: kept plain */
	unsigned n, next;
	struct codec_ctx *ctx;
	struct codec_spec spec;
	ZSTD_CCtx *zc;
	ZSTD_DCtx *zd;
};

static size_t block_len(const struct data *d, unsigned i)
{
	return i + 1 < d->n ? BLOCK : d->len - (size_t)i * BLOCK;
}

static unsigned turn(struct data *d)
{
	return d->next++ % d->n;
}

static uint64_t pack(void *arg, unsigned t)
{
	struct data *d = arg;
	unsigned i = turn(d);

	(void)t;
	d->stored[i] = codec_compress(d->ctx, d->spec, d->plain + (size_t)i * BLOCK, block_len(d, i), d->packed + (size_t)i * BLOCK, block_len(d, i));
	return block_len(d, i);
}

static uint64_t unpack(void *arg, unsigned t)
{
	struct data *d = arg;
	unsigned i = turn(d);

	(void)t;
	while (!d->stored[i])
		i = (i + 1) % d->n;
	if (codec_decompress(d->ctx, d->spec.id, d->packed + (size_t)i * BLOCK, d->stored[i], d->out, block_len(d, i), NULL))
		return 0;
	return block_len(d, i);
}

static size_t lzma_call(struct data *d, const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	lzma_options_lzma opt;
	lzma_filter f[2] = { { LZMA_FILTER_LZMA2, &opt }, { LZMA_VLI_UNKNOWN, NULL } };
	size_t n = 0;

	if (lzma_lzma_preset(&opt, (uint32_t)d->spec.level))
		return 0;
	opt.dict_size = BLOCK;
	return lzma_raw_buffer_encode(f, NULL, in, len, out, &n, cap) == LZMA_OK ? n : 0;
}

/* The bare call, into room enough for any result. */
static uint64_t pack_bare(void *arg, unsigned t)
{
	struct data *d = arg;
	unsigned i = turn(d);
	const uint8_t *in = d->plain + (size_t)i * BLOCK;
	size_t len = block_len(d, i), cap = 2 * BLOCK, n;

	(void)t;
	if (d->spec.id == CODEC_ZSTD)
		n = ZSTD_compressCCtx(d->zc, d->out, cap, in, len, d->spec.level);
	else if (d->spec.id == CODEC_LZ4)
		n = (size_t)LZ4_compress_default((const char *)in, (char *)d->out, (int)len, (int)cap);
	else
		n = lzma_call(d, in, len, d->out, cap);
	return n && !ZSTD_isError(n) ? len : 0;
}

static uint64_t unpack_bare(void *arg, unsigned t)
{
	struct data *d = arg;
	unsigned i = turn(d);
	const uint8_t *in;
	size_t len;

	(void)t;
	while (!d->stored[i])
		i = (i + 1) % d->n;
	in = d->packed + (size_t)i * BLOCK;
	len = block_len(d, i);
	if (d->spec.id == CODEC_ZSTD)
		return ZSTD_isError(ZSTD_decompressDCtx(d->zd, d->out, len, in, d->stored[i])) ? 0 : len;
	return LZ4_decompress_safe((const char *)in, (char *)d->out, (int)d->stored[i], (int)len) == (int)len ? len : 0;
}

static const char *library(unsigned id)
{
	return id == CODEC_ZSTD ? "libzstd" : id == CODEC_LZ4 ? "liblz4" : "liblzma";
}

static void one(struct bench *b, struct data *d, const char *codec, const char *corpus)
{
	struct result r = { .test = "codec", .unit = BENCH_BYTES, .threads = 1, .beside_name = library(d->spec.id) };
	size_t sum = 0;
	bool any = false;

	d->next = 0;
	for (unsigned i = 0; i < d->n; i++)
		pack(d, 0);
	for (unsigned i = 0; i < d->n; i++) {
		sum += d->stored[i] ? d->stored[i] : block_len(d, i);
		any |= d->stored[i] != 0;
	}
	r.size_ratio = (double)d->len / (double)sum;
	snprintf(r.name, sizeof r.name, "%s compress %s", codec, corpus);
	r.rate = bench_rate(b, 1, pack, d);
	r.beside = bench_rate(b, 1, pack_bare, d);
	bench_result(&r);
	if (!any)
		return; /* it is stored plain */
	snprintf(r.name, sizeof r.name, "%s decompress %s", codec, corpus);
	r.rate = bench_rate(b, 1, unpack, d);
	r.beside = d->spec.id == CODEC_LZMA2 ? 0 : bench_rate(b, 1, unpack_bare, d);
	bench_result(&r);
}

static int run_corpus(struct bench *b, struct data *d, const char *corpus, struct lcpfs_error *err)
{
	static const char *const codecs[] = { "lz4", "zstd:1", "zstd:3", "zstd:9", "zstd:15", "lzma:1", "lzma:6" };

	for (size_t i = 0; i < sizeof codecs / sizeof *codecs && !cmd_interrupted; i++) {
		int rc = codec_parse(codecs[i], &d->spec, err);

		if (rc)
			return rc;
		one(b, d, codecs[i], corpus);
	}
	return 0;
}

/* The beginning of a file of the user's. */
static int load(struct data *d, const char *path, struct lcpfs_error *err)
{
	FILE *f = fopen(path, "rb");

	if (!f)
		return cmd_err(err, LCPFS_ENOENT, "%s: cannot be opened", path);
	d->len = fread(d->plain, 1, (size_t)BLOCKS * BLOCK, f);
	fclose(f);
	if (d->len < 4096)
		return cmd_err(err, LCPFS_EINVAL, "%s: %zu bytes are too few", path, d->len);
	return 0;
}

static int run_all(struct bench *b, struct data *d, struct lcpfs_error *err)
{
	int rc = 0;

	d->len = (size_t)BLOCKS * BLOCK;
	if (b->corpus) {
		rc = load(d, b->corpus, err);
		d->n = (unsigned)((d->len + BLOCK - 1) / BLOCK);
		return rc ? rc : run_corpus(b, d, "file", err);
	}
	d->n = BLOCKS;
	for (size_t i = 0; i < sizeof bench_corpora / sizeof *bench_corpora && !rc && !cmd_interrupted; i++) {
		bench_corpora[i].fill(d->plain, d->len);
		rc = run_corpus(b, d, bench_corpora[i].name, err);
	}
	return rc;
}

int bench_codec(struct bench *b, struct lcpfs_error *err)
{
	struct data d = { .plain = malloc((size_t)BLOCKS * BLOCK), .packed = malloc((size_t)BLOCKS * BLOCK), .out = malloc(2 * BLOCK),
		.ctx = codec_ctx_create(), .zc = ZSTD_createCCtx(), .zd = ZSTD_createDCtx() };
	int rc = d.plain && d.packed && d.out && d.ctx && d.zc && d.zd ? run_all(b, &d, err) : cmd_err(err, LCPFS_ENOMEM, "out of memory");

	free(d.plain);
	free(d.packed);
	free(d.out);
	codec_ctx_destroy(d.ctx);
	ZSTD_freeCCtx(d.zc);
	ZSTD_freeDCtx(d.zd);
	return rc;
}
