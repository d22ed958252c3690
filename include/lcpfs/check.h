/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub, fsck, and looking at structures. */
#ifndef LCPFS_CHECK_H
#define LCPFS_CHECK_H
#include "lcpfs/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One finding. */
struct lcpfs_problem {
	const char *code;     /* stable, "block-csum", "dirent-no-inode" ... */
	unsigned phase;       /* fsck: 0-5; scrub: 2 */
	const char *dataset;  /* "home@mon", NULL: not of a dataset */
	const char *path;     /* file it belongs to, NULL: none or not known */
	uint64_t ino, offset, length; /* 0: not known */
	uint64_t addr;        /* 0: none */
	const char *text;     /* a sentence */
	bool repairable;      /* lcpfs_fsck_repair puts it right */
};
typedef void lcpfs_problem_fn(void *arg, const struct lcpfs_problem *p);

struct lcpfs_scrub_stats { uint64_t blocks, bytes, bad_blocks, datasets; };
struct lcpfs_check_opts {
	bool data;            /* fsck: also read and verify contents */
	/*
	 * Image files may be mapped instead of copied; meanwhile SIGBUS of this process is handled, so that a file that
	 * becomes shorter is an error and not a crash. For programs that have no handler of their own.
	 */
	bool map;
	bool decode;          /* scrub: a block is good only if it also decodes */
	lcpfs_problem_fn *problem;
	lcpfs_progress_fn *progress;
	void *arg;
};
/* Every block of every dataset and snapshot once; -LCPFS_ECSUM when anything is damaged (after reading all). */
int lcpfs_scrub(struct lcpfs_pool *p, const struct lcpfs_check_opts *o, struct lcpfs_scrub_stats *st, struct lcpfs_error *err);
/* Phases P0-P5 on a pool opened read-only; never writes. *problems = how many. Opens the device itself. */
int lcpfs_fsck(const char *path, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, uint64_t *problems, struct lcpfs_error *err);
/* The same on a device (owned from now on). */
int lcpfs_fsck_dev(struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, uint64_t *problems, struct lcpfs_error *err);

/*
 * Check; put right what can be without a loss, as one transaction; check again. Repaired are data that follow from others: the numbers of references to shared
 * blocks and contents. Where space is damaged nothing is written. `again` (may be NULL) is called before every check but the first.
 */
struct lcpfs_repair_stats {
	uint64_t found, fixed, left; /* problems of the first check; repairs made; problems of the last check */
	bool refused;                /* there was something to repair, and writing was not safe */
};
int lcpfs_fsck_repair(const char *path, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, void (*again)(void *arg, uint64_t fixed),
                      struct lcpfs_repair_stats *st, struct lcpfs_error *err);

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
