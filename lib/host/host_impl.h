/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of host/ share. */
#ifndef HOST_IMPL_H
#define HOST_IMPL_H
#include "base/buf.h"
#include "base/warner.h"
#include "host/dirstack.h"
#include "host/host.h"
#include <sys/stat.h>
#include <sys/types.h>

/* beneath.c: open `name`, one component, in dirfd; never through a symlink. A descriptor, or -1 and errno. */
int host_beneath_open(int dirfd, const char *name, int flags, mode_t mode);
void host_beneath_use_openat2(bool yes); /* for tests: false takes the way of an old kernel */

/*
 * xattr.c: attributes of `name` in dirfd (a symlink itself is meant unless `follow`), or of dirfd when name is "".
 * As the system calls: a length or 0, or -1 and errno.
 */
ssize_t host_xattr_list(int dirfd, const char *name, bool follow, char *buf, size_t len);
ssize_t host_xattr_get(int dirfd, const char *name, bool follow, const char *key, void *buf, size_t len);
int host_xattr_set(int dirfd, const char *name, const char *key, const void *value, size_t len);
int host_xattr_remove(int dirfd, const char *name, const char *key);
void host_xattr_use_at(bool yes); /* for tests: false goes through /proc as on kernels without setxattrat */

/* attrs.c: everything but content, of one name. */
struct attrs_reader {
	struct buf list, value;  /* scratch */
	dev_t no_xattr_dev;      /* a device whose files answered ENOTSUP: not asked again */
	bool has_no_xattr_dev;
};
struct attrs_stat {
	dev_t dev;
	ino_t ino;
	uint32_t nlink;
	uint64_t blocks; /* of 512 bytes */
};
/* Mode, owner, size, times, symlink target. e->path is the caller's. */
int host_attrs_stat(int dirfd, const char *name, bool follow, struct entry *e, struct attrs_stat *st,
                    struct lcpfs_error *err);
/* The extended attributes. What cannot be read goes to w. */
int host_attrs_xattr(struct attrs_reader *r, int dirfd, const char *name, bool follow, dev_t dev, struct entry *e,
                struct warner *w, struct lcpfs_error *err);
void host_attrs_reader_fini(struct attrs_reader *r);

/* links.c: which inode was already yielded, and as what. */
struct links {
	struct link_slot *slot;
	size_t n, cap;
};
/* The path under which (dev, ino) was first told, or NULL after remembering `path`. Forgotten after nlink names. */
int host_links_seen(struct links *t, dev_t dev, ino_t ino, uint32_t nlink, const char *path, char **first,
                    struct lcpfs_error *err);
void host_links_fini(struct links *t);

/* content.c: the bytes of one regular file, piece by piece. */
struct content {
	int fd;               /* -1: not open */
	bool done;            /* the end was told */
	bool dense;           /* no need to ask for holes */
	uint64_t size, pos, data_end;
	struct entry_time mtime;
};
int host_content_open(struct content *c, int dirfd, const char *name, bool follow, struct lcpfs_error *err);
/* The same, of the file that e tells of: whether it still was that one is seen when all was read. */
void host_content_expect(struct content *c, const struct entry *e);
int host_content_open_expected(struct content *c, int dirfd, const char *name, bool follow, struct lcpfs_error *err);
/* *got = 0 at the end. A failure to read in full is returned as an error once, then the end. */
int host_content_read(struct content *c, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err);
void host_content_close(struct content *c);
int host_open_noatime(int dirfd, const char *name, int flags); /* O_NOATIME where permitted */

/* item.c: a directory kept open for as long as entries of it are under way. Any thread may hold and put. */
struct dirref;
struct dirref *host_dirref_new(int fd, struct lcpfs_error *err); /* duplicates fd; NULL: failed */
struct dirref *host_dirref_hold(struct dirref *d);
void host_dirref_put(struct dirref *d); /* NULL: nothing */
int host_dirref_fd(const struct dirref *d);

/* walk.c: one step of a walk: an entry, and all that is needed to look at its file later, on any thread. */
struct walk_item {
	struct entry e;
	struct dirref *dir;     /* that the name is in */
	dev_t dev;
	bool follow, opened;    /* opened: content is open, or was */
	unsigned descriptors;   /* that came with it and not with the one before */
	struct content content;
	char name[256];         /* "": the directory itself */
};
void walk_item_init(struct walk_item *it);
void walk_item_fini(struct walk_item *it); /* leaves it empty; who took e has zeroed it here */
struct walk;
/* w is told on the thread that asks for the next item. */
int host_walk_open(struct walk **out, const char *path, const struct host_source_opts *o, struct warner w, struct lcpfs_error *err);
/* 1: no more. After a failure, too, the item is to be given to walk_item_fini. */
int host_walk_next(struct walk *s, struct walk_item *out, struct lcpfs_error *err);
void host_walk_close(struct walk *s);

/* ahead.c: a walk on a thread of its own, AHEAD_ITEMS ahead at most. */
#define AHEAD_ITEMS 512u
struct ahead;
int host_ahead_open(struct ahead **out, struct lcpfs_error *err);
entry_warn_fn host_ahead_told; /* for the walk's warner, with the ahead as arg */
int host_ahead_start(struct ahead *a, struct walk *w, struct lcpfs_error *err); /* owns w from now on, also on failure */
/* As host_walk_next, in the same order; `w` is told here of what the walk told. */
int host_ahead_next(struct ahead *a, struct walk_item *out, struct warner *w, struct lcpfs_error *err);
void host_ahead_close(struct ahead *a); /* NULL: nothing */

/* restore.c: putting attributes back. */
struct restore {
	uint32_t flags; /* HOST_SINK_* */
	bool owner;     /* uid and gid are restored */
	bool strip_acl; /* the target inherits ACLs: what has none must lose them */
	uid_t euid;
	gid_t egid;
	struct warner *w;
	char *uname, *gname; /* the last names looked up, and what they gave */
	uint32_t uname_id, gname_id;
};
void host_restore_init(struct restore *r, uint32_t flags, struct warner *w);
void host_restore_fini(struct restore *r);
/* A new file with this owner (of level l, when known) has the one e asks for. */
bool host_restore_is_owner(struct restore *r, const struct entry *e, const struct dirlevel *l);
/* Owner, attributes, mode, times of (dirfd, name), or of dirfd itself when name is "". Failures are warned of. */
void host_restore_all(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e);
void host_restore_times(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e);

/* dirs.c: the directories met by a sink, as a tree, until their attributes are set in the end. */
struct dirnode {
	uint32_t parent, child, sibling; /* 0 = none (node 0 is the root) */
	bool made;                       /* by us: gets 0755 when no entry says otherwise */
	char *name;
	struct entry *attrs;             /* NULL: leave it as it is */
};
struct dirs {
	struct dirnode *node;
	uint32_t n, cap;
	uint32_t *hash; /* node numbers; 0 = free */
	uint32_t hash_cap;
};
int host_dirs_init(struct dirs *d, struct lcpfs_error *err);
void host_dirs_fini(struct dirs *d);
int host_dirs_get(struct dirs *d, uint32_t parent, const char *name, uint32_t *out, struct lcpfs_error *err);
int host_dirs_set_attrs(struct dirs *d, uint32_t node, const struct entry *e, struct lcpfs_error *err);
/* Visit every directory, those below first, and restore it. root_fd stays the caller's. */
int host_dirs_restore(struct dirs *d, int root_fd, struct restore *r, struct lcpfs_error *err);

/* make.c: entries that are no directories, one at a time. */
struct maker {
	uint32_t flags;  /* HOST_SINK_* */
	uint32_t umask;
	struct warner w;
	struct restore restore;
	struct dirstack at;
	bool has_at;
	bool left_out;   /* something was: a hard link to it cannot be an error */
	/* the entry being made */
	const struct entry *cur;
	const char *name; /* last component of cur->path; in name_kept when it can be a file's, to outlive a failed entry */
	char name_kept[256];
	bool skip;        /* left out, or complete already */
	bool has_mode;    /* the file was made with owner and mode as they shall be */
	int fd;           /* regular file */
	uint64_t end;     /* behind the last byte written */
};
/* root_fd stays the caller's. window: as of a dirstack. */
int host_maker_init(struct maker *m, int root_fd, uint32_t flags, unsigned window, struct lcpfs_error *err);
void host_maker_fini(struct maker *m);
/* Stand in the directory `path` (len bytes) by `step`s into one component each; NULL: it must be there. */
typedef int host_step_fn(void *arg, const char *name, size_t len, struct lcpfs_error *err);
int host_go(struct dirstack *ds, const char *path, size_t len, host_step_fn *step, void *arg, struct lcpfs_error *err);
/* e is the entry now, to be made where m stands: no directory and no hard link. For a regular file write and end follow. */
void host_maker_name(struct maker *m, const struct entry *e);
int host_maker_begin(struct maker *m, const struct entry *e, struct lcpfs_error *err);
int host_maker_write(struct maker *m, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err);
int host_maker_end(struct maker *m, struct lcpfs_error *err);
void host_maker_drop(struct maker *m); /* a file that is not complete goes away */
void host_maker_leave_out(struct maker *m, const char *path, const struct lcpfs_error *why);
/* What is in the way goes, if it may and is no directory. 0: try again. */
int host_maker_replace(struct maker *m, const char *name, struct lcpfs_error *err);
/* A symlink, a special file or (from_name) a hard link, in place of what is there. *eno: why the system would not. */
int host_maker_node(struct maker *m, const struct entry *e, int from_fd, const char *from_name, int *eno, struct lcpfs_error *err);
/* Content of e at off, holes where it is zero; *data_end: behind the last byte written, else left alone. */
int host_write_data(int fd, const struct entry *e, uint64_t off, const void *buf, size_t len, uint64_t *data_end, struct lcpfs_error *err);

/* crew.c: files made on several threads. All calls by one thread. */
struct crew;
int host_crew_create(struct crew **out, int root_fd, uint32_t flags, unsigned threads, struct warner *told, struct lcpfs_error *err);
/*
 * *e (then empty) and c are the crew's from now on, also on failure; e's directory is there. A failure may be of something added before.
 * Once failed, every call fails the same way.
 */
int host_crew_add(struct crew *w, struct entry *e, struct entry_content *c, bool strip_acl, struct lcpfs_error *err);
/* A warning in the sequence of what is added. */
void host_crew_tell(struct crew *w, const char *path, const struct lcpfs_error *why);
/* All that was added is done. left_out becomes true when something of it was. */
int host_crew_drain(struct crew *w, bool *left_out, struct lcpfs_error *err);
void host_crew_destroy(struct crew *w); /* NULL: nothing */

#define PATH_SHOWN "%.300s" /* leaves room in a message for what went wrong */
#endif
