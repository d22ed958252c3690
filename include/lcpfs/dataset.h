/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datasets, snapshots, clones, properties. A dataset is named "home/ann", a snapshot "home/ann@mon"; "" is the root dataset
 * and "@mon" a snapshot of it. Levels are 1-255 bytes of A-Za-z0-9._-+ (a
 * snapshot's name 254), never "." or "..".
 */
#ifndef LCPFS_DATASET_H
#define LCPFS_DATASET_H
#include "lcpfs/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_dataset;

enum lcpfs_ds_kind { LCPFS_DS_FS = 1, LCPFS_DS_SNAPSHOT = 3 };
struct lcpfs_ds_info {
	const char *name;       /* full; valid during the visit */
	int kind;               /* LCPFS_DS_* */
	uint64_t id, guid;
	uint64_t created_txg;
	int64_t created_s;
	uint64_t used_bytes;    /* head: stored bytes it refers to that its previous snapshot does not hold; snapshot: what destroying it alone frees */
	uint64_t refer_bytes;   /* stored bytes reachable */
	uint64_t n_files;       /* inodes */
	const char *origin;     /* clone: the snapshot it came from; else NULL */
	uint32_t n_children;    /* snapshot: its successors */
	uint32_t n_holds;
};

/* Open a head (read-write when the pool is) or a snapshot (read-only). */
int lcpfs_dataset_open(struct lcpfs_dataset **out, struct lcpfs_pool *p, const char *name, struct lcpfs_error *err);
void lcpfs_dataset_close(struct lcpfs_dataset *ds); /* NULL: nothing; changes stay in the pool handle */
const char *lcpfs_dataset_name(const struct lcpfs_dataset *ds); /* good until something is renamed or promoted, or ds closed */
struct lcpfs_pool *lcpfs_dataset_pool(const struct lcpfs_dataset *ds);
bool lcpfs_dataset_is_snapshot(const struct lcpfs_dataset *ds);

int lcpfs_dataset_create(struct lcpfs_pool *p, const char *name, bool parents, struct lcpfs_error *err);
int lcpfs_dataset_rename(struct lcpfs_pool *p, const char *from, const char *to, struct lcpfs_error *err);
/*
 * A dataset; `recursive`: with its snapshots, children and their snapshots, all or nothing. LCPFS_EHELD names what depends on it (clones outside,
 * holds, children), LCPFS_EBUSY what is open.
 */
int lcpfs_dataset_destroy(struct lcpfs_pool *p, const char *name, bool recursive, struct lcpfs_error *err);
/* Visit `name` itself and, when recursive, everything below; datasets sorted by name, each followed by its snapshots in order of creation when `snaps`. */
typedef int lcpfs_ds_visit(void *arg, const struct lcpfs_ds_info *info, struct lcpfs_error *err);
int lcpfs_dataset_each(struct lcpfs_pool *p, const char *name, bool recursive, bool snaps, lcpfs_ds_visit *visit, void *arg,
                       struct lcpfs_error *err);
int lcpfs_dataset_info(struct lcpfs_pool *p, const char *name, lcpfs_ds_visit *visit, void *arg, struct lcpfs_error *err);

/* Snapshots: several in one call appear or vanish together or not at all. `recursive`: of the whole subtree of each. */
int lcpfs_snap_create(struct lcpfs_pool *p, const char *const *names, size_t n, bool recursive, struct lcpfs_error *err);
/* Also "ds@a%b": all from a to b. LCPFS_EHELD when held or when several clones stand on it. *freed (may be NULL): bytes that come free. */
int lcpfs_snap_destroy(struct lcpfs_pool *p, const char *const *names, size_t n, bool recursive, uint64_t *freed, struct lcpfs_error *err);
int lcpfs_snap_rename(struct lcpfs_pool *p, const char *from, const char *to, bool recursive, struct lcpfs_error *err);
int lcpfs_clone(struct lcpfs_pool *p, const char *snap, const char *name, struct lcpfs_error *err);
int lcpfs_promote(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err);
/* The head becomes what `snap` was. What it leaves is kept as the snapshot `keep` ("name"; NULL: dropped). */
int lcpfs_rollback(struct lcpfs_pool *p, const char *snap, const char *keep, struct lcpfs_error *err);

/* Holds keep a snapshot from being destroyed. */
int lcpfs_hold(struct lcpfs_pool *p, const char *snap, const char *tag, struct lcpfs_error *err);
int lcpfs_release(struct lcpfs_pool *p, const char *snap, const char *tag, struct lcpfs_error *err);

/*
 * Properties: "compress", "record", "checksum" and others that the engine knows, and any "user:name" of the user's. Known ones are checked.
 * source: "local", "inherited from X", "default".
 */
int lcpfs_prop_set(struct lcpfs_pool *p, const char *ds, const char *prop, const char *value, struct lcpfs_error *err); /* value NULL: inherit again */
typedef int lcpfs_prop_visit(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err);
/* One property, or (prop NULL) all: known ones first, then user ones, then holds ("hold:TAG"), each sorted. */
int lcpfs_prop_get(struct lcpfs_pool *p, const char *ds, const char *prop, lcpfs_prop_visit *visit, void *arg, struct lcpfs_error *err);

/* Differences between two trees (of any pools), depth first in name order. */
enum lcpfs_diff_kind { LCPFS_DIFF_ADDED = '+', LCPFS_DIFF_REMOVED = '-', LCPFS_DIFF_MODIFIED = 'M', LCPFS_DIFF_RENAMED = 'R' };
enum { LCPFS_CHG_CONTENT = 1, LCPFS_CHG_MODE = 2, LCPFS_CHG_OWNER = 4, LCPFS_CHG_TIME = 8, LCPFS_CHG_XATTR = 16, LCPFS_CHG_TYPE = 32,
       LCPFS_CHG_TARGET = 64, LCPFS_CHG_LINKS = 128 };
struct lcpfs_diff {
	char kind;           /* LCPFS_DIFF_* */
	uint32_t mode;       /* of the new one, or the removed one */
	uint32_t changed;    /* modified, renamed: LCPFS_CHG_* */
	const char *path;    /* no leading slash; "" = the root */
	const char *from;    /* renamed: the old path */
	uint64_t old_size, new_size;
};
typedef int lcpfs_diff_visit(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err);
enum { LCPFS_DIFF_IGNORE_TIMES = 1 /* mtime and ctime alone are no difference */ };
/* visit returns 0 to go on, > 0 to stop early. *differs (may be NULL). ctime, atime and btime alone are never a difference. */
int lcpfs_diff(struct lcpfs_dataset *a, struct lcpfs_dataset *b, uint32_t flags, lcpfs_diff_visit *visit, void *arg, bool *differs,
               struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
