/* SPDX-License-Identifier: Apache-2.0 */
/* put and del: making the path dirty, changing the leaf, splitting. */
#include <inttypes.h>
#include <stdlib.h>
#include "btree/btree_impl.h"

/* Load the node at raw (for the tree only), decode it into *out, and give its pointer up. */
static int dirty_node(struct btree *t, const uint8_t *raw, unsigned level, const struct bt_key *low, const struct bt_key *high,
                      struct bt_dnode **out, struct lcpfs_error *err)
{
	struct bt_clean *c;
	struct bt_dnode *d = NULL;
	int rc = bt_node_get(t->s, raw, level, UINT64_MAX, true, &c, err);

	if (rc)
		return rc;
	rc = bt_clean_fences(c, low, high, err);
	if (!rc)
		rc = bt_dnode_from_clean(t, c, &d, err);
	if (!rc)
		rc = bt_store_kill_raw(t->s, t->owner, raw, 1, true, err);
	t->edits += rc < 0;
	bt_node_put(c);
	if (rc) {
		bt_dnode_free(t, d);
		return rc;
	}
	t->changed = true;
	t->gen++;
	*out = d;
	return 0;
}

int bt_dirty_root(struct btree *t, struct lcpfs_error *err)
{
	struct bt_key low = bt_key_of("", 0);

	return dirty_node(t, t->root_raw, t->root_raw[14] >> 4, &low, NULL, &t->droot, err);
}

/* Where d's range ends: the separator to the right of it, or of its nearest ancestor that has one. */
static bool range_end(const struct bt_dnode *d, struct bt_key *out)
{
	for (; d->parent; d = d->parent) {
		uint32_t i = bt_dnode_index(d) + 1;

		if (i < d->parent->n) {
			*out = bt_key_of(bt_ditem_key(&d->parent->items[i]), d->parent->items[i].klen);
			return true;
		}
	}
	return false;
}

int bt_dirty_child(struct btree *t, struct bt_dnode *d, uint32_t i, struct lcpfs_error *err)
{
	struct bt_ditem *it = &d->items[i];
	struct bt_key low = bt_key_of(bt_ditem_key(it), it->klen), high;
	bool bounded = true;
	int rc;

	if (it->child)
		return 0;
	if (i + 1 < d->n)
		high = bt_key_of(bt_ditem_key(it + 1), it[1].klen);
	else
		bounded = range_end(d, &high);
	rc = dirty_node(t, it->mem, d->level - 1u, &low, bounded ? &high : NULL, &it->child, err);
	if (!rc)
		it->child->parent = d;
	return rc;
}

static uint32_t split_point(const struct bt_dnode *d)
{
	uint64_t total = d->ksum + d->vsum + d->nptr * PTR_LEN + d->n * 8, acc = 0;
	uint32_t i = 0;

	while (i + 1 < d->n && acc * 2 < total) {
		acc += 8u + d->items[i].klen + d->items[i].vlen + (uint64_t)d->items[i].nptr * PTR_LEN;
		i++;
	}
	return MAX(i, 1);
}

/* A node above d when it is the root, and room in its parent for one more child. */
static int parent_ready(struct btree *t, struct bt_dnode *d, struct lcpfs_error *err)
{
	struct bt_dnode *p = d->parent;
	struct bt_ditem it;

	if (p)
		return bt_dnode_reserve(p, 1) ? 0 : lcpfs_nomem(err);
	if (d->level + 1u >= TREE_DEPTH_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "tree of %u levels", TREE_DEPTH_MAX);
	p = bt_dnode_new(t, d->level + 1u, d->low, d->low_len);
	if (!p || !bt_dnode_reserve(p, 2) || !bt_ditem_make(&it, d->low, d->low_len, NULL, 0, 1)) {
		bt_dnode_free(t, p);
		return lcpfs_nomem(err);
	}
	it.child = d;
	bt_dnode_insert(t, p, 0, &it);
	d->parent = p;
	t->droot = p;
	return 0;
}

/* Items from `at` on go to a new right sibling. */
static int split(struct btree *t, struct bt_dnode *d, uint32_t at, struct bt_dnode **out, struct lcpfs_error *err)
{
	const struct bt_ditem *first = &d->items[at], *last = first - 1;
	uint16_t len = first->klen;
	struct bt_ditem sep = { 0 };
	struct bt_dnode *r;
	int rc = parent_ready(t, d, err);

	if (rc)
		return rc;
	if (!d->level)
		len = bt_separator_len(bt_ditem_key(last), last->klen, bt_ditem_key(first), first->klen);
	r = bt_dnode_new(t, d->level, bt_ditem_key(first), len);
	if (!r || !bt_dnode_reserve(r, d->n - at) || !bt_ditem_make(&sep, r->low, len, NULL, 0, 1)) {
		bt_dnode_free(t, r);
		return lcpfs_nomem(err);
	}
	rc = bt_dnode_move(t, d, at, r, err);
	if (rc) {
		bt_dnode_free(t, r);
		bt_ditem_fini(&sep);
		return rc;
	}
	bt_hints_clear(t);
	r->parent = d->parent;
	sep.child = r;
	bt_dnode_insert(t, d->parent, bt_dnode_index(d) + 1, &sep);
	*out = r;
	return 0;
}

int bt_fix_size(struct btree *t, struct bt_dnode *d, bool appended, struct lcpfs_error *err)
{
	struct bt_dnode *r = NULL, *p;
	int rc;

	if (d->n < 2 || bt_dnode_size(d) <= NODE_TARGET)
		return 0;
	rc = split(t, d, appended ? d->n - 1 : split_point(d), &r, err);
	if (!rc)
		rc = bt_fix_size(t, d, false, err);
	if (!rc)
		rc = bt_fix_size(t, r, false, err);
	if (rc)
		return rc;
	p = r->parent;
	return bt_fix_size(t, p, p->items[p->n - 1].child == r, err);
}

/* Where a key is or belongs, in a dirty leaf; leaf NULL when a look was enough. */
struct spot {
	struct bt_dnode *leaf;
	uint32_t idx;
	bool exact;
};
enum need { ANY, PRESENT, ABSENT }; /* what the key must be for there to be something to change */

static bool hint_fits(const struct bt_hint *h, const uint8_t *key, size_t klen)
{
	const struct bt_dnode *d = h->leaf;

	return d && bt_bytes_cmp(key, klen, d->low, d->low_len) >= 0 &&
	    (h->len < 0 || bt_bytes_cmp(key, klen, h->high, (size_t)h->len) < 0);
}

/* Look before a clean node is made dirty for nothing. Returns 1 when there is nothing to change. */
static int peek(struct btree *t, const uint8_t *key, size_t klen, enum need need, struct spot *s, struct lcpfs_error *err)
{
	struct bt_cursor c;
	int rc;

	c.path = NULL;
	rc = btree_get(t, &c, key, klen, err);
	btree_cursor_close(&c);
	s->exact = rc == 0;
	return rc < 0 ? rc : s->exact != (need == PRESENT);
}

static int first_leaf(struct btree *t, struct lcpfs_error *err)
{
	t->droot = bt_dnode_new(t, 0, NULL, 0);
	if (!t->droot)
		return lcpfs_nomem(err);
	t->changed = true;
	return 0;
}

static void set_hint(struct bt_hint *h, struct bt_dnode *leaf, const struct bt_ditem *high)
{
	h->leaf = leaf;
	h->len = high ? high->klen : -1;
	if (high)
		memcpy(h->high, bt_ditem_key(high), high->klen);
}

/* Down to the leaf, making the path dirty. Returns 1 when nothing needs a change. */
static int dirty_path(struct btree *t, const uint8_t *key, size_t klen, enum need need, struct spot *s, struct lcpfs_error *err)
{
	const struct bt_ditem *high = NULL;
	struct bt_dnode *d;
	int rc = 0;

	if (!t->droot) {
		if (bt_root_null(t) && need == PRESENT)
			return 1;
		if (!bt_root_null(t) && need != ANY)
			rc = peek(t, key, klen, need, s, err);
		need = ANY;
		if (!rc)
			rc = bt_root_null(t) ? first_leaf(t, err) : bt_dirty_root(t, err);
	}
	for (d = t->droot; !rc && d->level; ) {
		bool exact;
		uint32_t i = bt_dnode_search(d, key, klen, &exact);

		i -= !exact && i;
		if (i + 1 < d->n)
			high = &d->items[i + 1];
		if (!d->items[i].child && need != ANY) {
			rc = peek(t, key, klen, need, s, err);
			need = ANY;
		}
		if (!rc)
			rc = bt_dirty_child(t, d, i, err);
		d = d->items[i].child;
	}
	if (!rc)
		set_hint(&t->hint[bt_hint_of(key)], d, high);
	return rc;
}

static int find_spot(struct btree *t, const uint8_t *key, size_t klen, enum need need, struct spot *s, struct lcpfs_error *err)
{
	struct bt_hint *h = &t->hint[bt_hint_of(key)];
	const struct bt_dnode *d;
	int rc;

	*s = (struct spot){ 0 };
	if (!hint_fits(h, key, klen)) {
		rc = dirty_path(t, key, klen, need, s, err);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	d = s->leaf = h->leaf;
	/* the usual case of rising keys */
	if (!d->n || bt_bytes_cmp(key, klen, bt_ditem_key(&d->items[d->n - 1]), d->items[d->n - 1].klen) > 0)
		s->idx = d->n;
	else
		s->idx = bt_dnode_search(d, key, klen, &s->exact);
	return 0;
}

static void leaf_changed(struct btree *t, struct bt_dnode *d)
{
	t->gen++;
	t->edits++;
	t->changed = true;
	bt_leaf_touch(t, d);
}

static int check_put(size_t klen, size_t vlen, const struct blkptr *ptrs, unsigned nptr, unsigned flags, struct lcpfs_error *err)
{
	if (!klen || klen > KEY_MAX || vlen > VAL_MAX || nptr > ITEM_PTRS_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "tree item with a key of %zu, a value of %zu bytes and %u pointers", klen, vlen,
		    nptr);
	if ((flags & ~(BT_KEEP_PTRS | BT_NEW)) || flags == (BT_KEEP_PTRS | BT_NEW) || ((flags & BT_KEEP_PTRS) && nptr))
		return lcpfs_fail(err, LCPFS_EINVAL, "tree put: flags %#x with %u pointers", flags, nptr);
	for (unsigned i = 0; i < nptr; i++) {
		if (ptr_is_null(&ptrs[i]))
			return lcpfs_fail(err, LCPFS_EINVAL, "tree put: null pointer");
	}
	return 0;
}

/* Put the new item in the place of the one at s. Its value may lie inside the old one. */
static int replace(struct btree *t, struct spot *s, struct bt_ditem *it, bool keep, struct lcpfs_error *err)
{
	struct bt_ditem *old = &s->leaf->items[s->idx];
	int rc = 0;

	t->edits += old->nptr;
	if (keep)
		memcpy(it->mem, old->mem, (size_t)old->nptr * PTR_LEN);
	else
		rc = bt_store_kill_raw(t->s, t->owner, old->mem, old->nptr, false, err);
	if (rc)
		return rc;
	bt_dnode_account(t, s->leaf, old, it);
	bt_ditem_fini(old);
	*old = *it;
	return 0;
}

static int insert(struct btree *t, struct spot *s, const struct bt_ditem *it, struct lcpfs_error *err)
{
	if (!bt_dnode_reserve(s->leaf, 1))
		return lcpfs_nomem(err);
	bt_dnode_insert(t, s->leaf, s->idx, it);
	return 0;
}

int btree_put(struct btree *t, const void *key, size_t klen, const void *val, size_t vlen, const struct blkptr *ptrs,
              unsigned nptr, unsigned flags, struct lcpfs_error *err)
{
	bool keep = flags & BT_KEEP_PTRS;
	struct bt_ditem it;
	struct spot s;
	int rc = check_put(klen, vlen, ptrs, nptr, flags, err);

	if (!rc)
		rc = find_spot(t, key, klen, keep ? PRESENT : flags & BT_NEW ? ABSENT : ANY, &s, err);
	if (rc)
		return rc;
	if (s.exact && (flags & BT_NEW))
		return lcpfs_fail(err, LCPFS_EEXIST, "tree item is there");
	if (!s.exact && keep)
		return lcpfs_fail(err, LCPFS_ENOENT, "no such tree item");
	if (!bt_ditem_make(&it, key, klen, val, vlen, keep ? s.leaf->items[s.idx].nptr : nptr))
		return lcpfs_nomem(err);
	for (unsigned i = 0; i < nptr; i++)
		ptr_encode(&ptrs[i], it.mem + (size_t)i * PTR_LEN);
	rc = s.exact ? replace(t, &s, &it, keep, err) : insert(t, &s, &it, err);
	if (rc) {
		bt_ditem_fini(&it);
		return rc;
	}
	leaf_changed(t, s.leaf);
	return bt_fix_size(t, s.leaf, !s.exact && s.idx == s.leaf->n - 1, err);
}

int btree_edit(struct btree *t, const void *key, size_t klen, void (*edit)(void *arg, uint8_t *val, uint32_t vlen), void *arg,
               struct lcpfs_error *err)
{
	struct bt_ditem *it;
	struct spot s;
	int rc = klen && klen <= KEY_MAX ? find_spot(t, key, klen, PRESENT, &s, err) : 1;

	if (rc)
		return rc;
	if (!s.exact || !s.leaf)
		return 1;
	it = &s.leaf->items[s.idx];
	edit(arg, bt_ditem_val(it), it->vlen);
	leaf_changed(t, s.leaf);
	return 0;
}

int btree_del(struct btree *t, const void *key, size_t klen, unsigned flags, struct lcpfs_error *err)
{
	struct bt_ditem *it;
	struct spot s;
	int rc = 0;

	if (flags & ~(unsigned)BT_KEEP_PTRS)
		return lcpfs_fail(err, LCPFS_EINVAL, "tree delete: flags %#x", flags);
	if (!klen || klen > KEY_MAX)
		return 1;
	rc = find_spot(t, key, klen, PRESENT, &s, err);
	if (rc)
		return rc;
	if (!s.exact || !s.leaf)
		return 1;
	it = &s.leaf->items[s.idx];
	t->edits += it->nptr;
	if (!(flags & BT_KEEP_PTRS))
		rc = bt_store_kill_raw(t->s, t->owner, it->mem, it->nptr, false, err);
	if (rc)
		return rc;
	bt_dnode_remove(t, s.leaf, s.idx);
	leaf_changed(t, s.leaf);
	return bt_shrink(t, s.leaf, err);
}
