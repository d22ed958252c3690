/* SPDX-License-Identifier: Apache-2.0 */
/* Contents by number: a slice in a pack, or extents; reading them, and giving them up. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>

#define HEAD_MIN (128u << 10) /* smaller packs are decoded whole at once */

int content_settle(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;

	if (!z || !data_id)
		return 0;
	if (z->open.kind == OPEN_RECORD && z->open.dirty && z->open.data_id == data_id)
		return zpl_flush(ds, err);
	return jobs_reap_for(ds, data_id, err);
}

/* 1: no such item. */
int slice_lookup(struct dataset *ds, uint64_t data_id, struct slice *out, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_get(ds->tree, &c, key, item_key(key, ITEM_SLICE, data_id), err);

	if (!rc) {
		rc = slice_decode(out, c.item.val, c.item.vlen, err);
		if (rc)
			lcpfs_within(err, rc, "content %" PRIu64, data_id);
	}
	btree_cursor_close(&c);
	return rc;
}

/* The same, with what is on its way settled first when it might be that. */
static int slice_find(struct dataset *ds, uint64_t data_id, struct slice *out, struct lcpfs_error *err)
{
	int rc = slice_lookup(ds, data_id, out, err);

	if (rc == 1 && ds->zpl && jobs_have(ds->zpl, data_id)) {
		rc = jobs_reap_for(ds, data_id, err);
		if (!rc)
			rc = slice_lookup(ds, data_id, out, err);
	}
	return rc;
}

int zpl_slice_get(struct dataset *ds, uint64_t data_id, struct slice *out, struct lcpfs_error *err)
{
	int rc;

	if (ds->zpl && pack_find(ds->zpl, data_id) && (rc = zpl_flush(ds, err)))
		return rc;
	rc = slice_find(ds, data_id, out, err);
	return rc == 1 ? lcpfs_fail(err, LCPFS_ENOENT, "no slice of content %" PRIu64, data_id) : rc;
}

int pack_decode(struct pack_item *out, const struct bt_item *it, struct lcpfs_error *err)
{
	if (it->vlen != 8 || it->nptr != 1)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pack %" PRIu64 ": %u bytes, %u pointers", be64_load(it->key + 1), it->vlen, it->nptr);
	out->live_bytes = le_load(it->val, 4);
	out->live_n = le_load(it->val + 4, 4);
	return ptr_decode(&out->bp, it->ptrs, err);
}

int pack_get(struct dataset *ds, uint64_t pack_id, struct pack_item *out, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_get(ds->tree, &c, key, item_key(key, ITEM_PACK, pack_id), err);

	if (!rc)
		rc = pack_decode(out, &c.item, err);
	btree_cursor_close(&c);
	return rc;
}

static int read_head(struct dataset *ds, const struct blkptr *bp, size_t from, uint8_t *buf, size_t len, struct lcpfs_error *err)
{
	uint8_t *tmp = malloc(bp->lsize);
	int rc;

	if (tmp)
		mem_prefault(tmp, MIN(from + len + CODEC_HEAD_SLACK, bp->lsize));
	rc = tmp ? zio_read_head(ds->spa->zio, bp, tmp, from + len, err) : lcpfs_nomem(err);
	if (!rc)
		memcpy(buf, tmp + from, len);
	free(tmp);
	return rc;
}

/*
 * One file out of a pack that nobody has read: decode no more than needed. The second from the same pack: decode all of it, for those
 * that follow.
 */
static int read_from_pack(struct dataset *ds, uint64_t pack_id, const struct blkptr *bp, size_t from, uint8_t *buf, size_t len,
                          struct lcpfs_error *err)
{
	struct zpl_block *b;
	struct zpl *z;
	int rc = zpl_state(ds, &z, err);

	if (rc)
		return rc;
	if (bp->kind == PTR_DATA && bp->lsize >= HEAD_MIN && from + len <= bp->lsize / 4 * 3 && z->head_pack != pack_id &&
	    !zpl_block_cached(ds, bp)) {
		z->head_pack = pack_id;
		return read_head(ds, bp, from, buf, len, err);
	}
	rc = zpl_block_get(ds, bp, &b, err);
	if (rc)
		return rc;
	memcpy(buf, b->data + from, len);
	arc_put(&b->obj);
	return 0;
}

static int slice_read(struct dataset *ds, uint64_t data_id, const struct slice *s, uint64_t size, uint64_t off, uint8_t *buf, size_t len,
                      struct lcpfs_error *err)
{
	struct pack_item p;
	int rc = pack_get(ds, s->pack_id, &p, err);

	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "no pack %" PRIu64, s->pack_id);
	else if (!rc && (s->len != size || (uint64_t)s->off + s->len > p.bp.lsize))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "slice of %u bytes at %u in a pack of %u, wanted %" PRIu64 " bytes", s->len, s->off,
		    p.bp.lsize, size);
	if (!rc)
		rc = read_from_pack(ds, s->pack_id, &p.bp, s->off + (size_t)off, buf, len, err);
	return rc ? lcpfs_within(err, rc, "content %" PRIu64, data_id) : 0;
}

int content_read(struct dataset *ds, uint64_t data_id, bool sliced, uint64_t size, uint64_t off, uint8_t *buf, size_t len,
                 struct lcpfs_error *err)
{
	const struct pack_ent *p = ds->zpl && data_id ? pack_find(ds->zpl, data_id) : NULL;
	struct slice s;
	int rc;

	if (p && p->len == size) {
		memcpy(buf, pack_content(ds->zpl, p) + off, len);
		return 0;
	}
	rc = slice_find(ds, data_id, &s, err);
	if (!rc)
		return slice_read(ds, data_id, &s, size, off, buf, len, err);
	if (rc == 1 && sliced)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "content %" PRIu64 ": no slice", data_id);
	if (rc == 1)
		rc = content_settle(ds, data_id, err);
	return rc ? rc : extents_read(ds, data_id, off, buf, len, err);
}

/* DATAREF: 1 and *n when the content has other sharers. */
static int sharers(struct dataset *ds, uint64_t data_id, uint64_t *n, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_get(ds->tree, &c, key, item_key(key, ITEM_DATAREF, data_id), err);

	*n = 0;
	if (!rc && c.item.vlen != 8)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "content %" PRIu64 ": sharers in %u bytes", data_id, c.item.vlen);
	if (!rc)
		*n = le_load(c.item.val, 8);
	btree_cursor_close(&c);
	return rc < 0 ? rc : *n > 0;
}

static int sharers_set(struct dataset *ds, uint64_t data_id, uint64_t n, struct lcpfs_error *err)
{
	uint8_t key[9], val[8];
	size_t klen = item_key(key, ITEM_DATAREF, data_id);
	int rc;

	le_store(val, 8, n);
	rc = n ? btree_put(ds->tree, key, klen, val, sizeof val, NULL, 0, 0, err) : btree_del(ds->tree, key, klen, 0, err);
	return rc < 0 ? rc : 0;
}

int content_shared(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err)
{
	uint64_t n;

	return sharers(ds, data_id, &n, err);
}

int content_share(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err)
{
	uint64_t n;
	int rc = sharers(ds, data_id, &n, err);

	return rc < 0 ? rc : sharers_set(ds, data_id, n + 1, err);
}

int pack_lower(struct dataset *ds, uint64_t pack_id, uint32_t len, struct lcpfs_error *err)
{
	struct pack_item p;
	uint8_t key[9], val[8];
	size_t klen = item_key(key, ITEM_PACK, pack_id);
	int rc = pack_get(ds, pack_id, &p, err);

	if (rc)
		return rc < 0 ? rc : 0;
	if (p.live_n <= 1) {
		zpl_count_block(ds, &p.bp, -1);
		return btree_del(ds->tree, key, klen, 0, err);
	}
	le_store(val, 4, p.live_bytes - MIN(p.live_bytes, len));
	le_store(val + 4, 4, p.live_n - 1);
	return btree_put(ds->tree, key, klen, val, sizeof val, NULL, 0, BT_KEEP_PTRS, err);
}

static int slice_drop(struct dataset *ds, uint64_t data_id, const struct slice *s, struct lcpfs_error *err)
{
	uint8_t key[9];
	int rc = btree_del(ds->tree, key, item_key(key, ITEM_SLICE, data_id), 0, err);

	compact_note(ds->zpl, s->pack_id);
	return rc < 0 ? rc : pack_lower(ds, s->pack_id, s->len, err);
}

int content_drop(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err)
{
	struct pack_ent *p;
	struct slice s;
	uint64_t n;
	int rc;

	if (!data_id)
		return 0;
	rc = sharers(ds, data_id, &n, err);
	if (rc)
		return rc < 0 ? rc : sharers_set(ds, data_id, n - 1, err);
	p = pack_find(ds->zpl, data_id);
	if (p) {
		pack_forget(ds->zpl, p);
		return 0;
	}
	rc = slice_find(ds, data_id, &s, err);
	if (!rc)
		return slice_drop(ds, data_id, &s, err);
	if (rc == 1)
		rc = content_settle(ds, data_id, err);
	return rc < 0 ? rc : extents_drop(ds, 0, data_id, 0, err);
}

int content_number(struct dataset *ds, struct zi *zi, uint64_t *out, struct lcpfs_error *err)
{
	struct inode *i = &zi->i;

	if (i->data_id == zi->ino && i->gen == ds->spa->txg && !(i->flags & INODE_SLICED) && !i->rec_shift) {
		*out = zi->ino;
		i->data_id = 0;
		zi->dirty = true;
		return 0;
	}
	return dmu_new_number(ds, out, err);
}
