/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up a node that cannot be read: an empty one takes its place, and goes the way of those that deletes leave empty. */
#include <inttypes.h>
#include "btree/btree_impl.h"

/* An empty leaf, below as many nodes with one child as the level asks for. */
static int empty_below(struct btree *t, unsigned level, const uint8_t *low, uint16_t low_len, struct bt_dnode **top, struct bt_dnode **leaf,
                       struct lcpfs_error *err)
{
	struct bt_dnode *d = bt_dnode_new(t, 0, low, low_len);

	*leaf = d;
	for (unsigned l = 1; d && l <= level; l++) {
		struct bt_dnode *p = bt_dnode_new(t, l, low, low_len);
		struct bt_ditem it;

		if (!p || !bt_dnode_reserve(p, 1) || !bt_ditem_make(&it, low, low_len, NULL, 0, 1)) {
			bt_dnode_free(t, p);
			bt_dnode_free(t, d);
			return lcpfs_nomem(err);
		}
		it.child = d;
		d->parent = p;
		bt_dnode_insert(t, p, 0, &it);
		d = p;
	}
	*top = d;
	return d ? 0 : lcpfs_nomem(err);
}

static int drop_root(struct btree *t, struct lcpfs_error *err)
{
	int rc = bt_store_kill_raw(t->s, t->owner, t->root_raw, 1, true, err);

	if (rc)
		return rc;
	t->changed = true;
	t->gen++;
	t->edits++;
	bt_root_set(t, NULL);
	return 0;
}

static int drop_child(struct btree *t, struct bt_dnode *d, uint32_t i, struct lcpfs_error *err)
{
	struct bt_ditem *it = &d->items[i];
	struct bt_dnode *top, *leaf;
	uint8_t low[KEY_MAX];
	uint16_t len = it->klen;
	int rc;

	if (it->child)
		return 1;
	if (len)
		memcpy(low, bt_ditem_key(it), len);
	rc = empty_below(t, d->level - 1u, low, len, &top, &leaf, err);
	if (rc)
		return rc;
	rc = bt_store_kill_raw(t->s, t->owner, it->mem, 1, true, err);
	if (rc) {
		bt_dnode_free(t, top);
		return rc;
	}
	it->child = top;
	top->parent = d;
	bt_hints_clear(t);
	t->changed = true;
	t->gen++;
	t->edits++;
	return bt_shrink(t, leaf, err);
}

int btree_drop(struct btree *t, unsigned level, const void *low, size_t llen, struct lcpfs_error *err)
{
	struct bt_dnode *d;
	uint32_t i;
	bool exact;
	int rc = 0;

	if (!t->droot && bt_root_null(t))
		return 1;
	if (!t->droot && (t->root_raw[14] >> 4) <= level)
		return (t->root_raw[14] >> 4) == level && !llen ? drop_root(t, err) : 1;
	if (!t->droot)
		rc = bt_dirty_root(t, err);
	for (d = t->droot; !rc && d->level > level; d = d->items[i].child) {
		i = bt_dnode_search(d, low, llen, &exact);
		if (!exact && !i)
			return 1;
		i -= !exact;
		if (d->level == level + 1)
			return exact ? drop_child(t, d, i, err) : 1;
		rc = bt_dirty_child(t, d, i, err);
	}
	return rc ? rc : 1;
}
