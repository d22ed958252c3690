/* SPDX-License-Identifier: Apache-2.0 */
/* Inside dmu. */
#ifndef DMU_IMPL_H
#define DMU_IMPL_H
#include "dmu/dmu.h"

/* Counter changes of one head by interval of birth, not yet in the pool tree. */
struct dead_delta {
	struct dead_delta *next;
	uint64_t upper_txg, blocks, psize;
};

/* Split "a/b@c": parent path and last part; "@c" or NULL snapshot. Checks every level. */
#define DS_NAME_MAX 1023u /* "a/b/c", without the snapshot */
struct ds_name {
	char parent[DS_NAME_MAX + 1], last[NAME_MAX_BYTES + 1], dataset[DS_NAME_MAX + 1], snap[NAME_MAX_BYTES + 1];
	bool is_snap, is_root;
};
int ds_name_parse(struct ds_name *out, const char *name, struct lcpfs_error *err);

struct dataset *dmu_find_open(struct spa *s, uint64_t id);
/* Everything of heads is in the pool tree; afterwards records and roots there are true. */
int dmu_settle(struct spa *s, struct lcpfs_error *err);
/* The snapshot `id` of a prev path; its txg must be below `below`, so that following prev links comes to an end on any image. */
int dmu_prev_get(struct spa *s, uint64_t id, uint64_t below, struct dsrec *out, struct lcpfs_error *err);
/* Full names of open datasets are made anew after something was renamed. */
int dmu_refresh_names(struct spa *s, struct lcpfs_error *err);
/* Fails when someone holds the head open; forgets it when nobody does. After dmu_settle. */
int dmu_forget(struct spa *s, uint64_t id, const char *name, struct lcpfs_error *err);

int dead_add(struct dataset *ds, const struct blkptr *bp, struct lcpfs_error *err);
int dead_write(struct dataset *ds, struct lcpfs_error *err);
void dead_drop(struct dataset *ds);
/* All counters of `from` are added to those of `to` (0: dropped), from upper_txg > after. */
int dead_move(struct spa *s, uint64_t from, uint64_t to, struct lcpfs_error *err);
/* Remove keys of ds with after < upper <= upto. */
int dead_remove(struct spa *s, uint64_t ds, uint64_t after, uint64_t upto, struct lcpfs_error *err);

int name_put(struct spa *s, uint64_t parent, const char *name, uint64_t id, struct lcpfs_error *err);
int name_del(struct spa *s, uint64_t parent, const char *name, struct lcpfs_error *err);
int name_get(struct spa *s, uint64_t parent, const char *name, uint64_t *id, struct lcpfs_error *err); /* -LCPFS_ENOENT */
int name_taken(struct spa *s, uint64_t parent, const char *name, bool *taken, struct lcpfs_error *err);
int name_of(struct spa *s, uint64_t parent, uint64_t id, struct buf *out, struct lcpfs_error *err);
int snaptxg_put(struct spa *s, uint64_t ds, uint64_t txg, uint64_t id, struct lcpfs_error *err);
int snaptxg_del(struct spa *s, uint64_t ds, uint64_t txg, struct lcpfs_error *err);
int rec_del(struct spa *s, uint64_t id, struct lcpfs_error *err);
int prop_drop_all(struct spa *s, uint64_t id, struct lcpfs_error *err);
int dmu_child_count(struct spa *s, uint64_t snap_id, int delta, struct lcpfs_error *err);
int dmu_next_hint(struct spa *s, uint64_t snap_id, uint64_t next, struct lcpfs_error *err); /* a successor, to look at first */
/* Free every block of the tree at root with birth > floor. */
int dmu_free_tree(struct spa *s, const struct blkptr *root, uint64_t floor, uint64_t *bytes, struct lcpfs_error *err);
/* The one record whose prev is snap. */
int dmu_successor(struct spa *s, const struct dsrec *snap, struct dsrec *out, struct lcpfs_error *err);
int snapshot_one(struct spa *s, uint64_t head, const char *snap, uint64_t guid, uint64_t *id, struct lcpfs_error *err);
#endif
