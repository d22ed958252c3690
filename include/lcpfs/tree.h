/* SPDX-License-Identifier: Apache-2.0 */
/* Whole trees between the host, archives and datasets: what mkfs, update, cp and tar do. */
#ifndef LCPFS_TREE_H
#define LCPFS_TREE_H
#include "lcpfs/file.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Told of each thing left out or not restored in full; the call goes on and ends as -LCPFS_EPARTIAL. */
typedef void lcpfs_warn(void *arg, const char *path, const struct lcpfs_error *why);
/* Called about 10 times a second; true stops the call with LCPFS_ECANCEL. total 0: not known. */
struct lcpfs_progress { uint64_t entries, bytes, total_bytes; const char *phase; };
typedef bool lcpfs_progress_fn(void *arg, const struct lcpfs_progress *p);

struct lcpfs_tree_opts {
	uint32_t flags;              /* LCPFS_TREE_* */
	const char *const *exclude;  /* NULL-terminated shell patterns, matched with the relative path and with the last component */
	uint32_t uid, gid;           /* with LCPFS_TREE_UID / _GID: everything belongs to these */
	uint32_t mode_set, mode_clear; /* --chmod for non-symlinks: mode = (mode & ~mode_clear) | mode_set */
	uint32_t dir_mode_set, dir_mode_clear; /* for directories instead */
	lcpfs_warn *warn;
	lcpfs_progress_fn *progress;
	void *arg;                   /* first argument of both */
	const char *as;              /* not NULL: the name of the copy, instead of the source's own (one component) */
};
enum {
	LCPFS_TREE_UID = 1, LCPFS_TREE_GID = 2,
	LCPFS_TREE_REPRODUCIBLE = 4, /* ctime = mtime, btime = 0, no time later than SOURCE_DATE_EPOCH, atime = mtime */
	LCPFS_TREE_ONE_FS = 8,
	LCPFS_TREE_KEEP_SPECIAL = 16, /* undoes _SAFE, for programs that set it as their default */
	LCPFS_TREE_DELETE = 32,      /* update: what the source lacks goes away */
	LCPFS_TREE_OVERWRITE = 64,   /* extraction: replace existing files */
	LCPFS_TREE_NO_OWNER = 128,
	LCPFS_TREE_CHECKSUM = 256,   /* update: compare contents, not size and times */
	LCPFS_TREE_BASENAME = 512,   /* copy in/out: the source's last component is the name of the copy; but "dir/" means what is in dir */
	LCPFS_TREE_REFLINK = 2048,   /* copy between datasets of one pool: contents are shared (lcpfs_reflink); of two pools they are copied */
	LCPFS_TREE_DUPLICATES = 8192, /* filling a dataset: of equal files the content is stored once */
	LCPFS_TREE_REFLINK_ONLY = 4096, /* the same, but two pools are LCPFS_EXDEV */
	LCPFS_TREE_SAFE = 1024,      /* extraction: drop setuid and setgid bits and device nodes, saying so; filling a dataset always stores them */
};
struct lcpfs_tree_stats { uint64_t entries, files, bytes, changed, removed, warnings; };

/*
 * Fill: directory or archive `source` ("-": an archive on standard input) into directory `path` of ds (must exist; "" = root). What is there stays,
 * what the source has replaces it; content that is equal is not written again. With _BASENAME or `as` the source is copied as what it is, also a file that is an archive.
 * With LCPFS_TREE_DELETE the directory ends up as the source is (but for what could not be read in the source, which stays). Files of a directory that
 * was imported here before are not read again if size, mtime and ctime are equal and both times are older than that import: the time of it is kept in
 * the property "user:lcpfs.update", not with _REPRODUCIBLE or _CHECKSUM.
 * All calls: st (may be NULL) is filled also after a failure. changed: entries made or changed in a dataset; removed: names that DELETE removed.
 */
int lcpfs_tree_import(struct lcpfs_dataset *ds, const char *path, const char *source, const struct lcpfs_tree_opts *o,
                      struct lcpfs_tree_stats *st, struct lcpfs_error *err);
/* The same from an archive open at fd. */
int lcpfs_tree_import_fd(struct lcpfs_dataset *ds, const char *path, int fd, const char *name, const struct lcpfs_tree_opts *o,
                         struct lcpfs_tree_stats *st, struct lcpfs_error *err);
/* Subtree `path` of ds to host directory `target`, made when absent. Never leaves it. */
int lcpfs_tree_export(struct lcpfs_dataset *ds, const char *path, const char *target, const struct lcpfs_tree_opts *o,
                      struct lcpfs_tree_stats *st, struct lcpfs_error *err);
/* Subtree as an archive on fd: format "pax" (NULL), "ustar", "gnutar", "cpio", "zip"; filter NULL, "gzip", "xz", "zstd". */
int lcpfs_tree_archive(struct lcpfs_dataset *ds, const char *path, int fd, const char *format, const char *filter,
                       const struct lcpfs_tree_opts *o, struct lcpfs_tree_stats *st, struct lcpfs_error *err);
/* Between datasets of any pools. */
int lcpfs_tree_copy(struct lcpfs_dataset *from, const char *path, struct lcpfs_dataset *to, const char *to_path,
                    const struct lcpfs_tree_opts *o, struct lcpfs_tree_stats *st, struct lcpfs_error *err);
/* List an archive at fd without storing it. */
typedef int lcpfs_list_visit(void *arg, const char *path, const struct lcpfs_stat *st, const char *target, bool hardlink, struct lcpfs_error *err);
int lcpfs_archive_list(int fd, const char *name, lcpfs_list_visit *visit, void *arg, struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
