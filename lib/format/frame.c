/* SPDX-License-Identifier: Apache-2.0 */
#include "format/frame.h"
#include "base/error.h"
#include "base/util.h"
#include <inttypes.h>

#define TAKE(field, n) (le_load((field), (n)))

void frame_hdr_encode(const struct frame_hdr *h, uint8_t raw[FRAME_HDR])
{
	le_store(raw, 4, FRAME_MAGIC);
	le_store(raw + 4, 2, h->type);
	le_store(raw + 6, 2, h->flags);
	le_store(raw + 8, 8, h->seq);
	le_store(raw + 16, 8, h->len);
	memcpy(raw + 24, h->hash, sizeof h->hash);
}

int frame_hdr_decode(struct frame_hdr *out, const uint8_t raw[FRAME_HDR], struct lcpfs_error *err)
{
	struct frame_hdr h = {
		.type = (uint16_t)TAKE(raw + 4, 2), .flags = (uint16_t)TAKE(raw + 6, 2),
		.seq = TAKE(raw + 8, 8), .len = TAKE(raw + 16, 8),
	};

	if (TAKE(raw, 4) != FRAME_MAGIC)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "not a stream frame (bad magic)");
	if (h.flags & ~FRAME_F_CRITICAL)
		return lcpfs_fail(err, LCPFS_EUNSUP, "frame %" PRIu64 ": unknown flags %#x", h.seq, h.flags);
	if (h.len > FRAME_PAYLOAD_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "frame %" PRIu64 ": payload of %" PRIu64 " bytes", h.seq, h.len);
	memcpy(h.hash, raw + 24, sizeof h.hash);
	*out = h;
	return 0;
}

const char *frame_type_name(unsigned type)
{
	static const char *const names[] = { NULL, "PACKAGE", "BEGIN", "KEYS", "DICT", "ITEMS", "EXTENT", "PACK", "REF",
		"OLDMAP", "NODE", "DATA", "CKPT", "END" };

	return type < ARRAY_LEN(names) ? names[type] : NULL;
}

void frame_pos_encode(const struct frame_pos *p, struct buf *out)
{
	buf_le64(out, p->seq);
	buf_add(out, p->running, sizeof p->running);
	buf_le64(out, p->counts.items);
	buf_le64(out, p->counts.blocks);
	buf_le64(out, p->counts.block_bytes);
	buf_le16(out, p->klen);
	buf_add(out, p->key, p->klen);
}

int frame_pos_decode(struct frame_pos *out, struct cur *c, struct lcpfs_error *err)
{
	struct frame_pos p = { 0 };
	const uint8_t *running, *key;

	p.seq = cur_le64(c);
	running = cur_bytes(c, sizeof p.running);
	p.counts.items = cur_le64(c);
	p.counts.blocks = cur_le64(c);
	p.counts.block_bytes = cur_le64(c);
	p.klen = cur_le16(c);
	key = cur_bytes(c, p.klen);
	if (c->bad || p.klen > KEY_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "position in a stream: makes no sense");
	memcpy(p.running, running, sizeof p.running);
	if (p.klen)
		memcpy(p.key, key, p.klen);
	*out = p;
	return 0;
}

void frame_items_encode(const struct frame_items *f, uint8_t raw[ITEMS_HDR])
{
	memset(raw, 0, ITEMS_HDR);
	le_store(raw, 4, f->n);
	le_store(raw + 4, 4, f->raw_len);
	raw[8] = f->comp;
}

int frame_items_decode(struct frame_items *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct frame_items f;

	if (len < ITEMS_HDR)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "ITEMS frame: %zu bytes", len);
	f = (struct frame_items){ .n = (uint32_t)TAKE(data, 4), .raw_len = (uint32_t)TAKE(data + 4, 4), .comp = data[8],
		.data = data + ITEMS_HDR, .data_len = len - ITEMS_HDR };
	if (!is_all_zero(data + 9, 7))
		return lcpfs_fail(err, LCPFS_EUNSUP, "ITEMS frame: unknown fields");
	/* an item takes at least its 5 bytes of lengths */
	if (!f.n || f.raw_len > FRAME_ITEMS_MAX || f.n > f.raw_len / 5 || (!f.comp && f.raw_len != f.data_len))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "ITEMS frame: %u items in %u bytes", f.n, f.raw_len);
	*out = f;
	return 0;
}

void frame_item_encode(const struct frame_item *i, struct buf *out)
{
	buf_u8(out, i->op);
	buf_le16(out, i->klen);
	buf_le16(out, i->vlen);
	buf_add(out, i->key, i->klen);
	buf_add(out, i->val, i->vlen);
}

int frame_item_decode(struct frame_item *out, struct cur *c, struct lcpfs_error *err)
{
	struct frame_item i;

	i.op = cur_u8(c);
	i.klen = cur_le16(c);
	i.vlen = cur_le16(c);
	i.key = cur_bytes(c, i.klen);
	i.val = cur_bytes(c, i.vlen);
	if (c->bad)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "ITEMS frame: ends early");
	if ((i.op != ITEM_PUT && i.op != ITEM_DEL) || !i.klen || i.klen > KEY_MAX || i.vlen > VAL_MAX ||
	    (i.op == ITEM_DEL && i.vlen))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "ITEMS frame: item with op %u, key of %u bytes, value of %u", i.op, i.klen,
		    i.vlen);
	*out = i;
	return 0;
}

void frame_block_encode(const struct frame_block *b, uint8_t raw[PACK_FRAME_HDR])
{
	memset(raw, 0, PACK_FRAME_HDR);
	le_store(raw, 4, b->lsize);
	le_store(raw + 4, 4, b->psize);
	raw[8] = b->comp;
	raw[9] = b->csum;
	memcpy(raw + 16, b->hash, 32);
}

int frame_block_decode(struct frame_block *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct frame_block b;

	if (len < PACK_FRAME_HDR)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block frame: %zu bytes", len);
	b = (struct frame_block){ .lsize = (uint32_t)TAKE(data, 4), .psize = (uint32_t)TAKE(data + 4, 4), .comp = data[8],
		.csum = data[9], .data = data + PACK_FRAME_HDR };
	memcpy(b.hash, data + 16, 32);
	if (!is_all_zero(data + 10, 6) || b.comp > 3 || b.csum < 1 || b.csum > 2)
		return lcpfs_fail(err, LCPFS_EUNSUP, "block frame: codec %u, checksum %u or unknown fields", b.comp, b.csum);
	if (!b.lsize || !b.psize || b.lsize > DATA_MAX || b.psize > STORED_MAX || b.psize != len - PACK_FRAME_HDR ||
	    (!b.comp && b.psize != b.lsize))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block frame: sizes %u, %u in %zu bytes", b.lsize, b.psize, len);
	*out = b;
	return 0;
}

void frame_extent_encode(const struct frame_extent *e, uint8_t raw[EXTENT_FRAME_HDR])
{
	le_store(raw, 8, e->data_id);
	le_store(raw + 8, 8, e->off);
	le_store(raw + 16, 4, e->len);
	le_store(raw + 20, 4, 0);
	frame_block_encode(&e->b, raw + 24);
}

int frame_extent_decode(struct frame_extent *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct frame_extent e;
	uint64_t end;
	int rc;

	if (len < EXTENT_FRAME_HDR)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "EXTENT frame: %zu bytes", len);
	e = (struct frame_extent){ .data_id = TAKE(data, 8), .off = TAKE(data + 8, 8), .len = (uint32_t)TAKE(data + 16, 4) };
	rc = frame_block_decode(&e.b, data + 24, len - 24, err);
	if (rc)
		return lcpfs_within(err, rc, "EXTENT frame");
	if (TAKE(data + 20, 4))
		return lcpfs_fail(err, LCPFS_EUNSUP, "EXTENT frame: unknown fields");
	if (!e.data_id || e.len != e.b.lsize || add_overflow(e.off, e.len, &end) || end > INT64_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "EXTENT frame: content %" PRIx64 " offset %" PRIu64 " length %u of %u",
		    e.data_id, e.off, e.len, e.b.lsize);
	*out = e;
	return 0;
}

int frame_ckpt_decode(struct frame_pos *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct cur c = cur_of(data, len);
	struct frame_pos p = { 0 };
	int rc = frame_pos_decode(&p, &c, err);

	if (!rc && (cur_left(&c) || !p.klen))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "CKPT frame: %zu bytes, key of %u", len, p.klen);
	if (!rc)
		*out = p;
	return rc;
}

void frame_end_encode(uint32_t index, const struct frame_pos *p, struct buf *out)
{
	buf_le32(out, index);
	frame_pos_encode(p, out);
}

int frame_end_decode(uint32_t *index, struct frame_pos *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct cur c = cur_of(data, len);
	struct frame_pos p = { 0 };
	uint32_t i = cur_le32(&c);
	int rc = frame_pos_decode(&p, &c, err);

	if (!rc && (cur_left(&c) || p.klen))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "END frame: %zu bytes", len);
	if (!rc) {
		*index = i;
		*out = p;
	}
	return rc;
}
