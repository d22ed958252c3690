/* SPDX-License-Identifier: Apache-2.0 */
/* Bulk load: one node under construction per level; a full one is written and becomes an item of the level above. */
#include <stdlib.h>
#include "btree/btree_impl.h"

struct bulk_item {
	size_t off; /* in data: pointers, key, value */
	uint32_t vlen;
	uint16_t klen;
	uint8_t nptr;
};

struct bulk_level {
	struct buf data;
	struct bulk_item *items;
	uint32_t n, cap;
	struct bt_sums sums;
	uint8_t low[KEY_MAX];
	uint16_t low_len;
};

struct btree_bulk {
	struct btree_store *s;
	uint64_t guid;
	struct bulk_level lv[TREE_DEPTH_MAX];
	struct buf ptrs, body;
	struct node_item *enc;
	uint32_t enc_cap;
};

int btree_bulk_create(struct btree_bulk **out, struct btree_store *s, uint64_t tree_guid, struct lcpfs_error *err)
{
	struct btree_bulk *b = calloc(1, sizeof *b);

	if (!b)
		return lcpfs_nomem(err);
	b->s = s;
	b->guid = tree_guid;
	*out = b;
	return 0;
}

void btree_bulk_destroy(struct btree_bulk *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < TREE_DEPTH_MAX; i++) {
		buf_fini(&b->lv[i].data);
		free(b->lv[i].items);
	}
	buf_fini(&b->ptrs);
	buf_fini(&b->body);
	free(b->enc);
	free(b);
}

static const uint8_t *item_key(const struct bulk_level *l, uint32_t i)
{
	return l->data.data + l->items[i].off + (size_t)l->items[i].nptr * PTR_LEN;
}

static bool encode(struct btree_bulk *b, unsigned level)
{
	const struct bulk_level *l = &b->lv[level];

	if (b->enc_cap < l->n) {
		struct node_item *p = realloc(b->enc, l->cap * sizeof *p);

		if (!p)
			return false;
		b->enc = p;
		b->enc_cap = l->cap;
	}
	buf_reset(&b->ptrs);
	buf_reset(&b->body);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct bulk_item *it = &l->items[i];
		const uint8_t *key = item_key(l, i);

		b->enc[i] = (struct node_item){ .key = key, .val = key + it->klen, .klen = it->klen, .vlen = it->vlen,
			.nptr = it->nptr };
		buf_add(&b->ptrs, l->data.data + it->off, (size_t)it->nptr * PTR_LEN);
	}
	node_body_encode(&b->body, !level, l->low, l->low_len, b->enc, l->n);
	return !b->ptrs.failed;
}

static int write_level(struct btree_bulk *b, unsigned level, struct blkptr *bp, struct lcpfs_error *err)
{
	if (!encode(b, level))
		return lcpfs_nomem(err);
	return bt_store_write(b->s, level, b->guid, b->ptrs.data, (uint32_t)b->lv[level].sums.nptr, &b->body, bp, err);
}

/* The sums as they would be with one more item. */
static struct bt_sums sums_with(const struct bulk_level *l, unsigned level, const uint8_t *key, size_t klen, size_t vlen,
                                unsigned nptr)
{
	struct bt_sums s = l->sums;
	size_t prefix = l->n ? bt_common(item_key(l, 0), l->items[0].klen, key, klen) : klen;

	s.leaf = level == 0;
	s.low_len = l->low_len;
	s.prefix = l->n ? MIN(s.prefix, prefix) : prefix;
	s.n++;
	s.ksum += klen;
	s.vsum += vlen;
	s.nptr += nptr;
	return s;
}

static int add(struct btree_bulk *b, unsigned level, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen,
               const struct blkptr *ptrs, unsigned nptr, struct lcpfs_error *err);

/* Write the node and hand it up; the next one begins with the key `next`. */
static int flush(struct btree_bulk *b, unsigned level, const uint8_t *next, size_t next_len, struct lcpfs_error *err)
{
	struct bulk_level *l = &b->lv[level];
	struct blkptr bp;
	size_t low_len = next_len;
	int rc = write_level(b, level, &bp, err);

	if (!rc && level + 1 == TREE_DEPTH_MAX)
		rc = lcpfs_fail(err, LCPFS_ELIMIT, "tree of %u levels", TREE_DEPTH_MAX);
	if (!rc)
		rc = add(b, level + 1, l->low, l->low_len, NULL, 0, &bp, 1, err);
	if (rc)
		return rc;
	if (!level && next_len)
		low_len = bt_separator_len(item_key(l, l->n - 1), l->items[l->n - 1].klen, next, next_len);
	l->low_len = (uint16_t)low_len;
	if (low_len)
		memcpy(l->low, next, low_len);
	l->n = 0;
	l->sums = (struct bt_sums){ 0 };
	buf_reset(&l->data);
	return 0;
}

static bool room(struct bulk_level *l)
{
	uint32_t cap = l->cap ? l->cap * 2 : 64;
	struct bulk_item *p;

	if (l->n < l->cap)
		return true;
	p = realloc(l->items, cap * sizeof *p);
	if (!p)
		return false;
	l->items = p;
	l->cap = cap;
	return true;
}

static int add(struct btree_bulk *b, unsigned level, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen,
               const struct blkptr *ptrs, unsigned nptr, struct lcpfs_error *err)
{
	struct bulk_level *l = &b->lv[level];
	struct bt_sums s = sums_with(l, level, key, klen, vlen, nptr);
	uint8_t *to;
	int rc;

	if (l->n && bt_sums_size(&s) > NODE_TARGET) {
		rc = flush(b, level, key, klen, err);
		if (rc)
			return rc;
		s = sums_with(l, level, key, klen, vlen, nptr);
	}
	if (!room(l) || !buf_reserve(&l->data, (size_t)nptr * PTR_LEN + klen + vlen))
		return lcpfs_nomem(err);
	l->items[l->n++] = (struct bulk_item){ l->data.len, (uint32_t)vlen, (uint16_t)klen, (uint8_t)nptr };
	l->sums = s;
	for (unsigned i = 0; i < nptr; i++) {
		to = buf_grow(&l->data, PTR_LEN);
		ptr_encode(&ptrs[i], to);
	}
	buf_add(&l->data, key, klen);
	buf_add(&l->data, val, vlen);
	return 0;
}

int btree_bulk_add(struct btree_bulk *b, const void *key, size_t klen, const void *val, size_t vlen, const struct blkptr *ptrs,
                   unsigned nptr, struct lcpfs_error *err)
{
	const struct bulk_level *l = &b->lv[0];

	if (!klen || klen > KEY_MAX || vlen > VAL_MAX || nptr > ITEM_PTRS_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "tree item with a key of %zu, a value of %zu bytes and %u pointers", klen, vlen,
		    nptr);
	for (unsigned i = 0; i < nptr; i++) {
		if (ptr_is_null(&ptrs[i]))
			return lcpfs_fail(err, LCPFS_EINVAL, "bulk load: null pointer");
	}
	if (l->n && bt_bytes_cmp(item_key(l, l->n - 1), l->items[l->n - 1].klen, key, klen) >= 0)
		return lcpfs_fail(err, LCPFS_EINVAL, "bulk load: keys out of order");
	return add(b, 0, key, klen, val, vlen, ptrs, nptr, err);
}

int btree_bulk_finish(struct btree_bulk *b, struct blkptr *root, struct lcpfs_error *err)
{
	unsigned level = 0;
	int rc;

	memset(root, 0, sizeof *root);
	if (!b->lv[0].n)
		return 0;
	for (; level + 1 < TREE_DEPTH_MAX && b->lv[level + 1].n; level++) {
		rc = flush(b, level, NULL, 0, err);
		if (rc)
			return rc;
	}
	if (level && b->lv[level].n == 1)
		return ptr_decode(root, b->lv[level].data.data, err);
	return write_level(b, level, root, err);
}
