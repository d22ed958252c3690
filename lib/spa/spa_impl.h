/* SPDX-License-Identifier: Apache-2.0 */
/* Inside spa. */
#ifndef SPA_IMPL_H
#define SPA_IMPL_H
#include "spa/spa.h"

/* What is queued for a block: references made and given up. */
struct ref_delta { uint64_t addr; uint32_t sectors, more, less; };

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
	uint64_t open_size;                 /* of the device when it was opened */
	struct ref_delta *ref;              /* not yet in REF */
	size_t n_ref, cap_ref;
	bool ref_known, ref_any;            /* whether REF was looked at; it has a record */
	bool ref_shared;                    /* a reference was made since the last commit */
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
int spa_grow(void *arg, uint32_t sectors, struct lcpfs_error *err);
int spa_sync_chunks(struct spa *s, struct lcpfs_error *err);
/* What is queued goes into REF and into free space. The handle is dead after a failure. */
int spa_ref_settle(struct spa *s, struct lcpfs_error *err);
int spa_open_trees(struct spa *s, const struct uberblock *ub, struct lcpfs_error *err);
#endif
