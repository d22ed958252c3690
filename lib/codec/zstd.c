/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd: one standard frame without content size, checksum or dictionary id: the pointer to the block has the length
 * and the checksum, so they would be stored twice.
 */
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>
#include "base/error.h"
#include "base/le.h"
#include "base/util.h"
#include "codec/codec_impl.h"

#define MAGIC 0xfd2fb528u
#define BLOCK_MAX ((size_t)128 << 10) /* RFC 8878, 3.1.1.2.4 */

/*
 * From 1.5.5 on the row match finder (levels 4 to 12) salts its hash with what the context saw before, and output must
 * not depend on that: there a context serves one block only.
 */
static bool remembers(int level)
{
	return level >= 4 && level <= 12 && ZSTD_versionNumber() >= 10505;
}

static bool set(ZSTD_CCtx *z, ZSTD_cParameter what, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(z, what, value));
}

/*
 * Level 3 has tables and a window for 2 MiB. Kernel source in packs of 4 MiB: the window of all of it gives 0.1 % for nothing, and the half of the
 * table of short matches is 3 % faster, for 0.05 % more. Packs of many short files want more instead: twice the table
 * is 1.5 % less of files of 2 KiB for 5 % of the time, 0.2 % less of files of 16 KiB.
 */
static bool tune(ZSTD_CCtx *z, bool many, size_t len)
{
	if (len > 2 * MiB && !set(z, ZSTD_c_windowLog, 22))
		return false;
	if (many)
		return len <= MiB || set(z, ZSTD_c_hashLog, 18);
	return len <= 2 * MiB || set(z, ZSTD_c_chainLog, 15);
}

/* A window no longer than the block follows from the block's length, which compress2 knows. */
static size_t frame(ZSTD_CCtx *z, int level, bool many, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap)
{
	size_t n;

	ZSTD_CCtx_reset(z, ZSTD_reset_session_and_parameters);
	if (!set(z, ZSTD_c_compressionLevel, level) || !set(z, ZSTD_c_contentSizeFlag, 0) ||
	    !set(z, ZSTD_c_checksumFlag, 0) || !set(z, ZSTD_c_dictIDFlag, 0))
		return 0;
	if (level == 3 && !tune(z, many, src_len))
		return 0;
	n = ZSTD_compress2(z, dst, cap, src, src_len);
	return ZSTD_isError(n) ? 0 : n;
}

static size_t compress(struct codec_ctx *c, int level, const uint8_t *src, size_t src_len, uint8_t *dst, size_t cap)
{
	size_t n;

	if (!c->zstd_c && !(c->zstd_c = ZSTD_createCCtx()))
		return 0;
	n = frame(c->zstd_c, level, c->many, src, src_len, dst, cap);
	if (remembers(level)) {
		ZSTD_freeCCtx(c->zstd_c);
		c->zstd_c = NULL;
	}
	return n;
}

/*
 * Frame header (RFC 8878, 3.1.1.1): magic, then a descriptor byte:
 *   bits 0-1 size of the dictionary id, 2 checksum, 3 reserved, 5 single segment (no window byte), 6-7 size of the length
 * and the window byte: exponent in bits 3-7, mantissa in 0-2.
 */
static int check_header(const uint8_t *src, size_t src_len, size_t dst_len, struct lcpfs_error *err)
{
	uint64_t limit = KiB, window;

	if (src_len < 6 || le_load(src, 4) != MAGIC)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: no frame");
	if (src[4] & 0x0b)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: frame wants a dictionary or is of an unknown kind");
	while (limit < dst_len)
		limit *= 2;
	window = 1ull << (10 + (src[5] >> 3));
	window += window / 8 * (src[5] & 7);
	if (!(src[4] & 0x20) && window > limit)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: window of %llu bytes for a block of %zu",
		    (unsigned long long)window, dst_len);
	if (ZSTD_findFrameCompressedSize(src, src_len) != src_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: frame does not end where the block does");
	return 0;
}

static int ready(struct codec_ctx *c, struct lcpfs_error *err)
{
	if (!c->zstd_d && !(c->zstd_d = ZSTD_createDCtx()))
		return lcpfs_nomem(err);
	ZSTD_DCtx_reset(c->zstd_d, ZSTD_reset_session_only);
	return 0;
}

static int decompress(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len,
                      struct lcpfs_error *err)
{
	int rc = check_header(src, src_len, dst_len, err);
	size_t n;

	if (!rc)
		rc = ready(c, err);
	if (rc)
		return rc;
	n = ZSTD_decompressDCtx(c->zstd_d, dst, dst_len, src, src_len);
	if (ZSTD_isError(n))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: %s", ZSTD_getErrorName(n));
	if (n != dst_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: decodes to %zu bytes instead of %zu", n, dst_len);
	return 0;
}

/*
 * A frame is decoded block by block, of at most 128 KiB each, into the place where it belongs: with room for one block more than is wanted,
 * what is wanted is there when the room has run out.
 */
static int head(struct codec_ctx *c, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len, size_t want,
                struct lcpfs_error *err)
{
	size_t room = want + BLOCK_MAX, n;
	int rc;

	if (room >= dst_len)
		return decompress(c, src, src_len, dst, dst_len, err);
	rc = check_header(src, src_len, dst_len, err);
	if (!rc && src[4] & 0x20 && ZSTD_getFrameContentSize(src, src_len) != dst_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: frame is not of %zu bytes", dst_len);
	/* a frame that says its length is refused by a decoder that has less room */
	if (!rc && ZSTD_getFrameContentSize(src, src_len) != ZSTD_CONTENTSIZE_UNKNOWN)
		return decompress(c, src, src_len, dst, dst_len, err);
	if (!rc)
		rc = ready(c, err);
	if (rc)
		return rc;
	memset(dst, 0, want); /* a hostile frame can ask for more room than a block may and write nothing */
	n = ZSTD_decompressDCtx(c->zstd_d, dst, room, src, src_len);
	if (!ZSTD_isError(n))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: decodes to %zu bytes instead of %zu", n, dst_len);
	if (ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "zstd: %s", ZSTD_getErrorName(n));
	return 0;
}

const struct codec_row codec_row_zstd = {
	.name = "zstd", .min = -7, .max = 19, .dflt = 3, .probe_from = 3,
	.compress = compress, .decompress = decompress, .head = head,
};
