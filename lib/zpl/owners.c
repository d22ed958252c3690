/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files have a content. Nearly always the one whose number it carries; the others are found by one pass over the inodes and kept sorted, 16 bytes each.
 */
#include <stdlib.h>
#include "zpl/rewrite.h"

static int by_content(const void *x, const void *y)
{
	const struct owner *a = x, *b = y;

	if (a->data_id != b->data_id)
		return a->data_id < b->data_id ? -1 : 1;
	return (a->ino > b->ino) - (a->ino < b->ino);
}

static int add(struct owners *o, uint64_t data_id, uint64_t ino, struct lcpfs_error *err)
{
	if (o->n == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 64;
		struct owner *v = realloc(o->v, cap * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		o->v = v;
		o->cap = cap;
	}
	o->v[o->n++] = (struct owner){ data_id, ino };
	return 0;
}

int owners_load(struct owners *o, struct dataset *ds, struct lcpfs_error *err)
{
	static const uint8_t first[1] = { ITEM_INODE };
	struct bt_cursor c = { 0 };
	struct inode i;
	const uint8_t *tlv;
	size_t n;
	int rc = btree_seek(ds->tree, &c, first, sizeof first, err);

	for (; !rc && c.item.key[0] == ITEM_INODE && c.item.klen == 9; rc = btree_next(&c, err)) {
		uint64_t ino = be64_load(c.item.key + 1);

		rc = inode_decode(&i, c.item.val, c.item.vlen, &tlv, &n, err);
		if (!rc && i.data_id && i.data_id != ino && !(i.flags & INODE_SLICED))
			rc = add(o, i.data_id, ino, err);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	if (o->n)
		qsort(o->v, o->n, sizeof *o->v, by_content);
	return rc < 0 ? rc : 0;
}

/* The first entry of a content, or where it would be. */
static size_t first_of(const struct owners *o, uint64_t data_id)
{
	size_t lo = 0, hi = o->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->v[mid].data_id < data_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* 0: the file `ino` has the content; 1: not. */
static int owns(struct dataset *ds, uint64_t ino, uint64_t data_id, struct inode *i, struct lcpfs_error *err)
{
	int rc = zpl_inode_get(ds, ino, i, err);

	if (rc == -LCPFS_ENOENT)
		return 1;
	return rc ? rc : i->data_id != data_id || i->flags & INODE_SLICED;
}

int owners_first(const struct owners *o, struct dataset *ds, uint64_t data_id, struct inode *out, struct lcpfs_error *err)
{
	size_t at = first_of(o, data_id);

	if (at < o->n && o->v[at].data_id == data_id)
		return owns(ds, o->v[at].ino, data_id, out, err);
	return owns(ds, data_id, data_id, out, err);
}

int owners_charge(const struct owners *o, struct dataset *ds, uint64_t data_id, int64_t delta, struct lcpfs_error *err)
{
	struct inode i;
	int rc = owns(ds, data_id, data_id, &i, err);

	if (!rc)
		rc = zi_add_psize(ds, data_id, data_id, delta, err);
	for (size_t at = first_of(o, data_id); rc >= 0 && at < o->n && o->v[at].data_id == data_id; at++)
		rc = zi_add_psize(ds, o->v[at].ino, data_id, delta, err);
	return rc < 0 ? rc : 0;
}
