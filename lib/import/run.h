/* SPDX-License-Identifier: Apache-2.0 */
/* run: one call of the tree API under way: its options, what it counted, whom it told. */
#ifndef IMPORT_RUN_H
#define IMPORT_RUN_H
#include "import/import.h"
#include "zpl/handle.h"

struct run {
	const struct lcpfs_tree_opts *o; /* never NULL */
	struct lcpfs_tree_stats st;
	const char *phase;
	struct entry_sink *ds_sink;      /* what the source warns of is kept there; NULL: the sink is no dataset */
	struct entry_sink *host_sink;    /* what the source warns of goes through there, in sequence; NULL: no host tree */
	struct entry_source *ahead;      /* so does what it warns of while it is read ahead; NULL: it is not */
	unsigned threads;                /* for that; 0: it is not wanted */
	size_t window_bytes;
	char first[200];                 /* the first warning */
	uint64_t told_ns;                /* when progress was told last */
};
/* Refuses unknown flags. */
int run_begin(struct run *r, const struct lcpfs_tree_opts *o, const char *phase, struct lcpfs_error *err);
/* entry_warn_fn, arg = the run: of a source, and of a sink or of anything else. */
void run_told_source(void *arg, const char *path, const struct lcpfs_error *why);
void run_told(void *arg, const char *path, const struct lcpfs_error *why);
/* Move all from src to sink through the filter. Closes src, also on failure. */
int run_copy(struct run *r, struct entry_source *src, bool check_links, struct entry_sink *sink, struct lcpfs_error *err);
/* The result of the call: rc, or -LCPFS_EPARTIAL when something was told. Gives the counts out. */
int run_end(struct run *r, int rc, struct lcpfs_tree_stats *st, struct lcpfs_error *err);

/* tree_export.c: what `path` means: its inode, and the name (malloc'ed, "" for a tree as a root) its entries go under. */
int tree_operand(struct lcpfs_dataset *ds, const char *path, const struct lcpfs_tree_opts *o, uint64_t *ino, char **base,
                 struct lcpfs_error *err);
int tree_source(struct entry_source **out, struct run *r, struct lcpfs_dataset *ds, uint64_t ino, const char *base,
                struct lcpfs_error *err);
#endif
