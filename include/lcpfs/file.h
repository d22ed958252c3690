/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a dataset, by path. Paths are bytes, separated by '/', relative to the dataset's root; leading and repeated slashes and "." do
 * nothing, ".." goes up and never above the root. Symlinks in the middle of a path are followed inside the dataset (40 at most, an absolute
 * target starts at its root); the last component is followed only with LCPFS_FOLLOW.
 */
#ifndef LCPFS_FILE_H
#define LCPFS_FILE_H
#include "lcpfs/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_time { int64_t sec; uint32_t nsec; };
struct lcpfs_stat {
	uint64_t ino, gen;      /* gen: txg of creation */
	uint32_t mode, uid, gid, nlink;
	uint64_t size;          /* bytes; symlink: length of the target; directory: number of entries is not kept, 0 */
	uint64_t stored;        /* bytes it takes in the pool, its share of a pack included */
	uint32_t rdev_major, rdev_minor;
	uint32_t n_xattr;
	uint32_t flags;
	struct lcpfs_time atime, mtime, ctime, btime;
	uint64_t parent;        /* inode number of the (first) directory it is in */
};
enum { LCPFS_FOLLOW = 1 };
int lcpfs_stat(struct lcpfs_dataset *ds, const char *path, uint32_t flags, struct lcpfs_stat *st, struct lcpfs_error *err);
int lcpfs_stat_ino(struct lcpfs_dataset *ds, uint64_t ino, struct lcpfs_stat *st, struct lcpfs_error *err);
/* A path of an inode (one of them), malloc'ed. */
int lcpfs_path_of(struct lcpfs_dataset *ds, uint64_t ino, char **path, struct lcpfs_error *err);
int lcpfs_readlink(struct lcpfs_dataset *ds, const char *path, char **target, struct lcpfs_error *err); /* malloc'ed */

/* Entries of a directory sorted by name, bytewise; without "." and "..". visit returns 0 to go on, > 0 to stop. st: with attributes (NULL otherwise), then target is a symlink's. */
struct lcpfs_dirent { const char *name; uint64_t ino; uint32_t type; /* S_IFMT bits */ const struct lcpfs_stat *st; const char *target; };
typedef int lcpfs_dir_visit(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err);
int lcpfs_readdir(struct lcpfs_dataset *ds, const char *path, bool with_stat, lcpfs_dir_visit *visit, void *arg, struct lcpfs_error *err);
int lcpfs_readdir_ino(struct lcpfs_dataset *ds, uint64_t ino, bool with_stat, lcpfs_dir_visit *visit, void *arg, struct lcpfs_error *err);

/*
 * A whole subtree, depth first in name order, a directory before what is in it; `path` itself comes first. *descend may be set false for a directory. visit as above.
 * Faster than readdir by path: works by inode number. path in the entry is relative to the dataset's root, no leading slash.
 */
struct lcpfs_walk_entry { const char *path; const char *name; unsigned depth; const struct lcpfs_stat *st; bool *descend; };
typedef int lcpfs_walk_visit(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err);
enum { LCPFS_WALK_POST = 2 /* directories after what is in them */, LCPFS_WALK_SORT_INO = 4 };
int lcpfs_walk(struct lcpfs_dataset *ds, const char *path, uint32_t flags, lcpfs_walk_visit *visit, void *arg, struct lcpfs_error *err);

/* Contents. */
struct lcpfs_file;
enum { LCPFS_O_READ = 1, LCPFS_O_WRITE = 2, LCPFS_O_CREATE = 4, LCPFS_O_EXCL = 8, LCPFS_O_TRUNC = 16 };
int lcpfs_file_open(struct lcpfs_file **out, struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t mode, struct lcpfs_error *err);
int lcpfs_file_open_ino(struct lcpfs_file **out, struct lcpfs_dataset *ds, uint64_t ino, struct lcpfs_error *err); /* read */
int lcpfs_file_close(struct lcpfs_file *f, struct lcpfs_error *err); /* NULL: 0 */
uint64_t lcpfs_file_size(const struct lcpfs_file *f);
/* *got < len only at the end of the file. Holes read as zeros. */
int lcpfs_file_pread(struct lcpfs_file *f, void *buf, size_t len, uint64_t off, size_t *got, struct lcpfs_error *err);
/*
 * The whole content of the regular file `ino`, in order, with its holes as zeros. Long files of a pool that is not written through this handle
 * are read ahead on its threads. take returns 0, or < 0 with err set to end it. What was taken before a failure is right.
 */
typedef int lcpfs_content_take(void *arg, const void *data, size_t len, struct lcpfs_error *err);
int lcpfs_content_each(struct lcpfs_dataset *ds, uint64_t ino, lcpfs_content_take *take, void *arg, struct lcpfs_error *err);
int lcpfs_file_pwrite(struct lcpfs_file *f, const void *buf, size_t len, uint64_t off, struct lcpfs_error *err);
int lcpfs_file_truncate(struct lcpfs_file *f, uint64_t size, struct lcpfs_error *err);
/* The next stretch of data at or after *off: *off and *len of it; returns 1 when only a hole is left. */
int lcpfs_file_next_data(struct lcpfs_file *f, uint64_t *off, uint64_t *len, struct lcpfs_error *err);

/*
 * Sharing instead of copying. `to`, open for writing, has the content of `from` afterwards, and both keep what the other does later apart. They are of one
 * pool (else LCPFS_EXDEV) but may be of two datasets, `from` also of a snapshot. Within one dataset a whole file costs the same whatever its size;
 * otherwise every block of a large file gets one more reference, and a small one, which has no blocks of its own, is copied.
 * `stored` of either file and the datasets' counters count what is shared in full; what the pool has in use counts it once.
 */
int lcpfs_reflink(struct lcpfs_file *from, struct lcpfs_file *to, struct lcpfs_error *err);
/*
 * The same for len bytes at off, which from must have; they replace what to has at to_off, or make it longer. Blocks that lie wholly in the range are
 * shared, the others' bytes are copied, at any alignment. Overlapping ranges of one file are LCPFS_EINVAL. After another failure `to` may have some of it.
 */
int lcpfs_reflink_range(struct lcpfs_file *from, uint64_t off, uint64_t len, struct lcpfs_file *to, uint64_t to_off, struct lcpfs_error *err);

/* Changes by path. ctime of what changes and mtime of directories follow, as POSIX has it. */
struct lcpfs_attr { uint32_t mode /* permissions */, uid, gid; };
int lcpfs_mkdir(struct lcpfs_dataset *ds, const char *path, uint32_t mode, bool parents, struct lcpfs_error *err);
int lcpfs_symlink(struct lcpfs_dataset *ds, const char *target, const char *path, struct lcpfs_error *err);
int lcpfs_mknod(struct lcpfs_dataset *ds, const char *path, uint32_t mode, uint32_t major, uint32_t minor, struct lcpfs_error *err);
int lcpfs_link(struct lcpfs_dataset *ds, const char *existing, const char *path, struct lcpfs_error *err);
/* A non-directory or an empty directory; `recursive`: with all that is in it. */
int lcpfs_remove(struct lcpfs_dataset *ds, const char *path, bool recursive, struct lcpfs_error *err);
enum { LCPFS_RENAME_NOREPLACE = 1 };
int lcpfs_rename(struct lcpfs_dataset *ds, const char *from, const char *to, uint32_t flags, struct lcpfs_error *err);
int lcpfs_chmod(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t mode, struct lcpfs_error *err);
int lcpfs_chown(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t uid, uint32_t gid, struct lcpfs_error *err); /* ~0: keep; clears setuid/setgid of files */
int lcpfs_utimens(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const struct lcpfs_time *atime, const struct lcpfs_time *mtime, struct lcpfs_error *err); /* NULL: keep */
int lcpfs_truncate(struct lcpfs_dataset *ds, const char *path, uint64_t size, struct lcpfs_error *err);

/* Extended attributes: whole names ("user.x"); ACLs are "system.posix_acl_access" and "..._default" in the kernel's binary form. */
typedef int lcpfs_xattr_visit(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err);
int lcpfs_xattr_each(struct lcpfs_dataset *ds, const char *path, uint32_t flags, lcpfs_xattr_visit *visit, void *arg, struct lcpfs_error *err);
int lcpfs_xattr_get(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const char *name, void **value, size_t *len, struct lcpfs_error *err); /* malloc'ed */
enum { LCPFS_XATTR_CREATE = 2, LCPFS_XATTR_REPLACE = 4 };
int lcpfs_xattr_set(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const char *name, const void *value, size_t len, struct lcpfs_error *err);
int lcpfs_xattr_remove(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const char *name, struct lcpfs_error *err);

/* Who new files belong to: the handle's identity (default: the process's effective ids) and file mode mask (default 022); the mask is not
 * used in directories with a default ACL, which is inherited. */
void lcpfs_dataset_set_ids(struct lcpfs_dataset *ds, uint32_t uid, uint32_t gid, uint32_t umask);

#ifdef __cplusplus
}
#endif
#endif
