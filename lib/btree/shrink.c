/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a delete: a node under a quarter full is joined with a sibling (and split again when that is too much), one left empty is
 * removed, a root with one child gives way to it.
 *
 * A sibling that cannot be read is let be: deleting goes on working in a damaged tree, at the worst an empty leaf stays.
 */
#include "btree/btree_impl.h"

static struct bt_sums dirty_sums(const struct bt_dnode *d)
{
	return (struct bt_sums){ .n = d->n, .ksum = d->ksum, .vsum = d->vsum, .nptr = d->nptr, .low_len = d->low_len,
		.leaf = !d->level };
}

static struct bt_sums clean_sums(const struct bt_clean *c)
{
	struct bt_sums s = { .n = c->body.nitems, .nptr = c->nptr, .low_len = c->body.low_len, .leaf = !c->level };

	if (!s.n)
		return s;
	s.ksum = s.n * c->body.prefix_len + node_end_at(c->body.key_end, c->body.nitems - 1);
	if (s.leaf)
		s.vsum = node_end_at(c->body.val_end, c->body.nitems - 1) & NODE_VAL_END;
	return s;
}

static void edge_key(const struct bt_dnode *d, const struct bt_clean *c, bool last, uint8_t out[KEY_MAX], size_t *len)
{
	struct bt_frame f = { .d = (struct bt_dnode *)d, .c = (struct bt_clean *)c };
	struct bt_key k = bt_frame_key(&f, last ? bt_frame_n(&f) - 1 : 0);

	memcpy(out, k.a, k.alen);
	memcpy(out + k.alen, k.b, k.blen);
	*len = (size_t)k.alen + k.blen;
}

/* Encoded size of d and its sibling (dirty or clean) in one node; d has items. */
static uint64_t joined_size(const struct bt_dnode *d, const struct bt_dnode *sd, const struct bt_clean *sc, bool sibling_left)
{
	struct bt_sums a = dirty_sums(d), b = sd ? dirty_sums(sd) : clean_sums(sc);
	uint8_t first[KEY_MAX], last[KEY_MAX];
	size_t first_len = 0, last_len = 0;

	if (b.n) {
		edge_key(sibling_left ? sd : d, sibling_left ? sc : NULL, false, first, &first_len);
		edge_key(sibling_left ? d : sd, sibling_left ? NULL : sc, true, last, &last_len);
		a.prefix = bt_common(first, first_len, last, last_len);
	}
	a.n += b.n;
	a.ksum += b.ksum;
	a.vsum += b.vsum;
	a.nptr += b.nptr;
	a.low_len = sibling_left ? b.low_len : a.low_len;
	return bt_sums_size(&a);
}

/* Is joining child i of p with its neighbour j sensible? Also no when j cannot be read. */
static bool worth_joining(struct btree *t, struct bt_dnode *p, uint32_t i, uint32_t j)
{
	struct bt_dnode *sd = p->items[j].child;
	struct bt_clean *sc = NULL;
	uint64_t size;

	if (!sd && bt_node_get(t->s, p->items[j].mem, p->level - 1u, UINT64_MAX, true, &sc, NULL))
		return false;
	size = joined_size(p->items[i].child, sd, sc, j < i);
	bt_node_put(sc);
	/* more than that would come apart in worse pieces: it is the loss of a common prefix */
	return size <= NODE_TARGET * 3 / 2;
}

/* Join d with a sibling. *done says whether. */
static int join(struct btree *t, struct bt_dnode *d, bool *done, struct lcpfs_error *err)
{
	struct bt_dnode *p = d->parent, *l, *r;
	uint32_t i = bt_dnode_index(d), j = i ? i - 1 : i + 1;
	int rc;

	*done = worth_joining(t, p, i, j);
	if (!*done && i && i + 1 < p->n) {
		j = i + 1;
		*done = worth_joining(t, p, i, j);
	}
	if (!*done)
		return 0;
	rc = bt_dirty_child(t, p, j, err);
	if (rc)
		return rc;
	l = p->items[MIN(i, j)].child;
	r = p->items[MAX(i, j)].child;
	if (!bt_dnode_reserve(l, r->n))
		return lcpfs_nomem(err);
	rc = bt_dnode_move(t, r, 0, l, err);
	if (rc)
		return rc;
	bt_hints_clear(t);
	if (!l->level)
		bt_leaf_touch(t, l);
	bt_dnode_remove(t, p, MAX(i, j));
	bt_dnode_free(t, r);
	return bt_fix_size(t, l, false, err);
}

/* Make the left edge below entry i of d dirty, down to the leaf. 1: something there cannot be read. */
static int dirty_left_edge(struct btree *t, struct bt_dnode *d, uint32_t i, struct lcpfs_error *err)
{
	for (; d->level; d = d->items[i].child, i = 0) {
		struct bt_clean *c;
		int rc;

		if (d->items[i].child)
			continue;
		if (bt_node_get(t->s, d->items[i].mem, d->level - 1u, UINT64_MAX, true, &c, NULL))
			return 1;
		bt_node_put(c);
		rc = bt_dirty_child(t, d, i, err);
		if (rc)
			return rc;
	}
	return 0;
}

static void rekey(struct btree *t, struct bt_dnode *d, uint32_t i, struct bt_ditem *with)
{
	struct bt_ditem *old = &d->items[i];

	memcpy(with->mem, old->mem, PTR_LEN);
	with->child = old->child;
	bt_dnode_account(t, d, old, with);
	bt_ditem_fini(old);
	*old = *with;
}

/* Child 0 of p goes: child 1 takes over its low fence, and so does all of its left edge, which is dirty. */
static int lower_left_edge(struct btree *t, struct bt_dnode *p, const uint8_t *low, uint16_t low_len, struct lcpfs_error *err)
{
	struct bt_ditem key[TREE_DEPTH_MAX];
	unsigned n = 0;

	while (n < p->level && bt_ditem_make(&key[n], low, low_len, NULL, 0, 1))
		n++;
	if (n < p->level) {
		while (n--)
			bt_ditem_fini(&key[n]);
		return lcpfs_nomem(err);
	}
	rekey(t, p, 1, &key[--n]);
	for (struct bt_dnode *d = p->items[1].child;; d = d->items[0].child) {
		d->low_len = low_len;
		memcpy(d->low, low, low_len);
		if (!d->level)
			return 0;
		rekey(t, d, 0, &key[--n]);
	}
}

/* A lower fence may have cost the nodes on that edge their common prefix, and so their size. */
static int fix_left_edge(struct btree *t, struct bt_dnode *d, struct lcpfs_error *err)
{
	int rc = d->level ? fix_left_edge(t, d->items[0].child, err) : 0;

	return rc ? rc : bt_fix_size(t, d, false, err);
}

/* d is empty: remove it, and the ancestors that have nothing else. *next is the first that stays (NULL: nothing more to do). */
static int remove_empty(struct btree *t, struct bt_dnode *d, struct bt_dnode **next, struct lcpfs_error *err)
{
	struct bt_dnode *p;
	uint32_t i;
	int rc;

	*next = NULL;
	while (d->parent && d->parent->n == 1)
		d = d->parent;
	p = d->parent;
	if (!p) {
		bt_dnode_free(t, d);
		t->droot = NULL;
		bt_root_set(t, NULL);
		return 0;
	}
	i = bt_dnode_index(d);
	rc = i ? 0 : dirty_left_edge(t, p, 1, err);
	if (!rc && !i)
		rc = lower_left_edge(t, p, d->low, d->low_len, err);
	if (rc)
		return rc < 0 ? rc : 0;
	bt_hints_clear(t);
	bt_dnode_remove(t, p, i);
	bt_dnode_free(t, d);
	*next = p;
	return i ? 0 : fix_left_edge(t, p->items[0].child, err);
}

/* Is the clean root an interior node with one child? Then make it dirty. */
static int dirty_thin_root(struct btree *t, struct lcpfs_error *err)
{
	unsigned level = t->root_raw[14] >> 4;
	struct bt_clean *c;
	bool thin;

	if (bt_root_null(t) || !level || bt_node_get(t->s, t->root_raw, level, UINT64_MAX, true, &c, NULL))
		return 0;
	thin = c->body.nitems == 1;
	bt_node_put(c);
	return thin ? bt_dirty_root(t, err) : 0;
}

static int collapse_root(struct btree *t, struct lcpfs_error *err)
{
	struct bt_dnode *d;
	int rc = 0;

	while (!rc && (d = t->droot) && d->level && d->n == 1) {
		struct bt_ditem *it = &d->items[0];

		bt_hints_clear(t);
		t->droot = it->child;
		if (it->child)
			it->child->parent = NULL;
		else
			memcpy(t->root_raw, it->mem, PTR_LEN);
		it->child = NULL;
		bt_dnode_free(t, d);
		if (!t->droot)
			rc = dirty_thin_root(t, err);
	}
	if (!rc && t->droot && !t->droot->n) {
		bt_dnode_free(t, t->droot);
		t->droot = NULL;
		bt_root_set(t, NULL);
	}
	return rc;
}

int bt_shrink(struct btree *t, struct bt_dnode *d, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && d && d->parent) {
		bool joined = true;

		if (!d->n) {
			rc = remove_empty(t, d, &d, err);
			continue;
		}
		if (bt_dnode_size(d) >= NODE_TARGET / 4)
			return 0;
		if (d->parent->n > 1) {
			struct bt_dnode *p = d->parent;

			rc = join(t, d, &joined, err);
			d = p;
		} else {
			d = d->parent;
		}
		if (!joined)
			return rc;
	}
	return rc || !d ? rc : collapse_root(t, err);
}
