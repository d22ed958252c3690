/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as lines of text. */
#include "base/util.h"
#include "format/frame.h"
#include <inttypes.h>
#include <stdio.h>

/* Names from a stream go to terminals: what is not printable ASCII goes as \xNN. */
static void print_name(const char *s, struct buf *out)
{
	for (; *s; s++)
		buf_printf(out, *s > 0x20 && *s < 0x7f && *s != '\\' ? "%c" : "\\x%02x", *s & 0xff);
}

void frame_block_print(const struct frame_block *b, struct buf *out)
{
	static const char *const comps[] = { "none", "lz4", "zstd", "lzma2" };

	buf_printf(out, "lsize %u psize %u comp %s csum %u hash ", b->lsize, b->psize, comps[b->comp & 3], b->csum);
	buf_hex(out, b->hash, 8);
}

void frame_begin_print(const struct frame_begin *b, struct buf *out)
{
	buf_printf(out, "version %u.%u uuid ", b->major, b->minor);
	buf_hex(out, b->uuid, sizeof b->uuid);
	buf_printf(out, " dataset %u/%u '", b->index + 1, b->count);
	print_name(b->dataset, out);
	buf_printf(out, "' to @");
	print_name(b->to_snap, out);
	buf_printf(out, " (%016" PRIx64 ")", b->to);
	if (b->from) {
		buf_printf(out, " from @");
		print_name(b->from_snap, out);
		buf_printf(out, " (%016" PRIx64 ")", b->from);
	}
	buf_printf(out, " properties %u checkpoint %" PRIu64 "%s", b->n_props, b->ckpt_bytes,
	    b->flags & BEGIN_RESUMED ? " resumed" : "");
	if (b->flags & BEGIN_COLUMNS)
		buf_printf(out, " columns");
	if (b->flags & BEGIN_RESUMED)
		buf_printf(out, " at frame %" PRIu64, b->pos.seq);
}

static void print_pos(const struct frame_pos *p, struct buf *out)
{
	buf_printf(out, "items %" PRIu64 " blocks %" PRIu64 " bytes %" PRIu64 " running ", p->counts.items, p->counts.blocks,
	    p->counts.block_bytes);
	buf_hex(out, p->running, 8);
	if (p->klen) {
		buf_printf(out, " key ");
		buf_hex(out, p->key, p->klen);
	}
}

static int print_payload(const struct frame_hdr *h, const uint8_t *payload, struct buf *out)
{
	struct frame_package pk;
	struct frame_begin b;
	struct frame_items it;
	struct frame_extent e;
	struct frame_pos pos;
	uint32_t index;
	int rc = 0;

	switch (h->type) {
	case FRAME_PACKAGE:
		rc = frame_package_decode(&pk, payload, h->len, NULL);
		if (!rc) {
			buf_printf(out, "datasets %u", pk.n);
			frame_package_fini(&pk);
		}
		break;
	case FRAME_BEGIN:
		rc = frame_begin_decode(&b, payload, h->len, NULL);
		if (!rc) {
			frame_begin_print(&b, out);
			frame_begin_fini(&b);
		}
		break;
	case FRAME_ITEMS:
		rc = frame_items_decode(&it, payload, h->len, NULL);
		if (!rc)
			buf_printf(out, "items %u raw %u comp %u", it.n, it.raw_len, it.comp);
		break;
	case FRAME_EXTENT:
		rc = frame_extent_decode(&e, payload, h->len, NULL);
		if (!rc) {
			buf_printf(out, "content %" PRIx64 " offset %" PRIu64 " ", e.data_id, e.off);
			frame_block_print(&e.b, out);
		}
		break;
	case FRAME_PACK:
		rc = frame_block_decode(&e.b, payload, h->len, NULL);
		if (!rc)
			frame_block_print(&e.b, out);
		break;
	case FRAME_CKPT:
		rc = frame_ckpt_decode(&pos, payload, h->len, NULL);
		if (!rc)
			print_pos(&pos, out);
		break;
	case FRAME_END:
		rc = frame_end_decode(&index, &pos, payload, h->len, NULL);
		if (!rc)
			print_pos(&pos, out);
		break;
	}
	return rc;
}

void frame_print(const struct frame_hdr *h, const uint8_t *payload, struct buf *out)
{
	const char *name = frame_type_name(h->type);

	buf_printf(out, "%" PRIu64 " ", h->seq);
	if (name)
		buf_printf(out, "%s", name);
	else
		buf_printf(out, "type-%u", h->type);
	buf_printf(out, " length %" PRIu64 " ", h->len);
	if (print_payload(h, payload, out))
		buf_printf(out, "(does not decode)");
}
