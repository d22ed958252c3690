/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing and writing a tree. */
#include <stdlib.h>
#include "btree/btree_impl.h"

#define LEAVES_MANY 8u

void bt_root_set(struct btree *t, const struct blkptr *bp)
{
	memset(t->root_raw, 0, sizeof t->root_raw);
	if (bp)
		ptr_encode(bp, t->root_raw);
}

int btree_open(struct btree **out, struct btree_store *s, const struct blkptr *root, uint64_t tree_guid, void *owner,
               struct lcpfs_error *err)
{
	struct btree *t;

	if (root && !ptr_is_null(root) && (root->kind != PTR_NODE || root->level >= TREE_DEPTH_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "tree root of kind %u, level %u", root->kind, root->level);
	t = calloc(1, sizeof *t);
	if (!t)
		return lcpfs_nomem(err);
	t->s = s;
	t->guid = tree_guid;
	t->owner = owner;
	bt_root_set(t, root);
	*out = t;
	return 0;
}

void btree_close(struct btree *t)
{
	if (!t)
		return;
	bt_dnode_free(t, t->droot);
	buf_fini(&t->body);
	buf_fini(&t->ptrs);
	free(t->enc);
	free(t->spare);
	free(t);
}

bool btree_is_dirty(const struct btree *t)
{
	return t->droot || t->changed;
}

uint64_t btree_edits(const struct btree *t) { return t->edits; }
size_t btree_dirty_bytes(const struct btree *t)
{
	return t->dirty_bytes;
}

const struct blkptr *btree_root(const struct btree *t)
{
	struct btree *w = (struct btree *)t;

	/* what is in root_raw came from a decoded pointer, or from a node that was checked */
	if (ptr_decode(&w->root, t->root_raw, NULL))
		memset(&w->root, 0, sizeof w->root);
	return &t->root;
}

void bt_settle(struct btree *t, struct bt_dnode *d, const struct blkptr *bp)
{
	struct bt_dnode *p = d->parent;

	t->gen++;
	if (p) {
		struct bt_ditem *it = &p->items[bt_dnode_index(d)];

		ptr_encode(bp, it->mem);
		it->child = NULL;
	} else {
		bt_root_set(t, bp);
		t->droot = NULL;
	}
	bt_dnode_free(t, d);
}

/* Write d, whose children are clean; d is gone after. */
static int write_one(struct btree *t, struct bt_dnode *d, struct lcpfs_error *err)
{
	struct blkptr bp;
	int rc = bt_dnode_write(t, d, &bp, err);

	if (!rc)
		bt_settle(t, d, &bp);
	return rc;
}

static int write_below(struct btree *t, struct bt_dnode *d, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && d->level && i < d->n; i++) {
		if (d->items[i].child)
			rc = write_below(t, d->items[i].child, err);
	}
	return rc ? rc : write_one(t, d, err);
}

/* The store's threads are worth waking for this. */
static bool many_leaves(const struct btree *t)
{
	unsigned n = 0;

	for (const struct bt_dnode *d = t->oldest; d && n < LEAVES_MANY; d = d->newer)
		n++;
	return n == LEAVES_MANY && t->s->ops->submit;
}

static int send_leaves(struct bt_flights *f, struct bt_dnode *d, struct lcpfs_error *err)
{
	int rc = 0;

	if (!d->level)
		return bt_flights_send(f, d, err);
	for (uint32_t i = 0; !rc && i < d->n; i++) {
		if (d->items[i].child)
			rc = send_leaves(f, d->items[i].child, err);
	}
	return rc;
}

static int leaves_write(struct btree *t, struct lcpfs_error *err)
{
	struct bt_flights *f = bt_flights_create(t, err);
	int rc = f ? send_leaves(f, t->droot, err) : -LCPFS_ENOMEM, end = bt_flights_end(f, rc ? NULL : err);

	return rc ? rc : end;
}

int btree_write(struct btree *t, struct lcpfs_error *err)
{
	int rc = many_leaves(t) ? leaves_write(t, err) : 0;

	if (!rc && t->droot)
		rc = write_below(t, t->droot, err);
	if (!rc)
		t->changed = false;
	return rc;
}

static int leaves_shed(struct btree *t, size_t keep, struct lcpfs_error *err)
{
	struct bt_flights *f = bt_flights_create(t, err);
	struct bt_dnode *d = t->oldest, *next;
	size_t left = t->dirty_bytes;
	int rc = f ? 0 : -LCPFS_ENOMEM, end;

	for (; !rc && left > keep && d; d = next) {
		next = d->newer;
		left -= d->weight;
		rc = bt_flights_send(f, d, err);
	}
	end = bt_flights_end(f, rc ? NULL : err);
	return rc ? rc : end;
}

int btree_shed(struct btree *t, size_t keep, struct lcpfs_error *err)
{
	int rc = t->dirty_bytes > keep && many_leaves(t) ? leaves_shed(t, keep, err) : 0;

	while (!rc && t->dirty_bytes > keep && t->oldest)
		rc = write_one(t, t->oldest, err);
	return rc;
}
