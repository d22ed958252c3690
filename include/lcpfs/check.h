/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub, fsck, and looking at structures. */
#ifndef LCPFS_CHECK_H
#define LCPFS_CHECK_H
#include "lcpfs/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a repair of a problem costs. SAFE: it follows from other data, nothing is lost. LOSSY: something is lost or moved, and only there. NONE: there is
 * no repair.
 */
enum lcpfs_repair_class { LCPFS_REPAIR_SAFE = 1, LCPFS_REPAIR_LOSSY, LCPFS_REPAIR_NONE };
/* A row of the table of problems: i = 0, 1, ... until NULL. */
struct lcpfs_problem_kind {
	const char *code;     /* stable, "block-csum", "dirent-no-inode" ... */
	unsigned phase;       /* fsck: 0-5; scrub: 2 */
	enum lcpfs_repair_class cls;
	const char *text;     /* the sentence that begins a finding's text */
	const char *repair;   /* what a repair does; "" */
	const char *note;     /* what a person should know; "" */
};
const struct lcpfs_problem_kind *lcpfs_problem_kind(unsigned i);

/* One finding. */
struct lcpfs_problem {
	const char *code;     /* stable, "block-csum", "dirent-no-inode" ... */
	unsigned phase;       /* fsck: 0-5; scrub: 2 */
	const char *dataset;  /* "home@mon", NULL: not of a dataset */
	const char *path;     /* file it belongs to, NULL: none or not known */
	uint64_t ino, offset, length; /* 0: not known */
	uint64_t addr;        /* 0: none */
	const char *text;     /* a sentence */
	bool repairable;      /* lcpfs_fsck_repair puts it right, where the class is allowed */
	const struct lcpfs_problem_kind *kind;
	const char *device;   /* what was checked */
	bool follows;         /* not of the pool: of what a repair under way has left so far, and is going to put right */
};
typedef void lcpfs_problem_fn(void *arg, const struct lcpfs_problem *p);

struct lcpfs_scrub_stats {
	uint64_t blocks, bytes, bad_blocks, datasets;
	uint64_t bad_copies, mended_copies; /* of blocks that have a good copy, and of those, written again */
	uint64_t next;        /* the budget ended: all stored blocks below this address are verified, the rest is not; 0: read to the end */
	bool recorded;
};
struct lcpfs_check_opts {
	bool data;            /* fsck: also read and verify contents */
	/*
	 * Image files may be mapped instead of copied; meanwhile SIGBUS of this process is handled, so that a file that
	 * becomes shorter is an error and not a crash. For programs that have no handler of their own.
	 */
	bool map;
	bool decode;          /* scrub: a block is good only if it also decodes */
	enum lcpfs_repair_class repair; /* lcpfs_fsck_repair: what may be done; 0: SAFE, or with rebuild_space nothing else */
	bool rebuild_space;   /* lcpfs_fsck_repair: make the space tree anew in any case */
	bool follow;          /* lcpfs_fsck_repair: also tell of problems that follow from its repairs */
	/* scrub only: */
	bool mend;            /* bad copies of blocks are written again from good ones; the pool is open for writing */
	bool nodes_only;      /* metadata, no contents */
	const char *since;    /* "home@mon": only blocks written after this snapshot was made; NULL: all */
	uint64_t from;        /* an address: begin there (nodes that lead to others are always read) */
	uint64_t budget_bytes, budget_ms; /* stop after so much, at least after some; 0: no end */
	uint64_t rate;        /* bytes per second at most; 0: no limit */
	/*
	 * The pool, open for writing with nothing uncommitted, keeps how far the scrub came and what it found, in a commit of its own. A scrub goes on
	 * where the one before it ended, unless `restart`. Only for a scrub of everything.
	 */
	bool record, restart;
	lcpfs_problem_fn *problem;
	void (*plan)(void *arg); /* lcpfs_fsck_repair: a check is over, and what it found is going to be repaired; may be NULL */
	lcpfs_progress_fn *progress;
	void *arg;
};
/* Every block of every dataset and snapshot once; -LCPFS_ECSUM when anything is damaged (after reading all). */
int lcpfs_scrub(struct lcpfs_pool *p, const struct lcpfs_check_opts *o, struct lcpfs_scrub_stats *st, struct lcpfs_error *err);
/* What is recorded of scrubs; times 0: none. done_txg: what was written later was not part of it. */
struct lcpfs_scrub_state {
	bool under_way, decoded;
	uint64_t next, bytes, bad_blocks; /* of the one under way */
	int64_t started_s, done_s;
	uint64_t done_txg, done_bytes, done_bad_blocks;
};
int lcpfs_scrub_state(struct lcpfs_pool *p, struct lcpfs_scrub_state *out, struct lcpfs_error *err);
/* changed: something was written to it since. */
struct lcpfs_scrub_of_dataset { int64_t verified_s; uint64_t bad_blocks; bool changed; };
int lcpfs_scrub_of_dataset(struct lcpfs_pool *p, const char *name, struct lcpfs_scrub_of_dataset *out, struct lcpfs_error *err);
/* Phases P0-P5 on a pool opened read-only; never writes. *problems = how many. Opens the device itself. */
int lcpfs_fsck(const char *path, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, uint64_t *problems, struct lcpfs_error *err);
/* The same on a device (owned from now on). */
int lcpfs_fsck_dev(struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, uint64_t *problems, struct lcpfs_error *err);

/*
 * Check; carry out what is allowed of the repairs, in rounds, until nothing is left to do; check what would be committed, and commit it only when it is
 * cleaner; check again. All of it is one commit, the one before it stays whole (lcpfs_fsck_undo). Problems that only another commit ends (of the commit
 * before the newest one) bring a second one. `again` (may be NULL) is called before every check but the first that tells of problems.
 */
struct lcpfs_repair_stats {
	uint64_t found, fixed, left; /* problems of the first check; those that are gone; problems of the last check */
	uint64_t steps;              /* changes made */
	unsigned rounds;
	bool refused;                /* the result would not have been cleaner: nothing was committed */
};
int lcpfs_fsck_repair(const char *path, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, void (*again)(void *arg, uint64_t fixed),
                      struct lcpfs_repair_stats *st, struct lcpfs_error *err);
/* Back to the state before the last repair. -LCPFS_ENOENT: there was none, or other commits followed it. */
struct lcpfs_undo_stats { uint64_t txg; int64_t time_s; }; /* of the state gone back to; when the repair was */
int lcpfs_fsck_undo(const char *path, const struct lcpfs_open_opts *oo, struct lcpfs_undo_stats *st, struct lcpfs_error *err);

/*
 * Structures as lines of text. what: "labels", "uberblocks", "config", "pool" (items of the pool tree), "space", "tree:DATASET" (items),
 * "nodes:DATASET" (pointers), "block:CHUNK:SECTOR:PSIZE" (a stored block as hex and, when a node, decoded), "path:DATASET:PATH" (all items of a file), "key:DATASET:HEX" (items with this key prefix).
 */
int lcpfs_dump(struct lcpfs_pool *p, const char *what, int (*line)(void *arg, const char *text, struct lcpfs_error *err), void *arg,
               struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
