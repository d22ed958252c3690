/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dmu: datasets, snapshots, clones: records in the pool tree, each with a tree of its own; and the rule by which blocks are freed.
 *
 * A head has a previous snapshot with txg P (0: none; a clone's is its origin). A pointer that the head gives up is freed when its
 * birth > P, else the snapshot owns it and only a counter moves.
 *
 * Invariants
 *  (1) prev links form a tree; n_children of a snapshot counts everything whose prev it is.
 *  (2) A pointer born in txg b is reachable from a contiguous run of a prev path beginning at the first snapshot >= b.
 *  (3) A write after a snapshot has birth > the snapshot's txg (spa_close_txg in between).
 */
#ifndef DMU_H
#define DMU_H
#include "format/inode.h"
#include "spa/spa.h"

struct zpl;
struct dataset {
	struct spa_client client;    /* first */
	struct spa *spa;
	struct dsrec rec;
	struct btree_store store;
	struct btree *tree;
	struct dsinfo info;          /* decoded ITEM_DSINFO; zpl owns its meaning */
	bool writable, rec_dirty, info_dirty;
	unsigned refs;
	struct dataset *next;        /* spa's open datasets */
	struct dead_delta *dead;     /* counter changes not yet in the pool tree */
	uint64_t *chain; size_t n_chain; /* txgs of the snapshots on the prev path, descending; loaded when first needed */
	struct zpl *zpl;             /* zpl's part; set and freed through zpl_hooks */
	char *name;                  /* "home/ann@mon"; "" = root dataset */
};
/* What zpl does at a dataset's commit and close; set once by zpl_init. */
struct zpl_hooks {
	int (*flush)(struct dataset *ds, struct lcpfs_error *err); /* contents not yet in the tree go into it */
	void (*close)(struct dataset *ds);
};
void dmu_set_zpl_hooks(const struct zpl_hooks *h);

/* Names: "a/b", "a/b@snap", "" and "@snap" for the root dataset. */
int dmu_lookup(struct spa *s, const char *name, struct dsrec *out, struct lcpfs_error *err);
int dmu_rec_get(struct spa *s, uint64_t id, struct dsrec *out, struct lcpfs_error *err);
int dmu_rec_put(struct spa *s, const struct dsrec *r, struct lcpfs_error *err);
/* Open; the same head opened twice is one struct. A snapshot is read-only. */
int dmu_open(struct spa *s, const char *name, struct dataset **out, struct lcpfs_error *err);
int dmu_open_id(struct spa *s, uint64_t id, struct dataset **out, struct lcpfs_error *err);
/* For a repair: also one whose name or header item cannot be read; its info is then zero. */
int dmu_open_damaged(struct spa *s, uint64_t id, struct dataset **out, struct lcpfs_error *err);
/* LCPFS_EBUSY when someone has it open. */
int dmu_check_closed(struct spa *s, uint64_t id, const char *name, struct lcpfs_error *err);
void dmu_close(struct dataset *ds); /* NULL: nothing. Uncommitted changes stay until commit: spa holds dirty heads open */
int dmu_full_name(struct spa *s, uint64_t id, struct buf *out, struct lcpfs_error *err);

/* A new head, empty; parents must exist. */
int dmu_create(struct spa *s, const char *name, struct dataset **out, struct lcpfs_error *err);
int dmu_rename(struct spa *s, const char *from, const char *to, struct lcpfs_error *err); /* datasets or snapshots */
int dmu_destroy_head(struct spa *s, const char *name, struct lcpfs_error *err); /* no snapshots, no children; else LCPFS_EHELD */
/* Several snapshots ("ds@x") at one instant: all or none. guid 0: made here. */
int dmu_snapshot(struct spa *s, const char *const *names, size_t n, struct lcpfs_error *err);
/* Every refusal of dmu_destroy_snap, and the record. */
int dmu_destroy_snap_check(struct spa *s, const char *name, struct dsrec *snap, struct lcpfs_error *err);
int dmu_destroy_snap(struct spa *s, const char *name, uint64_t *freed_bytes, struct lcpfs_error *err);
int dmu_clone(struct spa *s, const char *snap, const char *name, struct lcpfs_error *err);
/* The snapshot of another dataset that this head's path goes on with, 0: none. Derived, so that nothing can make it stale. */
int dmu_origin(struct spa *s, const struct dsrec *head, uint64_t *id, struct lcpfs_error *err);
int dmu_promote(struct spa *s, const char *name, struct lcpfs_error *err);
/* The head of `ds` becomes S (an ancestor). keep != NULL: what it leaves becomes snapshot `keep` ("x", without the dataset). */
int dmu_rollback(struct spa *s, const char *snap, const char *keep, struct lcpfs_error *err);
/* For receive: re-base head `id` on snapshot `snap_id`, made under a hidden dataset. Same rule as rollback. */
int dmu_rebase(struct spa *s, uint64_t head_id, uint64_t snap_id, const char *keep, struct lcpfs_error *err);
/* A hidden clone of snapshot `base_id` (0: empty) for a receive; and its end: snapshot it as `name` of dataset `head_id` with this guid, drop it. */
int dmu_hidden_create(struct spa *s, uint64_t base_id, uint64_t parent_id, struct dataset **out, struct lcpfs_error *err);
int dmu_hidden_publish(struct spa *s, struct dataset *hidden, uint64_t head_id, const char *snap, uint64_t guid, uint64_t *snap_id,
                       struct lcpfs_error *err);
int dmu_hidden_drop(struct spa *s, struct dataset *hidden, struct lcpfs_error *err);

/* Iterate records under a parent: datasets (snaps = false) or snapshots of it (ascending txg). visit: 0 go on. */
int dmu_each(struct spa *s, uint64_t parent, bool snaps,
             int (*visit)(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err), void *arg, struct lcpfs_error *err);

/* Properties and holds. get: value malloc'ed, *source = "local", "inherited from X" or "default" (malloc'ed). */
int dmu_prop_get(struct spa *s, uint64_t id, const char *name, char **value, char **source, struct lcpfs_error *err);
int dmu_prop_set(struct spa *s, uint64_t id, const char *name, const char *value, struct lcpfs_error *err); /* value NULL: inherit */
int dmu_prop_each(struct spa *s, uint64_t id, int (*visit)(void *arg, const char *name, const char *value, struct lcpfs_error *err),
                  void *arg, struct lcpfs_error *err); /* local ones */

/* A new inode, data or pack number of this head: takes a group at the first call where it has none. */
int dmu_new_number(struct dataset *ds, uint64_t *out, struct lcpfs_error *err);
/* Everything of this head is in its tree, the tree is written and rec.root names it: readers of trees by pointer begin with this. */
int dmu_settle_head(struct dataset *ds, struct lcpfs_error *err);
/* Mark a head changed (a tree change does it too). */
void dmu_dirty(struct dataset *ds);

/* Expected and derived sizes of what destroying a snapshot frees (for fsck): DEAD sum of the successor over (prev, txg]. */
int dmu_dead_sum(struct spa *s, uint64_t ds, uint64_t after_txg, uint64_t upto_txg, uint64_t *blocks, uint64_t *psize, struct lcpfs_error *err);
/* "used by snapshot": what destroying it alone would free. */
int dmu_snap_used(struct spa *s, const struct dsrec *snap, uint64_t *bytes, struct lcpfs_error *err);
#endif
