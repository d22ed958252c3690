/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash recorder
 * Begins with a copy of what the device below holds and keeps every change in order. A replay applies to a fresh RAM
 * disk what the last flush made certain, and of what came after it any part the caller chooses: a disk's cache may write
 * in any order and tear a write at any sector. Discards and size changes are no more certain than writes.
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (64u << 10)
#define CRASH_SECTOR 512u

enum event_kind { EV_WRITE, EV_FLUSH, EV_DISCARD, EV_RESIZE };
struct event {
	enum event_kind kind;
	uint64_t off, len; /* resize: off is the new size */
	uint8_t *data;
};

struct crashdev {
	struct lcpfs_blockdev dev, *below, *base;
	pthread_mutex_t lock;
	struct event *ev;
	size_t n, cap;
};

/* Takes `data` over, also on failure. */
static int record(struct crashdev *c, enum event_kind kind, uint64_t off, uint64_t len, uint8_t *data, struct lcpfs_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct event *ev = realloc(c->ev, cap * sizeof *ev);

		if (ev) {
			c->ev = ev;
			c->cap = cap;
		} else {
			rc = lcpfs_nomem(err);
		}
	}
	if (!rc)
		c->ev[c->n++] = (struct event){ kind, off, len, data };
	else
		free(data);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int crash_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	return blockdev_read(((struct crashdev *)dev)->below, off, buf, len, err);
}

static int crash_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct crashdev *c = (struct crashdev *)dev;
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	if (!copy)
		return lcpfs_nomem(err);
	memcpy(copy, buf, len);
	rc = record(c, EV_WRITE, off, len, copy, err);
	return rc ? rc : blockdev_write(c->below, off, buf, len, err);
}

static int crash_flush(struct lcpfs_blockdev *dev, struct lcpfs_error *err)
{
	struct crashdev *c = (struct crashdev *)dev;
	int rc = blockdev_flush(c->below, err);

	return rc ? rc : record(c, EV_FLUSH, 0, 0, NULL, err);
}

static int crash_discard(struct lcpfs_blockdev *dev, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	struct crashdev *c = (struct crashdev *)dev;
	int rc = record(c, EV_DISCARD, off, len, NULL, err);

	return rc ? rc : blockdev_discard(c->below, off, len, err);
}

static int crash_resize(struct lcpfs_blockdev *dev, uint64_t size, struct lcpfs_error *err)
{
	struct crashdev *c = (struct crashdev *)dev;
	int rc = record(c, EV_RESIZE, size, 0, NULL, err);

	if (!rc)
		rc = blockdev_resize(c->below, size, err);
	blockdev_set_size(dev, blockdev_size(c->below));
	return rc;
}

static int crash_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	return blockdev_lock(((struct crashdev *)dev)->below, exclusive, err);
}

static const struct lcpfs_blockdev_ops crash_ops = {
	.read = crash_read, .write = crash_write, .flush = crash_flush, .discard = crash_discard,
	.resize = crash_resize, .lock = crash_lock,
};

/* Copy what is not zero; `to` is all zero and as long as `from`. */
static int copy_all(struct lcpfs_blockdev *from, struct lcpfs_blockdev *to, struct lcpfs_error *err)
{
	uint8_t *piece = malloc(PIECE);
	uint64_t size = blockdev_size(from);
	int rc = piece ? 0 : lcpfs_nomem(err);

	for (uint64_t off = 0; !rc && off < size; off += PIECE) {
		size_t len = (size_t)MIN(size - off, (uint64_t)PIECE);

		rc = blockdev_read(from, off, piece, len, err);
		if (!rc && !is_all_zero(piece, len))
			rc = blockdev_write(to, off, piece, len, err);
	}
	free(piece);
	return rc;
}

int crashdev_create(struct crashdev **out, struct lcpfs_blockdev *below, struct lcpfs_error *err)
{
	struct crashdev *c = calloc(1, sizeof *c);
	int rc;

	if (!c)
		return lcpfs_nomem(err);
	c->dev = *below;
	c->dev.ops = &crash_ops;
	c->below = below;
	pthread_mutex_init(&c->lock, NULL);
	rc = lcpfs_ramdisk_create(&c->base, below->name, blockdev_size(below), below->flags & LCPFS_DEV_IMAGE, err);
	if (!rc)
		rc = copy_all(below, c->base, err);
	if (rc)
		crashdev_destroy(c);
	else
		*out = c;
	return rc;
}

void crashdev_destroy(struct crashdev *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		free(c->ev[i].data);
	free(c->ev);
	lcpfs_blockdev_close(c->base);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct lcpfs_blockdev *crashdev_dev(struct crashdev *c) { return &c->dev; }
size_t crashdev_events(const struct crashdev *c) { return c->n; }
bool crashdev_is_flush(const struct crashdev *c, size_t i) { return c->ev[i].kind == EV_FLUSH; }

/* Apply an event, a write only up to `sectors` of it. What lies past the end makes a file longer, as a write would. */
static int apply(const struct event *e, size_t sectors, struct lcpfs_blockdev *to, struct lcpfs_error *err)
{
	size_t len = (size_t)MIN(e->len, (uint64_t)sectors * CRASH_SECTOR);
	int rc = 0;

	switch (e->kind) {
	case EV_FLUSH:
		return 0;
	case EV_RESIZE:
		return blockdev_resize(to, e->off, err);
	case EV_DISCARD:
		if (e->off >= blockdev_size(to))
			return 0;
		return blockdev_discard(to, e->off, MIN(e->len, blockdev_size(to) - e->off), err);
	case EV_WRITE:
		if (!len)
			return 0;
		if (e->off + len > blockdev_size(to))
			rc = blockdev_resize(to, e->off + len, err);
		return rc ? rc : blockdev_write(to, e->off, e->data, len, err);
	}
	return 0;
}

size_t crashdev_sectors(const struct crashdev *c, size_t i)
{
	return c->ev[i].kind == EV_WRITE ? (size_t)div_up(c->ev[i].len, CRASH_SECTOR) : 0;
}

int crashdev_apply(const struct crashdev *c, size_t i, bool (*sector)(void *arg, size_t s), void *arg, struct lcpfs_blockdev *to, struct lcpfs_error *err)
{
	const struct event *e = &c->ev[i];
	size_t n = crashdev_sectors(c, i);
	int rc = 0;

	if (!n || !sector)
		return apply(e, SIZE_MAX / CRASH_SECTOR, to, err);
	for (size_t s = 0; s < n && !rc; s++) {
		uint64_t at = (uint64_t)s * CRASH_SECTOR;
		struct event one = { EV_WRITE, e->off + at, MIN(e->len - at, (uint64_t)CRASH_SECTOR), e->data + at };

		if (sector(arg, s))
			rc = apply(&one, 1, to, err);
	}
	return rc;
}

int crashdev_replay(const struct crashdev *c, size_t cut, bool (*keep)(void *arg, size_t i),
    size_t (*tear)(void *arg, size_t i, size_t sectors), void *arg, struct lcpfs_blockdev **ram, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *d = NULL;
	size_t sure = 0;
	int rc;

	if (cut > c->n)
		return lcpfs_fail(err, LCPFS_EINVAL, "crash replay: cut %zu of %zu events", cut, c->n);
	for (size_t i = 0; i < cut; i++)
		if (c->ev[i].kind == EV_FLUSH)
			sure = i;
	rc = lcpfs_ramdisk_create(&d, c->dev.name, blockdev_size(c->base), c->base->flags, err);
	if (!rc)
		rc = copy_all(c->base, d, err);
	for (size_t i = 0; !rc && i < cut; i++) {
		const struct event *e = &c->ev[i];
		size_t sectors = (size_t)div_up(e->len, CRASH_SECTOR);

		if (i >= sure && keep && !keep(arg, i))
			continue;
		if (i >= sure && tear && e->kind == EV_WRITE)
			sectors = MIN(sectors, tear(arg, i, sectors));
		rc = apply(e, sectors, d, err);
	}
	if (rc)
		lcpfs_blockdev_close(d);
	else
		*ram = d;
	return rc;
}
