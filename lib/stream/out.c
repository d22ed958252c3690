/* SPDX-License-Identifier: Apache-2.0 */
/* Writing frames: header, hash, padding, the running hash; or only counting what they would take. */
#include "stream_impl.h"

void running_update(uint8_t running[32], const uint8_t hash[16])
{
	uint8_t both[48];

	memcpy(both, running, 32);
	memcpy(both + 32, hash, 16);
	blake3(both, sizeof both, running);
}

void out_hash(struct frame_hdr *h, const struct hash_piece *pieces, unsigned n)
{
	uint8_t raw[FRAME_HDR];
	struct blake3 b;

	frame_hdr_encode(h, raw);
	blake3_init(&b);
	blake3_update(&b, raw, 24);
	for (unsigned i = 0; i < n; i++)
		blake3_update(&b, pieces[i].data, pieces[i].len);
	blake3_final(&b, 0, h->hash, sizeof h->hash);
}

static int write_frame(struct stream_out *o, const struct frame_hdr *h, const struct hash_piece *pieces, unsigned n, struct lcpfs_error *err)
{
	static const uint8_t zeros[8];
	uint8_t raw[FRAME_HDR];
	int rc;

	frame_hdr_encode(h, raw);
	rc = o->write(o->arg, raw, sizeof raw, err);
	for (unsigned i = 0; i < n && !rc; i++)
		if (pieces[i].len)
			rc = o->write(o->arg, pieces[i].data, pieces[i].len, err);
	if (!rc && h->len % 8)
		rc = o->write(o->arg, zeros, 8 - h->len % 8, err);
	return rc;
}

static int tell(const struct stream_out *o, struct lcpfs_error *err)
{
	struct lcpfs_progress p = { .entries = o->items, .bytes = o->bytes, .total_bytes = o->total, .phase = "sending" };

	if (o->progress && o->progress(o->progress_arg, &p))
		return lcpfs_fail(err, LCPFS_ECANCEL, "send: interrupted");
	return 0;
}

int out_hdr(struct frame_hdr *h, unsigned type, uint64_t seq, const struct hash_piece *pieces, unsigned n, struct lcpfs_error *err)
{
	*h = (struct frame_hdr){ .type = (uint16_t)type, .flags = FRAME_F_CRITICAL, .seq = seq };
	for (unsigned i = 0; i < n; i++)
		h->len += pieces[i].len;
	if (h->len > FRAME_PAYLOAD_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "stream: a %s frame of %llu bytes", frame_type_name(type), (unsigned long long)h->len);
	return 0;
}

int out_emit(struct stream_out *o, const struct frame_hdr *h, const struct hash_piece *pieces, unsigned n, struct lcpfs_error *err)
{
	int rc = o->write ? write_frame(o, h, pieces, n, err) : 0;

	o->bytes += frame_stored_len(h->len);
	return rc ? rc : tell(o, err);
}

static int out_frame(struct stream_out *o, unsigned type, const struct buf *b, uint64_t seq, struct frame_hdr *h, struct lcpfs_error *err)
{
	struct hash_piece p = { b->data, b->len };
	int rc = b->failed ? lcpfs_nomem(err) : out_flush(o, err);

	if (!rc)
		rc = out_hdr(h, type, seq, &p, 1, err);
	if (rc)
		return rc;
	out_hash(h, &p, 1);
	return out_emit(o, h, &p, 1, err);
}

int out_buf(struct stream_out *o, unsigned type, const struct buf *b, struct lcpfs_error *err)
{
	struct frame_hdr h;
	int rc = out_frame(o, type, b, o->seq, &h, err);

	if (!rc) {
		o->seq++;
		running_update(o->running, h.hash);
	}
	return rc;
}

int out_resumed(struct stream_out *o, const struct buf *b, struct lcpfs_error *err)
{
	struct frame_hdr h;

	return out_frame(o, FRAME_BEGIN, b, 0, &h, err);
}
