/* SPDX-License-Identifier: Apache-2.0 */
/* What an inode says of its content and attributes, and what is there of them. */
#include <stdlib.h>
#include <string.h>
#include "dmu/dmu.h"
#include "salvage/salvage_impl.h"

static int iloss(struct head *h, uint64_t ino, uint64_t off, uint64_t len, unsigned kind, struct lcpfs_error *err)
{
	int rc = sal_room(&h->iloss, h->n_iloss, &h->cap_iloss, sizeof *h->iloss, err);

	if (!rc)
		h->iloss[h->n_iloss++] = (struct loss){ ino, off, len, kind };
	return rc;
}

/* How much of this pack is there. */
static uint32_t pack_end(const struct rebuild *r, uint64_t pack_id, bool *part)
{
	*part = false;
	for (size_t i = 0; i < r->n_rescued; i++)
		if (r->rescued[i].pack_id == pack_id) {
			*part = true;
			return r->rescued[i].got;
		}
	return UINT32_MAX;
}

/* 0: there, with its pack. 1: not. */
static int find_slice(struct rebuild *r, uint64_t data_id, struct slice *out, bool *unverified, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	uint32_t end;
	int rc = btree_get(r->ds->tree, &c, key, item_key(key, ITEM_SLICE, data_id), err);

	if (!rc)
		rc = slice_decode(out, c.item.val, c.item.vlen, NULL) ? 1 : 0;
	if (!rc)
		rc = btree_get(r->ds->tree, &c, key, item_key(key, ITEM_PACK, out->pack_id), err);
	btree_cursor_close(&c);
	*unverified = false;
	if (!rc) {
		end = pack_end(r, out->pack_id, unverified);
		rc = (uint64_t)out->off + out->len > end;
	}
	return rc;
}

/* Stored bytes of all extents of a content, and where the last one ends. */
static int sum_extents(struct rebuild *r, uint64_t data_id, uint64_t *charge, uint64_t *end, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[17];
	int rc = btree_seek(r->ds->tree, &c, key, item_key_u64(key, ITEM_EXTENT, data_id, 0), err);

	*charge = *end = 0;
	for (; !rc && c.item.klen == 17 && !memcmp(c.item.key, key, 9); rc = btree_next(&c, err)) {
		struct blkptr bp;

		if (c.item.nptr == 1 && c.item.vlen == 4 && !ptr_decode(&bp, c.item.ptrs, NULL)) {
			*charge += ptr_charge(&bp);
			*end = be64_load(c.item.key + 9) + le_load(c.item.val, 4);
		}
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

int mend_find_content(struct rebuild *r, uint64_t data_id, struct inode *in, struct lcpfs_error *err)
{
	struct slice sl;
	uint64_t charge, end;
	bool unverified;
	int rc = find_slice(r, data_id, &sl, &unverified, err);

	if (!rc) {
		in->size = sl.len;
		in->flags |= INODE_SLICED;
	} else if (rc == 1) {
		rc = sum_extents(r, data_id, &charge, &end, err);
		in->size = end;
		rc = rc ? rc : end ? 0 : 1;
	}
	if (!rc)
		in->data_id = data_id;
	return rc;
}

/* Ranges of the file that no extent has and that lie where keys are missing. */
static int lost_gaps(struct rebuild *r, uint64_t ino, const struct inode *in, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[17], upto[17];
	uint64_t pos = 0, next, len;
	int rc = btree_seek(r->ds->tree, &c, key, item_key_u64(key, ITEM_EXTENT, in->data_id, 0), err);

	while (rc >= 0 && pos < in->size) {
		bool more = !rc && c.item.klen == 17 && !memcmp(c.item.key, key, 9);

		next = more ? MIN(be64_load(c.item.key + 9), in->size) : in->size;
		len = more && c.item.vlen == 4 ? le_load(c.item.val, 4) : 0;
		item_key_u64(key, ITEM_EXTENT, in->data_id, pos);
		item_key_u64(upto, ITEM_EXTENT, in->data_id, next);
		if (next > pos && gather_misses(&r->g, key, 17, upto, 17)) {
			rc = iloss(r->h, ino, pos, next - pos, LOSS_LOST, err);
			if (rc)
				break;
		}
		if (!more)
			break;
		pos = MAX(pos, next + len);
		rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

static int check_slice(struct rebuild *r, uint64_t ino, struct inode *in, bool *changed, struct lcpfs_error *err)
{
	struct slice sl;
	bool unverified;
	int rc = find_slice(r, in->data_id, &sl, &unverified, err);

	if (!rc && unverified)
		rc = iloss(r->h, ino, 0, in->size, LOSS_UNVERIFIED, err);
	if (!rc && sl.len != in->size) {
		/* they are of two times */
		in->size = sl.len;
		*changed = true;
		return inoset_add(&r->h->old, ino, NULL, err);
	}
	if (rc != 1)
		return rc;
	rc = iloss(r->h, ino, 0, in->size, LOSS_LOST, err);
	in->data_id = 0;
	in->psize = 0;
	in->flags &= ~(uint32_t)INODE_SLICED;
	*changed = true;
	return rc;
}

static int check_extents(struct rebuild *r, uint64_t ino, const struct inode *in, struct lcpfs_error *err)
{
	uint64_t charge, end;
	size_t n;
	const struct loss *l = loss_of(r->h->loss, r->h->n_loss, in->data_id, &n);
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++)
		if (l[i].off < in->size)
			rc = iloss(r->h, ino, l[i].off, MIN(l[i].len, in->size - l[i].off), l[i].kind, err);
	if (rc || !r->g.n_miss)
		return rc;
	rc = sum_extents(r, in->data_id, &charge, &end, err);
	return rc || charge == in->psize ? rc : lost_gaps(r, ino, in, err);
}

int mend_content(struct rebuild *r, uint64_t ino, struct inode *in, struct inoset *used, bool *changed, struct lcpfs_error *err)
{
	size_t n;
	const struct loss *l;
	int rc;

	if (!in->data_id || !in->size)
		return 0;
	rc = inoset_add(used, in->data_id, NULL, err);
	if (rc)
		return rc;
	if (!(in->flags & INODE_SLICED))
		return check_extents(r, ino, in, err);
	l = loss_of(r->h->loss, r->h->n_loss, in->data_id, &n);
	rc = n && l->kind == LOSS_UNVERIFIED ? iloss(r->h, ino, 0, in->size, LOSS_UNVERIFIED, err) : 0;
	return rc ? rc : check_slice(r, ino, in, changed, err);
}

/* Whether the value of an attribute is there. */
static int has_value(struct rebuild *r, const uint8_t *val, size_t vlen, struct inoset *used, bool *yes, struct lcpfs_error *err)
{
	struct inode in = { 0 };
	size_t n;
	uint64_t id;
	int rc;

	*yes = vlen && val[0] == 0;
	if (vlen != 17 || val[0] != 1)
		return 0;
	id = le_load(val + 1, 8);
	rc = inoset_add(used, id, NULL, err);
	if (!rc)
		rc = mend_find_content(r, id, &in, err);
	loss_of(r->h->loss, r->h->n_loss, id, &n);
	*yes = !rc && !n && in.size >= le_load(val + 9, 8);
	return MIN(rc, 0);
}

int mend_xattrs(struct rebuild *r, uint64_t ino, struct inode *in, struct inoset *used, bool *changed, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	uint32_t n = 0, want = in->n_xattr;
	size_t klen = item_key(key, ITEM_XATTR, ino);
	int rc = btree_seek(r->ds->tree, &c, key, klen, err);

	while (!rc && c.item.klen > 9 && c.item.key[0] == ITEM_XATTR && be64_load(c.item.key + 1) == ino) {
		bool yes;

		klen = c.item.klen;
		memcpy(key, c.item.key, klen);
		rc = has_value(r, c.item.val, c.item.vlen, used, &yes, err);
		if (!rc && !yes)
			rc = btree_del(r->ds->tree, key, klen, 0, err);
		n += yes;
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	if (rc < 0 || n == want)
		return MIN(rc, 0);
	in->n_xattr = n;
	*changed = true;
	return n < want ? iloss(r->h, ino, 0, want - n, LOSS_XATTR, err) : 0;
}
