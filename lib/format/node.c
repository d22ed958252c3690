/* SPDX-License-Identifier: Apache-2.0 */
#include "format/node.h"
#include "base/error.h"
#include "base/util.h"
#include <inttypes.h>

enum { NODE_VERSION = 1 };

struct node_disk {
	le32 magic;
	uint8_t version, level, flags, comp;
	le32 nptr, body_stored, body_len;
	le64 birth, tree_guid, seq;
	le32 crc;
	uint8_t cols, zero[15];
};
_Static_assert(sizeof(struct node_disk) == NODE_HDR, "a node header is 64 bytes");
_Static_assert(offsetof(struct node_disk, birth) == 20 && offsetof(struct node_disk, crc) == 44, "node header layout");

void node_hdr_encode(const struct node_hdr *h, uint8_t raw[NODE_HDR])
{
	struct node_disk d = { 0 };

	d.magic = le32_put(NODE_MAGIC);
	d.version = NODE_VERSION;
	d.level = h->level;
	d.flags = h->flags;
	d.comp = h->comp;
	d.nptr = le32_put(h->nptr);
	d.body_stored = le32_put(h->body_stored);
	d.body_len = le32_put(h->body_len);
	d.birth = le64_put(h->birth);
	d.tree_guid = le64_put(h->tree_guid);
	d.seq = le64_put(h->seq);
	d.crc = le32_put(h->crc);
	d.cols = h->cols;
	memcpy(raw, &d, sizeof d);
}

static int check_hdr(const struct node_hdr *h, size_t stored_len, struct lcpfs_error *err)
{
	uint64_t ptrs = (uint64_t)h->nptr * PTR_LEN;

	if ((h->flags & ~NODE_F_ENC) || h->comp > 3)
		return lcpfs_fail(err, LCPFS_EUNSUP, "node: flags %#x, codec %u", h->flags, h->comp);
	if (h->level >= TREE_DEPTH_MAX || (h->level && !h->nptr))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: level %u with %u pointers", h->level, h->nptr);
	if (ptrs + h->body_len > NODE_LIMIT)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %u pointers and a body of %u bytes", h->nptr, h->body_len);
	if (NODE_HDR + ptrs + h->body_stored != stored_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %u pointers and %u stored bytes in a block of %zu", h->nptr,
		    h->body_stored, stored_len);
	if (h->cols > NODE_COLS_MAX || (h->cols && (h->level || !h->comp)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: level %u, codec %u, %u columns", h->level, h->comp, h->cols);
	if (!h->comp && !(h->flags & NODE_F_ENC) && h->body_stored != h->body_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: a plain body of %u bytes stored in %u", h->body_len,
		    h->body_stored);
	if (!h->birth || h->birth >> 48)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: birth %" PRIu64, h->birth);
	return 0;
}

int node_hdr_decode(struct node_hdr *out, const uint8_t *raw, size_t stored_len, struct lcpfs_error *err)
{
	struct node_disk d;
	struct node_hdr h;
	int rc;

	if (stored_len < NODE_HDR)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %zu bytes", stored_len);
	memcpy(&d, raw, sizeof d);
	if (le32_get(d.magic) != NODE_MAGIC)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: bad magic");
	if (d.version != NODE_VERSION || !is_all_zero(d.zero, sizeof d.zero))
		return lcpfs_fail(err, LCPFS_EUNSUP, "node: version %u", d.version);
	h = (struct node_hdr){
		.level = d.level, .flags = d.flags, .comp = d.comp, .cols = d.cols,
		.nptr = le32_get(d.nptr), .body_stored = le32_get(d.body_stored), .body_len = le32_get(d.body_len),
		.birth = le64_get(d.birth), .tree_guid = le64_get(d.tree_guid), .seq = le64_get(d.seq),
		.crc = le32_get(d.crc),
	};
	rc = check_hdr(&h, stored_len, err);
	if (!rc)
		*out = h;
	return rc;
}

void node_hdr_print(const struct node_hdr *h, struct buf *out)
{
	buf_printf(out, "node level %u pointers %u body %u stored %u comp %u cols %u%s birth %" PRIu64 " tree %016" PRIx64
	    " seq %" PRIu64 " crc32c %08x", h->level, h->nptr, h->body_len, h->body_stored, h->comp, h->cols,
	    h->flags & NODE_F_ENC ? " encrypted" : "", h->birth, h->tree_guid, h->seq, h->crc);
}

void node_body_item(const struct node_body *b, uint32_t i, struct node_item *out)
{
	uint32_t from = i ? node_end_at(b->key_end, i - 1) : 0, v0, v1;

	*out = (struct node_item){ .key = b->keys + from, .klen = (uint16_t)(node_end_at(b->key_end, i) - from) };
	if (!b->leaf) {
		out->nptr = 1;
		return;
	}
	v0 = i ? node_end_at(b->val_end, i - 1) & NODE_VAL_END : 0;
	v1 = node_end_at(b->val_end, i);
	out->val = b->vals + v0;
	out->vlen = (v1 & NODE_VAL_END) - v0;
	out->nptr = (uint8_t)(v1 >> 28);
}

static int key_order(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	int c = memcmp(a, b, MIN(alen, blen));

	return c ? c : (alen > blen) - (alen < blen);
}

/* Both end arrays ascend within what is left of the body and use all of it. */
static int check_ends(const struct node_body *b, uint64_t left, uint64_t *keys_len, struct lcpfs_error *err)
{
	uint32_t prev = 0;

	for (uint32_t i = 0; i < b->nitems; i++) {
		uint32_t end = node_end_at(b->key_end, i);

		if (end < prev || end > left || end - prev + b->prefix_len > KEY_MAX)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "node: key %u ends at %u", i, end);
		if (b->leaf && end - prev + b->prefix_len == 0)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "node: key %u is empty", i);
		prev = end;
	}
	*keys_len = prev;
	left -= prev;
	prev = 0;
	for (uint32_t i = 0; b->leaf && i < b->nitems; i++) {
		uint32_t end = node_end_at(b->val_end, i) & NODE_VAL_END;

		if (end < prev || end > left || end - prev > VAL_MAX)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "node: value %u ends at %u", i, end);
		prev = end;
	}
	if (prev != left)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %" PRIu64 " bytes too many", left - prev);
	return 0;
}

/* The first key against the low fence; in an interior node they are the same. */
static int check_low(const struct node_body *b, struct lcpfs_error *err)
{
	uint8_t first[KEY_MAX];
	struct node_item it;
	int c;

	if (!b->nitems)
		return 0;
	node_body_item(b, 0, &it);
	memcpy(first, b->prefix, b->prefix_len);
	memcpy(first + b->prefix_len, it.key, it.klen);
	c = key_order(first, (size_t)b->prefix_len + it.klen, b->low, b->low_len);
	if (c < 0 || (!b->leaf && c))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: the first key does not fit the low fence");
	return 0;
}

static int check_items(const struct node_body *b, uint32_t nptr, struct lcpfs_error *err)
{
	struct node_item prev = { 0 }, it;
	uint64_t owned = 0;

	for (uint32_t i = 0; i < b->nitems; i++) {
		node_body_item(b, i, &it);
		if (i && key_order(prev.key, prev.klen, it.key, it.klen) >= 0)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "node: key %u is out of order", i);
		owned += it.nptr;
		prev = it;
	}
	if (owned != nptr)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %" PRIu64 " pointers used of %u", owned, nptr);
	return check_low(b, err);
}

int node_body_decode(struct node_body *out, const uint8_t *body, size_t len, bool leaf, uint32_t nptr, struct lcpfs_error *err)
{
	struct node_body b = { .leaf = leaf };
	struct cur c = cur_of(body, len);
	uint64_t keys_len = 0, ends;
	uint16_t flags;
	int rc;

	b.nitems = cur_le32(&c);
	b.prefix_len = cur_le16(&c);
	flags = cur_le16(&c);
	b.low_len = cur_le16(&c);
	b.low = cur_bytes(&c, b.low_len);
	b.prefix = cur_bytes(&c, b.prefix_len);
	ends = (uint64_t)b.nitems * 4;
	if (c.bad || ends * (leaf ? 2 : 1) > cur_left(&c))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: body of %zu bytes ends early", len);
	if (flags)
		return lcpfs_fail(err, LCPFS_EUNSUP, "node: body flags %#x", flags);
	if (b.low_len > KEY_MAX || b.prefix_len > KEY_MAX || (!b.nitems && (!leaf || b.prefix_len)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %u items, low fence of %u bytes, prefix of %u", b.nitems,
		    b.low_len, b.prefix_len);
	b.key_end = c.p;
	b.val_end = leaf ? c.p + ends : NULL;
	b.keys = c.p + ends * (leaf ? 2 : 1);
	rc = check_ends(&b, (uint64_t)(c.end - b.keys), &keys_len, err);
	if (rc)
		return rc;
	b.vals = leaf ? b.keys + keys_len : NULL;
	rc = check_items(&b, nptr, err);
	if (!rc)
		*out = b;
	return rc;
}

static uint16_t common_prefix(const struct node_item *a, const struct node_item *b)
{
	uint16_t n = 0, max = MIN(a->klen, b->klen);

	while (n < max && a->key[n] == b->key[n])
		n++;
	return n;
}

void node_body_encode(struct buf *out, bool leaf, const uint8_t *low, uint16_t low_len, const struct node_item *items, uint32_t n)
{
	/* the keys are sorted: what first and last share, all share */
	uint16_t prefix = n ? common_prefix(&items[0], &items[n - 1]) : 0;
	uint32_t end = 0;

	buf_le32(out, n);
	buf_le16(out, prefix);
	buf_le16(out, 0);
	buf_le16(out, low_len);
	buf_add(out, low, low_len);
	if (n)
		buf_add(out, items[0].key, prefix);
	for (uint32_t i = 0; i < n; i++)
		buf_le32(out, end += (uint32_t)items[i].klen - prefix);
	end = 0;
	for (uint32_t i = 0; leaf && i < n; i++)
		buf_le32(out, (end += items[i].vlen) | (uint32_t)items[i].nptr << 28);
	for (uint32_t i = 0; i < n; i++)
		buf_add(out, items[i].key + prefix, items[i].klen - (size_t)prefix);
	for (uint32_t i = 0; leaf && i < n; i++)
		buf_add(out, items[i].val, items[i].vlen);
}
