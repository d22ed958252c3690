/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out a plan, step by step, in the order in which it was written; all of it is in memory or unreferenced until the commit. */
#include "base/log.h"
#include "check/check_impl.h"
#include "dmu/dmu.h"
#include "zpl/zpl.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct applier {
	const struct ck_plan *p;
	struct spa *s;
	struct dataset *ds; /* the one that the last step was for */
};

/* Of an item of the tree of a dataset a copy, at most VAL_MAX bytes; 1: there is none. */
static int get(struct btree *t, const uint8_t *key, size_t klen, uint8_t val[VAL_MAX], uint32_t *vlen, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	int rc = btree_get(t, &c, key, klen, err);

	if (!rc) {
		*vlen = MIN(c.item.vlen, VAL_MAX);
		memcpy(val, c.item.val, *vlen);
	}
	btree_cursor_close(&c);
	return rc;
}

static void inode_set(struct inode *i, enum ck_field field, uint64_t v)
{
	switch (field) {
	case FI_NLINK: i->nlink = (uint32_t)MIN(v, UINT32_MAX); break;
	case FI_PARENT: i->parent = v; break;
	case FI_SIZE: i->size = v; break;
	case FI_PSIZE: i->psize = v; break;
	case FI_FLAGS: i->flags = (uint32_t)v; break;
	case FI_DATA: i->data_id = v; break;
	case FI_XATTRS: i->n_xattr = (uint32_t)MIN(v, UINT32_MAX); break;
	default: break;
	}
}

static int set_inode(struct dataset *ds, uint64_t ino, enum ck_field field, uint64_t v, struct lcpfs_error *err)
{
	uint8_t key[9], val[VAL_MAX];
	size_t klen = item_key(key, ITEM_INODE, ino);
	struct inode i;
	uint32_t vlen;
	int rc = get(ds->tree, key, klen, val, &vlen, err);

	if (!rc)
		rc = inode_decode(&i, val, vlen, NULL, NULL, err);
	if (rc)
		return MIN(rc, 0);
	inode_set(&i, field, v);
	inode_encode(&i, val);
	return btree_put(ds->tree, key, klen, val, vlen, NULL, 0, 0, err);
}

static int put_info(struct dataset *ds, struct lcpfs_error *err)
{
	uint8_t key[9], raw[DSINFO_LEN];

	dsinfo_encode(&ds->info, raw);
	ds->info_dirty = false;
	return btree_put(ds->tree, key, item_key(key, ITEM_DSINFO, 0), raw, sizeof raw, NULL, 0, 0, err);
}

static int set_info(struct dataset *ds, enum ck_field field, uint64_t v, struct lcpfs_error *err)
{
	struct zpl_params z = ZPL_DEFAULTS;

	if (field == FD_MAKE) {
		(void)zpl_params_of(ds, &z, NULL);
		ds->info = (struct dsinfo){ .next_seq = MAX(v, (uint64_t)SEQ_FIRST), .group = ds->rec.group == DS_GROUP_NONE ? 0 : ds->rec.group,
			.node_size = NODE_TARGET, .record_size = z.record_bytes, .pack_size = z.pack_bytes, .slice_max = z.slice_max };
	}
	if (field == FD_SEQ)
		ds->info.next_seq = v;
	if (field == FD_FILES)
		ds->info.n_files = v;
	return put_info(ds, err);
}

static int set_rec(struct spa *s, uint64_t id, enum ck_field field, uint64_t v, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_rec_get(s, id, &r, err);

	if (rc)
		return rc;
	switch (field) {
	case FR_CHILDREN: r.n_children = (uint32_t)v; break;
	case FR_HEIGHT: r.height = (uint8_t)v; break;
	case FR_GUID: r.guid = spa_guid(s, "repair", spa_new_id(s)); break;
	case FR_PARENT: r.parent = v; break;
	case FR_PREV_TXG: r.prev_snap_txg = v; break;
	case FR_PSIZE: r.ref_psize = v; break;
	case FR_LSIZE: r.ref_lsize = v; break;
	case FR_BLOCKS: r.ref_blocks = v; break;
	case FR_INODES: r.n_inodes = v; break;
	default: break;
	}
	return dmu_rec_put(s, &r, err);
}

/* ---- lost+found ---- */

static int put_name(struct dataset *ds, uint64_t dir, const char *name, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX], val[9];

	le_store(val, 8, ino);
	val[8] = type;
	return btree_put(ds->tree, key, item_key_str(key, ITEM_DIRENT, dir, name, strlen(name)), val, sizeof val, NULL, 0, 0, err);
}

static int make_lost_found(struct dataset *ds, const char *name, struct lcpfs_error *err)
{
	struct inode i = { .mode = S_IFDIR | 0700, .nlink = 2, .parent = INO_ROOT, .gen = ds->spa->txg };
	uint8_t key[9], raw[INODE_LEN];
	int rc;

	now_get(&i.ctime.sec, &i.ctime.nsec);
	i.atime = i.mtime = i.btime = i.ctime;
	inode_encode(&i, raw);
	rc = btree_put(ds->tree, key, item_key(key, ITEM_INODE, INO_LOST_FOUND), raw, sizeof raw, NULL, 0, BT_NEW, err);
	/* it was there, without a name */
	if (rc == -LCPFS_EEXIST)
		rc = 0;
	return rc ? rc : put_name(ds, INO_ROOT, name, INO_LOST_FOUND, DT_DIR, err);
}

/* The directory for what has no name: one of that name, or a new one. */
static int lost_found(struct dataset *ds, uint64_t *dir, struct lcpfs_error *err)
{
	static const char *const names[] = { "lost+found", "lost+found.fsck" };
	uint8_t key[KEY_MAX], val[VAL_MAX];
	uint32_t vlen;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int rc = get(ds->tree, key, item_key_str(key, ITEM_DIRENT, INO_ROOT, names[i], strlen(names[i])), val, &vlen, err);

		*dir = rc ? INO_LOST_FOUND : le_load(val, 8);
		if (rc == 1)
			return make_lost_found(ds, names[i], err);
		if (rc || (vlen == 9 && val[8] == DT_DIR))
			return rc;
	}
	return lcpfs_fail(err, LCPFS_EEXIST, "'%s': both names for lost files are taken", ds->name);
}

static int put_lost(struct dataset *ds, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	char name[32];
	uint64_t dir = 0;
	int rc = 0;

	if (ino == INO_LOST_FOUND)
		return lost_found(ds, &dir, err);
	snprintf(name, sizeof name, "#%" PRIu64, ino);
	rc = lost_found(ds, &dir, err);
	if (!rc)
		rc = put_name(ds, dir, name, ino, type, err);
	return rc ? rc : set_inode(ds, ino, FI_PARENT, dir, err);
}

/* ---- steps ---- */

static int put_item(struct applier *a, struct btree *t, const struct ck_fix *f, struct lcpfs_error *err)
{
	const uint8_t *key = f->klen ? a->p->bytes.data + f->at : NULL;
	int rc = 0;

	if (!f->ds && key[0] == TBL_REF && !config_has_feature(&vdev_config(a->s->vdev)->incompat, FEATURE_REF))
		rc = config_add_feature(&vdev_config_edit(a->s->vdev)->incompat, FEATURE_REF, err);
	return rc ? rc : btree_put(t, key, f->klen, key + f->klen, f->vlen, NULL, 0, f->flags, err);
}

static int mend_copy(struct applier *a, const uint8_t raw[PTR_LEN], struct lcpfs_error *err)
{
	struct zio_copies c;
	struct blkptr bp;
	int rc = ptr_decode(&bp, raw, err);

	return rc ? rc : zio_check_copies(a->s->zio, &bp, true, &c, err);
}

static int step(struct applier *a, const struct ck_fix *f, struct lcpfs_error *err)
{
	struct btree *t = a->ds ? a->ds->tree : a->s->pool_tree;
	const uint8_t *key = a->p->bytes.data + f->at;
	int rc = 0;

	switch ((enum ck_fix_kind)f->kind) {
	case FIX_PUT: return put_item(a, t, f, err);
	case FIX_DEL: rc = btree_del(t, key, f->klen, f->flags, err); break;
	case FIX_DROP: rc = btree_drop(t, f->level, key, f->klen, err); break;
	case FIX_REC: return set_rec(a->s, f->a, f->field, f->b, err);
	case FIX_INODE: return a->ds ? set_inode(a->ds, f->a, f->field, f->b, err) : 0;
	case FIX_INFO: return a->ds ? set_info(a->ds, f->field, f->a, err) : 0;
	case FIX_COPY: return mend_copy(a, key, err);
	case FIX_LOST: return a->ds ? put_lost(a->ds, f->a, (uint8_t)f->b, err) : 0;
	}
	return MIN(rc, 0);
}

static int leave(struct applier *a, struct lcpfs_error *err)
{
	struct dataset *ds = a->ds;
	size_t share = a->s->memory / 8;
	int rc = 0;

	a->ds = NULL;
	if (ds && btree_dirty_bytes(ds->tree) > share)
		rc = btree_shed(ds->tree, share / 2, err);
	dmu_close(ds);
	return rc;
}

static int enter(struct applier *a, uint64_t ds, struct lcpfs_error *err)
{
	int rc;

	if ((a->ds ? a->ds->rec.id : 0) == ds)
		return 0;
	rc = leave(a, err);
	if (!rc && ds)
		rc = dmu_open_damaged(a->s, ds, &a->ds, err);
	if (!rc && ds)
		dmu_dirty(a->ds);
	return rc;
}

/* What a step cannot do because something else is damaged, too, is left: maybe a later round can. */
static bool leaves_it(const struct spa *s, int rc)
{
	return !s->dead && (rc == -LCPFS_ECORRUPT || rc == -LCPFS_ECSUM || rc == -LCPFS_EIO || rc == -LCPFS_EEXIST || rc == -LCPFS_ENOENT);
}

static int keep_small(struct applier *a, struct lcpfs_error *err)
{
	struct btree *t = a->ds ? a->ds->tree : a->s->pool_tree;
	size_t share = a->s->memory / 8;
	int rc = spa_admit(a->s, ADMIT_DESTROY, 0, err);

	return rc || btree_dirty_bytes(t) <= share ? rc : btree_shed(t, share / 2, err);
}

/* Records and names come before what is in datasets, which open by them. */
static bool only_pool(const struct ck_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->fix[i].ds && p->fix[i].kind != FIX_COPY && !(p->fix[i].kind == FIX_REC && p->fix[i].field >= FR_PSIZE))
			return true;
	return false;
}

int plan_apply(const struct ck_plan *p, struct spa *s, uint64_t *steps, struct lcpfs_error *err)
{
	struct applier a = { .p = p, .s = s };
	bool pool = only_pool(p);
	int rc = p->bytes.failed ? lcpfs_nomem(err) : 0, rc2;

	for (size_t i = 0, n = 0; !rc && i < p->n; i++) {
		if (pool && p->fix[i].ds)
			continue;
		if (n++ % 256 == 0)
			rc = keep_small(&a, err);
		if (!rc)
			rc = enter(&a, p->fix[i].ds, err);
		if (!rc)
			rc = step(&a, &p->fix[i], err);
		*steps += !rc;
		if (leaves_it(s, rc))
			rc = 0;
	}
	rc2 = leave(&a, rc ? NULL : err);
	return rc ? rc : rc2;
}
