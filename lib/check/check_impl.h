/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside check. Everything here looks at what was published last, through uberblock and stored blocks alone: never at the cache, nor at
 * what an open handle has changed and not committed.
 *
 * Invariants
 *  (1) Nothing is written, whatever is found: a check makes a plan (plan.h), which is carried out after it (repair.c).
 *  (2) No walk visits a node twice: a child must begin where its parent says, and fences of one level ascend.
 *  (3) What is not known to hold of the pool is looked up, not assumed: ids, names and counts come from tables filled by one pass.
 */
#ifndef CHECK_IMPL_H
#define CHECK_IMPL_H
#include "base/error.h"
#include "base/util.h"
#include "check/plan.h"
#include "check/problems.h"
#include "format/pack.h"
#include "lcpfs/check.h"
#include "spa/spa.h"
#include <stdlib.h>

#define CK_POOL UINT32_MAX        /* "dataset" number of the pool tree and what it owns */
#define CK_SPACE (UINT32_MAX - 1) /* and of the space tree */

/* What the pool tree says, in the order of its keys. */
struct ck_ds {
	struct dsrec rec;
	char *name;        /* full name; "#ID" when it has none that can be told */
	uint32_t successors, names, in_snaptxg;
	bool unsound;      /* its tree, or what is claimed by it, has damage */
	bool walked;       /* all of its items were seen */
	uint64_t bad;      /* damaged blocks that are part of it */
	uint64_t ref_psize, ref_lsize, ref_blocks, n_inodes, n_files; /* recounted */
};
struct ck_name { uint64_t parent, id; char *name; };
struct ck_snaptxg { uint64_t ds, txg, id; };
struct ck_dead { uint64_t ds, upper, blocks, psize; };
struct ck_prop { uint64_t ds; bool family; };

struct ck_pending;
struct check {
	struct spa *spa;
	const struct lcpfs_check_opts *o;
	uint64_t problems, shallow; /* found; of these in labels and config */
	struct uberblock ub;
	struct btree_store store;  /* reads blocks, caches nothing */
	size_t budget;             /* bytes for queues and bitmaps */

	struct ck_ds *ds; size_t n_ds, cap_ds;
	struct ck_name *names; size_t n_names, cap_names;
	struct ck_snaptxg *snaptxg; size_t n_snaptxg, cap_snaptxg;
	struct ck_dead *dead; size_t n_dead, cap_dead;
	struct ck_prop *props; size_t n_props, cap_props;

	struct ck_pending *pending; size_t n_pending, cap_pending; /* findings that still lack a path */
	uint64_t path_budget;      /* directory entries that may still be read for paths */

	struct ck_clash { uint64_t addr, sectors; } *clash; size_t n_clash, cap_clash; /* what is used twice, while a plan is wanted */
	bool lost_records;         /* a dataset's record, or a node of the pool tree, cannot be read: that something is missing proves nothing */
	struct ck_plan *plan;      /* NULL: none is wanted */
	bool result;               /* the roots are not published yet: labels and config are not looked at */
	const char *device;        /* for messages */

	const char *phase;
	uint64_t entries, bytes, total_bytes, last_tick_ns;
	bool canceled;
	bool labeled;              /* P0 found a label: this is a pool, in whatever state */
};
void ck_init(struct check *ck, struct spa *spa, const struct lcpfs_check_opts *o);
void ck_fini(struct check *ck);
/* Grow an array by one element: `p` its address, `n` how many it has. False when out of memory. */
bool ck_grow(void **p, size_t *cap, size_t n, size_t size);
#define CK_PUSH(arr, n, cap) (ck_grow((void **)&(arr), &(cap), (n), sizeof *(arr)) ? &(arr)[(n)++] : NULL)

/* report.c */
struct ck_where {
	const struct ck_ds *ds;
	const char *path;
	uint64_t ino, offset, length, addr;
	bool stays;                /* whatever the table says, this one is not repaired */
};
/*
 * Tell of a finding; the text is its sentence, followed by ": " and what fmt says. One with ds and ino but no path is kept
 * until ck_flush, which finds paths for many at once.
 */
void ck_report(struct check *ck, enum problem_id id, const struct ck_where *w, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int ck_flush(struct check *ck, struct lcpfs_error *err);
/* The rows of the problem table. */
extern const struct lcpfs_problem_kind ck_kinds[P_N];
/* Does the block lie in a chunk, where one may begin? */
bool ck_addr_ok(const struct check *ck, const struct blkptr *bp);
/* Is it used twice, and has not what this pointer expects? Only while a plan is wanted. */
bool ck_clash_lost(const struct check *ck, const struct blkptr *bp);
enum problem_id ck_problem_of(const struct blkptr *bp, int rc); /* code of a block that cannot be had */
/* More was done; about 10 times a second the caller's progress hook. -LCPFS_ECANCEL. */
int ck_tick(struct check *ck, uint64_t entries, uint64_t bytes, struct lcpfs_error *err);

/* walk.c */
struct ck_key { const uint8_t *p; size_t len; };
int ck_key_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen);
struct ck_walk {
	/* Before a node is read: 1 = leave it out with all below. low and high (NULL: no bound) are where its keys lie. */
	int (*node)(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err);
	int (*item)(void *arg, const struct bt_item *it, struct lcpfs_error *err);
	/* A node that cannot be read or makes no sense; 0: go on without it. */
	int (*bad)(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
	           const struct lcpfs_error *why, struct lcpfs_error *err);
	void *arg;
	struct ck_key from, to; /* only items from <= key < to; to.p NULL: no bound */
};
/* All nodes and items of the tree at root, in key order, each node checked in full. Callbacks return 0 or < 0; each may be NULL. */
int ck_walk(struct check *ck, const struct blkptr *root, const struct ck_walk *w, struct lcpfs_error *err);
/* The range of keys that begin with the bytes t .. last. */
void ck_walk_types(struct ck_walk *w, uint8_t first, uint8_t last, uint8_t buf[2]);
/* "INODE 12 .. DIRENT 5": which items lie between low and high. */
void ck_range_text(const struct ck_key *low, const struct ck_key *high, bool pool, char *out, size_t len);

/* table.c */
/* Fill the tables. Items that make no sense are reported when `report`. */
int ck_load(struct check *ck, bool report, struct lcpfs_error *err);
struct ck_ds *ck_ds_by_id(const struct check *ck, uint64_t id);

/* path.c */
struct ck_want { uint64_t ino; char *path; };
/* Paths (malloc'ed, NULL: not found) of inodes of one tree; reorders w. Only -LCPFS_ENOMEM fails. */
int ck_paths(struct check *ck, const struct ck_ds *ds, struct ck_want *w, size_t n, struct lcpfs_error *err);

/* scan.c: every block once */
uint64_t ck_now_ns(void);
struct damage {
	struct blkptr bp;
	uint32_t ds;
	int rc;
	bool told, undecoded;        /* undecoded: its checksum is right */
	const struct ck_ds *counted; /* the last one it counts in as bad */
	char why[120];
};
/* A block that can be had, but not from every copy: bits of the bad ones. */
struct copy_damage {
	struct blkptr bp;
	uint32_t ds;
	unsigned bad, mended;
};
struct scan {
	struct check *ck;
	bool data;    /* verify data blocks too */
	bool verify;  /* false: only walk and claim */
	bool decode;  /* verify: what is read must decode too */
	/* Each pointer once, before it is read: 1 = leave it out. May be NULL. */
	int (*claim)(void *arg, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err);
	void *arg;
	bool mend;    /* verify: bad copies are written again from good ones; the pool is open for writing */
	bool ordered; /* in the order of addresses, from `from` on; without claim */
	uint64_t from, since; /* since: only what was born after */
	uint64_t budget_bytes, start_ns, deadline_ns, rate; /* 0: none; rate in bytes a second, counted from start_ns */
	uint64_t handed; /* bytes taken so far */
	/* results */
	struct damage *dmg; size_t n_dmg, cap_dmg;
	struct copy_damage *copy; size_t n_copy, cap_copy;
	uint64_t blocks, bytes, bad, bad_copies, mended; /* mended: of bad_copies */
	uint64_t next; /* where the budget ended: of what is queued all below is verified; 0: at the end */
};
/* Datasets, snapshots and the pool tree; with_space: also the space tree. The tables must be loaded. */
int scan_run(struct scan *s, bool with_space, struct lcpfs_error *err);
void scan_fini(struct scan *s);
/* Reads each copy of one block. Bad ones are noted in s when another is good. Fails only for lack of memory. One thread. */
int scan_copies(struct scan *s, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err);
/* Report what was noted of copies, and plan to rewrite them. */
void scan_report_copies(struct scan *s);

/* scan_state.c: what the pool remembers; all zeros when there is nothing. `first`: this run began the pass; `whole`: it ended it. */
int scan_state_get(struct spa *s, struct scanrec *out, struct lcpfs_error *err);
int scan_state_put(struct check *ck, const struct scanrec *r, bool first, bool whole, struct lcpfs_error *err);

/* owner.c: report damage by the files it is in */
int owner_report(struct check *ck, struct damage *dmg, size_t n, struct lcpfs_error *err);
const char *ck_tree_name(const struct check *ck, uint32_t ds);

/* fsck's phases */
int fsck_labels(struct check *ck, struct lcpfs_blockdev *dev, struct lcpfs_error *err);  /* P0, before the pool is opened */
int fsck_config(struct check *ck, struct lcpfs_error *err);                              /* rest of P0, and P1 */
int fsck_blocks(struct check *ck, struct lcpfs_error *err);                              /* P2, P3 */
int fsck_records(struct check *ck, struct lcpfs_error *err);                             /* P4 but for what needs P5 */
int fsck_diffs(struct check *ck, struct lcpfs_error *err);                               /* P4's comparison of trees */
int fsck_tree(struct check *ck, struct ck_ds *ds, struct lcpfs_error *err);              /* P5 of one tree */
/* All phases but the labels', on what ck->spa and ck->ub say. */
int fsck_phases(struct check *ck, struct lcpfs_error *err);
/* Labels, then the pool opened for reading; dev is owned. */
int fsck_check(struct check *ck, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *oo, struct lcpfs_error *err);

/* apply.c: the steps of a plan, in memory. *steps: those carried out; what the pool is too damaged for is left out. */
int plan_apply(const struct ck_plan *p, struct spa *s, uint64_t *steps, struct lcpfs_error *err);
/* history.c: the record of a repair: *base: the commit it began with, when commit ub is one; 1: it is none. */
int history_put(struct spa *s, uint64_t base, uint64_t problems, struct lcpfs_error *err);
int history_get(struct spa *s, uint64_t *base, int64_t *time_s, struct lcpfs_error *err);
#endif
