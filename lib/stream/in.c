/* SPDX-License-Identifier: Apache-2.0 */
/* Reading frames one by one: every length checked, every hash verified, before what they say is passed on. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

int in_init(struct stream_in *in, lcpfs_read_fn *read, void *read_arg, struct lcpfs_error *err)
{
	*in = (struct stream_in){ .read = read, .arg = read_arg };
	return in_ahead_create(in, err);
}

void in_fini(struct stream_in *in)
{
	in_ahead_destroy(in->ahead);
	pack_table_fini(&in->pack);
	frame_begin_fini(&in->begin);
	*in = (struct stream_in){ 0 };
}

void in_pos(const struct stream_in *in, struct frame_pos *pos)
{
	*pos = (struct frame_pos){ .seq = in->seq, .counts = in->counts };
	memcpy(pos->running, in->running, sizeof pos->running);
}

static void count_block(struct stream_in *in, const struct frame_block *b)
{
	in->counts.blocks++;
	in->counts.block_bytes += b->psize;
}

static int on_extent(struct stream_in *in, const struct frame_extent *e, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	count_block(in, &e->b);
	return ops->extent ? ops->extent(arg, e, err) : 0;
}

static int on_pack(struct stream_in *in, struct in_frame *f, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	pack_table_fini(&in->pack);
	in->pack = f->table;
	f->table = (struct pack_table){ 0 };
	count_block(in, &f->block);
	return ops->pack ? ops->pack(arg, &f->block, err) : 0;
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

static int on_items(struct stream_in *in, const struct frame_items *f, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	struct cur c = cur_of(f->data, f->raw_len);
	struct frame_item item;
	int rc = 0;

	for (uint32_t i = 0; i < f->n && !rc; i++) {
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

static int take_frame(struct stream_in *in, struct in_frame *f, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	if (f->inside_rc && err)
		*err = f->why;
	if (f->inside_rc)
		return f->inside_rc;
	switch (in->h.type) {
	case FRAME_PACKAGE:
		return on_package(in, err);
	case FRAME_BEGIN:
		return on_begin(in, ops, arg, err);
	case FRAME_ITEMS:
		return on_items(in, &f->items, ops, arg, err);
	case FRAME_EXTENT:
		return on_extent(in, &f->extent, ops, arg, err);
	case FRAME_PACK:
		return on_pack(in, f, ops, arg, err);
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

static int one_frame(struct stream_in *in, struct in_frame *f, const struct stream_ops *ops, void *arg, struct lcpfs_error *err)
{
	bool resumed;
	int rc;

	in->h = f->h;
	in->payload = f->payload;
	rc = check_place(in, err);

	if (!rc && ops->frame)
		rc = ops->frame(arg, in, err);
	if (!rc)
		rc = take_frame(in, f, ops, arg, err);
	if (rc)
		return lcpfs_within(err, rc, "stream: frame %" PRIu64, f->h.seq);
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
		struct in_frame *f;
		int rc = in_ahead_next(in, &f, err);

		if (rc == 1)
			return lcpfs_fail(err, LCPFS_ETRUNC, in->begun ? "stream: ends early, after %" PRIu64 " frames" :
			    "stream: empty input", in->frames);
		if (!rc)
			rc = one_frame(in, f, ops, arg, err);
		if (rc)
			return rc;
		in_ahead_done(in);
	}
	return 0;
}

int in_expect_eof(struct stream_in *in, struct lcpfs_error *err)
{
	uint8_t more;
	int rc = in_read_all(in, &more, 1, err);

	if (rc == 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "stream: something follows its end");
	return rc == 1 ? 0 : rc;
}
