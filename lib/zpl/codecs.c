/* SPDX-License-Identifier: Apache-2.0 */
/* What a dataset's contents are compressed with: counted from the pointers of its tree, contents are not read. */
#include "base/error.h"
#include "base/util.h"
#include "lcpfs/balance.h"
#include "zpl/handle.h"

struct counts { struct lcpfs_codec_use use[CODEC_N]; };

static int count(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct counts *c = arg;

	if (bp->kind != PTR_DATA)
		return 0;
	if (bp->comp >= CODEC_N)
		return lcpfs_fail(err, LCPFS_EUNSUP, "block %u:%u: compression %u", ptr_chunk(bp), ptr_sector(bp), bp->comp);
	c->use[bp->comp].blocks++;
	c->use[bp->comp].logical_bytes += bp->lsize;
	c->use[bp->comp].stored_bytes += ptr_charge(bp);
	return 0;
}

int lcpfs_codec_each(struct lcpfs_pool *p, const char *dataset, lcpfs_codec_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct counts c = { 0 };
	struct btree_walk w = { .visit = count, .arg = &c };
	struct dataset *ds;
	int rc = dmu_open(p->spa, dataset, &ds, err);

	if (rc)
		return rc;
	if (p->spa->writable)
		rc = dmu_settle_head(ds, err);
	if (!rc)
		rc = btree_walk_ptrs(&ds->store, &ds->rec.root, &w, err);
	dmu_close(ds);
	for (unsigned i = 0; i < CODEC_N && !rc; i++) {
		c.use[i].codec = codec_name(i);
		rc = c.use[i].blocks ? visit(arg, &c.use[i], err) : 0;
	}
	return rc;
}
