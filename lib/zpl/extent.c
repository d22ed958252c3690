/* SPDX-License-Identifier: Apache-2.0 */
/* Extents: contents that are too long for a pack, record by record; what no extent covers is a hole. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>

static bool of_content(const struct bt_item *it, const uint8_t *key)
{
	return it->klen == 17 && memcmp(it->key, key, 9) == 0;
}

static int extent_decode(const struct bt_item *it, struct extent *out, struct lcpfs_error *err)
{
	int rc;

	out->off = be64_load(it->key + 9);
	if (it->vlen != 4 || it->nptr != 1)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "extent at %" PRIu64 ": %u bytes, %u pointers", out->off, it->vlen, it->nptr);
	out->len = (uint32_t)le_load(it->val, 4);
	rc = ptr_decode(&out->bp, it->ptrs, err);
	if (!rc && (out->len != out->bp.lsize || out->off > (uint64_t)FILE_MAX - out->len))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "extent at %" PRIu64 " of %u bytes, its block has %u", out->off, out->len,
		    out->bp.lsize);
	return rc;
}

int extent_seek(struct dataset *ds, struct bt_cursor *c, uint64_t data_id, uint64_t off, struct extent *e, struct lcpfs_error *err)
{
	uint8_t key[17];
	size_t klen = item_key_u64(key, ITEM_EXTENT, data_id, off);
	int rc = btree_seek_le(ds->tree, c, key, klen, err);

	if (!rc && of_content(&c->item, key)) {
		rc = extent_decode(&c->item, e, err);
		if (rc || e->off + e->len > off)
			return rc;
	}
	if (rc >= 0)
		rc = btree_seek(ds->tree, c, key, klen, err);
	if (!rc)
		rc = of_content(&c->item, key) ? extent_decode(&c->item, e, err) : 1;
	return rc;
}

int extent_next(struct bt_cursor *c, uint64_t data_id, struct extent *e, struct lcpfs_error *err)
{
	uint8_t key[9];
	int rc = btree_next(c, err);

	item_key(key, ITEM_EXTENT, data_id);
	if (!rc)
		rc = of_content(&c->item, key) ? extent_decode(&c->item, e, err) : 1;
	return rc;
}

int extents_list(struct dataset *ds, uint64_t data_id, uint64_t off, uint64_t end, struct extent *v, size_t max, size_t *n,
                 struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	int rc;

	*n = 0;
	for (rc = extent_seek(ds, &c, data_id, off, v, err); !rc && v[*n].off < end && ++*n < max;)
		rc = extent_next(&c, data_id, &v[*n], err);
	btree_cursor_close(&c);
	return rc < 0 ? lcpfs_within(err, rc, "content %" PRIu64, data_id) : 0;
}

int extent_read(struct dataset *ds, const struct extent *e, uint32_t from, uint32_t to, uint8_t *buf, struct lcpfs_error *err)
{
	struct zpl_block *b;
	int rc;

	if (from == 0 && to == e->len && e->bp.kind == PTR_DATA && !zpl_block_cached(ds, &e->bp))
		return zio_read(ds->spa->zio, &e->bp, buf, err);
	rc = zpl_block_get(ds, &e->bp, &b, err);
	if (rc)
		return rc;
	memcpy(buf, b->data + from, to - from);
	arc_put(&b->obj);
	return 0;
}

int extents_read(struct dataset *ds, uint64_t data_id, uint64_t off, uint8_t *buf, size_t len, struct lcpfs_error *err)
{
	uint64_t pos = off, end = off + len;
	struct bt_cursor c = { 0 };
	struct extent e;
	int rc;

	for (rc = extent_seek(ds, &c, data_id, off, &e, err); !rc && e.off < end; rc = extent_next(&c, data_id, &e, err)) {
		uint64_t from = MAX(e.off, pos), to = MIN(e.off + e.len, end);

		if (from >= to)
			continue;
		memset(buf + (pos - off), 0, from - pos);
		rc = extent_read(ds, &e, (uint32_t)(from - e.off), (uint32_t)(to - e.off), buf + (from - off), err);
		if (rc)
			break;
		pos = to;
	}
	btree_cursor_close(&c);
	if (rc < 0)
		return lcpfs_within(err, rc, "content %" PRIu64, data_id);
	memset(buf + (pos - off), 0, end - pos);
	return 0;
}

int content_next_data(struct dataset *ds, uint64_t data_id, uint64_t size, uint64_t *off, uint64_t *len, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct extent e;
	uint64_t end;
	int rc = content_settle(ds, data_id, err);

	if (!rc)
		rc = extent_seek(ds, &c, data_id, *off, &e, err);
	if (!rc && e.off >= size)
		rc = 1;
	if (!rc) {
		*off = MAX(*off, e.off);
		do {
			end = MIN(e.off + e.len, size);
			rc = extent_next(&c, data_id, &e, err);
		} while (!rc && e.off == end && end < size);
		*len = end - *off;
		rc = rc < 0 ? rc : 0;
	}
	btree_cursor_close(&c);
	return rc;
}

int extent_drop(struct dataset *ds, uint64_t ino, uint64_t data_id, const struct extent *e, struct lcpfs_error *err)
{
	uint8_t key[17];
	uint64_t mark = btree_edits(ds->tree);
	int rc;

	zpl_count_block(ds, &e->bp, -1);
	rc = btree_del(ds->tree, key, item_key_u64(key, ITEM_EXTENT, data_id, e->off), 0, err);
	if (!rc && ino)
		rc = zi_add_psize(ds, ino, data_id, -(int64_t)ptr_charge(&e->bp), err);
	rc = zpl_end(ds, mark, MIN(rc, 0), err);
	return rc;
}

/* The first extent that begins at or after off; 1: none. */
static int extent_from(struct dataset *ds, uint64_t data_id, uint64_t off, struct extent *e, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[17];
	int rc = btree_seek(ds->tree, &c, key, item_key_u64(key, ITEM_EXTENT, data_id, off), err);

	if (!rc)
		rc = of_content(&c.item, key) ? extent_decode(&c.item, e, err) : 1;
	btree_cursor_close(&c);
	return rc;
}

/* Each deletion seeks anew: it may have written part of the tree. */
int extents_drop(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t from, struct lcpfs_error *err)
{
	struct extent e;
	int rc;

	while (!(rc = extent_from(ds, data_id, from, &e, err))) {
		rc = extent_drop(ds, ino, data_id, &e, err);
		if (rc)
			break;
	}
	return rc < 0 ? lcpfs_within(err, rc, "content %" PRIu64, data_id) : 0;
}

int content_cut(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t size, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct extent e;
	uint8_t *buf = NULL;
	struct inode i;
	bool off_grid;
	int rc = zpl_inode_get(ds, ino, &i, err);

	if (!rc)
		rc = content_settle(ds, data_id, err);

	if (!rc)
		rc = extents_drop(ds, ino, data_id, size, err);
	if (rc || !size)
		return rc;
	rc = extent_seek(ds, &c, data_id, size - 1, &e, err);
	btree_cursor_close(&c);
	if (rc || e.off >= size || e.off + e.len <= size)
		return rc < 0 ? rc : 0;
	off_grid = e.off & (rec_bytes_of(ds, &i) - 1);
	buf = malloc(size - e.off);
	rc = buf ? extent_read(ds, &e, 0, (uint32_t)(size - e.off), buf, err) : lcpfs_nomem(err);
	if (!rc && !is_all_zero(buf, size - e.off)) {
		rc = job_submit_record(ds, ino, data_id, e.off, buf, size - e.off, false, err);
		/* off the grid of records it must not be overlooked while on its way */
		return rc || !off_grid ? rc : content_settle(ds, data_id, err);
	}
	free(buf);
	return rc ? rc : content_hole(ds, ino, data_id, e.off, err);
}

int content_hole(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t off, struct lcpfs_error *err)
{
	struct extent e;
	int rc = content_settle(ds, data_id, err);

	if (!rc)
		rc = extent_from(ds, data_id, off, &e, err);
	if (!rc && e.off == off)
		rc = extent_drop(ds, ino, data_id, &e, err);
	return rc < 0 ? rc : 0;
}

int content_off_grid(struct dataset *ds, uint64_t data_id, uint64_t off, uint32_t rec_bytes, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct extent e;
	int rc = extent_seek(ds, &c, data_id, off, &e, err);
	bool bad = false;

	for (; !rc && !bad && e.off < off + rec_bytes; rc = extent_next(&c, data_id, &e, err))
		bad = e.off != off || e.len > rec_bytes;
	btree_cursor_close(&c);
	return rc < 0 ? rc : bad;
}
