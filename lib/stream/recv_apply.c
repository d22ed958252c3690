/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes from a stream into the tree of the hidden clone. Applying a change twice is the same as once: after a failure the tree may be ahead of the
 * checkpoint from which the sender goes on.
 */
#include "stream_impl.h"
#include <inttypes.h>
#include <sys/stat.h>

/* As zpl counts: data blocks, not nodes. */
static void count_block(struct dataset *ds, const struct blkptr *bp, int sign)
{
	ds->rec.ref_psize += (uint64_t)sign * ptr_charge(bp);
	ds->rec.ref_lsize += (uint64_t)sign * bp->lsize;
	ds->rec.ref_blocks += (uint64_t)sign;
	dmu_dirty(ds);
}

static int write_block(struct receiver *r, const struct frame_block *b, struct blkptr *bp, struct lcpfs_error *err)
{
	int rc = spa_admit(r->spa, ADMIT_NORMAL, b->psize, err);

	*bp = (struct blkptr){ .kind = PTR_DATA, .lsize = b->lsize, .psize = b->psize, .comp = b->comp, .csum = b->csum };
	memcpy(bp->hash, b->hash, sizeof bp->hash);
	return rc ? rc : zio_write_stored(r->spa->zio, b->data, bp, err);
}

/* Dirty nodes stay within their share of memory. */
static int shed(struct receiver *r, struct lcpfs_error *err)
{
	size_t share = r->spa->memory / 4;

	return btree_dirty_bytes(r->ds->tree) > share ? btree_shed(r->ds->tree, share / 2, err) : 0;
}

/* ---- packs ---- */

static int pack_put(struct receiver *r, uint64_t id, uint32_t live_bytes, uint32_t live_n, const struct blkptr *bp, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX], val[8];
	size_t klen = item_key(key, ITEM_PACK, id);

	le_store(val, 4, live_bytes);
	le_store(val + 4, 4, live_n);
	return btree_put(r->ds->tree, key, klen, val, sizeof val, bp, bp ? 1 : 0, bp ? BT_NEW : BT_KEEP_PTRS, err);
}

int apply_pack_close(struct receiver *r, struct lcpfs_error *err)
{
	struct recv_pack *p = &r->pack;

	if (!p->open)
		return 0;
	p->open = false;
	if (!p->live_n)
		return spa_free(r->spa, &p->bp, err);
	count_block(r->ds, &p->bp, 1);
	/* a block that is in no tree: what is here can only be dropped */
	return spa_spoilt(r->spa, pack_put(r, p->id, p->live_bytes, p->live_n, &p->bp, err), err);
}

int apply_pack(struct receiver *r, const struct frame_block *b, struct lcpfs_error *err)
{
	int rc = apply_pack_close(r, err);

	if (rc)
		return rc;
	r->pack = (struct recv_pack){ .id = r->st.next_pack };
	rc = write_block(r, b, &r->pack.bp, err);
	if (!rc) {
		r->pack.open = true;
		r->st.next_pack++;
	}
	return rc;
}

/* A slice leaves the pack that its item names. */
static int pack_lose(struct receiver *r, const struct slice *old, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	size_t klen = item_key(key, ITEM_PACK, old->pack_id);
	uint32_t bytes = 0, n = 0;
	struct blkptr bp;
	int rc;

	if (r->pack.open && r->pack.id == old->pack_id) {
		r->pack.live_n--;
		r->pack.live_bytes -= old->len;
		return 0;
	}
	rc = btree_get(r->ds->tree, &c, key, klen, err);
	if (!rc && c.item.vlen == 8 && c.item.nptr == 1) {
		bytes = (uint32_t)le_load(c.item.val, 4);
		n = (uint32_t)le_load(c.item.val + 4, 4);
		rc = ptr_decode(&bp, c.item.ptrs, err);
	}
	btree_cursor_close(&c);
	if (rc < 0)
		return rc;
	if (!n || bytes < old->len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pack %" PRIx64 ": missing, or its counts are wrong", old->pack_id);
	if (n > 1)
		return pack_put(r, old->pack_id, bytes - old->len, n - 1, NULL, err);
	count_block(r->ds, &bp, -1);
	rc = btree_del(r->ds->tree, key, klen, 0, err);
	return rc < 0 ? rc : 0;
}

/* ---- items ---- */

/* The slice of this key leaves its pack, if there is one. */
static int slice_lose(struct receiver *r, const uint8_t *key, size_t klen, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct slice old;
	int rc = btree_get(r->ds->tree, &c, key, klen, err);

	if (!rc)
		rc = slice_decode(&old, c.item.val, c.item.vlen, err);
	btree_cursor_close(&c);
	if (rc)
		return rc < 0 ? rc : 0;
	return pack_lose(r, &old, err);
}

static int slice_put(struct receiver *r, const struct frame_item *i, const struct pack_ent *at, struct lcpfs_error *err)
{
	struct slice s = { .pack_id = r->pack.id, .off = at->off, .len = at->len, .charge = (uint32_t)le_load(i->val + 4, 4) };
	uint8_t raw[SLICE_LEN];
	int rc = slice_lose(r, i->key, i->klen, err);

	if (rc)
		return rc;
	slice_encode(&s, raw);
	rc = btree_put(r->ds->tree, i->key, i->klen, raw, sizeof raw, NULL, 0, 0, err);
	if (!rc) {
		r->pack.live_n++;
		r->pack.live_bytes += s.len;
	}
	return rc;
}

static int extent_lose(struct receiver *r, const uint8_t *key, size_t klen, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct blkptr bp;
	int rc = btree_get(r->ds->tree, &c, key, klen, err);

	if (!rc && c.item.nptr == 1)
		rc = ptr_decode(&bp, c.item.ptrs, err);
	else if (!rc)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "extent with %u pointers", c.item.nptr);
	btree_cursor_close(&c);
	if (!rc)
		count_block(r->ds, &bp, -1);
	return rc < 0 ? rc : 0;
}

int apply_extent(struct receiver *r, const struct frame_extent *e, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX], val[4];
	size_t klen = item_key_u64(key, ITEM_EXTENT, e->data_id, e->off);
	struct blkptr bp;
	int rc = write_block(r, &e->b, &bp, err);

	if (rc)
		return rc;
	le_store(val, 4, e->len);
	rc = extent_lose(r, key, klen, err);
	if (!rc)
		rc = btree_put(r->ds->tree, key, klen, val, sizeof val, &bp, 1, 0, err);
	if (rc)
		return spa_spoilt(r->spa, rc, err);
	count_block(r->ds, &bp, 1);
	return shed(r, err);
}

static int put_dsinfo(struct receiver *r, const struct frame_item *i, struct lcpfs_error *err)
{
	struct dsinfo info;
	int rc = dsinfo_decode(&info, i->val, i->vlen, err);

	if (!rc)
		rc = btree_put(r->ds->tree, i->key, i->klen, i->val, i->vlen, NULL, 0, 0, err);
	if (!rc)
		r->ds->info = info;
	return rc;
}

static int put_inode(struct receiver *r, const struct frame_item *i, struct lcpfs_error *err)
{
	int rc = btree_put(r->ds->tree, i->key, i->klen, i->val, i->vlen, NULL, 0, BT_NEW, err);

	if (!rc)
		r->ds->rec.n_inodes++;
	else if (rc == -LCPFS_EEXIST)
		rc = btree_put(r->ds->tree, i->key, i->klen, i->val, i->vlen, NULL, 0, 0, err);
	return rc;
}

static int item_put(struct receiver *r, const struct frame_item *i, const struct pack_ent *slice, struct lcpfs_error *err)
{
	switch (i->key[0]) {
	case ITEM_SLICE:
		return slice_put(r, i, slice, err);
	case ITEM_DSINFO:
		return put_dsinfo(r, i, err);
	case ITEM_INODE:
		return put_inode(r, i, err);
	}
	return btree_put(r->ds->tree, i->key, i->klen, i->val, i->vlen, NULL, 0, 0, err);
}

static int item_del(struct receiver *r, const struct frame_item *i, struct lcpfs_error *err)
{
	int rc = 0;

	if (i->key[0] == ITEM_DSINFO)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "the stream deletes DSINFO");
	if (i->key[0] == ITEM_SLICE)
		rc = slice_lose(r, i->key, i->klen, err);
	else if (i->key[0] == ITEM_EXTENT)
		rc = extent_lose(r, i->key, i->klen, err);
	if (!rc)
		rc = btree_del(r->ds->tree, i->key, i->klen, 0, err);
	if (!rc && i->key[0] == ITEM_INODE)
		r->ds->rec.n_inodes--;
	return rc < 0 ? rc : 0;
}

int apply_item(struct receiver *r, const struct frame_item *i, const struct pack_ent *slice, struct lcpfs_error *err)
{
	int rc = i->op == ITEM_PUT ? item_put(r, i, slice, err) : item_del(r, i, err);

	dmu_dirty(r->ds);
	return rc ? rc : shed(r, err);
}

int apply_check_tree(struct receiver *r, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct inode root;
	uint8_t key[KEY_MAX];
	int rc = btree_get(r->ds->tree, &c, key, item_key(key, ITEM_DSINFO, 0), err);

	if (!rc)
		rc = btree_get(r->ds->tree, &c, key, item_key(key, ITEM_INODE, INO_ROOT), err);
	if (!rc)
		rc = inode_decode(&root, c.item.val, c.item.vlen, NULL, NULL, err);
	btree_cursor_close(&c);
	if (rc == 1 || (!rc && !S_ISDIR(root.mode)))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "what the stream makes has no root directory");
	return rc;
}
