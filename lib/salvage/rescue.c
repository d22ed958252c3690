/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged blocks
 * A compressed block does not have a sector of zeros; so where there is one, or where the device ends or cannot be read, the damage begins, and what
 * comes before decodes to the first part of the content. It goes into a new block, and is told as not verified.
 */
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

/* Stored bytes before the first sector that is gone. */
static size_t sound_bytes(const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at < len && !is_all_zero(p + at, MIN(len - at, (size_t)SECTOR)))
		at += MIN(len - at, (size_t)SECTOR);
	return at;
}

struct written { int rc; struct blkptr bp; };

static void block_done(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct written *w = arg;

	(void)why;
	w->rc = rc;
	if (!rc)
		w->bp = *bp;
}

static int write_block(struct sal *s, const uint8_t *data, size_t len, struct blkptr *bp, struct lcpfs_error *err)
{
	const struct codec_spec codec = { .id = CODEC_ZSTD, .level = 1 };
	struct written w = { .rc = -LCPFS_EIO };
	uint8_t *buf = zio_buf_get(s->spa->zio, len);
	int rc;

	if (!buf)
		return lcpfs_nomem(err);
	memcpy(buf, data, len);
	rc = zio_submit(s->spa->zio, PTR_DATA, codec, buf, len, block_done, &w, err);
	if (!rc)
		rc = zio_wait(s->spa->zio, err);
	*bp = w.bp;
	return rc ? rc : w.rc;
}

int rescue_block(struct sal *s, const struct blkptr *old, bool whole, struct blkptr *bp, uint32_t *got, struct lcpfs_error *err)
{
	const struct chunk_map *k = map_chunk(s, ptr_chunk(old));
	uint8_t *best = NULL, *out;
	size_t n = 0;
	int rc = 0;

	*got = 0;
	if (old->comp != CODEC_ZSTD || old->suite)
		return 1;
	for (unsigned i = 0; k && i < k->n; i++) {
		uint64_t off = k->base[i] + (uint64_t)ptr_sector(old) * SECTOR;
		uint8_t *p = media_block(s, old->psize, err);
		size_t used;

		out = calloc(1, old->lsize);
		if (!p || !out) {
			free(out);
			free(best);
			return lcpfs_nomem(err);
		}
		media_read(s, off, p, old->psize);
		n = sound_bytes(p, old->psize);
		if (n == old->psize || !n)
			n = 0; /* nothing shows where it is wrong */
		else
			codec_part(p, n, out, old->lsize, &n, &used);
		if (n > *got) {
			free(best);
			best = out;
			*got = (uint32_t)n;
		} else {
			free(out);
		}
	}
	if (!*got)
		return 1;
	memset(best + *got, 0, old->lsize - *got);
	rc = write_block(s, best, whole ? old->lsize : *got, bp, err);
	free(best);
	return rc;
}
