/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that change files by path share with each other and with lcpfs-batch: the changes themselves.
 * They return 0 or -LCPFS_E*, print nothing but lines of things done, and leave the commit to the caller.
 */
#ifndef CMD_COMMON_EDIT_H
#define CMD_COMMON_EDIT_H
#include "common/cmd.h"

/* Call `fn` on every operand with its dataset open for writing, then commit when all went well; otherwise nothing is changed. Returns a status. */
typedef int edit_fn(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds);
int edit_each(char *argv[], int n, edit_fn *fn, void *arg);
/* Commit after a status of 0, else say that nothing was changed. */
int edit_commit(int status);

/* New files belong to the caller and have its umask; also sets *ds. */
struct lcpfs_dataset *edit_dataset(const struct cmd_target *t, int *status);

/* Does `path` name the root directory of a dataset ("", "/", "/./")? */
bool edit_is_root(const char *path);
/* The directory part and the last component of a path, malloc'ed; *name is "" for a root. */
void edit_split(const char *path, char **dir, char **name);
/* "-EINVAL" for what has no name of its own: roots, "." and "..". */
int edit_need_name(const char *path, struct lcpfs_error *err);
/* Attributes of a file that others are to get: a path of a pool (opened for writing when `target` is in the same one) or of the host. Returns a status. */
int edit_reference(const char *text, const char *target, struct lcpfs_stat *st);
/* The mode of what is at path, 0 when nothing is. */
uint32_t edit_mode_of(struct lcpfs_dataset *ds, const char *path, bool follow);

/* `path` and all below it, directories before what is in them; the tree may be changed by `fn`. type: S_IFMT bits. */
typedef int edit_visit(void *arg, struct lcpfs_dataset *ds, const char *path, uint32_t type, struct lcpfs_error *err);
int edit_walk(struct lcpfs_dataset *ds, const char *path, edit_visit *fn, void *arg, struct lcpfs_error *err);

/* ---- the changes ---- */
enum { EDIT_RECURSIVE = 1, EDIT_FORCE = 2, EDIT_NO_FOLLOW = 4, EDIT_NO_CREATE = 8, EDIT_PARENTS = 16, EDIT_SYMBOLIC = 32, EDIT_EMPTY_DIR = 64 };
struct edit_owner { uint32_t uid, gid; };      /* ~0: keep */
#define EDIT_KEEP_OWNER { UINT32_MAX, UINT32_MAX }

int edit_rm(struct lcpfs_dataset *ds, const char *path, unsigned flags, struct lcpfs_error *err);
/* mode NULL: 0777 less the umask. */
int edit_mkdir(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct cmd_mode *mode, struct edit_owner owner,
               struct lcpfs_error *err);
/* A hard link to `target`, or a symlink with that text. EDIT_FORCE replaces what is there. */
int edit_ln(struct lcpfs_dataset *ds, const char *target, const char *path, unsigned flags, struct edit_owner owner, struct lcpfs_error *err);
int edit_chmod(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct cmd_mode *mode, struct lcpfs_error *err);
int edit_chown(struct lcpfs_dataset *ds, const char *path, unsigned flags, struct edit_owner owner, struct lcpfs_error *err);
/* Times NULL: keep. An absent file is made, unless EDIT_NO_CREATE. */
int edit_touch(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct lcpfs_time *atime, const struct lcpfs_time *mtime,
               struct edit_owner owner, struct lcpfs_error *err);
/* A size as truncate(1) has it: "4K", "+1M", "-512". */
struct edit_size { char op; uint64_t bytes; };
bool edit_size_parse(const char *text, struct edit_size *out);
int edit_truncate(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct edit_size *size, struct lcpfs_error *err);
/* A stretch of a file and where it goes, "OFFSET:LENGTH[:TO]"; without LENGTH up to the end, without TO to the same place. */
struct edit_range { uint64_t off, len, to; bool to_end; };
bool edit_range_parse(const char *text, struct edit_range *out);
/* Share it with another file of the pool, which is made (with the permissions of `from`, less the umask) when absent. */
int edit_share_range(struct lcpfs_dataset *from_ds, const char *from, struct lcpfs_dataset *to_ds, const char *to, const struct edit_range *r,
                     struct lcpfs_error *err);
int edit_mv(struct lcpfs_dataset *ds, const char *from, const char *to, bool no_replace, struct lcpfs_error *err);

/* Values of extended attributes as getfattr writes them: "text", 0x hex, 0s base64. */
bool edit_value_parse(const char *text, void **value, size_t *len); /* malloc'ed */
char *edit_value_print(const void *value, size_t len, char form);   /* 't'ext, 'h'ex, 'b'ase64, 0: text when printable, else base64 */

/* ---- verbs with verbs ---- */
/* `letters`: the command's own options that go with it; operands: min to max (-1: any number). */
struct cmd_sub { const char *name, *letters; int min, max; int (*run)(char *argv[], int n); };
/* Finds argv[optind] and runs it. `used`: the command's own options that were given, one letter each. */
int cmd_sub(const struct cmd_sub *subs, size_t n, const char *used, int argc, char *argv[]);
/* Collects those letters. */
void cmd_sub_used(char used[32], int ch);
#endif
