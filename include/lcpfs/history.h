/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking back: the roots of earlier commits, which the labels keep for a while. What they refer to may be reused two commits later, so every
 * use of one verifies first what is still there. Nothing here writes to the state that it looks at.
 */
#ifndef LCPFS_HISTORY_H
#define LCPFS_HISTORY_H
#include "lcpfs/check.h"

#ifdef __cplusplus
extern "C" {
#endif

enum lcpfs_root_state {
	LCPFS_ROOT_UNCHECKED,  /* its uberblock is there; no more is known */
	LCPFS_ROOT_COMPLETE,   /* all that was checked is as it was */
	LCPFS_ROOT_CONTENTS,   /* all names and attributes are there, but some contents are overwritten or damaged */
	LCPFS_ROOT_PARTLY,     /* it opens, but some of its nodes are overwritten or damaged */
	LCPFS_ROOT_GONE,       /* it does not open: the configuration or the root block is lost */
};
struct lcpfs_root {
	uint64_t txg;
	struct lcpfs_time time;    /* of the commit, by the clock of who made it */
	enum lcpfs_root_state state;
	bool current;              /* the one in force */
	bool abandoned;            /* older than the last rewind: not part of what led to the present */
	uint64_t blocks, bad_blocks; /* checked, and found wrong; blocks of a newer complete root are not checked again */
	const char *why;           /* PARTLY, GONE: the first thing wrong; valid during the visit */
};
enum {
	LCPFS_ROOT_CHECK = 1,      /* all nodes of all trees of each root are read and verified */
	LCPFS_ROOT_CHECK_OLD = 2,  /* and contents, but for those that the present has */
	LCPFS_ROOT_CHECK_DATA = 4, /* and all contents */
};
/* The roots on the labels of an open pool, newest first. visit returns 0 to go on, > 0 to stop. */
typedef int lcpfs_root_visit(void *arg, const struct lcpfs_root *r, struct lcpfs_error *err);
int lcpfs_root_each(struct lcpfs_pool *p, uint32_t flags, lcpfs_root_visit *visit, void *arg, struct lcpfs_error *err);
/*
 * An older root of a pool that is open (also for writing), as a pool of its own on the same devices: read-only, without a lock, to be closed before p. What p
 * writes meanwhile may overwrite it, unless lcpfs_root_protect was called. `o` (may be NULL): threads and memory.
 */
int lcpfs_root_open(struct lcpfs_pool **out, struct lcpfs_pool *p, uint64_t txg, const struct lcpfs_open_opts *o, struct lcpfs_error *err);
/*
 * p, open for writing, leaves alone what its older root `old` (of lcpfs_root_open) refers to, as far as it is still there, until p is closed. Before the
 * first change.
 */
int lcpfs_root_protect(struct lcpfs_pool *p, struct lcpfs_pool *old, struct lcpfs_error *err);
/*
 * A new dataset `name` in p with what the dataset or snapshot `from` was in the older root: every number, time and attribute, and its properties. Blocks that p
 * still refers to are shared, the others copied. p must have no changes that are not committed, but for those of other calls of this; old is protected first.
 * Nothing is permanent before the commit. When something of it was overwritten (-LCPFS_ECSUM, _EIO, _ECORRUPT) or a name does not do, nothing is changed; after
 * any other failure p can be committed no more.
 */
struct lcpfs_branch_stats { uint64_t shared_blocks, shared_bytes, copied_blocks, copied_bytes; };
int lcpfs_root_branch(struct lcpfs_pool *p, struct lcpfs_pool *old, const char *from, const char *name, struct lcpfs_branch_stats *st,
                      struct lcpfs_error *err);

/*
 * What is not there any more and was in a snapshot or in an older root that can still be read: each time a name went for good, with the newest state that had
 * it. The latest deletions come first, of each state in the order of paths, a directory before what was in it. A file that is still there under another
 * name is none. Only `path` and what is below (NULL or "": all), and only what went at or after `since` (NULL: all). p may be open for writing:
 * then the older roots are protected first, and the visitor may bring things back. visit returns 0 to go on, > 0 to stop.
 */
struct lcpfs_deleted {
	const char *path;
	const struct lcpfs_stat *st;
	struct lcpfs_dataset *in;    /* the state that had it, to copy from, during the visit */
	uint64_t txg;                /* of that state */
	const char *snap;            /* the snapshot it is, NULL: none */
	uint64_t root_txg;           /* the older root it was read from, 0: the pool as it is */
	struct lcpfs_time last_seen, gone_by; /* when that state was left, and the first without it */
	bool lost;                   /* its contents are overwritten */
};
typedef int lcpfs_deleted_visit(void *arg, const struct lcpfs_deleted *d, struct lcpfs_error *err);
int lcpfs_deleted_each(struct lcpfs_pool *p, const char *dataset, const char *path, const struct lcpfs_time *since, lcpfs_deleted_visit *visit,
                       void *arg, struct lcpfs_error *err);

/*
 * All states of all files in all snapshots, in the older roots that can still be read, and now, each once, with the first commit that has it: dataset by
 * dataset (NULL: all, also those destroyed since), the oldest first. A file with several names comes once for each.
 */
enum {                                   /* what the history contradicts */
	LCPFS_TIME_MTIME_FUTURE = 1,     /* later than the commit that first has this state */
	LCPFS_TIME_CTIME_FUTURE = 2,
	LCPFS_TIME_BTIME_FUTURE = 4,
	LCPFS_TIME_CTIME_BEFORE_BIRTH = 8,   /* the last change is before the making */
	LCPFS_TIME_CTIME_BEFORE_CHANGE = 16, /* the file was in the state before, and was another: it changed after that was left, but says before */
};
struct lcpfs_timeline {
	const char *dataset, *path, *target; /* target: of a symlink, else NULL */
	const struct lcpfs_stat *st;
	uint64_t txg;
	const char *snap;                    /* NULL: not a snapshot */
	struct lcpfs_time commit;            /* when the state was committed, or the snapshot taken */
	bool deleted;                        /* the file is not there any more */
	uint32_t contradictions;             /* LCPFS_TIME_* */
};
typedef int lcpfs_timeline_visit(void *arg, const struct lcpfs_timeline *e, struct lcpfs_error *err);
int lcpfs_timeline(struct lcpfs_pool *p, const char *dataset, lcpfs_timeline_visit *visit, void *arg, struct lcpfs_error *err);

/*
 * A new pool in the file `path`, which must not exist, with the datasets, snapshots and files of `from`, their numbers, sizes, times, owners and ACLs, but without
 * what is private: files are holes, names of datasets, snapshots, files and attributes and targets of symlinks are scrambled at the same length (letters and
 * digits; equal names in one directory stay equal), values of attributes are zeros, properties are left out. On failure the file is left behind, incomplete.
 */
int lcpfs_sanitize(struct lcpfs_pool *from, const char *path, struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
