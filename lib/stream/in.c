/* SPDX-License-Identifier: Apache-2.0 */
/* Reading frames one by one: every length checked, every hash verified, before what they say is passed on. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

int in_init(struct stream_in *in, lcpfs_read_fn *read, void *read_arg, struct lcpfs_error *err)
{
	*in = (struct stream_in){ .read = read, .arg = read_arg };
	in->codec = codec_ctx_create();
	return in->codec ? 0 : lcpfs_nomem(err);
}

void in_fini(struct stream_in *in)
{
	codec_ctx_destroy(in->codec);
	pack_table_fini(&in->pack);
	frame_begin_fini(&in->begin);
	free(in->payload);
	free(in->decoded);
	*in = (struct stream_in){ 0 };
}

void in_pos(const struct stream_in *in, struct frame_pos *pos)
{
	*pos = (struct frame_pos){ .seq = in->seq, .counts = in->counts };
	memcpy(pos->running, in->running, sizeof pos->running);
}

/* A buffer of at least len bytes; never zero, so that the pointer is one. */
static int want_room(uint8_t **buf, size_t *cap, size_t len, struct lcpfs_error *err)
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

/* Exactly len bytes; 1 when the input is at its end before the first. */
static int read_all(struct stream_in *in, void *buf, size_t len, struct lcpfs_error *err)
{
	size_t have = 0, got;

	while (have < len) {
		int rc = in->read(in->arg, (uint8_t *)buf + have, len - have, &got, err);

		if (rc)
			return rc;
		if (!got)
			return have ? lcpfs_fail(err, LCPFS_ETRUNC, "stream: ends inside frame %" PRIu64, in->seq) : 1;
		if (got > len - have)
			return lcpfs_fail(err, LCPFS_EINVAL, "stream: the reader returned more than was asked for");
		have += got;
		in->bytes += got;
	}
	return 0;
}

static int verify_frame(struct stream_in *in, const uint8_t raw[FRAME_HDR], size_t padded, struct lcpfs_error *err)
{
	struct blake3 b;
	uint8_t hash[16];

	blake3_init(&b);
	blake3_update(&b, raw, 24);
	blake3_update(&b, in->payload, in->h.len);
	blake3_final(&b, 0, hash, sizeof hash);
	if (memcmp(hash, in->h.hash, sizeof hash))
		return lcpfs_fail(err, LCPFS_ECSUM, "stream: frame %" PRIu64 " is damaged (hash mismatch)", in->seq);
	if (!is_all_zero(in->payload + in->h.len, padded - in->h.len))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "stream: frame %" PRIu64 " has padding that is not zero", in->seq);
	return 0;
}

/* The next frame, verified; 1 at the end of the input. */
static int next_frame(struct stream_in *in, struct lcpfs_error *err)
{
	uint8_t raw[FRAME_HDR];
	size_t padded;
	int rc = read_all(in, raw, sizeof raw, err);

	if (!rc)
		rc = frame_hdr_decode(&in->h, raw, err);
	if (rc)
		return rc;
	if (in->h.seq != in->seq)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "stream: frame %" PRIu64 " where %" PRIu64 " belongs", in->h.seq, in->seq);
	padded = (size_t)round_up(in->h.len, 8);
	rc = want_room(&in->payload, &in->payload_cap, padded, err);
	if (!rc)
		rc = read_all(in, in->payload, padded, err);
	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ETRUNC, "stream: ends inside frame %" PRIu64, in->seq);
	return rc ? rc : verify_frame(in, raw, padded, err);
}

/* Check the stored bytes' hash and that they decode; *plain points at the content. */
static int decode_block(struct stream_in *in, const struct frame_block *b, const uint8_t **plain, struct lcpfs_error *err)
{
	const struct hash_algo *h = hash_by_id(b->csum);
	uint8_t hash[HASH_LEN];
	int rc;

	if (!h)
		return lcpfs_fail(err, LCPFS_EUNSUP, "checksum %u", b->csum);
	h->digest(b->data, b->psize, hash);
	if (memcmp(hash, b->hash, sizeof hash))
		return lcpfs_fail(err, LCPFS_ECSUM, "block of %u bytes: checksum mismatch", b->psize);
	if (b->comp == CODEC_NONE) {
		*plain = b->data;
		return 0;
	}
	rc = want_room(&in->decoded, &in->decoded_cap, b->lsize, err);
	if (!rc)
		rc = codec_decompress(in->codec, b->comp, b->data, b->psize, in->decoded, b->lsize, err);
	*plain = in->decoded;
	return rc;
}

#define HEAD_GUESS 4096u /* holds most tables */

/* Only as much of a pack as its table takes. */
static int decode_table(struct stream_in *in, const struct frame_block *b, const uint8_t **plain, struct lcpfs_error *err)
{
	size_t have = MIN(b->lsize, HEAD_GUESS), want = 0;
	int rc = 0;

	*plain = b->data;
	if (b->comp == CODEC_NONE)
		return 0;
	rc = want_room(&in->decoded, &in->decoded_cap, b->lsize, err);
	if (!rc)
		rc = codec_decompress_head(in->codec, b->comp, b->data, b->psize, in->decoded, b->lsize, have, err);
	if (!rc)
		rc = pack_table_len(in->decoded, b->lsize, &want, err);
	if (!rc && want > have)
		rc = codec_decompress_head(in->codec, b->comp, b->data, b->psize, in->decoded, b->lsize, want, err);
	*plain = in->decoded;
	return rc;
}

static void count_block(struct stream_in *in, const struct frame_block *b)
{
	in->counts.blocks++;
	in->counts.block_bytes += b->psize;
}

static int on_extent(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	struct frame_extent e;
	const uint8_t *plain;
	int rc = frame_extent_decode(&e, in->payload, in->h.len, err);

	if (!rc && !in->contents_unseen)
		rc = decode_block(in, &e.b, &plain, err);
	if (rc)
		return rc;
	count_block(in, &e.b);
	return ops->extent ? ops->extent(arg, &e, err) : 0;
}

static int on_pack(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	struct frame_block b;
	const uint8_t *plain;
	int rc = frame_block_decode(&b, in->payload, in->h.len, err);

	if (!rc && b.lsize > PACK_LSIZE_MAX)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "pack of %u bytes", b.lsize);
	if (!rc)
		rc = (in->contents_unseen ? decode_table : decode_block)(in, &b, &plain, err);
	pack_table_fini(&in->pack);
	if (!rc)
		rc = pack_table_decode(&in->pack, plain, b.lsize, err);
	if (rc)
		return rc;
	count_block(in, &b);
	return ops->pack ? ops->pack(arg, &b, err) : 0;
}

static int on_item(struct stream_in *in, const struct frame_item *i, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	const struct pack_ent *slice = NULL;
	int rc = stream_item_check(i, err);

	if (rc)
		return rc;
	if (i->op == ITEM_PUT && i->key[0] == ITEM_SLICE) {
		slice = pack_table_find(&in->pack, stream_key_object(i->key));
		if (!slice || !slice->len || slice->len != le_load(i->val, 4))
			return lcpfs_fail(err, LCPFS_ECORRUPT, "slice %" PRIx64 ": its content is not in the pack before it",
			    stream_key_object(i->key));
	}
	in->counts.items++;
	return ops->item ? ops->item(arg, i, slice, err) : 0;
}

static int on_items(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	struct frame_items f;
	struct frame_item item;
	const uint8_t *raw;
	struct cur c;
	int rc = frame_items_decode(&f, in->payload, in->h.len, err);

	if (!rc && f.comp)
		rc = want_room(&in->decoded, &in->decoded_cap, f.raw_len, err);
	if (!rc && f.comp)
		rc = codec_decompress(in->codec, f.comp, f.data, f.data_len, in->decoded, f.raw_len, err);
	if (rc)
		return rc;
	raw = f.comp ? in->decoded : f.data;
	c = cur_of(raw, f.raw_len);
	for (uint32_t i = 0; i < f.n && !rc; i++) {
		rc = frame_item_decode(&item, &c, err);
		if (!rc)
			rc = on_item(in, &item, ops, arg, err);
	}
	if (!rc && cur_left(&c))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "ITEMS frame: %zu bytes too many", cur_left(&c));
	return rc;
}

/* The position a CKPT or END states must be the one that reading led to. */
static int check_pos(const struct stream_in *in, const struct frame_pos *p, struct lcpfs_error *err)
{
	if (p->seq != in->seq || memcmp(p->running, in->running, sizeof p->running))
		return lcpfs_fail(err, LCPFS_ECSUM, "running hash mismatch: frames are missing or foreign");
	if (memcmp(&p->counts, &in->counts, sizeof p->counts))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%" PRIu64 " items and %" PRIu64 " blocks came, %" PRIu64 " and %" PRIu64
		    " were sent", in->counts.items, in->counts.blocks, p->counts.items, p->counts.blocks);
	return 0;
}

static int on_ckpt(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	struct frame_pos p;
	int rc = frame_ckpt_decode(&p, in->payload, in->h.len, err);

	if (!rc)
		rc = check_pos(in, &p, err);
	if (rc)
		return rc;
	pack_table_fini(&in->pack);
	p.seq++;
	running_update(p.running, in->h.hash);
	return ops->ckpt ? ops->ckpt(arg, in, &p, err) : 0;
}

static int on_end(struct stream_in *in, struct lcpfs_error *err)
{
	struct frame_pos p;
	uint32_t index;
	int rc = frame_end_decode(&index, &p, in->payload, in->h.len, err);

	if (!rc && index != in->index)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "END of dataset %u inside %u", index, in->index);
	if (!rc)
		rc = check_pos(in, &p, err);
	if (rc)
		return rc;
	pack_table_fini(&in->pack);
	in->total.items += in->counts.items;
	in->total.blocks += in->counts.blocks;
	in->total.block_bytes += in->counts.block_bytes;
	in->inside = false;
	in->index++;
	in->complete = in->index == in->count;
	return 0;
}

/* After END the position is the one behind it, so its call comes after the running hash moved on. */
static int after_end(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	int rc = ops->end ? ops->end(arg, in, err) : 0;

	in->counts = (struct frame_counts){ 0 };
	return rc;
}

static int begin_resumed(struct stream_in *in, struct lcpfs_error *err)
{
	if (in->begun)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "a resumed dataset inside a stream");
	in->index = in->begin.index;
	return 0;
}

static int on_begin(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	struct frame_begin *b = &in->begin;
	int rc;

	frame_begin_fini(b);
	rc = frame_begin_decode(b, in->payload, in->h.len, err);
	if (!rc && b->flags & BEGIN_RESUMED)
		rc = begin_resumed(in, err);
	if (rc)
		return rc;
	if (!in->count) {
		in->count = b->count;
		memcpy(in->uuid, b->uuid, sizeof in->uuid);
	}
	if (b->index != in->index || (in->package_n && in->package_n != b->count) || b->count != in->count || memcmp(b->uuid, in->uuid, sizeof in->uuid))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "BEGIN of dataset %u/%u where %u/%u belongs, or of another stream", b->index + 1,
		    b->count, in->index + 1, in->count);
	in->counts = b->flags & BEGIN_RESUMED ? b->pos.counts : (struct frame_counts){ 0 };
	in->inside = true;
	return ops->begin ? ops->begin(arg, in, err) : 0;
}

static int on_package(struct stream_in *in, struct lcpfs_error *err)
{
	struct frame_package p;
	int rc = in->begun ? lcpfs_fail(err, LCPFS_ECORRUPT, "PACKAGE inside a stream") :
	                     frame_package_decode(&p, in->payload, in->h.len, err);

	if (!rc) {
		in->package_n = p.n;
		frame_package_fini(&p);
	}
	return rc;
}

/* Whether a frame of this type may stand here. */
static int check_place(const struct stream_in *in, struct lcpfs_error *err)
{
	const char *name = frame_type_name(in->h.type);
	bool head = in->h.type == FRAME_PACKAGE || in->h.type == FRAME_BEGIN;

	if (!name)
		return in->h.flags & FRAME_F_CRITICAL ? lcpfs_fail(err, LCPFS_EUNSUP, "type %u is of a newer version", in->h.type) : 0;
	if (head == in->inside)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s %s a dataset", name, head ? "inside" : "outside");
	return 0;
}

static int take_frame(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	switch (in->h.type) {
	case FRAME_PACKAGE:
		return on_package(in, err);
	case FRAME_BEGIN:
		return on_begin(in, ops, arg, err);
	case FRAME_ITEMS:
		return on_items(in, ops, arg, err);
	case FRAME_EXTENT:
		return on_extent(in, ops, arg, err);
	case FRAME_PACK:
		return on_pack(in, ops, arg, err);
	case FRAME_CKPT:
		return on_ckpt(in, ops, arg, err);
	case FRAME_END:
		return on_end(in, err);
	}
	if (frame_type_name(in->h.type))
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s frames (raw streams) are of a newer version", frame_type_name(in->h.type));
	return 0; /* of a newer version, and said to be skippable */
}

static int tell(const struct stream_in *in, struct lcpfs_error *err)
{
	struct lcpfs_progress p = { .entries = in->total.items + in->counts.items, .bytes = in->bytes, .phase = "receiving" };

	if (in->progress && in->progress(in->progress_arg, &p))
		return lcpfs_fail(err, LCPFS_ECANCEL, "stream: interrupted");
	return 0;
}

static int one_frame(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	uint64_t seq = in->h.seq;
	bool resumed;
	int rc = check_place(in, err);

	if (!rc && ops->frame)
		rc = ops->frame(arg, in, err);
	if (!rc)
		rc = take_frame(in, ops, arg, err);
	if (rc)
		return lcpfs_within(err, rc, "stream: frame %" PRIu64, seq);
	resumed = in->h.type == FRAME_BEGIN && in->begin.flags & BEGIN_RESUMED;
	if (resumed) {
		in->seq = in->begin.pos.seq;
		memcpy(in->running, in->begin.pos.running, sizeof in->running);
	} else {
		in->seq++;
		running_update(in->running, in->h.hash);
	}
	in->begun = true;
	in->frames++;
	if (in->h.type == FRAME_END) {
		rc = after_end(in, ops, arg, err);
		if (rc)
			return rc;
	}
	return tell(in, err);
}

int in_run(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	while (!in->complete) {
		int rc = next_frame(in, err);

		if (rc == 1)
			return lcpfs_fail(err, LCPFS_ETRUNC, in->begun ? "stream: ends early, after %" PRIu64 " frames" :
			    "stream: empty input", in->frames);
		if (!rc)
			rc = one_frame(in, ops, arg, err);
		if (rc)
			return rc;
	}
	return 0;
}

int in_expect_eof(struct stream_in *in, struct lcpfs_error *err)
{
	uint8_t more;
	int rc = read_all(in, &more, 1, err);

	if (rc == 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "stream: something follows its end");
	return rc == 1 ? 0 : rc;
}
