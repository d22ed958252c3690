/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of archive/ share. */
#ifndef ARCHIVE_LAYER_IMPL_H
#define ARCHIVE_LAYER_IMPL_H
#include "archive/archive.h"
#include "base/warner.h"
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/types.h>

#define MEMBER_SHOWN "%.250s"

/*
 * libarchive turns names into the charset of the thread's locale, so each call runs in a locale of ours.
 * names.c: `unicode` asks for UTF-8, which formats that store Unicode (zip, 7z) need; otherwise plain C, in which the bytes
 * of a tar come through unchanged (in a UTF-8 locale libarchive would compose them to NFC).
 */
locale_t arch_names_locale(bool unicode);
/* "./a//b/" to "a/b" (malloc). NULL and *why when it would leave the tree; *absolute when a '/' was dropped. */
char *arch_names_normalise(const char *raw, bool *absolute, struct lcpfs_error *why);
/* True for a libarchive warning that only says a name was not converted: we have its bytes. */
bool arch_names_is_charset_warning(const char *msg);

/* input.c: the bytes of the archive. */
struct arch_input {
	int fd;
	bool seekable, pending; /* pending: the first block was looked at and is still to be handed out */
	bool unicode;           /* begins like a format whose names are Unicode */
	int eno;                /* of a read that failed */
	uint8_t *block;
	size_t first;           /* bytes of the first block */
};
int arch_input_open(struct arch_input *in, int fd, struct lcpfs_error *err);
void arch_input_close(struct arch_input *in);
/* A libarchive reader over in; NULL: err is set. `probe` leaves out what is recognised by its end. */
struct archive *arch_input_reader(struct arch_input *in, bool probe, struct lcpfs_error *err);
/* The failure that libarchive reports. */
int arch_input_fail(const struct arch_input *in, struct archive *a, struct lcpfs_error *err);

/* acl.c: between libarchive's entries and the kernel's binary attribute. */
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
/* Adds attributes to e; may correct the group bits of its mode to the mask. What cannot be kept is told to w. */
int arch_acl_read(struct archive_entry *ae, struct entry *e, struct warner *w, struct lcpfs_error *err);
/* Adds entries to ae. False when the value makes no sense. */
bool arch_acl_write(struct archive_entry *ae, const struct entry_xattr *x);

/* member.c: one member of an archive as an entry. 0; 1 = left out, and told; < 0. */
struct member_ctx {
	const char *const *exclude;
	struct warner *w;
	bool told_absolute;
	bool tar; /* times are in pax spelling */
};
int arch_member_read(struct member_ctx *m, struct archive_entry *ae, struct entry *e, struct lcpfs_error *err);
/* The reverse: everything but content and holes. */
int arch_member_write(struct archive_entry *ae, const struct entry *e, bool keeps_xattr, struct warner *w,
                      struct lcpfs_error *err);

/*
 * held.c: cpio (newc) stores the content of a file of several names with the last of them. The names before it
 * wait here, and come as links to it once the archive ends. At most HELD_MAX wait; then the oldest go as they are.
 */
#define HELD_MAX 4096
struct held {
	struct entry *v;
	size_t n, from;
};
bool arch_held_has(const struct held *h, const char *path);
int arch_held_add(struct held *h, struct entry *e, struct lcpfs_error *err); /* takes what e owns */
/* e has the content: those waiting for e->link now point at e. */
int arch_held_content(struct held *h, struct entry *e, struct lcpfs_error *err);
bool arch_held_take(struct held *h, struct entry *e);                             /* the oldest; false when none */
void arch_held_fini(struct held *h);

/* spool.c: content put aside with its map, in memory up to SPOOL_MEMORY, then in an unlinked temporary file. */
#define SPOOL_MEMORY ((size_t)4 << 20)
struct spool_range {
	uint64_t off, len;
};
struct spool {
	uint8_t *mem;
	int fd; /* -1: still in memory */
	uint64_t bytes;
	struct spool_range *range;
	size_t n, cap;
};
void arch_spool_init(struct spool *s);
void arch_spool_reset(struct spool *s); /* empty; the memory and the file stay */
void arch_spool_fini(struct spool *s);
int arch_spool_add(struct spool *s, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err);
/* The stored bytes from `pos` (ranges laid end to end); exactly len of them must exist. */
int arch_spool_get(struct spool *s, uint64_t pos, void *buf, size_t len, struct lcpfs_error *err);
/* Where the content ends, and whether it is one piece from 0 (or nothing). */
static inline uint64_t arch_spool_end(const struct spool *s)
{
	return s->n ? s->range[s->n - 1].off + s->range[s->n - 1].len : 0;
}
static inline bool arch_spool_is_dense(const struct spool *s)
{
	return s->n == 0 || (s->n == 1 && s->range[0].off == 0);
}
#endif
