/* SPDX-License-Identifier: Apache-2.0 */
/* The difference of two trees as frames: items in batches, extents with their stored bytes, checkpoints. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

int send_batch(struct sender *s, struct lcpfs_error *err)
{
	int rc = s->batch_n ? out_items(s->out, &s->batch, s->batch_n, err) : 0;

	s->batch_n = 0;
	s->batch_slices = false;
	return rc;
}

int send_item(struct sender *s, uint8_t op, const void *key, size_t klen, const void *val, size_t vlen, struct lcpfs_error *err)
{
	struct frame_item i = { .op = op, .klen = (uint16_t)klen, .vlen = (uint16_t)vlen, .key = key, .val = val };

	frame_item_encode(&i, &s->batch);
	s->batch_n++;
	s->out->items++;
	return s->batch.len >= ITEMS_BATCH || s->batch.failed ? send_batch(s, err) : 0;
}

static uint64_t since(const struct sender *s)
{
	return out_bytes_most(s->out) - s->mark + s->batch.len + s->win_bytes;
}

/* Which frames take less than they may is known when they are made; that must not show in where checkpoints are. */
int send_due(struct sender *s, struct lcpfs_error *err)
{
	int rc = since(s) >= s->ckpt_bytes ? out_flush(s->out, err) : 0;

	return rc ? rc : since(s) >= s->ckpt_bytes;
}

int send_ckpt(struct sender *s, struct lcpfs_error *err)
{
	struct frame_pos pos = { .klen = s->last_klen };
	struct buf b = { 0 };
	int rc = send_slices(s, err);

	if (!rc)
		rc = send_batch(s, err);
	if (!rc)
		rc = out_flush(s->out, err);
	if (rc)
		return rc;
	pos.seq = s->out->seq;
	pos.counts = s->out->counts;
	memcpy(pos.running, s->out->running, sizeof pos.running);
	memcpy(pos.key, s->last_key, s->last_klen);
	frame_pos_encode(&pos, &b);
	rc = out_buf(s->out, FRAME_CKPT, &b, err);
	buf_fini(&b);
	s->mark = s->out->bytes;
	return rc;
}

static int visit_slice(struct sender *s, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	const struct bt_item *it = b ? b : a;
	struct slice old = { 0 }, new;
	struct slice_ref r;
	int rc = a ? slice_decode(&old, a->val, a->vlen, err) : 0;

	if (!rc && it->klen != 9)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "slice with a key of %u bytes", it->klen);
	if (rc)
		return rc;
	if (!b)
		return send_item(s, ITEM_DEL, it->key, it->klen, NULL, 0, err);
	rc = slice_decode(&new, b->val, b->vlen, err);
	if (rc || (a && old.len == new.len)) /* equal data_id and length: the same content, moved */
		return rc;
	r = (struct slice_ref){ stream_key_object(b->key), new.pack_id, new.off, new.len, new.charge };
	return send_slice_add(s, &r, err);
}

static int extent_ptr(struct blkptr *out, const struct bt_item *it, struct lcpfs_error *err)
{
	if (it->klen != 17 || it->vlen != 4 || it->nptr != 1)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "extent item: key %u, value %u bytes, %u pointers", it->klen, it->vlen, it->nptr);
	return ptr_decode(out, it->ptrs, err);
}

static bool same_content(const struct blkptr *x, const struct blkptr *y)
{
	return x->lsize == y->lsize && x->psize == y->psize && x->comp == y->comp && x->csum == y->csum &&
	       memcmp(x->hash, y->hash, sizeof x->hash) == 0;
}

static int visit_extent(struct sender *s, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	struct blkptr old = { 0 }, bp;
	struct frame_extent e;
	uint8_t hdr[EXTENT_FRAME_HDR];
	int rc = a ? extent_ptr(&old, a, err) : 0;

	if (rc)
		return rc;
	if (!b)
		return send_item(s, ITEM_DEL, a->key, a->klen, NULL, 0, err);
	rc = extent_ptr(&bp, b, err);
	if (!rc && bp.suite)
		rc = lcpfs_fail(err, LCPFS_EUNSUP, "content %" PRIx64 " is encrypted", stream_key_object(b->key));
	if (rc || (a && same_content(&old, &bp) && memcmp(a->val, b->val, 4) == 0))
		return rc;
	e = (struct frame_extent){ .data_id = stream_key_object(b->key), .off = be64_load(b->key + 9),
		.len = (uint32_t)le_load(b->val, 4),
		.b = { .lsize = bp.lsize, .psize = bp.psize, .comp = bp.comp, .csum = bp.csum } };
	memcpy(e.b.hash, bp.hash, sizeof e.b.hash);
	frame_extent_encode(&e, hdr);
	return out_stored(s->out, FRAME_EXTENT, hdr, sizeof hdr, &bp, err);
}

static int visit_plain(struct sender *s, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	const struct bt_item *it = b ? b : a;

	if ((a && a->nptr) || (b && b->nptr))
		return lcpfs_fail(err, LCPFS_EUNSUP, "items of type %#x are of a newer version", it->key[0]);
	if (a && b && a->vlen == b->vlen && memcmp(a->val, b->val, a->vlen) == 0)
		return 0;
	return send_item(s, b ? ITEM_PUT : ITEM_DEL, it->key, it->klen, b ? b->val : NULL, b ? b->vlen : 0, err);
}

static int key_order(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	int c = memcmp(a, b, MIN(alen, blen));

	return c ? c : (alen > blen) - (alen < blen);
}

static int visit_item(struct sender *s, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	switch ((b ? b : a)->key[0]) {
	case ITEM_SLICE:
		return visit_slice(s, a, b, err);
	case ITEM_EXTENT:
		return visit_extent(s, a, b, err);
	case ITEM_PACK:
		return 0;
	}
	return visit_plain(s, a, b, err);
}

static int visit(void *arg, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	const struct bt_item *it = b ? b : a;
	struct sender *s = arg;
	int rc = 0;

	if (s->from.klen && key_order(it->key, it->klen, s->from.key, s->from.klen) <= 0)
		return 0;
	if (it->key[0] != ITEM_SLICE && s->win_n)
		rc = send_slices(s, err);
	if (!rc)
		rc = visit_item(s, a, b, err);
	if (rc)
		return rc;
	memcpy(s->last_key, it->key, it->klen);
	s->last_klen = it->klen;
	/* a window of slices ends where its pack does: send_slice_add sees to it */
	rc = s->win_n ? 0 : send_due(s, err);
	return rc == 1 ? send_ckpt(s, err) : rc;
}

int send_tree(struct sender *s, struct lcpfs_error *err)
{
	int rc = btree_diff_items(&s->ds->store, &s->base, &s->ds->store, &s->ds->rec.root, false, visit, s, err);

	if (!rc)
		rc = send_slices(s, err);
	return rc ? rc : send_batch(s, err);
}
