/* SPDX-License-Identifier: Apache-2.0 */
/* Walking all pointers of a tree. Looks at pointer arrays only, so it works without keys; memory is one node per level. */
#include "btree/btree_impl.h"

static int walk_node(struct btree_store *s, const struct blkptr *bp, const struct btree_walk *w, struct lcpfs_error *err);

static int walk_below(struct btree_store *s, const struct blkptr *bp, const struct bt_ptrs *p, const struct btree_walk *w,
                      struct lcpfs_error *err)
{
	struct blkptr child;
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < p->n; i++) {
		rc = ptr_decode(&child, p->raw + (size_t)i * PTR_LEN, err);
		if (!rc)
			rc = bp->level ? walk_node(s, &child, w, err) : w->visit(w->arg, &child, err);
	}
	return MIN(rc, 0);
}

static int walk_node(struct btree_store *s, const struct blkptr *bp, const struct btree_walk *w, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct bt_ptrs p;
	int rc = w->visit(w->arg, bp, err);

	if (rc || (!bp->level && (bp->flags & PTR_NOPTR)))
		return MIN(rc, 0);
	rc = bt_ptrs_get(s, bp, &p, &why);
	if (rc) {
		if (w->bad && rc != -LCPFS_ENOMEM)
			return w->bad(w->arg, bp, &why);
		if (err)
			*err = why;
		return rc;
	}
	rc = walk_below(s, bp, &p, w, err);
	bt_ptrs_put(&p);
	return rc;
}

int btree_walk_ptrs(struct btree_store *s, const struct blkptr *root, const struct btree_walk *w, struct lcpfs_error *err)
{
	if (!root || ptr_is_null(root))
		return 0;
	if (root->kind != PTR_NODE || root->level >= TREE_DEPTH_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "tree root of kind %u, level %u", root->kind, root->level);
	return walk_node(s, root, w, err);
}
