/* SPDX-License-Identifier: Apache-2.0 */
/* history: what the states of older roots and snapshots were, and bringing them back. */
#ifndef HISTORY_H
#define HISTORY_H
#include "lcpfs/history.h"
#include "zpl/handle.h"

/* Older roots whose names can all be told, the newest first; those of abandoned futures are left out. */
struct hist_root { uint64_t txg; struct lcpfs_time time; bool whole; /* contents, too */ };
struct hist_roots { struct hist_root *v; size_t n; };
/* protect: p, open for writing, leaves them alone from now on. */
int hist_roots_find(struct lcpfs_pool *p, bool protect, struct hist_roots *out, struct lcpfs_error *err);

/* What a dataset was at one time: in a snapshot, in an older root (or a snapshot there that was destroyed since), or now. */
struct hist_state {
	uint64_t txg, root_txg;      /* root_txg 0: the pool as it is */
	struct lcpfs_time time;
	char *name;                  /* in the pool of that time */
	bool whole, snap, now;
	struct blkptr root;
};
struct hist_states { struct hist_state *v; size_t n, cap; };
/* All states of the dataset with this id, the oldest first, neighbours different. The last one is `now` unless the dataset is gone. */
int hist_states_of(struct lcpfs_pool *p, const struct hist_roots *roots, uint64_t id, struct hist_states *out, struct lcpfs_error *err);
void hist_states_fini(struct hist_states *s);
const char *hist_snap_name(const struct hist_state *s); /* what follows '@', NULL: no snapshot */

struct hist_view { struct lcpfs_pool *old; struct lcpfs_dataset *ds; };
int hist_view_open(struct hist_view *v, struct lcpfs_pool *p, const struct hist_state *s, struct lcpfs_error *err);
void hist_view_close(struct hist_view *v);

/* Ids of all heads of the present and of the older roots, each with the newest name it had; malloc'ed. */
struct hist_head { uint64_t id; char *name; bool now; };
int hist_heads(struct lcpfs_pool *p, const struct hist_roots *roots, struct hist_head **out, size_t *n, struct lcpfs_error *err);
void hist_heads_fini(struct hist_head *h, size_t n);
#endif
