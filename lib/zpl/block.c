/* SPDX-License-Identifier: Apache-2.0 */
/* Decoded packs and records in the cache. The cache is shared with tree nodes: `destroy` tells what an object is. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>

static void block_destroy(struct arc_obj *o)
{
	free(o);
}

/* The cached block, or NULL; *foreign: a damaged tree uses this place for something else too. */
static struct zpl_block *cached(struct dataset *ds, const struct blkptr *bp, bool *foreign)
{
	struct arc_obj *o = ds->spa->arc ? arc_get(ds->spa->arc, bp->addr, bp->birth) : NULL;
	struct zpl_block *b = (struct zpl_block *)o;

	*foreign = o && (o->destroy != block_destroy || b->len != bp->lsize);
	if (!*foreign)
		return b;
	arc_put(o);
	return NULL;
}

bool zpl_block_cached(struct dataset *ds, const struct blkptr *bp)
{
	bool foreign;
	struct zpl_block *b = cached(ds, bp, &foreign);

	if (b)
		arc_put(&b->obj);
	return b;
}

int zpl_block_get(struct dataset *ds, const struct blkptr *bp, struct zpl_block **out, struct lcpfs_error *err)
{
	bool foreign;
	struct zpl_block *b = cached(ds, bp, &foreign);
	struct arc_obj *o;
	int rc;

	if (b) {
		*out = b;
		return 0;
	}
	if (bp->kind != PTR_DATA)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is not file data", ptr_chunk(bp), ptr_sector(bp));
	b = malloc(sizeof *b + bp->lsize);
	if (!b)
		return lcpfs_nomem(err);
	b->obj = (struct arc_obj){ .addr = bp->addr, .birth = bp->birth, .bytes = sizeof *b + bp->lsize, .refs = 1,
		.destroy = block_destroy };
	b->len = bp->lsize;
	rc = zio_read(ds->spa->zio, bp, b->data, err);
	if (rc) {
		free(b);
		return rc;
	}
	o = &b->obj;
	if (!foreign && ds->spa->arc)
		o = arc_add(ds->spa->arc, o);
	b = (struct zpl_block *)o;
	if (o->destroy != block_destroy || b->len != bp->lsize) {
		arc_put(o);
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is used in two places", ptr_chunk(bp), ptr_sector(bp));
	}
	*out = b;
	return 0;
}
