/* SPDX-License-Identifier: Apache-2.0 */
/* Inside spa. */
#ifndef SPA_IMPL_H
#define SPA_IMPL_H
#include "spa/spa.h"

/* What is queued for a block: references made and given up. */
struct ref_delta { uint64_t addr; uint32_t sectors, more, less; };

/* Bitmap pages made from what is reachable (rebuild.c), encoded, ascending by chunk and page; what is not there is all free. */
struct spa_page { uint32_t chunk, page, len; size_t at; };
struct spa_pages {
	struct spa_page *v; size_t n, cap;
	struct buf data;
	uint64_t used_sectors;
	bool valid, incomplete; /* something was left out */
};

struct spa_private {
	struct btree_store read_store;      /* for bitmap pages: reads the published space trees */
	struct spa *spa;
	struct btree *space_read;           /* on the newest published space root */
	struct btree *space_prev;           /* on the one before; NULL after the first commit of this handle */
	uint8_t epoch_id[16];
	uint64_t rewind_floor;
	uint64_t want_txg;                  /* the older root that was asked for; 0: the newest */
	uint64_t high_txg;                  /* highest seen on any label at open */
	bool committed;                     /* something was published through this handle */
	bool rewound;                       /* the newest uberblock was not taken */
	bool still;                         /* nobody writes while it is open: read-only, under the lock */
	uint64_t open_size;                 /* of the device when it was opened */
	struct ref_delta *ref;              /* not yet in REF */
	size_t n_ref, cap_ref;
	bool ref_known, ref_any;            /* whether REF was looked at; it has a record */
	bool ref_shared;                    /* a reference was made since the last commit */
	struct spa_pages pages;             /* what the newest published state uses, when its space tree is not to be believed */
	struct spa_pages prev_pages;        /* likewise of the one before */
	bool pages_written;                 /* and the space tree in memory has been made of them */
	bool repair;                        /* SPA_OPEN_REPAIR */
	uint64_t runs, runs_busy;           /* bytes that were free in runs for nodes, when so many sectors were busy */
	uint64_t pieces, pieces_busy;       /* likewise in runs for data, */
	uint64_t piece_counted;             /* of so many bytes each */
	uint64_t promised, promised_piece;  /* what was admitted since the last commit must find runs for pieces as long */
	uint64_t freed_before;              /* sectors that the newest commit freed more than it took, as far as not loaded */
};

/* space's hook and the trees behind it. */
int spa_space_open(struct spa *s, const struct blkptr *newest, const struct blkptr *prev, struct lcpfs_error *err);
/* Needs zio: marks the nodes of the kept space trees. */
int spa_space_overlay(struct spa *s, const struct blkptr *newest, const struct blkptr *prev, struct lcpfs_error *err);
/* The tree just written, for reading pages once it is published: made before, because nothing may fail after. */
int spa_space_next(struct spa *s, struct btree **next, struct lcpfs_error *err);
void spa_space_published(struct spa *s, struct btree *next);
int spa_space_write(struct spa *s, struct lcpfs_error *err);
int spa_sync_chunks(struct spa *s, struct lcpfs_error *err);
/* What is queued goes into REF and into free space. The handle is dead after a failure. */
int spa_ref_settle(struct spa *s, struct lcpfs_error *err);
/* Pages of all that pool_root reaches; tolerant: what cannot be read is left out, else it is the failure. */
int spa_pages_scan(struct spa *s, const struct blkptr *pool_root, bool tolerant, struct spa_pages *out, struct lcpfs_error *err);
int spa_pages_keep(struct spa *s, struct spa_pages *p, int (*old)(struct spa *s, uint32_t chunk, uint32_t page, uint8_t *used, struct lcpfs_error *err),
                   struct lcpfs_error *err);
void spa_pages_drop(struct spa_pages *p);
const struct spa_page *spa_pages_find(const struct spa_pages *p, uint32_t chunk, uint32_t page);
int spa_pages_get(const struct spa_pages *p, uint32_t chunk, uint32_t page, uint8_t used[SPACE_PAGE_BYTES], struct lcpfs_error *err);
/* From now on the bitmaps of the newest published state are what is reachable, and the next commit writes the space tree anew. */
int spa_space_rebuild(struct spa *s, struct lcpfs_error *err);
/* What is written and not yet published: the bitmaps become what its pool root reaches. */
int spa_space_recount(struct spa *s, const struct blkptr *pool_root, struct lcpfs_error *err);
int spa_open_trees(struct spa *s, const struct uberblock *ub, struct lcpfs_error *err);
/* grow.c */
int spa_grow(void *arg, unsigned kinds, uint32_t sectors, struct lcpfs_error *err);
int spa_trim_image(struct spa *s, struct lcpfs_error *err);
/* room.c */
#define NODE_ROOM (NODE_TARGET + 2 * KiB) /* what a node takes at most, but for one with an item of its own size */
/*
 * Whether `extra` bytes of data, at worst one block, find room in one piece, beside what is in flight and what nodes may still take. Exactly: nothing is
 * in flight; else no may be too careful. Yes is a promise.
 */
bool spa_data_fits(struct spa *s, uint64_t extra, uint64_t in_flight, uint64_t nodes, bool exactly);
/* It is kept when nodes are given so many bytes of the device. */
bool spa_keeps_promise(struct spa *s, uint64_t bytes);
/* Nothing is being placed. Space is short: every empty chunk is given back; *any: there was one. */
int spa_reclaim(struct spa *s, bool *any, struct lcpfs_error *err);
/* At a commit, everything is written: what nodes have left, where it is much. */
int spa_reclaim_nodes(struct spa *s, struct lcpfs_error *err);
/* commit.c: bytes in all and what could be allocated at once (UINT64_MAX: without end), and what of it is kept in reserve */
void spa_room(struct spa *s, uint64_t *total, uint64_t *avail);
uint64_t spa_slop(uint64_t total);
#endif
