/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a device as a device, for reading only: "offset=1M:disk.img", "offset=2048s:disk.img", "offset=1M+500M:disk.img" (its length, too). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev_impl.h"

#define PREFIX "offset="

struct slicedev {
	struct lcpfs_blockdev dev;
	struct lcpfs_blockdev *below;
	uint64_t from;
	char name[];
};

static int slice_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct slicedev *s = (struct slicedev *)dev;

	return blockdev_read(s->below, s->from + off, buf, len, err);
}

static int slice_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	return blockdev_lock(((struct slicedev *)dev)->below, exclusive, err);
}

static void slice_close(struct lcpfs_blockdev *dev)
{
	lcpfs_blockdev_close(((struct slicedev *)dev)->below);
	free(dev);
}

static const struct lcpfs_blockdev_ops slice_ops = { .read = slice_read, .lock = slice_lock, .close = slice_close };

/* "1M", "4096", "2048s": bytes; *end behind it. False: no number, or too large. */
static bool number(const char *text, const char **end, uint64_t *out)
{
	static const char units[] = "KMGTP";
	uint64_t v = 0;
	const char *p = text, *u;

	for (; *p >= '0' && *p <= '9'; p++)
		if (mul_overflow(v, 10, &v) || add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	if (p == text)
		return false;
	if (*p == 's') {
		p++;
		if (mul_overflow(v, 512, &v))
			return false;
	} else if (*p && (u = strchr(units, *p >= 'a' && *p <= 'z' ? *p - 32 : *p))) {
		for (p++; u >= units; u--)
			if (mul_overflow(v, 1024, &v))
				return false;
	}
	*end = p;
	*out = v;
	return true;
}

bool blockdev_is_slice(const char *name)
{
	return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 && strchr(name, ':');
}

int blockdev_slice_open(struct lcpfs_blockdev **out, const char *name, uint32_t flags, struct lcpfs_error *err)
{
	const char *p = name + sizeof PREFIX - 1;
	uint64_t from, len = UINT64_MAX;
	struct lcpfs_blockdev *below;
	struct slicedev *s;
	int rc;

	if (!number(p, &p, &from) || (*p == '+' && !number(p + 1, &p, &len)) || *p != ':')
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: offset=BYTES: or offset=SECTORSs: is wanted, and after it +LENGTH or nothing", name);
	if (flags & LCPFS_DEV_OPEN_RW)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: a part of a device can only be read", name);
	rc = lcpfs_blockdev_open(&below, p + 1, flags, err);
	if (rc)
		return rc;
	s = from < below->size ? calloc(1, sizeof *s + strlen(name) + 1) : NULL;
	if (!s) {
		rc = from < below->size ? lcpfs_nomem(err) :
		    lcpfs_fail(err, LCPFS_EINVAL, "%s: begins behind the end at %" PRIu64, name, below->size);
		lcpfs_blockdev_close(below);
		return rc;
	}
	memcpy(s->name, name, strlen(name) + 1);
	s->dev = (struct lcpfs_blockdev){ .ops = &slice_ops, .name = s->name, .size = MIN(len, below->size - from), .sector = below->sector,
		.flags = LCPFS_DEV_RDONLY | LCPFS_DEV_IMAGE };
	s->below = below;
	s->from = from;
	*out = &s->dev;
	return 0;
}
