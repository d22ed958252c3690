/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a stored stream without a pool: verify, dump, where to resume. */
#include "stream_impl.h"
#include <stdio.h>
#include <stdlib.h>

void stream_uuid_print(const uint8_t u[16], char out[37])
{
	char *to = out;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		snprintf(to, 3, "%02x", u[i]);
		to += 2;
	}
}

static int note_begin(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	struct lcpfs_stream_info *info = arg;
	const struct frame_begin *b = &in->begin;

	(void)err;
	if (info->uuid[0])
		return 0;
	stream_uuid_print(b->uuid, info->uuid);
	snprintf(info->dataset, sizeof info->dataset, "%s", b->dataset);
	snprintf(info->from, sizeof info->from, "%s", b->from_snap);
	snprintf(info->to, sizeof info->to, "%s", b->to_snap);
	info->incremental = b->from != 0;
	info->from_guid = b->from;
	info->to_guid = b->to;
	return 0;
}

static void note_counts(struct lcpfs_stream_info *info, const struct stream_in *in)
{
	info->complete = in->complete;
	info->frames = in->frames;
	info->bytes = in->bytes;
	info->items = in->total.items + (in->inside ? in->counts.items : 0);
	info->blocks = in->total.blocks + (in->inside ? in->counts.blocks : 0);
	info->block_bytes = in->total.block_bytes + (in->inside ? in->counts.block_bytes : 0);
}

int lcpfs_stream_verify(lcpfs_read_fn *read, void *read_arg, struct lcpfs_stream_info *info, struct lcpfs_error *err)
{
	static const struct stream_ops ops = { .begin = note_begin };
	struct lcpfs_stream_info mine;
	struct stream_in in;
	int rc = in_init(&in, read, read_arg, err);

	info = info ? info : &mine;
	*info = (struct lcpfs_stream_info){ 0 };
	if (!rc)
		rc = in_run(&in, &ops, info, err);
	if (!rc)
		rc = in_expect_eof(&in, err);
	note_counts(info, &in);
	info->complete = !rc;
	in_fini(&in);
	return rc;
}

struct dump { lcpfs_line_visit *visit; void *arg; struct buf line; };

static int dump_frame(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	struct dump *d = arg;

	buf_reset(&d->line);
	frame_print(&in->h, in->payload, &d->line);
	return d->line.failed ? lcpfs_nomem(err) : d->visit(d->arg, (const char *)d->line.data, err);
}

int lcpfs_stream_dump(lcpfs_read_fn *read, void *read_arg, lcpfs_line_visit *visit, void *arg, struct lcpfs_error *err)
{
	static const struct stream_ops ops = { .frame = dump_frame };
	struct dump d = { visit, arg, { 0 } };
	struct stream_in in;
	int rc = in_init(&in, read, read_arg, err);

	if (!rc)
		rc = in_run(&in, &ops, &d, err);
	if (!rc)
		rc = in_expect_eof(&in, err);
	in_fini(&in);
	buf_fini(&d.line);
	return rc;
}

/* The last place from which a sender can go on; and whether the reader itself failed. */
struct last_good {
	lcpfs_read_fn *read;
	void *read_arg;
	int read_rc;
	uint64_t bytes, ckpt_bytes;
	bool has;
	struct stream_token token;
};

static int watched_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct last_good *g = arg;

	g->read_rc = g->read(g->read_arg, buf, len, got, err);
	return g->read_rc;
}

static void note_place(struct last_good *g, const struct stream_in *in, const struct frame_pos *pos)
{
	g->has = true;
	g->bytes = in->bytes;
	g->token = (struct stream_token){ .kind = TOKEN_FILE, .index = in->index, .ckpt_bytes = in->begin.ckpt_bytes, .pos = *pos };
	memcpy(g->token.uuid, in->uuid, sizeof g->token.uuid);
}

static int good_ckpt(void *arg, struct stream_in *in, const struct frame_pos *after, struct lcpfs_error *err)
{
	(void)err;
	note_place(arg, in, after);
	return 0;
}

static int good_end(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	struct frame_pos pos;

	(void)err;
	in_pos(in, &pos);
	pos.counts = (struct frame_counts){ 0 };
	note_place(arg, in, &pos);
	return 0;
}

int lcpfs_stream_resume_point(lcpfs_read_fn *read, void *read_arg, uint64_t *good, char **token, struct lcpfs_error *err)
{
	static const struct stream_ops ops = { .ckpt = good_ckpt, .end = good_end };
	struct last_good g = { .read = read, .read_arg = read_arg };
	struct lcpfs_error why = { 0 };
	struct stream_in in;
	int rc = in_init(&in, watched_read, &g, err);

	*good = 0;
	*token = NULL;
	if (!rc) {
		rc = in_run(&in, &ops, &g, &why);
		/* a stream that ends or is damaged is what we came for */
		if (rc && !g.read_rc && rc != -LCPFS_ENOMEM && in.begun)
			rc = 0;
		else if (rc && err)
			*err = why;
	}
	if (!rc && g.has)
		*good = g.bytes;
	if (!rc && g.has && !in.complete)
		rc = token_encode(token, &g.token, err);
	in_fini(&in);
	return rc;
}
