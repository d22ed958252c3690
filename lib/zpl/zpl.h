/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zpl: POSIX files in a dataset tree: inodes, names, links, attributes, contents in packs and extents. By inode number; the path layer and
 * the public calls (lcpfs/file.h) stand on it.
 *
 * Contents on their way: small files gather in an open pack, bigger ones go out record by record; both through zio's pipeline. What comes back
 * (addresses) goes into the tree in order, at the latest in zpl_flush, which also runs before every write of the tree. A call that needs contents or
 * items still on their way flushes first.
 */
#ifndef ZPL_H
#define ZPL_H
#include "base/entry.h"
#include "dmu/dmu.h"

void zpl_init(void); /* sets the dmu's hooks; once per process, called by the public open and create */

struct zpl_params { uint32_t record_bytes, pack_bytes, slice_max; struct codec_spec codec; };
#define ZPL_DEFAULTS { 1u << 20, 1u << 20, 128u << 10, { .id = CODEC_ZSTD, .level = 3 } }
/* A new, empty head: DSINFO and the root directory. `params` into DSINFO and, where not the default, properties are the caller's. */
int zpl_format(struct dataset *ds, const struct zpl_params *p, uint32_t mode, uint32_t uid, uint32_t gid, struct itime t, struct lcpfs_error *err);
/* Codec of new blocks (from the property); default zstd:3. */
void zpl_set_codec(struct dataset *ds, struct codec_spec c);

/* Sizes and codec as the properties (own or inherited) say; and putting them into force for what is written from now on. */
int zpl_params_of(struct dataset *ds, struct zpl_params *out, struct lcpfs_error *err);
int zpl_configure(struct dataset *ds, struct lcpfs_error *err);

int zpl_inode_get(struct dataset *ds, uint64_t ino, struct inode *out, struct lcpfs_error *err);
/* Symlink target, malloc'ed and NUL-terminated. */
int zpl_readlink(struct dataset *ds, uint64_t ino, char **target, struct lcpfs_error *err);
int zpl_inode_put(struct dataset *ds, uint64_t ino, const struct inode *i, struct lcpfs_error *err); /* TLVs are kept, and psize while data_id is */

/* 0, -LCPFS_ENOENT. type (may be NULL): DT_* as in dirent.h. */
int zpl_lookup(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t *ino, uint8_t *type, struct lcpfs_error *err);
/* Names of a directory in order. after NULL: from the start. name is not NUL-terminated. visit: 0 go on, > 0 stop. The tree must not be changed meanwhile. */
typedef int zpl_dir_visit(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err);
int zpl_dir_each(struct dataset *ds, uint64_t dir, const char *after, size_t after_len, zpl_dir_visit *visit, void *arg, struct lcpfs_error *err);
int zpl_dir_empty(struct dataset *ds, uint64_t dir, bool *empty, struct lcpfs_error *err);

/*
 * New names. `attr` gives mode (with type), uid, gid, rdev, times; nlink, parent, data_id, gen are set here. A directory's mtime and ctime become *now (NULL: left alone, as
 * when a tree is copied in with its own times).
 */
int zpl_create(struct dataset *ds, uint64_t dir, const char *name, size_t len, const struct inode *attr, const char *symlink_target,
               const struct itime *now, uint64_t *ino, struct lcpfs_error *err);
int zpl_link(struct dataset *ds, uint64_t ino, uint64_t dir, const char *name, size_t len, const struct itime *now, struct lcpfs_error *err);
/* Removes the name; at the last one the inode, its attributes and contents. Directories must be empty. */
int zpl_unlink(struct dataset *ds, uint64_t dir, const char *name, size_t len, const struct itime *now, struct lcpfs_error *err);
/* With everything below. */
int zpl_remove_tree(struct dataset *ds, uint64_t dir, const char *name, size_t len, const struct itime *now, struct lcpfs_error *err);
/* rename(2): replaces a target of fitting type; a directory into its own descendant is LCPFS_EINVAL. */
int zpl_rename(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t to_dir, const char *to, size_t to_len, bool noreplace,
               const struct itime *now, struct lcpfs_error *err);

/* Contents: any offset; *got < len only at the end. Holes are zeros. */
int zpl_read(struct dataset *ds, uint64_t ino, uint64_t off, void *buf, size_t len, size_t *got, struct lcpfs_error *err);
/* Next stretch of data at or after *off (clipped to the size); 1: none. */
int zpl_next_data(struct dataset *ds, uint64_t ino, uint64_t *off, uint64_t *len, struct lcpfs_error *err);
int zpl_write(struct dataset *ds, uint64_t ino, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err); /* size and contents, not times */
int zpl_truncate(struct dataset *ds, uint64_t ino, uint64_t size, struct lcpfs_error *err);
/*
 * The whole content of a file anew, in ascending pieces: replaces what it had when finished. `size` known beforehand (0 and unknown: false) chooses slice or extents without a copy.
 */
struct zpl_writer;
int zpl_writer_open(struct zpl_writer **out, struct dataset *ds, uint64_t ino, uint64_t size_hint, struct lcpfs_error *err);
int zpl_writer_write(struct zpl_writer *w, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err); /* gaps are holes */
int zpl_writer_finish(struct zpl_writer *w, uint64_t size, struct lcpfs_error *err); /* frees w */
/* All of it at once, no longer than a slice may be. */
int zpl_slice_put(struct dataset *ds, uint64_t ino, const void *data, size_t len, struct lcpfs_error *err);
void zpl_writer_abort(struct zpl_writer *w);

/*
 * Regular file `to` gets the content of `from` without a copy; either may change its own afterwards. The datasets are of one pool, `src` may be a
 * snapshot. Within a dataset this costs the same for any size; between two of them each record is shared, and what lies in a pack is copied.
 */
/* File `to` gets the content of file `from` of the same dataset, all of which was written; nothing is flushed for it. */
int zpl_twin(struct dataset *ds, uint64_t from, uint64_t to, struct lcpfs_error *err);
int zpl_share(struct dataset *src, uint64_t from, struct dataset *ds, uint64_t to, struct lcpfs_error *err);
/*
 * The same for `len` bytes at `off`, which must exist; they replace those of `to` at `at`. Blocks that lie wholly within are shared, the edges are copied.
 * After a failure `to` may have part of them.
 */
int zpl_share_range(struct dataset *src, uint64_t from, uint64_t off, uint64_t len, struct dataset *ds, uint64_t to, uint64_t at,
                    struct lcpfs_error *err);

/* Attributes of a file; whole names. get: malloc'ed value. */
int zpl_xattr_get(struct dataset *ds, uint64_t ino, const char *name, void **value, size_t *len, struct lcpfs_error *err); /* LCPFS_ENODATA */
int zpl_xattr_set(struct dataset *ds, uint64_t ino, const char *name, const void *value, size_t len, struct lcpfs_error *err);
int zpl_xattr_remove(struct dataset *ds, uint64_t ino, const char *name, struct lcpfs_error *err);
typedef int zpl_xattr_visit(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err);
int zpl_xattr_each(struct dataset *ds, uint64_t ino, zpl_xattr_visit *visit, void *arg, struct lcpfs_error *err);

int zpl_flush(struct dataset *ds, struct lcpfs_error *err);
/* A path of ino: parents to the root; "" = the root itself. */
int zpl_path_of(struct dataset *ds, uint64_t ino, struct buf *out, struct lcpfs_error *err);
/* Resolve a path as lcpfs/file.h says. With parent: *dir and *last (into path) of the last component, which need not exist (*ino = 0). */
int zpl_resolve(struct dataset *ds, const char *path, bool follow, uint64_t *ino, struct lcpfs_error *err);
int zpl_resolve_parent(struct dataset *ds, const char *path, uint64_t *dir, const char **last, size_t *last_len, uint64_t *ino, struct lcpfs_error *err);

/* For receive: put a PACK holding these contents (stored bytes as they came) and find slices in packs. See stream/. */
int zpl_slice_get(struct dataset *ds, uint64_t data_id, struct slice *out, struct lcpfs_error *err);
/* A decoded pack or extent, cached. Release with arc_put(&b->obj). */
struct zpl_block { struct arc_obj obj; uint32_t len; uint8_t data[]; };
int zpl_block_get(struct dataset *ds, const struct blkptr *bp, struct zpl_block **out, struct lcpfs_error *err);
/*
 * Contents as objects (entry.h), of a dataset that is not changed meanwhile: one thread plans them, in any order but path order is best, any
 * thread reads them. NULL: no data. Damage is told by the object. Planner and dataset outlive them.
 */
struct zpl_planner;
int zpl_planner_open(struct zpl_planner **out, struct dataset *ds, struct lcpfs_error *err);
int zpl_plan(struct zpl_planner *p, const struct inode *in, struct entry_content **out, struct lcpfs_error *err);
void zpl_planner_close(struct zpl_planner *p); /* NULL: nothing */
/* Where in a decoded pack the slice of data_id lies, by the pack's table; checks the table. */
int zpl_pack_find(const uint8_t *pack, size_t len, uint64_t data_id, uint32_t *off, uint32_t *slice_len, struct lcpfs_error *err);
#endif
