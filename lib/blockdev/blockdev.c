/* SPDX-License-Identifier: Apache-2.0 */
#include "blockdev/blockdev_impl.h"
#include "base/error.h"
#include "base/util.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct scheme {
	char name[17];
	lcpfs_blockdev_open_fn *open;
	void *arg;
	struct scheme *next;
};

static pthread_mutex_t schemes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct scheme *schemes;

static int check_range(struct lcpfs_blockdev *d, const char *what, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	uint64_t end, size = blockdev_size(d);

	if (add_overflow(off, len, &end) || end > size)
		return lcpfs_fail(err, LCPFS_EIO, "%s: %s of %" PRIu64 " bytes at %" PRIu64 " is past the end at %" PRIu64, d->name, what,
		    len, off, size);
	return 0;
}

int blockdev_read(struct lcpfs_blockdev *d, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	int rc = check_range(d, "read", off, len, err);

	return rc || !len ? rc : d->ops->read(d, off, buf, len, err);
}

static int check_writable(struct lcpfs_blockdev *d, struct lcpfs_error *err)
{
	if (!d->ops->write || (d->flags & LCPFS_DEV_RDONLY))
		return lcpfs_fail(err, LCPFS_EROFS, "%s: open read-only", d->name);
	return 0;
}

int blockdev_write(struct lcpfs_blockdev *d, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	int rc = check_writable(d, err);

	if (!rc)
		rc = check_range(d, "write", off, len, err);
	return rc || !len ? rc : d->ops->write(d, off, buf, len, err);
}

int blockdev_flush(struct lcpfs_blockdev *d, struct lcpfs_error *err)
{
	return d->ops->flush ? d->ops->flush(d, err) : 0;
}

int blockdev_discard(struct lcpfs_blockdev *d, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	int rc = check_writable(d, err);

	if (!rc)
		rc = check_range(d, "discard", off, len, err);
	return rc || !len || !d->ops->discard ? rc : d->ops->discard(d, off, len, err);
}

int blockdev_resize(struct lcpfs_blockdev *d, uint64_t size, struct lcpfs_error *err)
{
	int rc = check_writable(d, err);

	if (rc || size == blockdev_size(d))
		return rc;
	if (!d->ops->resize)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: cannot change its size", d->name);
	return d->ops->resize(d, size, err);
}

int blockdev_lock(struct lcpfs_blockdev *d, bool exclusive, struct lcpfs_error *err)
{
	return d->ops->lock ? d->ops->lock(d, exclusive, err) : 0;
}

void lcpfs_blockdev_close(struct lcpfs_blockdev *dev)
{
	if (dev && dev->ops->close)
		dev->ops->close(dev);
}

/* Length of the scheme that `name` begins with, 0 when it is a path. */
static size_t scheme_len(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");

	return n >= 2 && n <= 16 && name[n] == ':' ? n : 0;
}

static struct scheme *find_scheme(const char *name, size_t len)
{
	struct scheme *s = schemes;

	while (s && (strlen(s->name) != len || memcmp(s->name, name, len) != 0))
		s = s->next;
	return s;
}

int lcpfs_blockdev_open(struct lcpfs_blockdev **out, const char *name, uint32_t flags, struct lcpfs_error *err)
{
	size_t n = scheme_len(name);
	struct scheme *s;
	int rc;

	if (flags & ~(uint32_t)(LCPFS_DEV_OPEN_RW | LCPFS_DEV_OPEN_CREATE))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: unknown open flags %#x", name, flags);
	if ((flags & LCPFS_DEV_OPEN_CREATE) && !(flags & LCPFS_DEV_OPEN_RW))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: a new device is opened for writing", name);
	if (n == 3 && memcmp(name, "ram", 3) == 0)
		return ram_open(out, name, flags, err);
	pthread_mutex_lock(&schemes_lock);
	s = n ? find_scheme(name, n) : NULL;
	pthread_mutex_unlock(&schemes_lock);
	if (s)
		return s->open(out, name + n + 1, flags, s->arg, err);
	/* a file may have a colon in its name: without a scheme it is a path */
	rc = blockdev_file_open(out, name, flags, err);
	if (rc && blockdev_is_slice(name))
		return blockdev_slice_open(out, name, flags, err);
	if (!rc && !(flags & LCPFS_DEV_OPEN_CREATE)) {
		rc = blockdev_split_open(out, flags, err);
		if (rc)
			lcpfs_blockdev_close(*out);
	}
	return rc;
}

int lcpfs_blockdev_register(const char *scheme, lcpfs_blockdev_open_fn *open, void *arg, struct lcpfs_error *err)
{
	size_t len = strlen(scheme);
	struct scheme *s;
	int rc = 0;

	if (len < 2 || len > 16 || strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789") != len || !open)
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' cannot be a scheme: 2-16 bytes of a-z0-9", scheme);
	s = calloc(1, sizeof *s);
	if (!s)
		return lcpfs_nomem(err);
	memcpy(s->name, scheme, len);
	s->open = open;
	s->arg = arg;
	pthread_mutex_lock(&schemes_lock);
	if (strcmp(scheme, "ram") == 0 || find_scheme(scheme, len)) {
		rc = lcpfs_fail(err, LCPFS_EEXIST, "scheme '%s' is taken", scheme);
		free(s);
	} else {
		s->next = schemes;
		schemes = s;
	}
	pthread_mutex_unlock(&schemes_lock);
	return rc;
}
