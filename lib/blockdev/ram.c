/* SPDX-License-Identifier: Apache-2.0 */
/* RAM disks: sparse, in pages of 64 KiB that appear when they are written. */
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev_impl.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE (64u << 10)
#define RAM_SIZE_MAX (UINT64_C(1) << 42) /* the page table of such a disk takes 512 MiB */

struct store {
	pthread_rwlock_t lock;
	uint8_t **page;
	size_t n_pages;
	uint64_t size;
	unsigned shared, exclusive; /* holders of the pool's lock */
	struct store *next;         /* named ones */
	char *name;                 /* NULL: goes with its device */
};

struct ramdev {
	struct lcpfs_blockdev dev;
	struct store *store;
	int locked; /* 0 no, 1 shared, 2 exclusive */
	char name[];
};

static pthread_mutex_t named_lock = PTHREAD_MUTEX_INITIALIZER;
static struct store *named;

static void store_destroy(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_pages; i++)
		free(s->page[i]);
	free(s->page);
	free(s->name);
	pthread_rwlock_destroy(&s->lock);
	free(s);
}

static void store_zero(struct store *s, uint64_t off, uint64_t len)
{
	while (len) {
		size_t i = (size_t)(off / PAGE), at = (size_t)(off % PAGE), n = (size_t)MIN(len, (uint64_t)(PAGE - at));

		if (n == PAGE) {
			free(s->page[i]);
			s->page[i] = NULL;
		} else if (s->page[i]) {
			memset(s->page[i] + at, 0, n);
		}
		off += n;
		len -= n;
	}
}

static int store_resize(struct store *s, uint64_t size, struct lcpfs_error *err)
{
	size_t n = (size_t)div_up(size, PAGE);
	uint8_t **page;

	if (size > RAM_SIZE_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a RAM disk of %" PRIu64 " bytes", size);
	if (size < s->size)
		store_zero(s, size, s->size - size);
	for (size_t i = n; i < s->n_pages; i++)
		free(s->page[i]);
	s->n_pages = MIN(s->n_pages, n);
	page = realloc(s->page, (n ? n : 1) * sizeof *page);
	if (!page)
		return lcpfs_nomem(err);
	if (n > s->n_pages)
		memset(page + s->n_pages, 0, (n - s->n_pages) * sizeof *page);
	s->page = page;
	s->n_pages = n;
	s->size = size;
	return 0;
}

static int ram_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct store *s = ((struct ramdev *)dev)->store;
	uint8_t *to = buf;
	int rc = 0;

	pthread_rwlock_rdlock(&s->lock);
	if (off + len > s->size)
		rc = lcpfs_fail(err, LCPFS_EIO, "%s: read at %" PRIu64 " is past the end", dev->name, off);
	while (!rc && len) {
		size_t at = (size_t)(off % PAGE), n = MIN(len, PAGE - at);
		const uint8_t *p = s->page[off / PAGE];

		if (p)
			memcpy(to, p + at, n);
		else
			memset(to, 0, n);
		to += n;
		off += n;
		len -= n;
	}
	pthread_rwlock_unlock(&s->lock);
	return rc;
}

static int ram_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct store *s = ((struct ramdev *)dev)->store;
	const uint8_t *from = buf;
	int rc = 0;

	pthread_rwlock_wrlock(&s->lock);
	if (off + len > s->size)
		rc = lcpfs_fail(err, LCPFS_EIO, "%s: write at %" PRIu64 " is past the end", dev->name, off);
	while (!rc && len) {
		size_t at = (size_t)(off % PAGE), n = MIN(len, PAGE - at);
		uint8_t **p = &s->page[off / PAGE];

		if (!*p)
			*p = n == PAGE ? malloc(PAGE) : calloc(1, PAGE);
		if (!*p) {
			rc = lcpfs_nomem(err);
			break;
		}
		memcpy(*p + at, from, n);
		from += n;
		off += n;
		len -= n;
	}
	pthread_rwlock_unlock(&s->lock);
	return rc;
}

static int ram_discard(struct lcpfs_blockdev *dev, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	struct store *s = ((struct ramdev *)dev)->store;

	(void)err;
	pthread_rwlock_wrlock(&s->lock);
	store_zero(s, off, len);
	pthread_rwlock_unlock(&s->lock);
	return 0;
}

static int ram_resize(struct lcpfs_blockdev *dev, uint64_t size, struct lcpfs_error *err)
{
	struct store *s = ((struct ramdev *)dev)->store;
	int rc;

	if (!(dev->flags & LCPFS_DEV_IMAGE))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: cannot change its size", dev->name);
	pthread_rwlock_wrlock(&s->lock);
	rc = store_resize(s, size, err);
	blockdev_set_size(dev, s->size);
	pthread_rwlock_unlock(&s->lock);
	return rc;
}

static void ram_unlock(struct ramdev *r)
{
	if (r->locked == 1)
		r->store->shared--;
	else if (r->locked == 2)
		r->store->exclusive--;
	r->locked = 0;
}

static int ram_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	struct ramdev *r = (struct ramdev *)dev;
	struct store *s = r->store;
	int rc = 0, had = r->locked;

	pthread_rwlock_wrlock(&s->lock);
	ram_unlock(r);
	if (s->exclusive || (exclusive && s->shared)) {
		rc = lcpfs_fail(err, LCPFS_EBUSY, "%s: in use", dev->name);
		exclusive = had == 2;
	}
	if (!rc || had) {
		r->locked = exclusive ? 2 : 1;
		*(exclusive ? &s->exclusive : &s->shared) += 1;
	}
	pthread_rwlock_unlock(&s->lock);
	return rc;
}

static void ram_close(struct lcpfs_blockdev *dev)
{
	struct ramdev *r = (struct ramdev *)dev;

	pthread_rwlock_wrlock(&r->store->lock);
	ram_unlock(r);
	pthread_rwlock_unlock(&r->store->lock);
	if (!r->store->name)
		store_destroy(r->store);
	free(r);
}

static const struct lcpfs_blockdev_ops ram_ops = {
	.read = ram_read, .write = ram_write, .discard = ram_discard, .resize = ram_resize, .lock = ram_lock, .close = ram_close,
};

static struct store *store_create(uint64_t size, const char *name, struct lcpfs_error *err)
{
	struct store *s = calloc(1, sizeof *s);

	if (!s || pthread_rwlock_init(&s->lock, NULL)) {
		free(s);
		lcpfs_nomem(err);
		return NULL;
	}
	s->name = name ? strdup(name) : NULL;
	if ((name && !s->name) || store_resize(s, size, err)) {
		store_destroy(s);
		return NULL;
	}
	return s;
}

static int dev_create(struct lcpfs_blockdev **out, struct store *s, const char *name, uint32_t flags, struct lcpfs_error *err)
{
	struct ramdev *r = calloc(1, sizeof *r + strlen(name) + 1);

	if (!r)
		return lcpfs_nomem(err);
	memcpy(r->name, name, strlen(name) + 1);
	r->store = s;
	r->dev = (struct lcpfs_blockdev){ .ops = &ram_ops, .name = r->name, .size = s->size, .sector = 512, .flags = flags };
	*out = &r->dev;
	return 0;
}

int lcpfs_ramdisk_create(struct lcpfs_blockdev **out, const char *name, uint64_t size, uint32_t flags, struct lcpfs_error *err)
{
	struct store *s;
	int rc;

	if (flags & ~(uint32_t)LCPFS_DEV_IMAGE)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: unknown flags %#x for a RAM disk", name, flags);
	if (size > RAM_SIZE_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "%s: a RAM disk of %" PRIu64 " bytes", name, size);
	s = store_create(size, NULL, err);
	if (!s)
		return lcpfs_nomem(err);
	rc = dev_create(out, s, name, flags, err);
	if (rc)
		store_destroy(s);
	return rc;
}

int ram_open(struct lcpfs_blockdev **out, const char *name, uint32_t flags, struct lcpfs_error *err)
{
	bool create = flags & LCPFS_DEV_OPEN_CREATE;
	struct store *s;
	int rc = 0;

	pthread_mutex_lock(&named_lock);
	for (s = named; s && strcmp(s->name, name) != 0; s = s->next)
		;
	if (s && create)
		rc = lcpfs_fail(err, LCPFS_EEXIST, "%s: exists", name);
	else if (!s && !create)
		rc = lcpfs_fail(err, LCPFS_ENOENT, "%s: no such RAM disk", name);
	else if (!s && !(s = store_create(0, name, err)))
		rc = lcpfs_nomem(err);
	if (!rc && create) {
		s->next = named;
		named = s;
	}
	pthread_mutex_unlock(&named_lock);
	if (rc)
		return rc;
	return dev_create(out, s, name, LCPFS_DEV_IMAGE | (flags & LCPFS_DEV_OPEN_RW ? 0 : LCPFS_DEV_RDONLY), err);
}
