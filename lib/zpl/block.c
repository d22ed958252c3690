/* SPDX-License-Identifier: Apache-2.0 */
/* Decoded packs and records in the cache. The cache is shared with tree nodes: `destroy` tells what an object is. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>

static void block_destroy(struct arc_obj *o)
{
	free(o);
}

/* A damaged tree may use one place for a block and something else, or for blocks of two sizes. */
static bool is_block(const struct arc_obj *o, const struct blkptr *bp)
{
	return o->destroy == block_destroy && ((const struct zpl_block *)o)->len == bp->lsize;
}

bool zpl_block_cached(struct dataset *ds, const struct blkptr *bp)
{
	struct arc_obj *o = ds->spa->arc ? arc_get(ds->spa->arc, bp->addr, bp->birth) : NULL;
	bool is = o && is_block(o, bp);

	arc_put(o);
	return is;
}

static int block_read(struct dataset *ds, const struct blkptr *bp, struct zpl_block **out, struct lcpfs_error *err)
{
	struct zpl_block *b;
	int rc;

	if (bp->kind != PTR_DATA)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is not file data", ptr_chunk(bp), ptr_sector(bp));
	b = malloc(sizeof *b + bp->lsize);
	if (!b)
		return lcpfs_nomem(err);
	b->obj = (struct arc_obj){ .addr = bp->addr, .birth = bp->birth, .bytes = sizeof *b + bp->lsize, .refs = 1,
		.destroy = block_destroy };
	b->len = bp->lsize;
	mem_prefault(b->data, b->len);
	rc = zio_read(ds->spa->zio, bp, b->data, err);
	if (rc)
		free(b);
	else
		*out = b;
	return rc;
}

int zpl_block_get(struct dataset *ds, const struct blkptr *bp, struct zpl_block **out, struct lcpfs_error *err)
{
	struct arc_flight f;
	struct arc_obj *o = arc_begin(ds->spa->arc, bp->addr, bp->birth, &f);
	struct zpl_block *b = NULL;
	int rc;

	if (o && !is_block(o, bp)) {
		arc_put(o);
		return block_read(ds, bp, out, err);
	}
	if (o) {
		*out = (struct zpl_block *)o;
		return 0;
	}
	rc = block_read(ds, bp, &b, err);
	o = arc_end(ds->spa->arc, &f, rc ? NULL : &b->obj);
	if (rc)
		return rc;
	if (!is_block(o, bp)) {
		arc_put(o);
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is used in two places", ptr_chunk(bp), ptr_sector(bp));
	}
	*out = (struct zpl_block *)o;
	return 0;
}
