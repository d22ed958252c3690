/* SPDX-License-Identifier: Apache-2.0 */
/* The begin of a frame whose end, or length, is not known. */
#include <zstd.h>
#include "codec/codec.h"

#define WINDOW_LOG_MAX 24 /* no block decodes to more */

bool codec_part(const void *src, size_t src_len, void *dst, size_t cap, size_t *got, size_t *used)
{
	ZSTD_inBuffer in = { src, src_len, 0 };
	ZSTD_outBuffer out = { dst, cap, 0 };
	ZSTD_DCtx *z = ZSTD_createDCtx();
	size_t left = 1, before;

	if (z && !ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
		do {
			before = in.pos + out.pos;
			left = ZSTD_decompressStream(z, &out, &in);
		} while (left && !ZSTD_isError(left) && in.pos + out.pos != before);
	ZSTD_freeDCtx(z);
	*got = out.pos;
	*used = in.pos;
	return left == 0;
}
