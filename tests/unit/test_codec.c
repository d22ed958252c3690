/* SPDX-License-Identifier: Apache-2.0 */
/* Codecs: round trips at every level, hostile input, the same result from any context and thread, what users may ask for. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "codec/codec.h"
#include "codec/codec_impl.h"
#include "tap.h"

enum { TEXT, RANDOM, ZEROS, MIXED, BYTES, KINDS };
#define MAX_LEN (1 << 20)

static const struct codec_spec typical[] = {
	{ .id = CODEC_LZ4 }, { .id = CODEC_ZSTD, .level = -5 }, { .id = CODEC_ZSTD, .level = 3 }, { .id = CODEC_ZSTD, .level = 9 },
	{ .id = CODEC_LZMA2, .level = 1 },
};
#define N_TYPICAL (sizeof typical / sizeof *typical)

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static void fill_text(uint8_t *p, size_t len, uint64_t *seed)
{
	static const char *const words[] = { "block ", "of ", "the ", "tree ", "pointer ", "is ", "written\n", "before ", "root ",
		"a ", "checksum ", "and ", "its ", "children; ", "0x1f ", "struct " };

	for (size_t i = 0; i < len;) {
		const char *w = words[tap_rand(seed) >> 20 & 15];

		while (*w && i < len)
			p[i++] = (uint8_t)*w++;
	}
}

static uint8_t *make(unsigned kind, size_t len, uint64_t seed)
{
	uint8_t *p = must(malloc(len ? len : 1));

	memset(p, 0, len);
	if (kind == TEXT)
		fill_text(p, len, &seed);
	for (size_t i = 0; i < len && (kind == RANDOM || kind == BYTES); i++)
		p[i] = (uint8_t)(tap_rand(&seed) >> 32) & (kind == RANDOM ? 0xff : 0x3f);
	for (size_t i = 0; i < len && kind == MIXED; i++)
		p[i] = i / 3000 % 2 ? (uint8_t)(tap_rand(&seed) >> 32) : (uint8_t)(i / 7);
	return p;
}

/* Buffers of the exact length, so that a sanitizer sees any step beyond. */
static void round_trip(struct codec_ctx *c, struct codec_spec spec, const uint8_t *data, size_t len, bool must_shrink)
{
	uint8_t *packed = must(malloc(len + 1)), *tight, *back = must(malloc(len + 1));
	size_t n = codec_compress(c, spec, data, len, packed, len);
	struct lcpfs_error err = { 0 };

	if (must_shrink)
		ok_msg(n > 0, "codec %u:%d length %zu does not shrink", spec.id, spec.level, len);
	if (n) {
		ok(n + 512 <= len && n <= len - len / 16);
		is_int(codec_compress(c, spec, data, len, back, n - 1), 0);
		tight = must(malloc(n));
		memcpy(tight, packed, n);
		free(back);
		back = must(malloc(len));
		memset(back, 0xa5, len);
		ok_msg(codec_decompress(c, spec.id, tight, n, back, len, &err) == 0, "codec %u:%d length %zu: %s", spec.id,
		    spec.level, len, err.msg);
		is_mem(back, data, len);
		for (size_t want = 0; want <= len; want += len / 5 + 1) {
			memset(back, 0xa5, len);
			is_int(codec_decompress_head(c, spec.id, tight, n, back, len, want, &err), 0);
			is_mem(back, data, want);
		}
		free(tight);
	}
	free(packed);
	free(back);
}

TEST(every_level)
{
	struct codec_ctx *c = codec_ctx_create();
	uint8_t *text = make(TEXT, 150000, 1);

	for (int l = -7; l <= 19; l++) {
		round_trip(c, (struct codec_spec){ .id = CODEC_ZSTD, .level = (int8_t)l }, text, 20000, true);
		round_trip(c, (struct codec_spec){ .id = CODEC_ZSTD, .level = (int8_t)l }, text, 150000, true);
	}
	for (int8_t l = 0; l <= 9; l++) {
		round_trip(c, (struct codec_spec){ .id = CODEC_LZMA2, .level = l }, text, 1500, true);
		round_trip(c, (struct codec_spec){ .id = CODEC_LZMA2, .level = l }, text, 40000, true);
	}
	for (int l = -64; l <= 12; l += l < 0 ? 16 : 1)
		round_trip(c, (struct codec_spec){ .id = CODEC_LZ4, .level = (int8_t)l }, text, 150000, true);
	free(text);
	codec_ctx_destroy(c);
	codec_ctx_destroy(NULL);
}

TEST(lengths_and_kinds)
{
	static const size_t lens[] = { 0, 1, 511, 512, 513, 600, 1024, 4096, 4097, 16384, 32768, 65535, 131072, 300001, MAX_LEN };
	struct codec_ctx *c = codec_ctx_create();

	for (unsigned kind = 0; kind < KINDS; kind++)
		for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
			uint8_t *data = make(kind, lens[i], i + 1);

			for (unsigned k = 0; k < N_TYPICAL; k++)
				if (lens[i] <= 131072 || typical[k].id != CODEC_LZMA2)
					round_trip(c, typical[k], data, lens[i], lens[i] >= 4096 && (kind == ZEROS || kind == TEXT));
			free(data);
		}
	codec_ctx_destroy(c);
}

TEST(incompressible)
{
	struct codec_ctx *c = codec_ctx_create();
	uint8_t *data = make(RANDOM, 262144, 7), *out = must(malloc(262144)), *text = make(TEXT, 4096, 3);

	for (unsigned k = 0; k < N_TYPICAL; k++) {
		is_int(codec_compress(c, typical[k], data, 262144, out, 262144), 0);
		is_int(codec_compress(c, typical[k], data, 4096, out, 4096), 0);
	}
	ok(codec_incompressible(c, data, 262144, out, 262144));
	memcpy(data + 100000, text, 4096); /* too little to be worth it */
	ok(codec_incompressible(c, data, 262144, out, 262144));
	free(text);
	text = make(BYTES, 65536, 5); /* nothing repeats, but six bits of eight */
	ok(!codec_incompressible(c, text, 65536, out, 262144));
	ok(codec_compress(c, (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 }, text, 65536, out, 65536) > 0);
	is_int(codec_compress(c, (struct codec_spec){ .id = CODEC_NONE, .level = 0 }, text, 65536, out, 65536), 0);
	is_int(codec_compress(c, (struct codec_spec){ .id = 9 }, text, 65536, out, 65536), 0);
	is_int(codec_compress(c, (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 }, text, 65536, out, 0), 0);
	free(data);
	free(text);
	free(out);
	codec_ctx_destroy(c);
}

/* What the format says about a stored zstd block. */
TEST(zstd_frame)
{
	struct codec_ctx *c = codec_ctx_create();
	uint8_t *data = make(TEXT, MAX_LEN, 11), *out = must(malloc(MAX_LEN));

	for (size_t len = 3000; len <= MAX_LEN; len = len * 7 / 3)
		for (int l = -7; l <= 19; l += len > 100000 ? 11 : 1) {
			size_t n = codec_compress(c, (struct codec_spec){ .id = CODEC_ZSTD, .level = (int8_t)l }, data, len, out, len);

			if (ok(n > 9)) {
				is_mem(out, "\x28\xb5\x2f\xfd", 4);
				is_int(out[4], 0); /* no length, checksum, dictionary; a window */
				ok((1ull << (10 + (out[5] >> 3))) < 2 * len);
				is_int(out[5] & 7, 0);
			}
		}
	free(data);
	free(out);
	codec_ctx_destroy(c);
}

static size_t foreign(uint8_t *out, const uint8_t *data, size_t len, ZSTD_cParameter what, int value)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(z, what, value);
	n = ZSTD_compress2(z, out, len, data, len);
	ZSTD_freeCCtx(z);
	return n;
}

static int both(struct codec_ctx *c, const uint8_t *src, size_t n, uint8_t *back, size_t len)
{
	int rc = codec_decompress(c, CODEC_ZSTD, src, n, back, len, NULL);

	is_int(codec_decompress_head(c, CODEC_ZSTD, src, n, back, len, len / 2, NULL), rc);
	return rc;
}

/* Frames that zstd itself would take. */
TEST(zstd_foreign)
{
	struct codec_ctx *c = codec_ctx_create();
	size_t len = 20000, n;
	uint8_t *data = make(TEXT, len, 11), *out = must(malloc(2 * len)), *back = must(malloc(len));
	static const uint8_t skippable[12] = { 0x50, 0x2a, 0x4d, 0x18, 4 };

	n = foreign(out, data, len, ZSTD_c_checksumFlag, 1); /* single segment with its length */
	is_int(both(c, out, n, back, len), 0);
	is_int(both(c, out, n, back, len - 1), -LCPFS_ECORRUPT);
	out[n - 1] ^= 1;
	is_int(codec_decompress(c, CODEC_ZSTD, out, n, back, len, NULL), -LCPFS_ECORRUPT);
	n = foreign(out, data, len, ZSTD_c_contentSizeFlag, 0);
	is_int(both(c, out, n, back, len), 0);
	memcpy(out + n, skippable, 12);
	is_int(both(c, out, n + 12, back, len), -LCPFS_ECORRUPT);
	memmove(out + 12, out, n);
	memcpy(out, skippable, 12);
	is_int(both(c, out, n + 12, back, len), -LCPFS_ECORRUPT);
	memmove(out, out + 12, n);
	memcpy(out + n, out, n); /* two frames */
	is_int(both(c, out, 2 * n, back, len), -LCPFS_ECORRUPT);
	is_int(both(c, out, n - 1, back, len), -LCPFS_ECORRUPT);
	out[5] += 8; /* twice the window */
	is_int(both(c, out, n, back, len), -LCPFS_ECORRUPT);
	out[5] = 0xff;
	is_int(both(c, out, n, back, len), -LCPFS_ECORRUPT);
	free(data);
	free(out);
	free(back);
	codec_ctx_destroy(c);
}

TEST(zstd_dictionary)
{
	struct codec_ctx *c = codec_ctx_create();
	uint8_t out[64] = { 0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x00, 0x07 }, back[100];

	is_int(both(c, out, sizeof out, back, sizeof back), -LCPFS_ECORRUPT);
	codec_ctx_destroy(c);
}

/* Whatever one flipped bit, one cut or one wrong length does: an answer within bounds, and corrupt when it can be seen. */
static void damage(struct codec_ctx *c, struct codec_spec spec, const uint8_t *data, size_t len, uint64_t *seed)
{
	uint8_t *packed = must(malloc(len)), *back = must(malloc(len)), *longer = must(malloc(len + 1));
	size_t n = codec_compress(c, spec, data, len, packed, len);

	ok(n > 0);
	is_int(codec_decompress(c, spec.id, packed, n, back, len - 1, NULL), -LCPFS_ECORRUPT);
	is_int(codec_decompress(c, spec.id, packed, n, longer, len + 1, NULL), -LCPFS_ECORRUPT);
	is_int(codec_decompress(c, spec.id, packed, n, back, 1, NULL), -LCPFS_ECORRUPT);
	memcpy(longer, packed, n);
	longer[n] = 0;
	is_int(codec_decompress(c, spec.id, longer, n + 1, back, len, NULL), -LCPFS_ECORRUPT);
	for (unsigned i = 0; i < 300; i++) {
		size_t cut = i < 40 ? i : tap_rand(seed) % n;
		uint8_t *tight = must(malloc(n)), *end;
		int rc;

		memcpy(tight, packed, n);
		for (unsigned k = 0; k <= i % 3; k++)
			tight[(i < 100 ? i : tap_rand(seed)) % n] ^= (uint8_t)(1 << tap_rand(seed) % 8);
		rc = codec_decompress(c, spec.id, tight, n, back, len, NULL);
		ok(rc == 0 || rc == -LCPFS_ECORRUPT);
		rc = codec_decompress_head(c, spec.id, tight, n, back, len, tap_rand(seed) % len, NULL);
		ok(rc == 0 || rc == -LCPFS_ECORRUPT);
		free(tight);
		end = must(malloc(cut ? cut : 1));
		memcpy(end, packed, cut);
		is_int(codec_decompress(c, spec.id, end, cut, back, len, NULL), -LCPFS_ECORRUPT);
		rc = codec_decompress_head(c, spec.id, end, cut, back, len, len / 4, NULL);
		ok(rc == 0 || rc == -LCPFS_ECORRUPT);
		free(end);
	}
	is_int(codec_decompress(c, spec.id, packed, n, back, len, NULL), 0); /* the context survived it all */
	is_mem(back, data, len);
	free(packed);
	free(back);
	free(longer);
}

TEST(hostile)
{
	struct codec_ctx *c = codec_ctx_create();
	uint64_t seed = 99;

	for (unsigned k = 0; k < N_TYPICAL; k++) {
		uint8_t *text = make(TEXT, 10000, k), *mixed = make(MIXED, 40000, k);

		damage(c, typical[k], text, 10000, &seed);
		damage(c, typical[k], mixed, 40000, &seed);
		free(text);
		free(mixed);
	}
	codec_ctx_destroy(c);
}

TEST(noise)
{
	struct codec_ctx *c = codec_ctx_create();
	uint64_t seed = 4711;

	for (unsigned i = 0; i < 3000; i++) {
		size_t len = tap_rand(&seed) % 200 + 1, out = tap_rand(&seed) % 5000 + 1;
		uint8_t *src = make(RANDOM, len, seed), *dst = must(malloc(out));

		for (unsigned id = 1; id < CODEC_N; id++) {
			if (id == CODEC_ZSTD && len > 6)
				memcpy(src, "\x28\xb5\x2f\xfd\0\0", 6);
			codec_decompress(c, id, src, len, dst, out, NULL);
			codec_decompress_head(c, id, src, len, dst, out, out / 2, NULL);
		}
		free(src);
		free(dst);
	}
	ok(true);
	codec_ctx_destroy(c);
}

TEST(none_and_unknown)
{
	struct codec_ctx *c = codec_ctx_create();
	uint8_t a[8] = "abcdefg", b[8] = { 0 };
	struct lcpfs_error err = { 0 };

	is_int(codec_decompress(c, CODEC_NONE, a, 8, b, 8, &err), 0);
	is_mem(b, a, 8);
	is_int(codec_decompress(c, CODEC_NONE, a, 7, b, 8, &err), -LCPFS_ECORRUPT);
	is_int(codec_decompress(c, CODEC_N, a, 8, b, 8, &err), -LCPFS_EUNSUP);
	is_int(codec_decompress_head(c, 200, a, 8, b, 8, 4, &err), -LCPFS_EUNSUP);
	for (unsigned id = 0; id < CODEC_N; id++) {
		is_int(codec_decompress(c, id, a, 0, b, 8, &err), -LCPFS_ECORRUPT);
		is_int(codec_decompress(c, id, a, 8, b, 0, &err), -LCPFS_ECORRUPT);
		is_int(codec_decompress(c, id, a, 8, b, (size_t)1 << 40, &err), -LCPFS_ECORRUPT);
		is_int(codec_decompress_head(c, id, a, 8, b, (size_t)1 << 40, 8, &err), -LCPFS_ECORRUPT);
	}
	codec_ctx_destroy(c);
}

static size_t fresh(struct codec_spec spec, const uint8_t *data, size_t len, uint8_t *out)
{
	struct codec_ctx *c = codec_ctx_create();
	size_t n = codec_compress(c, spec, data, len, out, len);

	codec_ctx_destroy(c);
	return n;
}

/* One context with a long and varied past against a new one each time. */
TEST(deterministic)
{
	struct codec_ctx *c = codec_ctx_create();
	uint8_t *a = must(malloc(200000)), *b = must(malloc(200000));
	uint64_t seed = 5;

	for (unsigned i = 0; i < 400; i++) {
		struct codec_spec spec = { .id = CODEC_ZSTD, .level = (int8_t)(tap_rand(&seed) % 27 - 7) };
		size_t len = tap_rand(&seed) % (i % 4 ? 40000 : 200000) + 600, n, m;
		uint8_t *data = make(i % 3 ? MIXED : TEXT, len, seed % 5);

		if (i % 10 == 0)
			spec = (struct codec_spec){ .id = i % 20 ? CODEC_LZ4 : CODEC_LZMA2, .level = 0 };
		if (spec.level > 13 && i % 3)
			spec.level = 8;
		n = codec_compress(c, spec, data, len, a, len);
		m = fresh(spec, data, len, b);
		is_int(n, m);
		is_mem(a, b, n);
		codec_decompress_head(c, spec.id, a, n, b, len, len / 3, NULL);
		free(data);
	}
	free(a);
	free(b);
	codec_ctx_destroy(c);
}

/* A stretch that shrinks is found wherever it is, from 1/8 of the block on. */
TEST(incompressible_but)
{
	static const struct codec_spec slow[] = {
		{ .id = CODEC_ZSTD, .level = 3 }, { .id = CODEC_ZSTD, .level = 9 }, { .id = CODEC_LZMA2, .level = 1 }, { .id = CODEC_LZ4, .level = 9 },
	};
	struct codec_ctx *c = codec_ctx_create();
	uint8_t *data = make(RANDOM, MAX_LEN, 8), *text = make(TEXT, MAX_LEN / 8, 9), *out = must(malloc(MAX_LEN));
	uint8_t *saved = must(malloc(MAX_LEN / 8));

	for (size_t at = 0; at <= MAX_LEN - MAX_LEN / 8; at += (MAX_LEN - MAX_LEN / 8) / 4) {
		memcpy(saved, data + at, MAX_LEN / 8);
		memcpy(data + at, text, MAX_LEN / 8);
		for (unsigned k = 0; k < sizeof slow / sizeof *slow; k++)
			ok(codec_compress(c, slow[k], data, MAX_LEN, out, MAX_LEN) > 0);
		memcpy(data + at, saved, MAX_LEN / 8);
	}
	is_int(codec_compress(c, slow[2], data, MAX_LEN, out, MAX_LEN), 0);
	free(saved);
	free(out);
	free(text);
	free(data);
	codec_ctx_destroy(c);
}

/* Sums, as a meter would count: four bytes each, the upper ones much alike. */
static uint8_t *make_numbers(size_t len, uint64_t seed)
{
	uint8_t *p = must(malloc(len));
	uint32_t v = 1u << 30;

	for (size_t i = 0; i + 4 <= len; i += 4) {
		v += (uint32_t)(tap_rand(&seed) >> 32) % 5000;
		for (unsigned k = 0; k < 4; k++)
			p[i + k] = (uint8_t)(v >> 8 * k);
	}
	return p;
}

/* As a pack would have it: `share` of 16 parts are random. */
static uint8_t *make_mix(size_t len, unsigned share)
{
	uint8_t *p = make(TEXT, len, 3), *r = make(RANDOM, len, 4);

	for (size_t i = 0; i < len; i++)
		if (i * 64 / len % 16 < share)
			p[i] = r[i];
	free(r);
	return p;
}

static void chosen(const char *what, uint8_t *data, size_t len, const char *fast, const char *balanced, const char *small)
{
	const char *const want[] = { fast, balanced, small };
	char text[24];

	for (int8_t k = 0; k < 3; k++) {
		codec_print(codec_choose((struct codec_spec){ .id = CODEC_AUTO, .level = k }, data, len), text, sizeof text);
		ok_msg(strcmp(text, want[k]) == 0, "auto of %s is %s", what, text);
	}
	free(data);
}

TEST(auto_by_content)
{
	uint8_t *lines = must(malloc(MAX_LEN));
	struct codec_spec plain = { .id = CODEC_ZSTD, .level = 7 };

	for (size_t i = 0; i < MAX_LEN; i++)
		lines[i] = (uint8_t)"#define REGISTER_FIELD_MASK 0x000000\n"[i % 37];
	chosen("random bytes", make(RANDOM, MAX_LEN, 1), MAX_LEN, "zstd:1", "zstd:3", "zstd:3");
	chosen("a mix, half of it packed", make_mix(MAX_LEN, 8), MAX_LEN, "zstd:1", "zstd:6", "zstd:9");
	chosen("a mix, mostly packed", make_mix(MAX_LEN, 13), MAX_LEN, "zstd:-1", "zstd:3", "zstd:9");
	chosen("a mix, mostly text", make_mix(MAX_LEN, 2), MAX_LEN, "zstd:1", "zstd:6", "lzma:3");
	chosen("text", make(TEXT, MAX_LEN, 1), MAX_LEN, "zstd:1", "zstd:6", "lzma:3");
	chosen("a short text", make(TEXT, 3000, 1), 3000, "zstd:1", "zstd:6", "lzma:3");
	chosen("lines much alike", lines, MAX_LEN, "zstd:1", "zstd:6", "lzma:3");
	chosen("numbers", make_numbers(MAX_LEN, 1), MAX_LEN, "zstd:1", "zstd:1", "lzma:1");
	chosen("anything else", make(MIXED, 100, 1), 100, "zstd:1", "zstd:6", "lzma:2");
	chosen("zeros", make(ZEROS, MAX_LEN, 1), MAX_LEN, "zstd:1", "zstd:6", "lzma:2");
	plain = codec_choose(plain, "x", 1);
	is_int(plain.id, CODEC_ZSTD);
	is_int(plain.level, 7);
}

static void *in_thread(void *arg)
{
	uint8_t *data = make(TEXT, 60000, 21), *out = arg;

	for (unsigned i = 0; i < 5; i++)
		fresh((struct codec_spec){ .id = CODEC_ZSTD, .level = 5 }, data, 60000, out);
	codec_versions();
	free(data);
	return NULL;
}

TEST(threads)
{
	uint8_t *out[4];
	pthread_t t[4];

	for (unsigned i = 0; i < 4; i++) {
		out[i] = must(calloc(1, 60000));
		pthread_create(&t[i], NULL, in_thread, out[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		is_mem(out[i], out[0], 5000);
		if (i)
			free(out[i]);
	}
	free(out[0]);
}

TEST(parse_print)
{
	static const struct { const char *text; int id, level; const char *canonical; } cases[] = {
		{ "off", CODEC_NONE, 0, "off" }, { "lz4", CODEC_LZ4, 0, "lz4" }, { "zstd", CODEC_ZSTD, 3, "zstd:3" },
		{ "zstd:-7", CODEC_ZSTD, -7, "zstd:-7" }, { "zstd:19", CODEC_ZSTD, 19, "zstd:19" },
		{ "zstd:0", CODEC_ZSTD, 3, "zstd:3" }, { "zstd:05", CODEC_ZSTD, 5, "zstd:5" },
		{ "lz4:0", CODEC_LZ4, 0, "lz4" }, { "lz4:12", CODEC_LZ4, 12, "lz4:12" }, { "lz4:-64", CODEC_LZ4, -64, "lz4:-64" },
		{ "auto", CODEC_AUTO, 1, "auto" }, { "auto:balanced", CODEC_AUTO, 1, "auto" }, { "auto:fast", CODEC_AUTO, 0, "auto:fast" },
		{ "auto:small", CODEC_AUTO, 2, "auto:small" },
		{ "lzma", CODEC_LZMA2, 6, "lzma:6" }, { "lzma:0", CODEC_LZMA2, 0, "lzma:0" }, { "lzma:9", CODEC_LZMA2, 9, "lzma:9" },
	};
	static const char *const bad[] = { "", "on", "zstd:", "zstd:20", "zstd:-8", "zstd:3x", "zstd:+3", "zstd: 3", "zstd:-",
		"zstd:1000", "zstd:--1", "lz4:13", "lz4:-65", "lz4:", "auto:", "auto:3", "autos", "auto:fastest", "lzma:10", "lzma:-1", "zst", "zstdd", "off:1", "ZSTD", ":3", "none" };
	struct codec_spec spec;
	struct lcpfs_error err;
	char text[16];

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		is_int(codec_parse(cases[i].text, &spec, &err), 0);
		is_int(spec.id, cases[i].id);
		is_int(spec.level, cases[i].level);
		codec_print(spec, text, sizeof text);
		is_str(text, cases[i].canonical);
	}
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		err.msg[0] = '\0';
		ok_msg(codec_parse(bad[i], &spec, &err) == -LCPFS_EINVAL, "'%s' is taken", bad[i]);
		ok(strstr(err.msg, "zstd[:-7..19]") || strstr(err.msg, " has levels "));
	}
	is_str(codec_name(CODEC_ZSTD), "zstd");
	is_str(codec_name(CODEC_NONE), "off");
	ok(codec_name(CODEC_N) == NULL);
	codec_print((struct codec_spec){ .id = 77 }, text, sizeof text);
	is_str(text, "?77");
	ok(strncmp(codec_versions(), "zstd 1.", 7) == 0);
	ok(strstr(codec_versions(), ", lz4 1.") && strstr(codec_versions(), ", lzma 5."));
}

TAP_MAIN(T(threads), T(every_level), T(lengths_and_kinds), T(incompressible), T(incompressible_but),
         T(auto_by_content), T(zstd_frame), T(zstd_foreign),
         T(zstd_dictionary), T(hostile), T(noise), T(none_and_unknown), T(deterministic), T(parse_print))
