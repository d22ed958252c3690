/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of small files.
 * New slices gather in a window. Per pack: when they are at least half of what lives in it, it goes out as it is stored; the others are packed
 * anew. Either way the frame is followed by the puts of the slices in it.
 */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

/* The pack being made. */
struct made {
	struct slice_ref *refs;
	uint32_t n, cap;
	struct buf body;
};

static int put_slices(struct sender *s, const struct slice_ref *r, uint32_t n, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++) {
		uint8_t key[KEY_MAX], val[8];
		size_t klen = item_key(key, ITEM_SLICE, r[i].data_id);

		le_store(val, 4, r[i].len);
		le_store(val + 4, 4, r[i].charge);
		s->batch_slices = true;
		rc = send_item(s, ITEM_PUT, key, klen, val, sizeof val, err);
	}
	return rc;
}

/* Puts that need the pack sent before must be out before the next one. */
static int before_pack(struct sender *s, struct lcpfs_error *err)
{
	return s->batch_slices ? send_batch(s, err) : 0;
}

static int pack_item(struct sender *s, uint64_t pack_id, struct blkptr *bp, uint32_t *live_bytes, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	int rc = btree_get(s->ds->tree, &c, key, item_key(key, ITEM_PACK, pack_id), err);

	if (rc == 1 || (!rc && (c.item.vlen != 8 || c.item.nptr != 1)))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "pack %" PRIx64 ": no such item, or it makes no sense", pack_id);
	if (!rc)
		*live_bytes = (uint32_t)le_load(c.item.val, 4);
	if (!rc)
		rc = ptr_decode(bp, c.item.ptrs, err);
	if (!rc && bp->suite)
		rc = lcpfs_fail(err, LCPFS_EUNSUP, "pack %" PRIx64 " is encrypted", pack_id);
	btree_cursor_close(&c);
	return rc;
}

static int send_stored_pack(struct sender *s, const struct blkptr *bp, const struct slice_ref *r, uint32_t n, struct lcpfs_error *err)
{
	struct frame_block b = { .lsize = bp->lsize, .psize = bp->psize, .comp = bp->comp, .csum = bp->csum };
	uint8_t hdr[PACK_FRAME_HDR];
	int rc = before_pack(s, err);

	memcpy(b.hash, bp->hash, sizeof b.hash);
	frame_block_encode(&b, hdr);
	if (!rc)
		rc = out_stored(s->out, FRAME_PACK, hdr, sizeof hdr, bp, err);
	return rc ? rc : put_slices(s, r, n, err);
}

static void made_block(const struct made *m, struct buf *out)
{
	buf_le32(out, PACK_MAGIC);
	buf_le32(out, m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		buf_le64(out, m->refs[i].data_id);
		buf_le32(out, m->refs[i].len);
	}
	buf_add(out, m->body.data, m->body.len);
}

static int made_close(struct sender *s, struct made *m, struct lcpfs_error *err)
{
	struct buf plain = { 0 };
	int rc;

	if (!m->n)
		return 0;
	rc = before_pack(s, err);
	if (!rc) {
		made_block(m, &plain);
		rc = out_pack(s->out, &plain, s->spec, err);
	}
	if (!rc)
		rc = put_slices(s, m->refs, m->n, err);
	buf_fini(&plain);
	buf_reset(&m->body);
	m->n = 0;
	return rc;
}

static int made_add(struct sender *s, struct made *m, const struct slice_ref *r, const uint8_t *data, struct lcpfs_error *err)
{
	uint64_t limit = MIN(s->ds->info.pack_size, PACK_MAX);
	int rc = 0;

	if (m->n && PACK_HDR + (m->n + 1ull) * PACK_ENT + m->body.len + r->len > limit)
		rc = made_close(s, m, err);
	if (rc)
		return rc;
	if (m->n == m->cap) {
		uint32_t cap = m->cap ? m->cap * 2 : 64;
		struct slice_ref *p = realloc(m->refs, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		m->refs = p;
		m->cap = cap;
	}
	m->refs[m->n++] = *r;
	buf_add(&m->body, data, r->len);
	return m->body.failed ? lcpfs_nomem(err) : 0;
}

/* The new slices of a pack that has more other ones. */
static int repack(struct sender *s, struct made *m, const struct blkptr *bp, const struct slice_ref *r, uint32_t n, struct lcpfs_error *err)
{
	struct zpl_block *blk;
	int rc = zpl_block_get(s->ds, bp, &blk, err);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < n && !rc; i++) {
		if (r[i].off > blk->len || r[i].len > blk->len - r[i].off || r[i].len > PACK_MAX)
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "slice %" PRIx64 " lies outside its pack", r[i].data_id);
		else
			rc = made_add(s, m, &r[i], blk->data + r[i].off, err);
	}
	arc_put(&blk->obj);
	return rc;
}

static int by_pack(const void *x, const void *y)
{
	const struct slice_ref *a = x, *b = y;

	if (a->pack_id != b->pack_id)
		return a->pack_id < b->pack_id ? -1 : 1;
	return (a->data_id > b->data_id) - (a->data_id < b->data_id);
}

/* As after mkfs, which packs contents by their numbers. */
static bool in_order(const struct slice_ref *r, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (by_pack(&r[i - 1], &r[i]) > 0)
			return false;
	return true;
}

static int send_group(struct sender *s, struct made *m, const struct slice_ref *r, uint32_t n, struct lcpfs_error *err)
{
	uint64_t fresh = 0;
	uint32_t live = 0;
	struct blkptr bp;
	int rc = pack_item(s, r->pack_id, &bp, &live, err);

	for (uint32_t i = 0; i < n; i++)
		fresh += r[i].len;
	if (rc)
		return rc;
	return fresh * 2 >= live ? send_stored_pack(s, &bp, r, n, err) : repack(s, m, &bp, r, n, err);
}

int send_slices(struct sender *s, struct lcpfs_error *err)
{
	struct made m = { 0 };
	int rc = 0;

	if (!in_order(s->win, s->win_n))
		qsort(s->win, s->win_n, sizeof *s->win, by_pack);
	for (uint32_t i = 0, end; i < s->win_n && !rc; i = end) {
		for (end = i + 1; end < s->win_n && s->win[end].pack_id == s->win[i].pack_id;)
			end++;
		rc = send_group(s, &m, &s->win[i], end - i, err);
	}
	if (!rc)
		rc = made_close(s, &m, err);
	free(m.refs);
	buf_fini(&m.body);
	s->win_n = 0;
	s->win_bytes = 0;
	return rc;
}

/* 1: it is time to send the window, before a slice of this pack joins it. */
static int window_full(struct sender *s, uint64_t pack_id, struct lcpfs_error *err)
{
	if (!s->win_n)
		return 0;
	if (s->win_n >= SLICES_WINDOW || s->win_bytes >= 2 * SLICES_WINDOW_BYTES)
		return 1;
	if (s->win[s->win_n - 1].pack_id == pack_id)
		return 0;
	return s->win_bytes >= SLICES_WINDOW_BYTES ? 1 : send_due(s, err);
}

int send_slice_add(struct sender *s, const struct slice_ref *r, struct lcpfs_error *err)
{
	int rc = window_full(s, r->pack_id, err);

	if (rc == 1) {
		rc = send_slices(s, err);
		if (!rc)
			rc = send_due(s, err);
		if (rc == 1)
			rc = send_ckpt(s, err);
	}
	if (rc)
		return rc;
	if (s->win_n == s->win_cap) {
		uint32_t cap = s->win_cap ? s->win_cap * 2 : 256;
		struct slice_ref *p = realloc(s->win, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		s->win = p;
		s->win_cap = cap;
	}
	s->win[s->win_n++] = *r;
	s->win_bytes += r->len;
	return 0;
}
