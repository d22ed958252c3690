/* SPDX-License-Identifier: Apache-2.0 */
#include "format/records.h"
#include <inttypes.h>
#include "base/error.h"
#include "base/util.h"

size_t key_u64(uint8_t *key, uint8_t table, uint64_t a)
{
	key[0] = table;
	be64_store(key + 1, a);
	return 9;
}

size_t key_u64_u64(uint8_t *key, uint8_t table, uint64_t a, uint64_t b)
{
	be64_store(key + key_u64(key, table, a), b);
	return 17;
}

size_t key_u64_str(uint8_t *key, uint8_t table, uint64_t a, const void *s, size_t len)
{
	size_t n = key_u64(key, table, a);

	memcpy(key + n, s, len);
	return n + len;
}

size_t key_page(uint8_t *key, uint32_t chunk, uint32_t page)
{
	key[0] = TBL_PAGE;
	be32_store(key + 1, chunk);
	be32_store(key + 5, page);
	return 9;
}

void dsrec_encode(const struct dsrec *r, uint8_t raw[DSREC_LEN])
{
	memset(raw, 0, DSREC_LEN);
	le_store(raw, 8, r->id);
	le_store(raw + 8, 8, r->guid);
	le_store(raw + 16, 8, r->family);
	raw[24] = r->kind;
	raw[25] = r->state;
	le_store(raw + 26, 2, r->flags);
	le_store(raw + 28, 4, r->n_children);
	le_store(raw + 32, 8, r->parent);
	le_store(raw + 40, 8, r->prev_snap);
	le_store(raw + 48, 8, r->prev_snap_txg);
	le_store(raw + 64, 8, r->next_hint);
	le_store(raw + 72, 8, r->created_txg);
	le_store(raw + 80, 8, (uint64_t)r->created_s);
	le_store(raw + 88, 4, r->group);
	raw[92] = r->height;
	raw[93] = r->keygen;
	memcpy(raw + 96, r->root_auth, 16);
	memcpy(raw + 112, r->shape_id, 16);
	le_store(raw + 128, 8, r->ref_psize);
	le_store(raw + 136, 8, r->ref_lsize);
	le_store(raw + 144, 8, r->ref_blocks);
	le_store(raw + 152, 8, r->n_inodes);
	le_store(raw + 160, 8, r->log_seq);
	for (unsigned i = 0; i < 4; i++)
		le_store(raw + 168 + 8 * i, 8, r->quota[i]);
	le_store(raw + 200, 4, r->created_ns);
}

int dsrec_decode(struct dsrec *out, const uint8_t *raw, size_t len, const uint8_t *ptr, struct lcpfs_error *err)
{
	struct dsrec r = { 0 };
	int rc;

	if (len < DSREC_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset record of %zu bytes", len);
	r.id = le_load(raw, 8);
	r.guid = le_load(raw + 8, 8);
	r.family = le_load(raw + 16, 8);
	r.kind = raw[24];
	r.state = raw[25];
	r.flags = (uint16_t)le_load(raw + 26, 2);
	r.n_children = (uint32_t)le_load(raw + 28, 4);
	r.parent = le_load(raw + 32, 8);
	r.prev_snap = le_load(raw + 40, 8);
	r.prev_snap_txg = le_load(raw + 48, 8);
	r.next_hint = le_load(raw + 64, 8);
	r.created_txg = le_load(raw + 72, 8);
	r.created_s = (int64_t)le_load(raw + 80, 8);
	r.group = (uint32_t)le_load(raw + 88, 4);
	r.height = raw[92];
	r.keygen = raw[93];
	memcpy(r.root_auth, raw + 96, 16);
	memcpy(r.shape_id, raw + 112, 16);
	r.ref_psize = le_load(raw + 128, 8);
	r.ref_lsize = le_load(raw + 136, 8);
	r.ref_blocks = le_load(raw + 144, 8);
	r.n_inodes = le_load(raw + 152, 8);
	r.log_seq = le_load(raw + 160, 8);
	for (unsigned i = 0; i < 4; i++)
		r.quota[i] = le_load(raw + 168 + 8 * i, 8);
	r.created_ns = (uint32_t)le_load(raw + 200, 4);
	if (r.kind < DS_FS || r.kind > DS_HIDDEN || r.state > DS_DESTROYING || r.created_ns > 999999999)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset record %" PRIu64 ": kind %u, state %u", r.id, r.kind, r.state);
	if (r.prev_snap ? !r.prev_snap_txg : r.prev_snap_txg != 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset record %" PRIu64 ": previous snapshot without its txg", r.id);
	if (ptr) {
		rc = ptr_decode(&r.root, ptr, err);
		if (rc)
			return lcpfs_within(err, rc, "dataset record %" PRIu64, r.id);
	}
	*out = r;
	return 0;
}

void dsrec_print(const struct dsrec *r, struct buf *out)
{
	static const char *const kinds[] = { "?", "fs", "volume", "snapshot", "branch", "hidden" };

	buf_printf(out, "id %" PRIu64 " %s guid %016" PRIx64 " family %016" PRIx64 " parent %" PRIu64 " prev %" PRIu64 "@%" PRIu64
	    " children %u created txg %" PRIu64 " time %" PRId64 " state %u group %u"
	    " ref_psize %" PRIu64 " ref_lsize %" PRIu64 " ref_blocks %" PRIu64 " inodes %" PRIu64 " root ",
	    r->id, kinds[r->kind <= DS_HIDDEN ? r->kind : 0], r->guid, r->family, r->parent, r->prev_snap, r->prev_snap_txg,
	    r->n_children, r->created_txg, r->created_s, r->state, r->group, r->ref_psize, r->ref_lsize,
	    r->ref_blocks, r->n_inodes);
	ptr_print(&r->root, out);
}

void ref_encode(uint64_t extra, uint8_t val[REF_LEN])
{
	le_store(val, 8, extra);
	val[8] = 0;
}

int ref_decode(uint64_t *extra, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, struct lcpfs_error *err)
{
	uint64_t n;

	if (klen != 9 || vlen != REF_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "reference count: key of %zu, value of %zu bytes", klen, vlen);
	n = le_load(val, 8);
	if (val[8])
		return lcpfs_fail(err, LCPFS_EUNSUP, "reference count of %" PRIx64 ": unknown flags %#x", be64_load(key + 1), val[8]);
	if (!be64_load(key + 1) || !n || n == UINT64_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "reference count of %" PRIx64 ": %" PRIu64, be64_load(key + 1), n);
	*extra = n;
	return 0;
}

#define SCAN_VERSION 1u

static int scan_head(const uint8_t *raw, size_t len, size_t want, uint8_t known, struct lcpfs_error *err)
{
	if (len < 8 || raw[0] != SCAN_VERSION)
		return lcpfs_fail(err, LCPFS_EUNSUP, "scrub record of version %u", len ? raw[0] : 0);
	if (len != want || raw[1] & ~known || !is_all_zero(raw + 2, 6))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "scrub record of %zu bytes makes no sense", len);
	return 0;
}

void scanrec_encode(const struct scanrec *r, uint8_t raw[SCANREC_LEN])
{
	const uint64_t v[9] = { r->next, r->txg, (uint64_t)r->started_s, r->bytes, r->bad, r->done_txg, (uint64_t)r->done_s, r->done_bytes,
		r->done_bad };

	memset(raw, 0, 8);
	raw[0] = SCAN_VERSION;
	raw[1] = r->flags;
	for (unsigned i = 0; i < 9; i++)
		le_store(raw + 8 + 8 * i, 8, v[i]);
}

int scanrec_decode(struct scanrec *out, const uint8_t *raw, size_t len, struct lcpfs_error *err)
{
	struct scanrec r = { 0 };
	int rc = scan_head(raw, len, SCANREC_LEN, SCAN_UNDER_WAY | SCAN_DECODES | SCAN_DONE_DECODED, err);

	if (rc)
		return rc;
	r.flags = raw[1];
	r.next = le_load(raw + 8, 8);
	r.txg = le_load(raw + 16, 8);
	r.started_s = (int64_t)le_load(raw + 24, 8);
	r.bytes = le_load(raw + 32, 8);
	r.bad = le_load(raw + 40, 8);
	r.done_txg = le_load(raw + 48, 8);
	r.done_s = (int64_t)le_load(raw + 56, 8);
	r.done_bytes = le_load(raw + 64, 8);
	r.done_bad = le_load(raw + 72, 8);
	*out = r;
	return 0;
}

void scanbad_encode(const struct scanbad *b, uint8_t raw[SCANBAD_LEN])
{
	memset(raw, 0, 8);
	raw[0] = SCAN_VERSION;
	le_store(raw + 8, 8, b->done);
	le_store(raw + 16, 8, b->now);
}

int scanbad_decode(struct scanbad *out, const uint8_t *raw, size_t len, struct lcpfs_error *err)
{
	int rc = scan_head(raw, len, SCANBAD_LEN, 0, err);

	if (!rc)
		*out = (struct scanbad){ le_load(raw + 8, 8), le_load(raw + 16, 8) };
	return rc;
}

static void print_hex(struct buf *out, const uint8_t *p, size_t len)
{
	buf_hex(out, p, len < 64 ? len : 64);
	if (len > 64)
		buf_printf(out, "... (%zu bytes)", len);
}

static void print_scan(const uint8_t *val, size_t vlen, struct buf *out)
{
	struct scanrec r;
	struct scanbad b;

	if (scanrec_decode(&r, val, vlen, NULL) == 0)
		buf_printf(out, "next %u:%u txg %" PRIu64 " bytes %" PRIu64 " bad %" PRIu64 " flags %u, done txg %" PRIu64 " time %" PRId64
		    " bytes %" PRIu64 " bad %" PRIu64, (unsigned)(r.next >> 32), (unsigned)r.next, r.txg, r.bytes, r.bad, r.flags,
		    r.done_txg, r.done_s, r.done_bytes, r.done_bad);
	else if (scanbad_decode(&b, val, vlen, NULL) == 0)
		buf_printf(out, "%" PRIu64 " damaged blocks, %" PRIu64 " in the pass under way", b.done, b.now);
	else
		print_hex(out, val, vlen);
}

static void print_text(struct buf *out, const uint8_t *p, size_t len)
{
	buf_printf(out, "'");
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 32 && p[i] < 127)
			buf_printf(out, "%c", p[i]);
		else
			buf_printf(out, "\\x%02x", p[i]);
	buf_printf(out, "'");
}

static void print_key(const uint8_t *key, size_t klen, struct buf *out)
{
	static const char *const names[] = { "?", "DS", "NAME", "SNAPTXG", "DEAD", "PROP", "FREEQ", "RECV", "HIST", "SCAN" };
	uint8_t t = key[0];

	if (t == TBL_PAGE && klen == 9) {
		buf_printf(out, "PAGE %u/%u", be32_load(key + 1), be32_load(key + 5));
		return;
	}
	if (t == TBL_REF && klen == 9) {
		buf_printf(out, "REF %u:%u", be32_load(key + 1), be32_load(key + 5));
		return;
	}
	if (t == 0 || t > TBL_SCAN || klen < 9) {
		buf_printf(out, "table %#x ", t);
		print_hex(out, key, klen);
		return;
	}
	buf_printf(out, "%s %" PRIu64, names[t], be64_load(key + 1));
	if (t == TBL_NAME || t == TBL_PROP) {
		buf_printf(out, " ");
		print_text(out, key + 9, klen - 9);
	} else if (klen == 17) {
		buf_printf(out, " %" PRIu64, be64_load(key + 9));
	}
}

static void print_page(const uint8_t *val, size_t vlen, struct buf *out)
{
	static const char *const encs[] = { "all free", "all used", "rle", "raw" };

	if (vlen >= 5)
		buf_printf(out, "free %" PRIu64 " %s (%zu bytes)", le_load(val, 4), encs[val[4] & 3], vlen - 5);
}

void record_print(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, const uint8_t *ptrs, unsigned nptr, struct buf *out)
{
	struct dsrec r;
	uint64_t extra;

	if (!klen)
		return;
	print_key(key, klen, out);
	buf_printf(out, " = ");
	if (key[0] == TBL_DS && dsrec_decode(&r, val, vlen, nptr ? ptrs : NULL, NULL) == 0)
		dsrec_print(&r, out);
	else if ((key[0] == TBL_NAME || key[0] == TBL_SNAPTXG) && vlen == 8)
		buf_printf(out, "%" PRIu64, le_load(val, 8));
	else if (key[0] == TBL_DEAD && vlen == 16)
		buf_printf(out, "%" PRIu64 " blocks %" PRIu64 " bytes", le_load(val, 8), le_load(val + 8, 8));
	else if (key[0] == TBL_REF && ref_decode(&extra, key, klen, val, vlen, NULL) == 0)
		buf_printf(out, "%" PRIu64 " more", extra);
	else if (key[0] == TBL_SCAN)
		print_scan(val, vlen, out);
	else if (key[0] == TBL_PAGE)
		print_page(val, vlen, out);
	else if (key[0] == TBL_PROP)
		print_text(out, val, vlen);
	else
		print_hex(out, val, vlen);
}
