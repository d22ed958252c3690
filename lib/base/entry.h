/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: one file of a tree as it travels between a host directory, an archive and a dataset, whichever side each is on.
 * A source yields entries in an order where a directory precedes what is in it; a sink takes them. mkfs, cp, tar,
 * update and extraction are a source joined to a sink.
 */
#ifndef BASE_ENTRY_H
#define BASE_ENTRY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lcpfs/error.h"

struct entry_time { int64_t sec; uint32_t nsec; };

/* One extended attribute. `name` is whole ("user.x", "system.posix_acl_access"), value in the kernel's binary form. */
struct entry_xattr { char *name; uint8_t *value; size_t len; };

enum {
	ENTRY_HAS_ATIME = 1, ENTRY_HAS_MTIME = 2, ENTRY_HAS_CTIME = 4, ENTRY_HAS_BTIME = 8, /* which times are known */
	ENTRY_HARDLINK = 16,  /* another name of the file first yielded as `link` (a path in this source); no content */
	ENTRY_DATA_UNREAD = 32, /* set by the source while streaming: content short or unreadable, what was read is kept */
	ENTRY_HOLES = 64,     /* the source expects holes in the content: a sink may want the whole map before its header */
	ENTRY_XATTR_LATER = 128, /* extended attributes are not in the entry: ask `later` */
};

struct entry;
/* Adds the attributes of the entry that the source yielded last to `out`; what could not be read was told. */
struct entry_later { int (*xattr)(struct entry_later *l, struct entry *out, struct lcpfs_error *err); };

struct entry {
	char *path;           /* relative to the root of the tree, no leading '/', no "." or ".." or empty component; "" = the root */
	uint32_t flags;       /* ENTRY_* */
	uint32_t mode;        /* S_IFMT | permissions, as in stat(2) */
	uint32_t uid, gid;
	uint32_t nlink;       /* 0: not known */
	uint64_t size;        /* regular files: content length in bytes */
	uint32_t rdev_major, rdev_minor;
	struct entry_time atime, mtime, ctime, btime;
	char *link;           /* symlink target, or the other path when ENTRY_HARDLINK; NULL otherwise */
	struct entry_xattr *xattr;
	size_t n_xattr;
	struct entry_later *later; /* with ENTRY_XATTR_LATER; the source's */
	char *uname, *gname;  /* from an archive; NULL = not known */
	uint64_t dev, ino;    /* identity in the source when nlink > 1 or known; 0,0 = not known */
};
void entry_fini(struct entry *e); /* frees what e owns, zeroes it */
/* Append an attribute (copies); LCPFS_ENOMEM. Attributes end up sorted by name with entry_sort_xattr. */
int entry_add_xattr(struct entry *e, const char *name, const void *value, size_t len, struct lcpfs_error *err);
void entry_sort_xattr(struct entry *e);

/* Told about each thing that could not be done in full; the run ends as LCPFS_EPARTIAL (exit status 3) but goes on. */
typedef void entry_warn_fn(void *arg, const char *path, const struct lcpfs_error *why);

/* A thread's memory for reading contents; zeroed is empty. It belongs to who reads, what is in it to the contents. */
struct entry_scratch {
	uint8_t *data, *part; /* a block kept for what comes next; what is needed once */
	size_t cap, part_cap;
	uint64_t key[2];      /* what is in data; 0: nothing */
	void *held;           /* given back with release(held) */
	void (*release)(void *held);
};
void *entry_scratch_reserve(struct entry_scratch *s, size_t len); /* data, of at least len bytes; key is cleared. NULL: out of memory */
void *entry_scratch_part(struct entry_scratch *s, size_t len);    /* part, the same way */
void entry_scratch_release(struct entry_scratch *s);              /* what is held */
void entry_scratch_fini(struct entry_scratch *s);

/* A file's content apart from its source: read piece by piece in any order, by several threads at once. */
struct entry_content {
	const struct entry_content_ops *ops;
	uint64_t group;       /* contents of the same group (not 0) are best read one after the other with the same scratch */
	uint64_t bytes;       /* of all pieces */
	size_t n;             /* pieces; ascending, what is not in one is a hole */
};
struct entry_content_ops {
	/*
	 * Piece i: *data, *len bytes at *off, good until s is used again. 1: it cannot be read, which is to be told as `why` and passed over;
	 * < 0: nothing can be.
	 */
	int (*read)(struct entry_content *c, size_t i, struct entry_scratch *s, uint64_t *off, const void **data, size_t *len,
	            struct lcpfs_error *why);
	void (*free)(struct entry_content *c);
};

struct entry_source;
struct entry_source_ops {
	/* The next entry into *e (caller runs entry_fini). 1 = no more, 0, or < 0. */
	int (*next)(struct entry_source *s, struct entry *e, struct lcpfs_error *err);
	/*
	 * Content of the regular file just yielded, in ascending order: up to `len` bytes into buf, *off = where they lie.
	 * *got = 0 at the end. What lies between pieces and up to e->size is a hole. May be called 0 times (content unwanted).
	 */
	int (*read)(struct entry_source *s, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err);
	void (*close)(struct entry_source *s);
	/* May be NULL. Instead of read: the content of the regular file just yielded as an object, good until the source is closed. NULL: it has no data. */
	int (*detach)(struct entry_source *s, struct entry_content **out, struct lcpfs_error *err);
	/* May be NULL. Instead of read, without a copy: *data is good until the next call. *got = 0 at the end. */
	int (*view)(struct entry_source *s, const void **data, uint64_t *off, size_t *got, struct lcpfs_error *err);
};
struct entry_source { const struct entry_source_ops *ops; };

struct entry_sink;
struct entry_sink_ops {
	/*
	 * Begin an entry. e stays the caller's and is valid until `end`, where e->flags may have gained ENTRY_DATA_UNREAD.
	 * 0; 1: its content is not wanted (`end` follows at once); < 0.
	 */
	int (*begin)(struct entry_sink *k, const struct entry *e, struct lcpfs_error *err);
	/* Content of a regular file, ascending; never called for others. All-zero ranges may be left out (holes). */
	int (*write)(struct entry_sink *k, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err);
	int (*end)(struct entry_sink *k, struct lcpfs_error *err);
	/* After the last entry: directory times, what was deferred. */
	int (*finish)(struct entry_sink *k, struct lcpfs_error *err);
	void (*close)(struct entry_sink *k); /* frees; without `finish` before it, an abort */
	/*
	 * May be NULL. Instead of begin, write and end: the entry (zeroed then) and its content (NULL: none) are the sink's from now on, also on
	 * failure. A failure may be of an entry given before.
	 */
	int (*take)(struct entry_sink *k, struct entry *e, struct entry_content *c, struct lcpfs_error *err);
	/* May be NULL. Instead of write: the only piece of a content, read to its end. buf stays as it is until `end`, which follows at once. */
	int (*whole)(struct entry_sink *k, const void *buf, size_t len, struct lcpfs_error *err);
};
struct entry_sink { const struct entry_sink_ops *ops; };

/*
 * Move everything from s to k (given away, when both can), then finish k (neither is closed). `tick` (may be NULL) is called for every entry and every piece of content with
 * entries and bytes so far, so it must be quick, and stops the run with LCPFS_ECANCEL by returning true.
 */
int entry_copy(struct entry_source *s, struct entry_sink *k, bool (*tick)(void *arg, uint64_t entries, uint64_t bytes),
               void *arg, struct lcpfs_error *err);
#endif
