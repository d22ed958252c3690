/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LIST_MAX ((size_t)16 << 20)  /* far beyond what any file system has; a bound for the growing */
#define VALUE_MAX ((size_t)64 << 20)
#define LINK_MAX_BYTES ((size_t)1 << 20)

static struct entry_time time_of(const struct statx_timestamp *t)
{
	return (struct entry_time){ t->tv_sec, t->tv_nsec };
}

static void fill(struct entry *e, const struct statx *x)
{
	e->mode = x->stx_mode;
	e->uid = x->stx_uid;
	e->gid = x->stx_gid;
	e->nlink = x->stx_nlink;
	e->size = S_ISREG(x->stx_mode) ? x->stx_size : 0;
	e->rdev_major = x->stx_rdev_major;
	e->rdev_minor = x->stx_rdev_minor;
	e->atime = time_of(&x->stx_atime);
	e->mtime = time_of(&x->stx_mtime);
	e->ctime = time_of(&x->stx_ctime);
	e->flags |= ENTRY_HAS_ATIME | ENTRY_HAS_MTIME | ENTRY_HAS_CTIME;
	if (x->stx_mask & STATX_BTIME) {
		e->btime = time_of(&x->stx_btime);
		e->flags |= ENTRY_HAS_BTIME;
	}
	e->dev = makedev(x->stx_dev_major, x->stx_dev_minor);
	e->ino = x->stx_ino;
	if (e->size && x->stx_blocks < (e->size + 511) / 512)
		e->flags |= ENTRY_HOLES;
}

static int read_target(int dirfd, const char *name, uint64_t size, char **out, struct lcpfs_error *err)
{
	size_t cap = (size < LINK_MAX_BYTES ? (size_t)size : 0) + 64;

	for (;; cap *= 4) {
		char *t = malloc(cap);
		ssize_t n;

		if (!t)
			return lcpfs_nomem(err);
		n = readlinkat(dirfd, name, t, cap);
		if (n >= 0 && (size_t)n < cap) {
			t[n] = 0;
			*out = t;
			return 0;
		}
		free(t);
		if (n < 0)
			return lcpfs_fail_errno(err, errno, "cannot read the link");
		if (cap > LINK_MAX_BYTES)
			return lcpfs_fail(err, LCPFS_ELIMIT, "link target is too long");
	}
}

int host_attrs_stat(int dirfd, const char *name, bool follow, struct entry *e, struct attrs_stat *st,
                    struct lcpfs_error *err)
{
	int flags = (follow ? 0 : AT_SYMLINK_NOFOLLOW) | (*name ? 0 : AT_EMPTY_PATH) | AT_NO_AUTOMOUNT;
	struct statx x;

	if (statx(dirfd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &x))
		return lcpfs_fail_errno(err, errno, "cannot stat");
	fill(e, &x);
	*st = (struct attrs_stat){ .dev = (dev_t)e->dev, .ino = x.stx_ino, .nlink = x.stx_nlink, .blocks = x.stx_blocks };
	if (S_ISLNK(e->mode))
		return read_target(dirfd, name, x.stx_size, &e->link, err);
	return 0;
}

/* The size grows until the answer fits; it may change between two calls. -1 and errno as the call. */
static ssize_t grow_list(struct buf *b, int dirfd, const char *name, bool follow)
{
	size_t want = b->cap ? b->cap : 4096;

	for (;; want *= 2) {
		ssize_t n;

		buf_reset(b);
		if (!buf_reserve(b, want)) {
			errno = ENOMEM;
			return -1;
		}
		n = host_xattr_list(dirfd, name, follow, (char *)b->data, b->cap);
		if (n >= 0 || errno != ERANGE || want > LIST_MAX)
			return n;
	}
}

static ssize_t grow_value(struct buf *b, int dirfd, const char *name, bool follow, const char *key)
{
	size_t want = b->cap ? b->cap : 65536;

	for (;; want *= 2) {
		ssize_t n;

		buf_reset(b);
		if (!buf_reserve(b, want)) {
			errno = ENOMEM;
			return -1;
		}
		n = host_xattr_get(dirfd, name, follow, key, b->data, b->cap);
		if (n >= 0 || errno != ERANGE || want > VALUE_MAX)
			return n;
	}
}

static int list_failed(struct attrs_reader *r, dev_t dev, const struct entry *e, struct warner *w)
{
	struct lcpfs_error why;

	if (errno == ENOTSUP || errno == ENOSYS) {
		r->no_xattr_dev = dev;
		r->has_no_xattr_dev = true;
		return 0;
	}
	lcpfs_fail_errno(&why, errno, "cannot list extended attributes");
	warner_tell(w, e->path, &why);
	return 0;
}

static int one_xattr(struct attrs_reader *r, int dirfd, const char *name, bool follow, const char *key, struct entry *e,
                     struct warner *w, struct lcpfs_error *err)
{
	ssize_t n = grow_value(&r->value, dirfd, name, follow, key);
	struct lcpfs_error why;

	if (n >= 0)
		return entry_add_xattr(e, key, r->value.data, (size_t)n, err);
	if (errno == ENODATA) /* removed meanwhile */
		return 0;
	lcpfs_fail_errno(&why, errno, "cannot read extended attribute '%.100s'", key);
	warner_tell(w, e->path, &why);
	return 0;
}

int host_attrs_xattr(struct attrs_reader *r, int dirfd, const char *name, bool follow, dev_t dev, struct entry *e,
                struct warner *w, struct lcpfs_error *err)
{
	const char *p, *end;
	ssize_t n;
	int rc = 0;

	if (r->has_no_xattr_dev && r->no_xattr_dev == dev)
		return 0;
	n = grow_list(&r->list, dirfd, name, follow);
	if (n < 0)
		return list_failed(r, dev, e, w);
	p = (char *)r->list.data;
	for (end = p + n; !rc && p < end; p += strnlen(p, (size_t)(end - p)) + 1)
		rc = one_xattr(r, dirfd, name, follow, p, e, w, err);
	entry_sort_xattr(e);
	return rc;
}

void host_attrs_reader_fini(struct attrs_reader *r)
{
	buf_fini(&r->list);
	buf_fini(&r->value);
}
