/* SPDX-License-Identifier: Apache-2.0 */
/* Inside lcpfs-undelete. */
#ifndef CMD_UNDELETE_H
#define CMD_UNDELETE_H
#include "common/datasets.h"
#include "common/edit.h"

/* Where things come back to: the dataset `to`, or the host folder open at `host`. Paths are those they had, below `prefix`. */
struct back {
	struct lcpfs_dataset *to;
	int host;               /* -1: none */
	const char *host_name;
	const char *prefix;     /* "": at their old place */
	bool versions;          /* older versions of a path, too */
	void *done;             /* paths brought back by this run (tsearch) */
	struct dir_time { char *path; struct lcpfs_time atime, mtime; } *dirs; /* set when all is in them */
	size_t n_dirs;
	uint64_t n, lost;
};
void back_init(struct back *b);
/* Bring one back; *to = where it is now, malloc'ed, NULL: an older version of what is back already. */
int back_one(struct back *b, const struct lcpfs_deleted *d, char **to, struct lcpfs_error *err);
int back_end(struct back *b, struct lcpfs_error *err);
void back_fini(struct back *b);
#endif
