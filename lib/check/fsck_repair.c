/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P7: repair
 * A check found what should be, and wrote it down; nothing is decided here. The plan is carried out on the very state that was checked, as one ordinary
 * transaction: the commit before it stays whole. Then the pool is checked again, by whoever called.
 */
#include "check/check_impl.h"
#include "dmu/dmu.h"
#include "zpl/handle.h"

static int put_count(struct btree *t, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, uint64_t n, struct lcpfs_error *err)
{
	int rc = n ? btree_put(t, key, klen, val, vlen, NULL, 0, 0, err) : btree_del(t, key, klen, 0, err);

	return MIN(rc, 0);
}

static int fix_ref(struct spa *s, const struct ck_fix *f, struct lcpfs_error *err)
{
	uint8_t key[9], val[REF_LEN];
	size_t klen = key_u64(key, TBL_REF, f->a);
	int rc = 0;

	if (f->value && !config_has_feature(&vdev_config(s->vdev)->incompat, FEATURE_REF))
		rc = config_add_feature(&vdev_config_edit(s->vdev)->incompat, FEATURE_REF, err);
	ref_encode(f->value, val);
	return rc ? rc : put_count(s->pool_tree, key, klen, val, sizeof val, f->value, err);
}

static int fix_dataref(struct spa *s, const struct ck_fix *f, struct lcpfs_error *err)
{
	uint8_t key[9], val[8];
	size_t klen = item_key(key, ITEM_DATAREF, f->b), share = s->memory / 8;
	struct dataset *ds;
	int rc = dmu_open_id(s, f->a, &ds, err);

	if (rc)
		return rc;
	le_store(val, 8, f->value);
	rc = put_count(ds->tree, key, klen, val, sizeof val, f->value, err);
	dmu_dirty(ds);
	if (!rc && btree_dirty_bytes(ds->tree) > share)
		rc = btree_shed(ds->tree, share / 2, err);
	dmu_close(ds);
	return rc;
}

static int apply(const struct check *ck, struct spa *s, struct lcpfs_error *err)
{
	size_t share = s->memory / 8;
	int rc = 0;

	for (size_t i = 0; !rc && i < ck->n_fix; i++) {
		const struct ck_fix *f = &ck->fix[i];

		/* plans are longer than what one call may change */
		if (i % 256 == 0)
			rc = spa_admit(s, ADMIT_DESTROY, 0, err);
		if (!rc)
			rc = f->kind == FIX_REF ? fix_ref(s, f, err) : fix_dataref(s, f, err);
		if (!rc && btree_dirty_bytes(s->pool_tree) > share)
			rc = btree_shed(s->pool_tree, share / 2, err);
	}
	return rc;
}

int fsck_repair(const struct check *ck, const char *path, const struct lcpfs_open_opts *oo, struct lcpfs_error *err)
{
	struct lcpfs_open_opts rw = oo ? *oo : (struct lcpfs_open_opts){ 0 };
	struct lcpfs_pool *p;
	int rc, rc2;

	rw.flags = LCPFS_OPEN_RW;
	rc = lcpfs_pool_open(&p, path, &rw, err);
	if (rc)
		return rc;
	if (p->spa->published != ck->ub.txg)
		rc = 1;
	if (!rc)
		rc = apply(ck, p->spa, err);
	if (!rc)
		rc = lcpfs_pool_commit(p, err);
	rc2 = lcpfs_pool_close(p, rc ? NULL : err);
	return rc ? rc : rc2;
}
