/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirstack: standing somewhere in a host tree, at any depth, with few descriptors.
 *
 * The stack holds one level per directory from the root to where we stand. Only the root and the deepest
 * `window` levels have an open descriptor; one that was closed is reopened on the way up through ".." when that
 * is still the same directory (device and inode), else by walking down from the root again.
 *
 * Invariants
 *  (1) A level is entered one component at a time and never through a symlink, so it lies beneath the root.
 *  (2) lv[0] is open; lv[lo..n-1] are open unless a way back was lost (then fd is -1 and the caller was told).
 */
#ifndef HOST_DIRSTACK_H
#define HOST_DIRSTACK_H
#include "base/buf.h"
#include <sys/types.h>

#define DIRSTACK_WINDOW 64

struct dirlevel {
	int fd;
	size_t name_at; /* where the name of this level begins in path */
	dev_t dev;
	ino_t ino;
	void *data;     /* the user's; freed with free_data when the level goes */
	uint32_t node;  /* the user's */
	bool owner_known; /* new files here belong to uid and gid; set by the user */
	uid_t uid;
	gid_t gid;
};

struct dirstack {
	struct dirlevel *lv;
	size_t n, cap, lo;
	unsigned window; /* at least 2; may be changed while empty but for the root */
	struct buf path; /* names joined by '/', NUL-terminated; "" at the root */
	void (*free_data)(void *data);
};

/* All return 0 or an errno value. */
int host_dirstack_init(struct dirstack *ds, int root_fd); /* takes the descriptor, also on failure */
void host_dirstack_fini(struct dirstack *ds);
/* Enter directory `name` (one component) of where we stand. ENOTDIR or ELOOP for a symlink. */
int host_dirstack_push(struct dirstack *ds, const char *name, size_t len);
/* Go up one level. On failure the level is gone all the same, but the new top has no descriptor. */
int host_dirstack_pop(struct dirstack *ds);

static inline struct dirlevel *host_dirstack_top(const struct dirstack *ds) { return &ds->lv[ds->n - 1]; }
static inline const char *host_dirstack_path(const struct dirstack *ds) { return (const char *)ds->path.data; }
/* How many levels (at least 1) of the stack lie on the way to `path` of `len` bytes. */
size_t host_dirstack_common(const struct dirstack *ds, const char *path, size_t len);
#endif
