/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new pool: on a device whose first part is a temporary file without a name, and whose second shows the damaged device, read-only. That part
 * belongs to chunks that nothing is allocated from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "salvage/salvage_impl.h"
#include "zpl/handle.h"

#define META_SPAN (UINT64_C(1) << 40) /* more than all names and attributes can take */

struct overlay { struct lcpfs_blockdev dev; struct sal *s; int fd; };

static int temp_file(struct lcpfs_error *err)
{
	const char *dirs[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	char name[4096];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		int fd, n = dirs[i] && *dirs[i] ? snprintf(name, sizeof name, "%s/lcpfs-salvage.XXXXXX", dirs[i]) : -1;

		if (n < 0 || (size_t)n >= sizeof name)
			continue;
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0) {
			unlink(name);
			return fd;
		}
	}
	return lcpfs_fail_errno(err, errno, "a temporary file (TMPDIR says where)");
}

static int over_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct overlay *v = (struct overlay *)dev;

	if (off >= META_SPAN) {
		uint64_t at = off - META_SPAN;
		size_t there = at < v->s->size ? (size_t)MIN((uint64_t)len, v->s->size - at) : 0;

		/* a last sector may be short */
		memset((uint8_t *)buf + there, 0, len - there);
		return blockdev_read(v->s->dev, at, buf, there, err);
	}
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(v->fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lcpfs_fail_errno(err, errno, "%s: temporary file", dev->name);
		if (!n)
			memset((char *)buf + done, 0, len - done);
		done += n ? (size_t)n : len - done;
	}
	return 0;
}

static int over_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct overlay *v = (struct overlay *)dev;

	if (off + len > META_SPAN)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: the damaged device is not written to", dev->name);
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(v->fd, (const char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lcpfs_fail_errno(err, n ? errno : EIO, "%s: temporary file", dev->name);
		done += (size_t)n;
	}
	return 0;
}

/* The pool closes it twice: after it was made, and after it was read. */
static void over_close(struct lcpfs_blockdev *dev)
{
	(void)dev;
}

static const struct lcpfs_blockdev_ops over_ops = { .read = over_read, .write = over_write, .close = over_close };

/* Chunk MAP_FIRST + i shows the bytes from i * MAP_SPAN on. */
static int map_device(struct sal *s, struct lcpfs_error *err)
{
	struct config *c = vdev_config_edit(s->spa->vdev);
	uint64_t units = div_up(s->size, UNIT), per = MAP_SPAN / UNIT;
	uint32_t n = (uint32_t)div_up(units, per);

	c->chunks = calloc(n, sizeof *c->chunks);
	if (!c->chunks)
		return lcpfs_nomem(err);
	for (uint32_t i = 0; i < n; i++) {
		struct cfg_member *m = malloc(sizeof *m);

		if (!m)
			return lcpfs_nomem(err);
		*m = (struct cfg_member){ c->devices[0].id, META_SPAN / UNIT + i * per };
		c->chunks[i] = (struct cfg_chunk){ .id = MAP_FIRST + i, .group = c->groups[0].id, .profile = PROFILE_MIRROR, .width = 1,
			.parity = 1, .ashift = c->groups[0].ashift, .state = CHUNK_READONLY,
			.col_units = (uint32_t)MIN(per, units - i * per), .created_txg = 1, .member = m };
		c->n_chunks = i + 1;
	}
	c->next_chunk_id = MAP_FIRST + n;
	return 0;
}

uint64_t overlay_addr(uint64_t off)
{
	return ptr_addr(MAP_FIRST + (uint32_t)(off / MAP_SPAN), (uint32_t)(off % MAP_SPAN / SECTOR));
}

int overlay_create(struct sal *s, struct lcpfs_error *err)
{
	static const uint8_t uuid[16] = "salvage";
	/* nodes in the hands of many threads would take more memory than they save time */
	struct lcpfs_create_opts o = { .open = { .threads = 1, .memory_bytes = s->o.memory_bytes }, .name = "salvage",
		.uuid = uuid, .labels = 1, .reproducible = true };
	struct overlay *v = calloc(1, sizeof *v);
	struct dataset *root;
	int rc;

	if (!v)
		return lcpfs_nomem(err);
	v->s = s;
	v->fd = temp_file(err);
	s->over = &v->dev;
	if (v->fd < 0)
		return v->fd;
	v->dev = (struct lcpfs_blockdev){ .ops = &over_ops, .name = s->dev->name, .size = META_SPAN + round_up(s->size, UNIT),
		.sector = SECTOR };
	rc = spa_create(&s->spa, s->over, &o, err);
	if (!rc)
		rc = map_device(s, err);
	if (!rc) {
		rc = dmu_create(s->spa, "", &root, err);
		if (!rc)
			dmu_close(root);
	}
	return rc;
}

int overlay_reopen(struct sal *s, struct lcpfs_error *err)
{
	struct lcpfs_open_opts o = { .threads = s->o.threads, .memory_bytes = s->o.memory_bytes };
	struct spa *spa = s->spa;
	int rc = spa_commit(spa, err);

	s->spa = NULL;
	if (rc)
		spa_close(spa, NULL);
	else
		rc = spa_close(spa, err);
	return rc ? rc : spa_open(&s->spa, s->over, &o, err);
}

void overlay_close(struct sal *s)
{
	struct overlay *v = (struct overlay *)s->over;

	if (s->spa)
		spa_close(s->spa, NULL);
	s->spa = NULL;
	if (v && v->fd >= 0)
		close(v->fd);
	free(v);
	s->over = NULL;
}
