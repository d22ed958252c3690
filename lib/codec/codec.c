/* SPDX-License-Identifier: Apache-2.0 */
/* The table of codecs, and what is the same for all: when compression pays, lengths, words. */
#include "codec/codec.h"
#include <lz4.h>
#include <lzma.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "codec/codec_impl.h"

#define FORMS "'off', 'lz4[:-64..12]', 'zstd[:-7..19]', 'lzma[:0..9]' or 'auto[:fast|balanced|small]'"
#define PROBE_MIN_LEN (32 * KiB) /* shorter blocks are over before a probe has paid */

static const struct codec_row *const rows[CODEC_N] = {
	[CODEC_LZ4] = &codec_row_lz4, [CODEC_ZSTD] = &codec_row_zstd, [CODEC_LZMA2] = &codec_row_lzma,
};

const char *codec_name(unsigned id)
{
	if (id == CODEC_NONE)
		return "off";
	return id < CODEC_N ? rows[id]->name : NULL;
}

/* "-7", "19": at most two digits. */
static bool parse_level(const char *s, const struct codec_row *row, int8_t *out)
{
	bool negative = *s == '-';
	int v = 0, digits = 0;

	for (s += negative; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
		v = 10 * v + (*s - '0');
	if (*s || digits < 1 || digits > 2)
		return false;
	v = negative ? -v : v;
	if (v < row->min || v > row->max)
		return false;
	/* some take 0 for their default; one setting has one text */
	*out = (int8_t)(row->min < 0 && v == 0 ? row->dflt : v);
	return true;
}

int codec_parse(const char *text, struct codec_spec *out, struct lcpfs_error *err)
{
	size_t len = strcspn(text, ":");
	bool has_level = text[len] == ':';

	if (strcmp(text, "off") == 0) {
		*out = (struct codec_spec){ .id = CODEC_NONE, .level = 0 };
		return 0;
	}
	if (strcmp(text, "auto") == 0 && codec_auto_parse("balanced", out))
		return 0;
	if (len == 4 && has_level && memcmp(text, "auto", len) == 0 && codec_auto_parse(text + len + 1, out))
		return 0;
	for (uint8_t id = 1; id < CODEC_N; id++) {
		struct codec_spec spec = { .id = id, .level = rows[id]->dflt };

		if (strlen(rows[id]->name) != len || memcmp(rows[id]->name, text, len) != 0)
			continue;
		if (has_level && !parse_level(text + len + 1, rows[id], &spec.level))
			return lcpfs_fail(err, LCPFS_EINVAL, "compression '%.64s': %s has levels %d to %d", text, rows[id]->name,
			    rows[id]->min, rows[id]->max);
		*out = spec;
		return 0;
	}
	return lcpfs_fail(err, LCPFS_EINVAL, "compression '%.64s': want " FORMS, text);
}

void codec_print(struct codec_spec spec, char *text, size_t len)
{
	const char *name = codec_name(spec.id);

	if (spec.id == CODEC_AUTO)
		codec_auto_print(spec, text, len);
	else if (!name)
		snprintf(text, len, "?%u", spec.id);
	else if (spec.id != CODEC_NONE && (spec.level || rows[spec.id]->dflt))
		snprintf(text, len, "%s:%d", name, spec.level);
	else
		snprintf(text, len, "%s", name);
}

struct codec_ctx *codec_ctx_create(void)
{
	return calloc(1, sizeof(struct codec_ctx));
}

void codec_ctx_destroy(struct codec_ctx *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->zstd_c);
	ZSTD_freeDCtx(c->zstd_d);
	free(c->lz4hc);
	lzma_spare_fini(&c->lzma);
	free(c);
}

size_t codec_compress(struct codec_ctx *c, struct codec_spec spec, const void *src, size_t src_len, void *dst, size_t cap)
{
	const struct codec_row *row = spec.id < CODEC_N ? rows[spec.id] : NULL;
	size_t save = MAX(512, div_up(src_len, 16));
	int level;

	if (!row || src_len <= save || src_len > CODEC_MAX_LEN || cap == 0)
		return 0;
	level = MIN(MAX(spec.level, row->min), row->max);
	if (level >= row->probe_from && src_len >= PROBE_MIN_LEN && codec_incompressible(c, src, src_len, dst, cap))
		return 0;
	c->many = spec.many;
	return row->compress(c, level, src, src_len, dst, MIN(cap, src_len - save));
}

int codec_decompress(struct codec_ctx *c, unsigned id, const void *src, size_t src_len, void *dst, size_t dst_len,
                     struct lcpfs_error *err)
{
	if (id >= CODEC_N)
		return lcpfs_fail(err, LCPFS_EUNSUP, "compression %u: unknown to this version", id);
	if (src_len == 0 || dst_len == 0 || src_len > CODEC_MAX_LEN || dst_len > CODEC_MAX_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: block of %zu bytes from %zu", codec_name(id), dst_len, src_len);
	if (id != CODEC_NONE)
		return rows[id]->decompress(c, src, src_len, dst, dst_len, err);
	if (src_len != dst_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "plain block of %zu bytes from %zu", dst_len, src_len);
	memcpy(dst, src, src_len);
	return 0;
}

int codec_decompress_head(struct codec_ctx *c, unsigned id, const void *src, size_t src_len, void *dst, size_t dst_len,
                          size_t want, struct lcpfs_error *err)
{
	bool usual = src_len && src_len <= CODEC_MAX_LEN && dst_len <= CODEC_MAX_LEN;

	if (want >= dst_len || !usual || id >= CODEC_N || id == CODEC_NONE || !rows[id]->head)
		return codec_decompress(c, id, src, src_len, dst, dst_len, err);
	if (want == 0)
		return 0;
	return rows[id]->head(c, src, src_len, dst, dst_len, want, err);
}

static char versions[96];
static pthread_once_t versions_once = PTHREAD_ONCE_INIT;

static void versions_make(void)
{
	snprintf(versions, sizeof versions, "zstd %s, lz4 %s, lzma %s", ZSTD_versionString(), LZ4_versionString(),
	    lzma_version_string());
}

const char *codec_versions(void)
{
	pthread_once(&versions_once, versions_make);
	return versions;
}
