/* SPDX-License-Identifier: Apache-2.0 */
/* cp: one source, one destination. */
#ifndef CMD_CP_H
#define CMD_CP_H
#include "common/edit.h"

/* A place on the host or in a pool. */
struct place {
	const char *text;      /* as given */
	struct cmd_target t;   /* pool side; t.is_pool false: the host */
	struct lcpfs_dataset *ds;
};
enum cp_reflink { REFLINK_NEVER, REFLINK_AUTO, REFLINK_ALWAYS };
struct cp_opts {
	bool recursive, no_dir, no_owner, special, ranged;
	enum cp_reflink reflink;
	struct edit_range range;
	const char *into;
	struct cmd_tree tree;
};
extern struct cp_opts cp;

/* Opens the dataset when it is in a pool; a status. */
int place_open(struct place *p, const char *text, uint32_t flags);
void place_fini(struct place *p);
/* Type and permissions of what is at `path` of the place (the host: `path` itself); 0: nothing there. */
uint32_t place_mode(const struct place *p, const char *path, bool follow);
/* Copy `src` so that it is `name` in directory `dir` of dst; name NULL: what is in src goes into dir. A status. */
int copy_one(const struct place *src, const struct place *dst, const char *dir, const char *name);
/* Standard input becomes the file `path` of dst. */
int copy_stdin(const struct place *dst, const char *path);
#endif
