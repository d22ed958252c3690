/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spa: the pool: open, close, commit, the pool tree and the space tree on disk.
 *
 * Changes collect in memory and in unreferenced blocks, and become visible by one uberblock:
 *   1 what waits in the pipeline is done          2 each registered tree writes itself, its root goes into its record
 *   3 references are settled (ref.c), the pool tree is written
 *   4 bitmap pages go into the space tree, it is written
 *   5 flush                                       6 uberblock, flush = the commit      7 what is settled may be reused
 * A failure before 6 leaves the last commit in force and the handle dead: every later call fails with the same error.
 */
#ifndef SPA_H
#define SPA_H
#include "btree/btree.h"
#include "format/records.h"
#include "lcpfs/pool.h"
#include "space/space.h"
#include "vdev/vdev.h"
#include "zio/zio.h"

/* Something that has state to write at a commit: an open dataset. Called in ascending `order`. */
struct spa_client {
	uint64_t order;
	/* write what is dirty (may use the pool tree); part of step 2, and of a snapshot's boundary */
	int (*write)(struct spa_client *c, struct lcpfs_error *err);
	/* bytes that write would still need, at most */
	uint64_t (*pending)(struct spa_client *c);
	/* the pool closes: free everything */
	void (*close)(struct spa_client *c);
	struct spa_client *next;
};

struct spa {
	struct vdev *vdev;
	struct arc *arc;
	struct space *space;
	struct zio *zio;
	struct btree_store pool_store, space_store;
	struct btree *pool_tree, *space_tree;
	uint64_t txg;        /* the open one: births of what is written now */
	uint64_t published;  /* txg of the last commit; births above it are in no published tree */
	uint64_t next_guid;
	bool writable, image, changed;
	int dead;            /* != 0: a commit failed, -LCPFS_E* */
	struct lcpfs_error dead_err;
	struct spa_client *clients;
	size_t memory;       /* the cap of caches and queues */
	unsigned threads;
	char *name;          /* of the device, for messages */
	struct spa_private *priv;
};

/*
 * Flag of lcpfs_open_opts, only for spa_open: a pool that is going to be repaired. Its bitmaps are what can be reached, nothing that the space
 * tree calls used is allocated, and giving up what is not used is no failure.
 */
#define SPA_OPEN_REPAIR 0x80000000u
/* dev is owned from now on. */
int spa_create(struct spa **out, struct lcpfs_blockdev *dev, const struct lcpfs_create_opts *o, struct lcpfs_error *err);
int spa_open(struct spa **out, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *o, struct lcpfs_error *err);
/* Drops what is not committed. A created or committed image gets its end (back label, length). */
int spa_close(struct spa *s, struct lcpfs_error *err);
int spa_commit(struct spa *s, struct lcpfs_error *err);
/*
 * All that spa_commit writes but the uberblock, which is what *ub will be: whoever wants to look at the result before, and then spa_commit, change
 * more, or close without. recount: the bitmaps are made anew from what the result reaches.
 */
int spa_prepare(struct spa *s, bool recount, struct uberblock *ub, struct lcpfs_error *err);
/* The roots of commit `txg` become the newest state; dev is owned. The caller knows that nothing of it was overwritten. */
int spa_rewind(struct lcpfs_blockdev *dev, uint64_t txg, const struct lcpfs_open_opts *o, struct lcpfs_error *err);
/* 0, or the failure that made the handle unusable, or LCPFS_EROFS. Every change begins with this. */
int spa_may_write(struct spa *s, struct lcpfs_error *err);
/*
 * The end of a change that was checked before and then failed half-way with rc (0: nothing): what is in memory is of no use any more, so the
 * handle is dead and the pool stays as the last commit left it. Returns rc.
 */
int spa_spoilt(struct spa *s, int rc, const struct lcpfs_error *why);

void spa_client_add(struct spa *s, struct spa_client *c);
void spa_client_remove(struct spa *s, struct spa_client *c);
/* All clients write themselves, then the open txg number goes up by one, without an uberblock. */
int spa_close_txg(struct spa *s, struct lcpfs_error *err);

/* A pointer is given up: the block comes free when no other refers to it. Needs kind, flags, birth, addr and psize. */
int spa_free(struct spa *s, const struct blkptr *bp, struct lcpfs_error *err);
/*
 * One more reference to the data block of a pointer that some tree holds: *out goes into a tree before the txg number changes (and is given up
 * like any other pointer). Its birth is the open txg: whoever shares a block is not part of the other's history.
 */
int spa_share(struct spa *s, const struct blkptr *from, struct blkptr *out, struct lcpfs_error *err);
/* Had the block other references at the last commit, that are not given up yet? */
int spa_is_shared(struct spa *s, uint64_t addr, bool *yes, struct lcpfs_error *err);
/* Feature "columns": whether tables of packs may be by columns; that they may from now on, like those that come from elsewhere. */
bool spa_columns(const struct spa *s);
int spa_columns_need(struct spa *s, struct lcpfs_error *err);
/* Nodes for trees of any owner: what btree_store.read and .write of the layers above call. */
int spa_node_read(struct spa *s, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err);
/* A number never used before in this pool (dataset ids, guids are BLAKE3(uuid, number)). */
uint64_t spa_new_id(struct spa *s);
uint64_t spa_guid(struct spa *s, const char *purpose, uint64_t n);

/*
 * The free space an operation may use: normal ops keep slop, freeing ops slop/2, destroy slop/4 (design: free >= slop + 2 x dirty).
 * Of freeing ops no more is asked than what their nodes take when written: these are written early when the estimate is too high, and give up
 * their place at once when they change again. Every change begins with this.
 */
enum spa_admit { ADMIT_NORMAL, ADMIT_FREEING, ADMIT_DESTROY };
int spa_admit(struct spa *s, enum spa_admit kind, uint64_t extra_bytes, struct lcpfs_error *err);
void spa_usage(struct spa *s, uint64_t *total_bytes, uint64_t *used_bytes, uint64_t *avail_bytes);
#endif
