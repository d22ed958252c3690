/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a tree.
 *
 * A node is clean (struct bt_clean: as read, shared through the cache, never changed) or dirty (struct bt_dnode: owned by the
 * tree, its items in a sorted array). The dirty nodes are a connected top part of the tree, so a dirty node's parent is dirty.
 *
 * Invariants
 *  (1) The key of entry i of an interior node is the low fence of child i; entry 0's is the node's own.
 *  (2) In a dirty node an entry with child == NULL has a valid pointer; one with a child has a dead one.
 *  (3) A node that became dirty had its pointer killed just then, once.
 *  (4) Every change, and every dirty node written, raises gen; cursors compare it before they trust their path.
 */
#ifndef BTREE_IMPL_H
#define BTREE_IMPL_H
#include "base/error.h"
#include "base/util.h"
#include "btree/btree.h"

/* A key in two pieces, as prefix compression leaves it. */
struct bt_key {
	const uint8_t *a, *b;
	uint16_t alen, blen;
};
static inline struct bt_key bt_key_of(const void *p, size_t len)
{
	return (struct bt_key){ .a = p, .b = (const uint8_t *)"", .alen = (uint16_t)len };
}
int bt_bytes_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen);
int bt_key_cmp(const struct bt_key *x, const struct bt_key *y);
uint16_t bt_common(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen); /* length of the common prefix */
/* Length of the shortest s with last < s <= first, which is a prefix of first. */
uint16_t bt_separator_len(const uint8_t *last, size_t last_len, const uint8_t *first, size_t first_len);

/* clean.c: nodes as read */
struct bt_clean {
	struct arc_obj obj; /* first */
	uint8_t *mem;       /* nptr raw pointers, then the body */
	struct node_body body;
	uint32_t nptr, body_len;
	uint8_t level;
	uint16_t ptr_at[]; /* leaf with pointers: where item i's begin */
};
/* A node from its bytes; takes mem only when it succeeds. Everything about the node by itself is checked. */
int bt_clean_make(struct bt_clean **out, uint8_t *mem, uint32_t nptr, uint32_t body_len, unsigned level, uint64_t addr,
                  uint64_t birth, struct lcpfs_error *err);
/* The node at the raw pointer, from the cache or read (and then cached when `insert`), referenced. */
int bt_node_get(struct btree_store *s, const uint8_t *raw, unsigned level, uint64_t birth_max, bool insert,
                struct bt_clean **out, struct lcpfs_error *err);
static inline void bt_node_put(struct bt_clean *n) { if (n) arc_put(&n->obj); }
/* Only the pointers of the node bp, all of them decodable and in order; works without keys. bt_ptrs_put frees. */
struct bt_ptrs {
	const uint8_t *raw;
	uint32_t n;
	struct bt_clean *node;
	uint8_t *mem;
};
int bt_ptrs_get(struct btree_store *s, const struct blkptr *bp, struct bt_ptrs *out, struct lcpfs_error *err);
void bt_ptrs_put(struct bt_ptrs *p);
/* Number of keys < key; *exact says that the one after them equals it. */
uint32_t bt_clean_search(const struct bt_clean *n, const uint8_t *key, size_t klen, bool *exact);
struct bt_key bt_clean_key(const struct bt_clean *n, uint32_t i);
/* Does the node fit between its parent's separators (high NULL: no bound)? */
int bt_clean_fences(const struct bt_clean *n, const struct bt_key *low, const struct bt_key *high, struct lcpfs_error *err);
/* store->write, and whatever the cache knew of the place is forgotten. */
int bt_store_write(struct btree_store *s, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr, const struct buf *body,
                   struct blkptr *bp, struct lcpfs_error *err);
int bt_store_kill_raw(struct btree_store *s, void *owner, const uint8_t *raw, uint32_t n, bool is_node, struct lcpfs_error *err);

/* dirty.c: nodes in memory */
struct bt_base { unsigned refs; }; /* the bytes of a node's items as they were read follow; split siblings share it */
struct bt_ditem {
	uint8_t *mem; /* nptr raw pointers, key, value */
	struct bt_dnode *child;
	uint32_t vlen;
	uint16_t klen;
	uint8_t nptr;
	bool owned; /* mem is a malloc of its own, not part of the base */
};
struct bt_dnode {
	struct bt_dnode *parent, *older, *newer; /* older, newer: leaves by last change */
	struct bt_base *base;
	struct bt_ditem *items;
	uint32_t n, cap;
	uint64_t ksum, vsum, nptr; /* totals over the items */
	size_t weight;             /* what t->dirty_bytes has for it */
	uint8_t level;
	uint16_t low_len;
	uint8_t low[KEY_MAX];
};
static inline const uint8_t *bt_ditem_key(const struct bt_ditem *it) { return it->mem + PTR_LEN * it->nptr; }
static inline uint8_t *bt_ditem_val(const struct bt_ditem *it) { return it->mem + PTR_LEN * it->nptr + it->klen; }

/* The leaf of the last change, and where its range ends (len < 0: nowhere): one for each of some classes of first bytes. */
#define BT_HINTS 4u
struct bt_hint { struct bt_dnode *leaf; int len; uint8_t high[KEY_MAX]; };
static inline unsigned bt_hint_of(const uint8_t *key) { return (key[0] ^ key[0] >> 4) % BT_HINTS; }

struct btree {
	struct btree_store *s;
	void *owner;
	uint64_t guid, gen;
	uint64_t edits; /* btree_edits */
	uint8_t root_raw[PTR_LEN]; /* when droot is NULL; all zero: empty */
	struct blkptr root;
	struct bt_dnode *droot;
	bool changed;  /* since open or the last write */
	bool no_insert; /* nodes read do not enter the cache */
	size_t dirty_bytes;
	struct bt_dnode *oldest, *newest; /* dirty leaves */
	struct bt_hint hint[BT_HINTS];
	struct bt_path *spare; /* of the cursor closed last */
	struct buf body;       /* scratch for writing */
	struct buf ptrs;
	struct node_item *enc;
	size_t enc_cap;
};
static inline bool bt_root_null(const struct btree *t) { return ptr_raw_addr(t->root_raw) == 0; }
void bt_root_set(struct btree *t, const struct blkptr *bp);
static inline void bt_hints_clear(struct btree *t)
{
	for (unsigned i = 0; i < BT_HINTS; i++)
		t->hint[i].leaf = NULL;
}

struct bt_dnode *bt_dnode_new(struct btree *t, unsigned level, const uint8_t *low, uint16_t low_len);
void bt_dnode_free(struct btree *t, struct bt_dnode *d); /* with all dirty nodes below */
int bt_dnode_from_clean(struct btree *t, const struct bt_clean *c, struct bt_dnode **out, struct lcpfs_error *err);
bool bt_dnode_reserve(struct bt_dnode *d, uint32_t extra);
uint32_t bt_dnode_search(const struct bt_dnode *d, const uint8_t *key, size_t klen, bool *exact);
uint32_t bt_dnode_index(const struct bt_dnode *d); /* in its parent */
/* Encoded size: pointers and body. From totals, and the first and last key. */
struct bt_sums { uint64_t n, ksum, vsum, nptr, low_len, prefix; bool leaf; };
uint64_t bt_sums_size(const struct bt_sums *s);
uint64_t bt_dnode_size(const struct bt_dnode *d);
/* Items in and out; the node's totals and the tree's account follow. Room must be there. */
void bt_dnode_insert(struct btree *t, struct bt_dnode *d, uint32_t i, const struct bt_ditem *it);
void bt_dnode_remove(struct btree *t, struct bt_dnode *d, uint32_t i); /* frees the item, not its child */
void bt_dnode_account(struct btree *t, struct bt_dnode *d, const struct bt_ditem *minus, const struct bt_ditem *plus);
/* Move items from..n of `from` to the end of `to`, which has room. ENOMEM leaves both as they were. */
int bt_dnode_move(struct btree *t, struct bt_dnode *from, uint32_t at, struct bt_dnode *to, struct lcpfs_error *err);
void bt_ditem_fini(struct bt_ditem *it);
bool bt_ditem_make(struct bt_ditem *it, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, unsigned nptr);
void bt_leaf_touch(struct btree *t, struct bt_dnode *d); /* d changed last */
/* Write d, whose children are clean; *bp is where it is now. d stays. */
int bt_dnode_write(struct btree *t, struct bt_dnode *d, struct blkptr *bp, struct lcpfs_error *err);

/* Its pointers and body, in one malloc'ed block. */
int bt_dnode_encode(struct btree *t, const struct bt_dnode *d, uint8_t **mem, uint32_t *body_len, struct lcpfs_error *err);
/* The cache learns of it; owns mem. */
void bt_dnode_written(struct btree *t, const struct bt_dnode *d, uint8_t *mem, uint32_t body_len, const struct blkptr *bp);

/* tree.c: d is written, at bp: that goes where it belongs, d away. */
void bt_settle(struct btree *t, struct bt_dnode *d, const struct blkptr *bp);

/* flight.c: leaves written by the store's threads, through its `submit` */
struct bt_flights;
struct bt_flights *bt_flights_create(struct btree *t, struct lcpfs_error *err);
/* d is settled when it landed, at the latest by bt_flights_end; until then neither it nor its place may change. A failure may be of one before. */
int bt_flights_send(struct bt_flights *f, struct bt_dnode *d, struct lcpfs_error *err);
int bt_flights_end(struct bt_flights *f, struct lcpfs_error *err); /* frees f; NULL: nothing */

/* change.c, shrink.c */
int bt_dirty_root(struct btree *t, struct lcpfs_error *err);
int bt_dirty_child(struct btree *t, struct bt_dnode *d, uint32_t i, struct lcpfs_error *err);
int bt_fix_size(struct btree *t, struct bt_dnode *d, bool appended, struct lcpfs_error *err); /* split what is too big */
int bt_shrink(struct btree *t, struct bt_dnode *d, struct lcpfs_error *err); /* d lost an item: merge, remove, collapse */

/* cursor.c */
struct bt_frame {
	struct bt_clean *c; /* one of the two */
	struct bt_dnode *d;
	uint32_t idx;
};
struct bt_path {
	uint64_t gen;
	unsigned depth; /* frames in use, the last is a leaf */
	uint16_t klen;  /* of the key in keybuf */
	bool at_item;
	struct bt_frame f[TREE_DEPTH_MAX];
};
static inline unsigned bt_frame_level(const struct bt_frame *f) { return f->d ? f->d->level : f->c->level; }
static inline uint32_t bt_frame_n(const struct bt_frame *f) { return f->d ? f->d->n : f->c->body.nitems; }
struct bt_key bt_frame_key(const struct bt_frame *f, uint32_t i);
/* Fill frame `at` with the root (0) or with what entry idx of the frame above leads to, checked against that. */
int bt_frame_enter(struct btree *t, struct bt_path *p, unsigned at, struct lcpfs_error *err);
void bt_path_release(struct bt_path *p); /* let go of all nodes */
/* The item that frame f of a leaf stands at; its key, put together, goes to keybuf. */
void bt_frame_item(const struct bt_frame *f, uint8_t keybuf[KEY_MAX], struct bt_item *out);

/* diff_ptrs.c: ids held in memory at a time before the work is done in shares of the addresses; tests lower it */
extern size_t bt_diff_ids_max;
#endif
