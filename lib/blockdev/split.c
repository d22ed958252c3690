/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images in parts, for reading only: img.000, img.001, ... or from .001 on, by the name of the first. All parts are as long as the first, but
 * for the last. A part that is not there, or does not open, is an input/output error where it would be read, so that the rest can be.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev_impl.h"

#define PARTS_MAX 1000u
#define HEADER_OFF 4096u

struct splitdev {
	struct lcpfs_blockdev dev;
	struct lcpfs_blockdev *part[PARTS_MAX]; /* NULL: missing */
	unsigned n, first;
	uint64_t part_bytes;
	size_t stem;     /* length of the name without the number */
	char name[];
};

static int split_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct splitdev *s = (struct splitdev *)dev;
	uint8_t *to = buf;

	while (len) {
		unsigned i = (unsigned)(off / s->part_bytes);
		uint64_t in = off % s->part_bytes;
		size_t n = (size_t)MIN((uint64_t)len, s->part_bytes - in);
		int rc;

		if (!s->part[i])
			return lcpfs_fail(err, LCPFS_EIO, "%.*s%03u: this part is missing (read at %" PRIu64 ")", (int)s->stem, s->name,
			    s->first + i, off);
		rc = blockdev_read(s->part[i], in, to, n, err);
		if (rc)
			return rc;
		to += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int split_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	return blockdev_lock(((struct splitdev *)dev)->part[0], exclusive, err);
}

static void split_close(struct lcpfs_blockdev *dev)
{
	struct splitdev *s = (struct splitdev *)dev;

	for (unsigned i = 0; i < s->n; i++)
		lcpfs_blockdev_close(s->part[i]);
	free(s);
}

static const struct lcpfs_blockdev_ops split_ops = { .read = split_read, .lock = split_lock, .close = split_close };

/* How many parts the folder has from this number on: the highest one counts. */
static unsigned count_parts(const char *name, size_t stem, unsigned first)
{
	const char *slash = memrchr(name, '/', stem), *base = slash ? slash + 1 : name;
	char *dir = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
	size_t len = stem - (size_t)(base - name);
	DIR *d = dir ? opendir(dir) : NULL;
	unsigned n = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		const char *p = e->d_name + len;

		if (strlen(e->d_name) == len + 3 && !memcmp(e->d_name, base, len) && strspn(p, "0123456789") == 3)
			n = MAX(n, (unsigned)strtoul(p, NULL, 10) + 1);
	}
	if (d)
		closedir(d);
	free(dir);
	return n > first ? n - first : 0;
}

/* An image of its own, which only has such a name? */
static bool is_pool(struct lcpfs_blockdev *d)
{
	uint8_t magic[8];

	return d && d->size >= HEADER_OFF + sizeof magic && !blockdev_read(d, HEADER_OFF, magic, sizeof magic, NULL) &&
	       !memcmp(magic, "LCPFSDEV", 8);
}

/* The other parts; false: there are none. */
static bool open_parts(struct splitdev *s)
{
	char *name = strdup(s->name);
	bool any = false, pool = false;

	for (unsigned i = 1; name && i < s->n; i++) {
		snprintf(name + s->stem, 4, "%03u", s->first + i);
		if (blockdev_file_open(&s->part[i], name, 0, NULL))
			s->part[i] = NULL;
		any |= s->part[i] != NULL;
		pool |= is_pool(s->part[i]);
	}
	free(name);
	return any && !pool;
}

static void set_size(struct splitdev *s)
{
	uint64_t last = s->part[s->n - 1] ? s->part[s->n - 1]->size : 0;

	/* a part that was cut is missing, too */
	for (unsigned i = 1; i + 1 < s->n; i++)
		if (s->part[i] && s->part[i]->size < s->part_bytes) {
			lcpfs_blockdev_close(s->part[i]);
			s->part[i] = NULL;
		}
	s->dev.size = (s->n - 1) * s->part_bytes + MIN(last, s->part_bytes);
}

/* What does not look like a first part with others beside it stays what it is. */
int blockdev_split_open(struct lcpfs_blockdev **dev, uint32_t flags, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *d = *dev;
	size_t len = strlen(d->name);
	unsigned first, n;
	struct splitdev *s;

	if (len < 5 || (strcmp(d->name + len - 4, ".000") && strcmp(d->name + len - 4, ".001")) || !(d->flags & LCPFS_DEV_IMAGE) || !d->size)
		return 0;
	first = (unsigned)(d->name[len - 1] - '0');
	n = MIN(count_parts(d->name, len - 3, first), PARTS_MAX - first);
	if (n < 2)
		return 0;
	s = calloc(1, sizeof *s + len + 1);
	if (!s)
		return lcpfs_nomem(err);
	memcpy(s->name, d->name, len + 1);
	s->stem = len - 3;
	s->first = first;
	s->n = n;
	s->part[0] = d;
	s->part_bytes = d->size;
	s->dev = (struct lcpfs_blockdev){ .ops = &split_ops, .name = s->name, .sector = d->sector, .flags = LCPFS_DEV_RDONLY | LCPFS_DEV_IMAGE };
	if (!open_parts(s)) {
		s->part[0] = NULL;
		split_close(&s->dev);
		return 0;
	}
	if (flags & LCPFS_DEV_OPEN_RW) {
		lcpfs_fail(err, LCPFS_EROFS, "%s: the first part of several can only be read", s->name);
		s->part[0] = NULL;
		split_close(&s->dev);
		return -LCPFS_EROFS;
	}
	set_size(s);
	*dev = &s->dev;
	return 0;
}
