/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btree: the one copy-on-write B+tree, used for datasets, the pool tree and the space tree.
 *
 * Clean nodes live on disk and, decoded, in the cache; a change decodes the path to the root into dirty nodes in memory,
 * and kills the pointers they came by. btree_write writes dirty nodes bottom-up. One thread at a time uses a tree.
 * The tree knows nothing of its items but how many pointers each owns.
 */
#ifndef BTREE_H
#define BTREE_H
#include <stdbool.h>
#include "arc/arc.h"
#include "format/node.h"
#include "format/ptr.h"

/* What a tree needs from below and from its owner. */
struct btree_store;
struct btree_store_ops {
	/*
	 * Read, verify and decode the node at bp. On success *ptrs_body is one malloc'ed block: nptr raw pointers, then
	 * the decoded body of bp->lsize bytes; *nptr says how many pointers.
	 */
	int (*read)(struct btree_store *s, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err);
	/* Compress, hash, place and write a node; *bp gets everything, birth = the open txg. */
	int (*write)(struct btree_store *s, unsigned level, uint64_t tree_guid, const uint8_t *ptrs, uint32_t nptr,
	             const uint8_t *body, uint32_t body_len, struct blkptr *bp, struct lcpfs_error *err);
	/*
	 * The tree gives up its reference bp: its own node's, replaced (is_node), or one owned by an item that was
	 * replaced or deleted.
	 */
	int (*kill)(struct btree_store *s, void *owner, const struct blkptr *bp, bool is_node, struct lcpfs_error *err);
	/*
	 * May be NULL. As write, of a node with no node below it, on another thread perhaps: `done` is called in the order of submission, on any
	 * thread, with 0 and the pointer or a failure. ptrs_body: nptr raw pointers, then the body; the caller's, and not to be touched until then.
	 */
	int (*submit)(struct btree_store *s, unsigned level, uint64_t tree_guid, const uint8_t *ptrs_body, uint32_t nptr, uint32_t body_len,
	              void (*done)(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why), void *arg,
	              struct lcpfs_error *err);
};
struct btree_store {
	const struct btree_store_ops *ops;
	struct arc *arc; /* may be NULL */
};

struct btree;
/* `root` NULL or null: empty. `owner` is handed to kill. The store outlives the tree. */
int btree_open(struct btree **out, struct btree_store *s, const struct blkptr *root, uint64_t tree_guid, void *owner,
               struct lcpfs_error *err);
void btree_close(struct btree *t); /* NULL: nothing; dirty nodes are dropped */

/* An item as read: valid until its cursor moves or closes, or the tree changes. */
struct bt_item {
	const uint8_t *key, *val, *ptrs; /* ptrs: nptr raw pointers, use ptr_decode */
	uint16_t klen;
	uint32_t vlen;
	uint8_t nptr;
};

/*
 * Cursors. Zero-initialised is closed. A cursor holds its path; a change of the tree invalidates it (it re-seeks by its last key at the
 * next btree_next, so that deleting while iterating works). Each returns 0 (c->item is set), 1 (no such item / no more) or < 0.
 */
struct bt_cursor {
	struct bt_item item;
	struct btree *t;
	struct bt_path *path; /* private */
	uint8_t keybuf[KEY_MAX];
};
int btree_get(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, struct lcpfs_error *err);  /* exact */
int btree_seek(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, struct lcpfs_error *err); /* first >= key */
int btree_seek_le(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, struct lcpfs_error *err); /* last <= key */
int btree_next(struct bt_cursor *c, struct lcpfs_error *err);
void btree_cursor_close(struct bt_cursor *c);

/*
 * Changes. A put replaces; pointers of a replaced or deleted item are killed, even when the new one has equal ones,
 * except with BT_KEEP_PTRS: the item keeps the pointers it has (nptr must be 0; the item must exist), or, in a delete, they are not
 * killed (they move elsewhere). btree_del returns 1 when there was none.
 */
enum { BT_KEEP_PTRS = 1, BT_NEW = 2 /* put: fail with LCPFS_EEXIST when there */ };
int btree_put(struct btree *t, const void *key, size_t klen, const void *val, size_t vlen, const struct blkptr *ptrs,
              unsigned nptr, unsigned flags, struct lcpfs_error *err);
int btree_del(struct btree *t, const void *key, size_t klen, unsigned flags, struct lcpfs_error *err);
/* Change an item's value where it is; its length and pointers stay. 1: no such item. */
int btree_edit(struct btree *t, const void *key, size_t klen, void (*edit)(void *arg, uint8_t *val, uint32_t vlen), void *arg,
               struct lcpfs_error *err);

/* A number that is another after every put and delete that changed something, also one that failed half-way. */
uint64_t btree_edits(const struct btree *t);

/*
 * The node of this level whose range begins at `low` goes, without a look at it, and all below with it: its own pointer is killed, what it led to is
 * in no tree any more. 1: there is no such node.
 */
int btree_drop(struct btree *t, unsigned level, const void *low, size_t llen, struct lcpfs_error *err);

bool btree_is_dirty(const struct btree *t);
size_t btree_dirty_bytes(const struct btree *t); /* memory */
/* Write all dirty nodes bottom-up; the tree is clean after. */
int btree_write(struct btree *t, struct lcpfs_error *err);
/* Write dirty leaves, those changed longest ago first, until at most `keep` dirty bytes are left (interior nodes stay dirty). */
int btree_shed(struct btree *t, size_t keep, struct lcpfs_error *err);
/* The root pointer; only of a clean tree (null: empty). */
const struct blkptr *btree_root(const struct btree *t);

/* A tree from items in strictly ascending order, O(height) memory, nodes filled. finish gives the root (null: no items). */
struct btree_bulk;
int btree_bulk_create(struct btree_bulk **out, struct btree_store *s, uint64_t tree_guid, struct lcpfs_error *err);
int btree_bulk_add(struct btree_bulk *b, const void *key, size_t klen, const void *val, size_t vlen, const struct blkptr *ptrs,
                   unsigned nptr, struct lcpfs_error *err);
int btree_bulk_finish(struct btree_bulk *b, struct blkptr *root, struct lcpfs_error *err);
void btree_bulk_destroy(struct btree_bulk *b); /* NULL: nothing */

/*
 * All pointers reachable from root, each node's before those below it, in key order. `visit` returns 0 to go on, 1 to
 * not descend below this node, < 0 to stop. Item pointers (kind data or blob) are visited too; leaves flagged PTR_NOPTR are
 * visited but not read. A node that cannot be read is reported to `bad` (NULL: the walk fails) and skipped when it returns 0.
 */
struct btree_walk {
	int (*visit)(void *arg, const struct blkptr *bp, struct lcpfs_error *err);
	int (*bad)(void *arg, const struct blkptr *bp, const struct lcpfs_error *why);
	void *arg;
};
int btree_walk_ptrs(struct btree_store *s, const struct blkptr *root, const struct btree_walk *w, struct lcpfs_error *err);

/*
 * Keyless difference of the trees at a and b (either may be null): pointers, as a multiset of (addr, birth), that only a has
 * and birth > floor go to only_a, those that only b has to only_b (either callback may be NULL). Level by level from the
 * taller root; common pointers are dropped with what is below them; PTR_NOPTR leaves are not read. An unreadable
 * node goes to `bad` as above; what is below it is then in neither set, nor is what the other side has that could be below
 * it (is no younger): a block that may be in use is never told as dropped. Cost follows the difference.
 */
struct btree_diff_ptrs {
	int (*only_a)(void *arg, const struct blkptr *bp, struct lcpfs_error *err);
	int (*only_b)(void *arg, const struct blkptr *bp, struct lcpfs_error *err);
	int (*bad)(void *arg, const struct blkptr *bp, const struct lcpfs_error *why);
	void *arg;
};
int btree_diff_ptrs(struct btree_store *s, const struct blkptr *a, const struct blkptr *b, uint64_t floor,
                    const struct btree_diff_ptrs *d, struct lcpfs_error *err);

/*
 * Items that differ, in key order: visit(arg, item of a or NULL, item of b or NULL). Items with equal key, value and equal (addr,
 * birth) of all pointers are left out. The trees may come from two stores: `foreign` says that pointers cannot be
 * compared by address (then every item is visited, unless key and value are equal and it owns no pointers).
 */
int btree_diff_items(struct btree_store *sa, const struct blkptr *a, struct btree_store *sb, const struct blkptr *b, bool foreign,
                     int (*visit)(void *arg, const struct bt_item *ia, const struct bt_item *ib, struct lcpfs_error *err),
                     void *arg, struct lcpfs_error *err);
#endif
