/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import: trees into, out of and between datasets.
 *
 * Every direction is a source (host, archive, dataset), the filter (exclusions, overrides, counting) and a sink (host,
 * archive, dataset), joined by entry_copy. What cannot be done for one entry is told through warn and the run goes on;
 * what cannot be done at all ends it, and the caller drops the changes.
 */
#ifndef IMPORT_H
#define IMPORT_H
#include "base/entry.h"
#include "base/util.h"
#include "lcpfs/tree.h"
#include "zpl/zpl.h"

/* ---- sets.c: hash tables that are never iterated, so nothing depends on their order ---- */

/* Inode numbers. */
struct inoset {
	struct inoset_piece *piece;
	size_t n, cap, last;
};
int inoset_add(struct inoset *s, uint64_t ino, bool *had, struct lcpfs_error *err); /* had may be NULL */
bool inoset_has(const struct inoset *s, uint64_t ino);
void inoset_fini(struct inoset *s);

/* An inode number and some bytes, with a string. */
struct inomap {
	struct inomap_ent **slot;
	size_t n, cap;
};
/* The value, "" when put without one, NULL when absent. It lives as long as the map. */
const char *inomap_get(const struct inomap *m, uint64_t ino, const void *key, size_t len);
/* Nothing happens when it is there already. Keys are shorter than 4 GiB. */
int inomap_put(struct inomap *m, uint64_t ino, const void *key, size_t len, const char *value, struct lcpfs_error *err);
void inomap_fini(struct inomap *m);

/* Files by size and first piece; twins.c */
struct twin { uint64_t hash, ino; };
struct twins {
	struct twin *slot;
	size_t n, cap, max_bytes;
	bool full;
};
uint64_t twins_hash(uint64_t size, const uint8_t *piece, size_t len);
/* The file that was first met with this hash, or 0: then it is `ino` from now on, while there is room. */
uint64_t twins_meet(struct twins *t, uint64_t hash, uint64_t ino);
void twins_renew(struct twins *t, uint64_t hash, uint64_t ino); /* the first one is no more */
void twins_fini(struct twins *t);

/* A single name as it may stand in a directory: 1-255 bytes, no '/' or NUL, not "." or "..". */
bool import_name_ok(const char *name, size_t len);

/* ---- filter.c ---- */

struct filter_opts {
	const struct lcpfs_tree_opts *tree; /* exclude, overrides, `as`; not NULL */
	struct lcpfs_tree_stats *stats;     /* entries, files, bytes are counted here */
	bool check_links;                   /* the source may yield links to what it left out by `exclude` */
	entry_warn_fn *warn;
	void *warn_arg;
};
/*
 * What all directions have in common: leaves out links to what was excluded, renames the top (`as`), applies owner, mode and
 * time overrides, makes times well-formed, sorts attributes. Owns `from` from now on, also on failure. `o` must outlive it.
 */
int filter_open(struct entry_source **out, struct entry_source *from, const struct filter_opts *o, struct lcpfs_error *err);

/* ---- ahead.c ---- */

struct ahead_opts {
	unsigned threads;     /* the caller's counts; 1: nothing is done ahead */
	size_t window_bytes;  /* decoded and not yet read, about */
	entry_warn_fn *warn;  /* of contents, on the caller's thread */
	void *warn_arg;
};
/* What of a handle's threads and memory goes into it: each thread holds a decoded pack or record, and what it was decoded from. */
static inline unsigned ahead_threads(unsigned threads, size_t memory) { return (unsigned)MAX(MIN(threads, memory / (8 * MiB)), 1); }
static inline size_t ahead_window(size_t memory) { return memory / 8; }
/*
 * What `from`, which can detach, yields, walked and decoded ahead on other threads; contents by view. The source's own warnings belong into
 * ahead_tell while it is walked, so that they come in order. Owns `from` from now on, but for a failure.
 */
int ahead_open(struct entry_source **out, struct entry_source *from, const struct ahead_opts *o, struct lcpfs_error *err);
void ahead_tell(struct entry_source *a, const char *path, const struct lcpfs_error *why);

/* ---- ds_source.c ---- */

struct ds_source_opts {
	const char *base;           /* entries are named under this; NULL or "": `ino` is the root, a directory */
	const char *const *exclude;
	bool whole;                 /* contents are mostly taken as they are: none is gone through beforehand to say whether it has holes */
	entry_warn_fn *warn;
	void *warn_arg;
};
/*
 * The subtree at `ino`, depth first in the order of names. Second and later names of a file come as ENTRY_HARDLINK. The tree may be changed
 * between two calls (what appears behind the walk is not seen). Damaged parts are told through warn and left out.
 */
int ds_source_open(struct entry_source **out, struct dataset *ds, uint64_t ino, const struct ds_source_opts *o, struct lcpfs_error *err);

/* ---- ds_sink.c, ds_compare.c, ds_delete.c ---- */

struct ds_sink_opts {
	bool exact;           /* in the end what the source lacked is removed */
	bool trust;           /* a file of equal size, mtime and ctime, both before trust_before, has the content it had */
	struct itime trust_before;
	size_t twins_bytes;   /* equal files are stored once, with that much memory to find them; 0: no */
	bool root_now;        /* the target directory itself is changed by this run: it gets `now` as mtime and ctime */
	struct itime now;
	struct dataset *share;  /* entries are files of this dataset (e->ino): contents are shared with it. NULL: they come through write */
	entry_warn_fn *warn;
	void *warn_arg;
	void (*deleting)(void *arg); /* may be NULL; told before the removals begin; arg is warn_arg */
};
/* Entries into the directory `root` of ds. Nothing is followed: neither a symlink that was there nor one that came. */
int ds_sink_open(struct entry_sink **out, struct dataset *ds, uint64_t root, const struct ds_sink_opts *o, struct lcpfs_error *err);
/* With `exact`: what lies at `path` was not seen in full by the source and is not removed. */
void ds_sink_keep(struct entry_sink *k, const char *path);
/* Entries that were made or differed, names removed, files whose content was read though size and times were equal. */
void ds_sink_counts(const struct entry_sink *k, uint64_t *changed, uint64_t *removed, uint64_t *compared);

/* A directory on the path to where the sink works. */
struct sink_level {
	uint64_t ino;
	size_t end;  /* path[0..end) names it */
	bool fresh;  /* made by this run: what is in it came with this run */
};
enum sink_content { CONTENT_NONE, CONTENT_NEW, CONTENT_COMPARE, CONTENT_TWIN };
struct ds_sink {
	struct entry_sink sink;
	struct dataset *ds;
	struct ds_sink_opts o;
	struct sink_level *level; /* level[0] is the root */
	size_t depth, level_cap;  /* level[depth - 1] is the deepest */
	struct buf path;

	/* the entry under way */
	const struct entry *e;
	const struct entry *x;    /* has its extended attributes, after sink_need_xattrs */
	struct entry later;       /* those that came when asked for */
	uint64_t dir, ino;
	const char *name;
	size_t name_len;
	bool counted;
	enum sink_content content;
	struct inode old;         /* the file it goes over; mode 0: none */
	uint64_t like, like_size; /* the file whose content is compared with, and its size */
	uint64_t twin_hash;
	uint64_t pos;             /* end of the content so far */
	struct zpl_writer *w;     /* opened by the first piece */
	uint8_t *tmp;             /* SINK_TMP bytes, made when first needed */
	uint64_t pace;            /* bytes that may yet be decoded for nothing: ds_compare.c */

	struct twins twins;

	/* exact only */
	struct inoset seen;       /* inodes that the source has */
	struct inoset linked;     /* those whose every name must be in `names` to stay */
	struct inomap names;      /* directory, name */
	struct buf keep;          /* NUL-terminated paths */
	bool skipped;             /* an entry was left out: a later link to it is no surprise */
	uint64_t changed, removed, compared;
};
#define SINK_TMP ((size_t)1 << 20)
#define PACE_PACKS 16u /* what `pace` begins with, in packs */

void sink_changed(struct ds_sink *k); /* counts the entry under way, once */
void sink_warn(struct ds_sink *k, const char *path, const struct lcpfs_error *why);
const struct itime *sink_now(const struct ds_sink *k);
/* The inode a path names, from the root of the sink, nothing followed. -LCPFS_ENOENT also where a parent is no directory. */
int sink_lookup(struct ds_sink *k, const char *path, uint64_t *dir, uint64_t *ino, const char **last, struct lcpfs_error *err);
/* The entry under way as a new file at (dir, name), which is free. */
int sink_create(struct ds_sink *k, struct lcpfs_error *err);
/* Whatever is at (dir, name) goes away. */
int sink_remove(struct ds_sink *k, bool is_dir, struct lcpfs_error *err);
int sink_note(struct ds_sink *k, uint64_t ino, uint64_t dir, const char *name, size_t len, bool linked, struct lcpfs_error *err);

/* ds_compare.c: an entry over a file that exists. 0: content wanted, 1: not. */
int sink_over(struct ds_sink *k, uint64_t ino, struct lcpfs_error *err);
/* Attributes of an existing inode become the entry's. */
int sink_update_attrs(struct ds_sink *k, uint64_t ino, const struct inode *old, struct lcpfs_error *err);
int sink_need_xattrs(struct ds_sink *k, struct lcpfs_error *err);
void sink_attr(const struct ds_sink *k, const struct entry *e, struct inode *out);
/* The content is that of the entry's file in o.share. */
int sink_share(struct ds_sink *k, struct lcpfs_error *err);
int sink_write(struct ds_sink *k, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err);
int sink_whole(struct ds_sink *k, const void *buf, size_t len, struct lcpfs_error *err);
int sink_end_content(struct ds_sink *k, struct lcpfs_error *err);

/* ds_delete.c */
int sink_delete_unseen(struct ds_sink *k, struct lcpfs_error *err);
#endif
