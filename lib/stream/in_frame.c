/* SPDX-License-Identifier: Apache-2.0 */
/* What can be checked of a frame alone, on any thread: its hash, the hash of the block in it, what decodes. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

#define HEAD_GUESS 4096u /* holds most tables */

/* A buffer of at least len bytes; never zero, so that the pointer is one. */
int in_room(uint8_t **buf, size_t *cap, size_t len, struct lcpfs_error *err)
{
	uint8_t *p;

	if (*cap >= len && *buf)
		return 0;
	len = len < 4096 ? 4096 : len;
	p = malloc(len);
	if (!p)
		return lcpfs_nomem(err);
	free(*buf);
	*buf = p;
	*cap = len;
	return 0;
}

static int check_hash(const struct in_frame *f, struct lcpfs_error *err)
{
	struct blake3 b;
	uint8_t hash[16];

	blake3_init(&b);
	blake3_update(&b, f->raw, 24);
	blake3_update(&b, f->payload, f->h.len);
	blake3_final(&b, 0, hash, sizeof hash);
	if (memcmp(hash, f->h.hash, sizeof hash))
		return lcpfs_fail(err, LCPFS_ECSUM, "stream: frame %" PRIu64 " is damaged (hash mismatch)", f->h.seq);
	if (!is_all_zero(f->payload + f->h.len, f->padded - f->h.len))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "stream: frame %" PRIu64 " has padding that is not zero", f->h.seq);
	return 0;
}

static int check_block_hash(const struct frame_block *b, struct lcpfs_error *err)
{
	const struct hash_algo *h = hash_by_id(b->csum);
	uint8_t hash[HASH_LEN];

	if (!h)
		return lcpfs_fail(err, LCPFS_EUNSUP, "checksum %u", b->csum);
	h->digest(b->data, b->psize, hash);
	if (memcmp(hash, b->hash, sizeof hash))
		return lcpfs_fail(err, LCPFS_ECSUM, "block of %u bytes: checksum mismatch", b->psize);
	return 0;
}

/* All of the content; *plain points at it. */
static int decode_whole(struct in_scratch *s, const struct frame_block *b, const uint8_t **plain, struct lcpfs_error *err)
{
	int rc = 0;

	*plain = b->data;
	if (b->comp == CODEC_NONE)
		return 0;
	rc = in_room(&s->buf, &s->cap, b->lsize, err);
	if (!rc)
		rc = codec_decompress(s->codec, b->comp, b->data, b->psize, s->buf, b->lsize, err);
	*plain = s->buf;
	return rc;
}

/* Only as much of a pack as its table takes. */
static int decode_table(struct in_scratch *s, const struct frame_block *b, const uint8_t **plain, struct lcpfs_error *err)
{
	size_t have = MIN(b->lsize, HEAD_GUESS), want = 0;
	int rc = 0;

	*plain = b->data;
	if (b->comp == CODEC_NONE)
		return 0;
	rc = in_room(&s->buf, &s->cap, b->lsize, err);
	if (!rc)
		rc = codec_decompress_head(s->codec, b->comp, b->data, b->psize, s->buf, b->lsize, have, err);
	if (!rc)
		rc = pack_table_len(s->buf, b->lsize, &want, err);
	if (!rc && want > have)
		rc = codec_decompress_head(s->codec, b->comp, b->data, b->psize, s->buf, b->lsize, want, err);
	*plain = s->buf;
	return rc;
}

static int check_extent(struct in_frame *f, struct in_scratch *s, bool whole, struct lcpfs_error *err)
{
	const uint8_t *plain;
	int rc = frame_extent_decode(&f->extent, f->payload, f->h.len, err);

	if (!rc)
		rc = check_block_hash(&f->extent.b, err);
	return rc || !whole ? rc : decode_whole(s, &f->extent.b, &plain, err);
}

static int check_pack(struct in_frame *f, struct in_scratch *s, bool whole, struct lcpfs_error *err)
{
	const uint8_t *plain;
	int rc = frame_block_decode(&f->block, f->payload, f->h.len, err);

	if (!rc && f->block.lsize > PACK_LSIZE_MAX)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "pack of %u bytes", f->block.lsize);
	if (!rc)
		rc = check_block_hash(&f->block, err);
	if (!rc)
		rc = (whole ? decode_whole : decode_table)(s, &f->block, &plain, err);
	return rc ? rc : pack_table_decode(&f->table, plain, f->block.lsize, err);
}

static int check_items(struct in_frame *f, struct in_scratch *s, struct lcpfs_error *err)
{
	struct frame_items *i = &f->items;
	int rc = frame_items_decode(i, f->payload, f->h.len, err);

	if (rc || !i->comp)
		return rc;
	rc = in_room(&f->plain, &f->plain_cap, i->raw_len, err);
	if (!rc)
		rc = codec_decompress(s->codec, i->comp, i->data, i->data_len, f->plain, i->raw_len, err);
	i->data = f->plain;
	return rc;
}

void in_frame_check(struct in_frame *f, struct in_scratch *s, bool whole)
{
	f->inside_rc = 0;
	f->rc = s->codec ? check_hash(f, &f->why) : lcpfs_nomem(&f->why);
	if (f->rc)
		return;
	switch (f->h.type) {
	case FRAME_EXTENT:
		f->inside_rc = check_extent(f, s, whole, &f->why);
		break;
	case FRAME_PACK:
		f->inside_rc = check_pack(f, s, whole, &f->why);
		break;
	case FRAME_ITEMS:
		f->inside_rc = check_items(f, s, &f->why);
		break;
	}
}
